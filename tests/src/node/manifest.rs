//! What manifests say of a pod, read strictly: a setting that the lab's kubelet does not know is an error, so that no
//! check passes because something was left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

/// The objects of a kustomization.
pub(super) struct Manifest {
    objects: Vec<Value>,
}

impl Manifest {
    /// Reads a list of objects in JSON.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        Ok(Self { objects: serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))? })
    }

    /// The namespace, and the pod that the only `DaemonSet` makes.
    pub(super) fn daemon(&self) -> Result<(String, PodSpec)> {
        let daemon = self.object("DaemonSet", None)?;
        let namespace = daemon["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
        let spec = &daemon["spec"]["template"]["spec"];
        Ok((namespace, PodSpec::of(spec).context("the pod of the DaemonSet")?))
    }

    /// The files of a `ConfigMap`.
    pub(super) fn config(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let data = &self.object("ConfigMap", Some(name))?["data"];
        serde_json::from_value(data.clone()).with_context(|| format!("the data of ConfigMap {name}"))
    }

    fn object(&self, kind: &str, name: Option<&str>) -> Result<&Value> {
        let is = |object: &&Value| {
            object["kind"] == kind && name.is_none_or(|name| object["metadata"]["name"] == name)
        };
        self.objects.iter().find(is).with_context(|| format!("the manifests have no {kind} {name:?}"))
    }
}

/// What of a pod's spec concerns the kubelet; a `Value` is what it leaves to others.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) containers: Vec<Container>,
    #[serde(default)]
    pub(super) volumes: Vec<Volume>,
    /// The API server's token: there is no API server here.
    #[serde(rename = "automountServiceAccountToken")]
    _token: Option<Value>,
    #[serde(rename = "serviceAccountName")]
    _account: Option<Value>,
    /// Scheduling.
    #[serde(rename = "nodeSelector")]
    _selector: Option<Value>,
    #[serde(rename = "priorityClassName")]
    _priority: Option<Value>,
    #[serde(rename = "tolerations")]
    _tolerations: Option<Value>,
    pub(super) termination_grace_period_seconds: Option<u64>,
}

/// A container of a pod.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    #[serde(default)]
    pub(super) args: Vec<String>,
    #[serde(default)]
    pub(super) env: Vec<Env>,
    #[serde(default)]
    pub(super) security_context: Security,
    #[serde(default)]
    pub(super) resources: Resources,
    #[serde(default)]
    pub(super) volume_mounts: Vec<Mount>,
    pub(super) startup_probe: Option<Probe>,
    #[serde(rename = "livenessProbe")]
    _liveness: Option<Value>,
    #[serde(rename = "readinessProbe")]
    _readiness: Option<Value>,
    #[serde(default)]
    pub(super) ports: Vec<Port>,
    #[serde(rename = "imagePullPolicy")]
    _pull: Option<Value>,
}

/// A variable.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Env {
    pub(super) name: String,
    pub(super) value: Option<String>,
    pub(super) value_from: Option<Value>,
}

/// The rights of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Security {
    pub(super) run_as_user: Option<u64>,
    pub(super) run_as_group: Option<u64>,
    #[serde(default)]
    pub(super) privileged: bool,
    pub(super) allow_privilege_escalation: Option<bool>,
    #[serde(default)]
    pub(super) read_only_root_filesystem: bool,
    pub(super) seccomp_profile: Option<Profile>,
    #[serde(default)]
    pub(super) capabilities: Capabilities,
}

/// A seccomp profile.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// Capabilities given and taken, without `CAP_`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Capabilities {
    #[serde(default)]
    pub(super) add: Vec<String>,
    #[serde(default)]
    pub(super) drop: Vec<String>,
}

/// What a container is promised and what it may take, as quantities.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resources {
    #[serde(default)]
    pub(super) requests: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) limits: BTreeMap<String, String>,
}

/// Where a volume is seen.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Mount {
    pub(super) name: String,
    #[serde(rename = "mountPath")]
    pub(super) path: String,
    #[serde(default)]
    pub(super) read_only: bool,
    #[serde(rename = "mountPropagation")]
    pub(super) propagation: Option<String>,
}

/// A volume.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Volume {
    pub(super) name: String,
    pub(super) config_map: Option<ConfigMap>,
    pub(super) host_path: Option<HostPath>,
}

/// A volume of configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigMap {
    pub(super) name: String,
}

/// A folder of the node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostPath {
    pub(super) path: String,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

/// A port of a container.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) container_port: u16,
}

/// When a container is up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Probe {
    pub(super) http_get: HttpGet,
    pub(super) period_seconds: u64,
    pub(super) failure_threshold: u64,
}

/// What is asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpGet {
    pub(super) path: String,
    pub(super) port: String,
}

/// The class of a pod, which is a level of its cgroup's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl PodSpec {
    /// Reads a pod's spec.
    pub(super) fn of(spec: &Value) -> Result<Self> {
        Ok(serde_json::from_value(spec.clone())?)
    }

    /// As Kubernetes derives it from the resources.
    pub(super) fn class(&self) -> Class {
        let each = || self.containers.iter().map(|container| &container.resources);
        let is_whole = |resources: &Resources| {
            ["cpu", "memory"].iter().all(|what| {
                let limit = resources.limits.get(*what);
                limit.is_some() && resources.requests.get(*what).or(limit) == limit
            })
        };
        if each().all(|resources| resources.limits.is_empty() && resources.requests.is_empty()) {
            Class::BestEffort
        } else if each().all(is_whole) {
            Class::Guaranteed
        } else {
            Class::Burstable
        }
    }
}

impl Container {
    /// The port of this name.
    pub(super) fn port(&self, name: &str) -> Result<u16> {
        let found = self.ports.iter().find(|port| port.name == name);
        found.map(|port| port.container_port).with_context(|| format!("{} has no port {name}", self.name))
    }
}

/// A quantity of memory in bytes, or of CPU in thousandths.
pub(super) fn quantity(text: &str) -> Result<u64> {
    let units = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10), ("m", 1)];
    for (unit, bytes) in units {
        if let Some(number) = text.strip_suffix(unit) {
            return Ok(number.parse::<u64>().with_context(|| format!("not a quantity: {text}"))? * bytes);
        }
    }
    bail!("a quantity without a unit: {text}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Class, PodSpec, quantity};

    fn class(resources: &serde_json::Value) -> Class {
        let spec = json!({ "containers": [{ "name": "app", "image": "app", "resources": resources }] });
        PodSpec::of(&spec).unwrap().class()
    }

    #[test]
    fn the_class_comes_from_the_resources() {
        assert_eq!(class(&json!({})), Class::BestEffort);
        assert_eq!(class(&json!({ "requests": { "memory": "64Mi" } })), Class::Burstable);
        assert_eq!(class(&json!({ "limits": { "cpu": "100m", "memory": "64Mi" } })), Class::Guaranteed);
    }

    #[test]
    fn a_setting_that_nobody_knows_is_an_error() {
        let spec = json!({ "hostPID": true, "containers": [] });
        assert!(PodSpec::of(&spec).unwrap_err().to_string().contains("hostPID"));
    }

    #[test]
    fn quantities_have_units() {
        assert_eq!((quantity("256Mi").unwrap(), quantity("50m").unwrap()), (256 << 20, 50));
        assert!(quantity("1").is_err());
    }
}

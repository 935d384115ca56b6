//! Messages of the container runtime interface, as the kubelet makes them from a pod's spec: package `runtime.v1` of
//! `k8s.io/cri-api/pkg/apis/runtime/v1/api.proto`.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::manifest::{Capabilities, Container, Env, Mount, Resources, Security, quantity};
use crate::cluster::protobuf::Message;

/// This node's name.
pub(super) const NODE: &str = "node";
/// What Kubernetes hides of /proc and /sys, and what it lets nobody write (`pkg/securitycontext`).
const MASKED: [&str; 9] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// `NamespaceMode` of a container's own processes; that of the pod is 0.
const OWN: u64 = 1;
/// `SecurityProfile` without a filter; the runtime's own is 0.
const UNCONFINED: u64 = 1;
/// `MountPropagation` of what the host mounts later.
const HOST_TO_CONTAINER: u64 = 1;

/// Who a pod is.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Identity {
    fn labels(&self, message: Message, field: u8) -> Message {
        message
            .entry(field, "io.kubernetes.pod.name", &self.name)
            .entry(field, "io.kubernetes.pod.namespace", &self.namespace)
            .entry(field, "io.kubernetes.pod.uid", &self.uid)
    }
}

/// A `PodSandboxConfig`.
pub(super) fn sandbox_config(identity: &Identity, cgroup: &str) -> Message {
    let metadata = Message::default()
        .bytes(1, &identity.name)
        .bytes(2, &identity.uid)
        .bytes(3, &identity.namespace)
        .number(4, 0);
    let security = Message::default().bytes(1, namespaces()).bytes(9, Message::default().number(1, 0));
    let linux = Message::default().bytes(1, cgroup).bytes(2, security);
    let config = Message::default().bytes(1, metadata).bytes(2, &identity.name);
    let config = config.bytes(3, format!("/var/log/pods/{}", identity.uid));
    identity.labels(config, 6).entry(7, "kubernetes.io/config.source", "api").bytes(8, linux)
}

/// A `ContainerConfig`; `sources` are the folders behind the pod's volumes.
pub(super) fn container_config(
    identity: &Identity,
    container: &Container,
    sources: &[(String, PathBuf)],
) -> Result<Message> {
    let name = Message::default().bytes(1, &container.name).number(2, 0);
    let mut config =
        Message::default().bytes(1, name).bytes(2, Message::default().bytes(1, &container.image));
    for argument in &container.args {
        config = config.bytes(4, argument);
    }
    for env in &container.env {
        config = config.bytes(6, Message::default().bytes(1, &env.name).bytes(2, value(env)?));
    }
    for mount in &container.volume_mounts {
        config = config.bytes(7, mounted(mount, sources)?);
    }
    let linux = Message::default().bytes(1, resources(&container.resources)?);
    let linux = linux.bytes(2, security(&container.security_context)?);
    let labelled = identity.labels(config, 9).entry(9, "io.kubernetes.container.name", &container.name);
    Ok(labelled.bytes(11, format!("{}.log", container.name)).bytes(15, linux))
}

/// The network and its other means of talking are the pod's, processes the container's own.
fn namespaces() -> Message {
    Message::default().number(1, 0).number(2, OWN).number(3, 0)
}

fn value(env: &Env) -> Result<String> {
    if let Some(value) = &env.value {
        return Ok(value.clone());
    }
    let field = env.value_from.as_ref().and_then(|from| from["fieldRef"]["fieldPath"].as_str());
    ensure!(field == Some("spec.nodeName"), "{} comes from {:?}", env.name, env.value_from);
    Ok(NODE.to_owned())
}

fn mounted(mount: &Mount, sources: &[(String, PathBuf)]) -> Result<Message> {
    let source = sources.iter().find(|(name, _)| *name == mount.name);
    let (_, source) = source.with_context(|| format!("there is no volume {}", mount.name))?;
    let propagation = match mount.propagation.as_deref() {
        None | Some("None") => 0,
        Some("HostToContainer") => HOST_TO_CONTAINER,
        Some(other) => bail!("mount propagation {other}"),
    };
    let message = Message::default().bytes(1, &mount.path).bytes(2, source.to_string_lossy().as_bytes());
    Ok(message.number(3, u64::from(mount.read_only)).number(5, propagation))
}

/// A `LinuxContainerResources`.
fn resources(resources: &Resources) -> Result<Message> {
    let mut message = Message::default();
    let cpu = resources.requests.get("cpu").or(resources.limits.get("cpu"));
    let shares = cpu.map_or(Ok(2), |cpu| Ok::<_, anyhow::Error>((quantity(cpu)? * 1024 / 1000).max(2)))?;
    message = message.number(3, shares);
    if let Some(cpu) = resources.limits.get("cpu") {
        message = message.number(1, 100_000).number(2, quantity(cpu)? * 100);
    }
    if let Some(memory) = resources.limits.get("memory") {
        message = message.number(4, quantity(memory)?);
    }
    Ok(message)
}

/// A `LinuxContainerSecurityContext`.
fn security(security: &Security) -> Result<Message> {
    let number = |value: u64| Message::default().number(1, value);
    let profile = match security.seccomp_profile.as_ref().map(|profile| profile.kind.as_str()) {
        Some("RuntimeDefault") => 0,
        None | Some("Unconfined") => UNCONFINED,
        Some(other) => bail!("seccomp profile {other}"),
    };
    let mut message = Message::default().bytes(1, capabilities(&security.capabilities));
    message = message.number(2, u64::from(security.privileged)).bytes(3, namespaces());
    if let Some(user) = security.run_as_user {
        message = message.bytes(5, number(user));
    }
    message = message.number(7, u64::from(security.read_only_root_filesystem));
    message = message.number(11, u64::from(security.allow_privilege_escalation == Some(false)));
    if let Some(group) = security.run_as_group {
        message = message.bytes(12, number(group));
    }
    for path in MASKED {
        message = message.bytes(13, path);
    }
    for path in READ_ONLY {
        message = message.bytes(14, path);
    }
    Ok(message.bytes(15, number(profile)))
}

fn capabilities(capabilities: &Capabilities) -> Message {
    let added = capabilities.add.iter().fold(Message::default(), |message, name| message.bytes(1, name));
    capabilities.drop.iter().fold(added, |message, name| message.bytes(2, name))
}

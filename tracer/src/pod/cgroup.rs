//! cgroup paths → pod UIDs and container ids.
//!
//! The forms that kubelets and runtimes make: cgroupfs driver `…/pod<uid>/<container>`, systemd driver
//! `…-pod<uid with _>.slice/<runtime>-<container>.scope`, and the same unexpanded,
//! `…-pod<uid with _>.slice:<runtime>:<container>`; static pods have 32 hexadecimal digits without dashes.

/// Hexadecimal digits of a container id.
const CONTAINER_DIGITS: usize = 64;

/// Whose a cgroup is, as its path says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// UID of the pod, with dashes unless it is a static pod's.
    pub pod: Option<String>,
    /// Id of the container: of a pod's the one that the kubelet made, whatever runs in it.
    pub container: Option<String>,
}

/// Reads a path below the cgroup2 mount. The innermost pod counts, as in a node that is itself a container (kind),
/// and below it the outermost container, as in one that runs containers of its own.
#[must_use]
pub fn owner(path: &str) -> Owner {
    let mut owner = Owner::default();
    for segment in path.split('/') {
        if let Some(uid) = segment_uid(segment) {
            owner = Owner { pod: Some(uid), container: None };
        }
        if (owner.pod.is_none() || owner.container.is_none())
            && let Some(id) = segment_container(segment)
        {
            owner.container = Some(id.to_owned());
        }
    }
    owner
}

fn segment_uid(segment: &str) -> Option<String> {
    let segment = segment.split(':').next()?;
    let uid = match segment.strip_suffix(".slice") {
        Some(slice) => {
            slice.rsplit_once("pod").filter(|(before, _)| before.ends_with('-')).map(|(_, uid)| uid)?
        }
        None => segment.strip_prefix("pod")?,
    };
    is_uid(uid).then(|| uid.replace('_', "-"))
}

/// Five groups of a UUID, or the 32 digits of a static pod's hash.
fn is_uid(uid: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if uid.len() == 32 {
        return is_hex(uid);
    }
    let mut groups = uid.split(['-', '_']);
    let are_groups = [8, 4, 4, 4, 12]
        .iter()
        .all(|length| groups.next().is_some_and(|group| group.len() == *length && is_hex(group)));
    are_groups && groups.next().is_none()
}

/// The id in `<id>`, `<runtime>-<id>`, `<runtime>-<id>.scope` or `….slice:<runtime>:<id>`. CRI-O's and podman's
/// monitors (`crio-conmon-<id>`) are processes of the runtime, not of the container.
fn segment_container(segment: &str) -> Option<&str> {
    let unit = segment.strip_suffix(".scope").unwrap_or(segment);
    let (runtime, id) = unit.rsplit_once([':', '-']).unwrap_or(("", unit));
    let is_id = id.len() == CONTAINER_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id && !runtime.ends_with("conmon")).then_some(id)
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;

//! cgroup paths → pod UIDs.
//!
//! The forms that kubelets and runtimes make: cgroupfs driver `…/pod<uid>/<container>`, systemd driver
//! `…-pod<uid with _>.slice/…`; static pods have 32 hexadecimal digits without dashes.

/// The UID of the pod that a cgroup path below the cgroup2 mount belongs to; the innermost one counts.
#[must_use]
pub fn pod_uid(path: &str) -> Option<String> {
    path.split('/').rev().find_map(segment_uid)
}

fn segment_uid(segment: &str) -> Option<String> {
    let segment = segment.split(':').next()?;
    let uid = match segment.strip_suffix(".slice") {
        Some(slice) => {
            slice.rsplit_once("pod").filter(|(before, _)| before.ends_with('-')).map(|(_, uid)| uid)?
        }
        None => segment.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-");
    is_uid(&uid).then_some(uid)
}

fn is_uid(uid: &str) -> bool {
    let groups: Vec<&str> = uid.split('-').collect();
    let hex = |group: &&str| group.bytes().all(|b| b.is_ascii_hexdigit());
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    groups.iter().all(hex) && (lengths == [8, 4, 4, 4, 12] || lengths == [32])
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";

    #[test]
    fn reads_the_forms_of_kubelets_and_runtimes() {
        let container = "a".repeat(64);
        let underscored = UID.replace('-', "_");
        let paths = [
            format!("/kubepods/burstable/pod{UID}/{container}"),
            format!("/kubepods/pod{UID}"),
            format!("/lab/kubepods/besteffort/pod{UID}/{container}/nested"),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{underscored}.slice/cri-containerd-{container}.scope"
            ),
            format!(
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{underscored}.slice/crio-{container}.scope/container"
            ),
            format!(
                "/system.slice/containerd.service/kubepods-burstable-pod{underscored}.slice:cri-containerd:{container}"
            ),
            format!("/../../kubepods/burstable/pod{UID}/{container}"),
        ];
        for path in paths {
            assert_eq!(pod_uid(&path).as_deref(), Some(UID), "{path}");
        }
    }

    #[test]
    fn static_pods_have_a_hash() {
        let hash = "0123456789abcdef0123456789abcdef";
        assert_eq!(pod_uid(&format!("/kubepods/burstable/pod{hash}/x")).as_deref(), Some(hash));
    }

    #[test]
    fn other_cgroups_are_no_pods() {
        for path in
            ["/", "/system.slice/sshd.service", "/kubepods/burstable", "/podman/x", "/kubepods/pod123"]
        {
            assert_eq!(pod_uid(path), None, "{path}");
        }
    }
}

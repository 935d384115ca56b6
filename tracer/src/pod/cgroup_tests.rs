use super::*;

const UID: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
const UNDERSCORED: &str = "0a1b2c3d_4e5f_4a6b_8c7d_9e0f1a2b3c4d";
const ID: &str = "3f2a51c09b7e4d6883f2a51c09b7e4d6883f2a51c09b7e4d6883f2a51c09b7e4";
const INNER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// Paths of a container of the pod.
fn containers() -> Vec<String> {
    let slices =
        format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDERSCORED}.slice");
    let kind = format!(
        "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{UNDERSCORED}.slice"
    );
    vec![
        // cgroupfs driver, by quality of service.
        format!("/kubepods/pod{UID}/{ID}"),
        format!("/kubepods/burstable/pod{UID}/{ID}"),
        format!("/kubepods/besteffort/pod{UID}/{ID}"),
        format!("/kubepods/burstable/pod{UID}/crio-{ID}"),
        // systemd driver, by runtime.
        format!("/kubepods.slice/kubepods-pod{UNDERSCORED}.slice/cri-containerd-{ID}.scope"),
        format!("{slices}/cri-containerd-{ID}.scope"),
        format!("{slices}/crio-{ID}.scope"),
        format!("{slices}/docker-{ID}.scope"),
        // crun moves the processes into a child.
        format!("{slices}/crio-{ID}.scope/container"),
        // containerd with cgroupfs on a node whose kubelet has the systemd driver.
        format!(
            "/system.slice/containerd.service/kubepods-burstable-pod{UNDERSCORED}.slice:cri-containerd:{ID}"
        ),
        format!("/kubepods-pod{UNDERSCORED}.slice:cri-containerd:{ID}"),
        // kind, with its node in a container, seen from the node and from the host.
        format!("{kind}/cri-containerd-{ID}.scope"),
        format!("/docker/{INNER}{kind}/cri-containerd-{ID}.scope"),
        format!("/kubelet/kubepods/burstable/pod{UID}/{ID}"),
        // From inside a cgroup namespace.
        format!("/../../kubepods/burstable/pod{UID}/{ID}"),
        format!("/../../kubepods-pod{UNDERSCORED}.slice/cri-containerd-{ID}.scope"),
        // Cgroups of the container's own: systemd, or containers in it.
        format!("/kubepods/pod{UID}/{ID}/init.scope"),
        format!("{slices}/cri-containerd-{ID}.scope/docker/{INNER}"),
        format!("/lab/kubepods/besteffort/pod{UID}/{ID}/nested"),
    ]
}

#[test]
fn the_forms_of_kubelets_and_runtimes_tell_pod_and_container() {
    for path in containers() {
        let expected = Owner { pod: Some(UID.to_owned()), container: Some(ID.to_owned()) };
        assert_eq!(owner(&path), expected, "{path}");
    }
}

#[test]
fn a_pod_in_a_pod_is_the_inner_one() {
    let outer = "99999999-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
    let path = format!("/kubepods/pod{outer}/{INNER}/kubelet/kubepods/pod{UID}/{ID}");
    assert_eq!(owner(&path), Owner { pod: Some(UID.to_owned()), container: Some(ID.to_owned()) });
}

#[test]
fn the_pods_own_cgroups_and_the_runtimes_monitors_are_no_containers() {
    let slice = format!("/kubepods.slice/kubepods-pod{UNDERSCORED}.slice");
    for path in [
        format!("/kubepods/pod{UID}"),
        slice.clone(),
        format!("{slice}/crio-conmon-{ID}.scope"),
        format!("/kubepods/pod{UID}/crio-conmon-{ID}"),
        format!("/kubepods/pod{UID}/{}", &ID[1..]),
    ] {
        assert_eq!(owner(&path), Owner { pod: Some(UID.to_owned()), container: None }, "{path}");
    }
}

#[test]
fn static_pods_have_a_hash() {
    let hash = "0123456789abcdef0123456789abcdef";
    for path in [
        format!("/kubepods/burstable/pod{hash}/{ID}"),
        format!("/kubepods.slice/kubepods-burstable-pod{hash}.slice/cri-containerd-{ID}.scope"),
    ] {
        assert_eq!(owner(&path), Owner { pod: Some(hash.to_owned()), container: Some(ID.to_owned()) });
    }
}

#[test]
fn a_container_without_a_pod_has_its_id() {
    for path in [format!("/system.slice/docker-{ID}.scope"), format!("/docker/{ID}")] {
        assert_eq!(owner(&path), Owner { pod: None, container: Some(ID.to_owned()) }, "{path}");
    }
}

#[test]
fn other_cgroups_are_nobodys() {
    for path in [
        "",
        "/",
        "/system.slice/sshd.service",
        "/kubepods/burstable",
        "/podman/x",
        "/kubepods/pod123",
        "/kubepods/pod0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d-",
        "/kubepods/pod0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4",
        "/kubepods.slice/xpod0a1b2c3d_4e5f_4a6b_8c7d_9e0f1a2b3c4d.slice",
    ] {
        assert_eq!(owner(path), Owner::default(), "{path}");
    }
}

/// Whatever a path is made of: the parser ends, and what it tells is in the path.
#[test]
fn what_is_told_is_in_the_path() {
    let pieces = [
        "/",
        "pod",
        UID,
        UNDERSCORED,
        ID,
        "-",
        "_",
        ":",
        ".slice",
        ".scope",
        "crio-conmon-",
        "é",
        "\0",
        "..",
    ];
    let mut state = 1_u64;
    for _ in 0..20_000 {
        let mut path = String::new();
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            path.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        let Owner { pod, container } = owner(&path);
        assert!(pod.is_none_or(|uid| path.replace('_', "-").contains(&uid)), "{path}");
        assert!(container.is_none_or(|id| path.contains(&id)), "{path}");
    }
}

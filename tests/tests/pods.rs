//! The pods themselves: cgroups, namespaces, addresses, and that nothing stays.

use std::fs;
use std::io::Read;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tracer_lab::pod::cgroup::mount_point;
use tracer_lab::process::{Running, Signal, run};
use tracer_lab::{Lab, PodSpec, Qos};

#[test]
fn a_pod_has_its_cgroup_its_addresses_and_its_resolver() -> Result<()> {
    let mut lab = Lab::new()?;
    let a = lab.pod(PodSpec { name: "a", qos: Qos::Burstable })?;
    let b = lab.pod(PodSpec { name: "b", qos: Qos::Guaranteed })?;
    a.namespace().write_resolv_conf("nameserver 10.244.0.2\noptions ndots:5\n")?;

    let cgroup = run(a.command("cat").arg("/proc/self/cgroup"))?;
    ensure!(cgroup.contains(&format!("kubepods/burstable/pod{}/", a.uid())), "{cgroup}");
    ensure!(run(a.command("cat").arg("/etc/resolv.conf"))?.contains("ndots:5"));
    for address in [IpAddr::V4(b.addresses().v4), IpAddr::V6(b.addresses().v6)] {
        let listener = b.namespace().enter(|| Ok(TcpListener::bind((address, 80))?))?;
        a.namespace()
            .enter(|| Ok(TcpStream::connect_timeout(&listener.local_addr()?, Duration::from_secs(2))?))?;
    }

    let (cgroup, dir) = (lab.cgroup().to_owned(), lab.dir().to_owned());
    let namespace = Path::new("/run/netns").join(a.namespace().name());
    ensure!(namespace.exists());
    let mut server = a.command("sh").args(["-c", "echo up; sleep 600"]).stdout(Stdio::piped()).spawn()?;
    let mut line = [0; 3];
    server.stdout.take().context("a pipe")?.read_exact(&mut line)?;
    drop((a, b, lab));
    ensure!(!cgroup.exists() && !dir.exists() && !namespace.exists(), "the lab left something");
    ensure!(!server.wait()?.success(), "the lab left a process");
    Ok(())
}

#[test]
fn what_a_killed_lab_left_is_swept() -> Result<()> {
    let lab = Lab::new()?;
    let never_ready = lab.dir().join("never-ready");
    fs::write(&never_ready, "#!/bin/sh\nexec sleep 60\n")?;
    fs::set_permissions(&never_ready, fs::Permissions::from_mode(0o755))?;
    let mut demo = Command::new(env!("CARGO_BIN_EXE_tracer-lab"));
    demo.arg("demo").arg("--tracer").arg(&never_ready).arg("--out").arg(lab.dir()).stdout(Stdio::null());
    let demo = Running::spawn("a demonstration", &mut demo)?;
    let prefix = format!("tracer-lab-{}-", demo.id());
    let deadline = Instant::now() + Duration::from_secs(20);
    while left(&prefix)?.len() < 9 {
        ensure!(Instant::now() < deadline, "the demonstration did not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    demo.signal(Signal::Kill)?;
    drop(demo);
    ensure!(!left(&prefix)?.is_empty(), "a killed lab left nothing: the test shows nothing");
    run(Command::new(env!("CARGO_BIN_EXE_tracer-lab")).arg("sweep"))?;
    ensure!(left(&prefix)?.is_empty(), "left: {:?}", left(&prefix)?);
    Ok(())
}

/// Cgroups, namespaces, their files and directories whose name begins so.
fn left(prefix: &str) -> Result<Vec<PathBuf>> {
    let places = [mount_point()?, "/run/netns".into(), "/etc/netns".into(), std::env::temp_dir()];
    let entries = places.iter().filter_map(|place| fs::read_dir(place).ok()).flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    Ok(ours.map(|entry| entry.path()).collect())
}

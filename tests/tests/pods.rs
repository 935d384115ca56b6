//! The pods themselves: cgroups, namespaces, addresses, and that nothing stays.

use std::io::Read;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tracer_lab::process::run;
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

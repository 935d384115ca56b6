//! Bad input: a clear message and exit code, and nothing lost that was already written.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::pod::cgroup::mount_point;
use tracer_lab::process::run;
use tracer_lab::tracer::{Tracing, program};
use tracer_lab::{Lab, PodSpec, Qos};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");

/// Runs the tracer for `tracer live` at most a second; it should not get that far.
fn tracer(before: &[&str], program: &Path, arguments: &[&str]) -> Result<Output> {
    let mut words = before.to_vec();
    let program = program.to_string_lossy();
    words.push(&program);
    Command::new("timeout").arg("30").args(words).args(arguments).output().context("run the tracer")
}

/// Checks the exit code, and that the message on stderr names what it is about.
fn fails(output: &Output, code: i32, words: &[&str]) -> Result<()> {
    let stderr = String::from_utf8_lossy(&output.stderr).to_lowercase();
    ensure!(output.status.code() == Some(code), "{}: {stderr}", output.status);
    ensure!(words.iter().any(|word| stderr.contains(&word.to_lowercase())), "none of {words:?} in: {stderr}");
    ensure!(!stderr.contains("panicked"), "{stderr}");
    Ok(())
}

#[test]
fn an_unknown_flag_is_a_usage_error() -> Result<()> {
    fails(&tracer(&[], &program()?, &["live", "--no-such-flag"])?, 2, &["--no-such-flag"])
}

#[test]
fn a_wrong_cgroup_path_is_named() -> Result<()> {
    let missing = mount_point()?.join("no-such-cgroup").to_string_lossy().into_owned();
    let elsewhere = std::env::temp_dir().to_string_lossy().into_owned();
    for path in [&missing, &elsewhere] {
        for command in ["live", "agent"] {
            fails(&tracer(&[], &program()?, &[command, "--cgroup", path])?, 1, &[path])?;
        }
    }
    Ok(())
}

#[test]
fn without_root_it_says_what_is_missing() -> Result<()> {
    let lab = Lab::new()?;
    let copy = lab.dir().join("tracer");
    fs::copy(program()?, &copy).context("copy the tracer to where nobody may run it")?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let cgroup = lab.cgroup().to_string_lossy().into_owned();
    fails(&tracer(&nobody, &copy, &["live", "--cgroup", &cgroup, "--duration", "1"])?, 1, &["root", "CAP_"])
}

#[test]
fn without_cgroup2_it_says_so() -> Result<()> {
    let mount = mount_point()?.to_string_lossy().into_owned();
    let hide = ["unshare", "--mount", "sh", "-c", r#"umount -l "$0" && exec "$@""#, &mount];
    fails(
        &tracer(&hide, &program()?, &["live", "--cgroup", &mount, "--duration", "1"])?,
        1,
        &["cgroup2", "cgroup v2"],
    )
}

#[test]
fn an_occupied_port_is_named() -> Result<()> {
    let lab = Lab::new()?;
    let _occupant = lab.node().enter(|| TcpListener::bind("127.0.0.1:9464").context("occupy the port"))?;
    let cgroup = lab.cgroup().to_string_lossy().into_owned();
    let mut command = lab.node().command("timeout");
    let output = command
        .arg("30")
        .arg(program()?)
        .args(["agent", "--cgroup", &cgroup, "--listen", "127.0.0.1:9464"])
        .output()?;
    fails(&output, 1, &["127.0.0.1:9464"])
}

#[test]
fn a_full_disk_ends_a_capture_whose_file_stays_readable() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let small = incident.lab.dir().join("small");
    fs::create_dir(&small)?;
    // Unmounted with the lab's directory.
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&small))?;
    let file = small.join("capture.pcapng");
    let mut capture =
        Tracing::start(&program()?, &incident.lab, "capture", &["-w", &file.to_string_lossy()])?;
    incident.run(300, 16)?;
    let code = capture.wait()?;
    let stderr = capture.stderr()?;
    ensure!(code == Some(1), "exit code {code:?}: {stderr}");
    ensure!(stderr.to_lowercase().contains("no space left"), "{stderr}");
    let read = Command::new("tshark").arg("-n").arg("-r").arg(&file).output().context("run tshark")?;
    let frames = String::from_utf8_lossy(&read.stdout).lines().count();
    ensure!(
        read.status.success() && frames > 100,
        "{frames} frames: {}",
        String::from_utf8_lossy(&read.stderr)
    );
    Ok(())
}

#[test]
fn a_pod_of_one_container_can_be_traced_alone() -> Result<()> {
    let mut lab = Lab::new()?;
    let pod = lab.pod(PodSpec { name: "alone", qos: Qos::BestEffort })?;
    let cgroup = pod.cgroup().to_string_lossy().into_owned();
    let output =
        tracer(&[], &program()?, &["live", "--cgroup", &cgroup, "--duration", "1", "--output", "json"])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn an_output_that_is_an_input_is_refused_and_untouched() -> Result<()> {
    let lab = Lab::new()?;
    let [file, link] = ["a.pcap", "link"].map(|name| lab.dir().join(name));
    // An empty pcap.
    let header = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
    fs::write(&file, header)?;
    fs::hard_link(&file, &link)?;
    let [file_name, link] = [&file, &link].map(|path| path.to_string_lossy().into_owned());
    for output in [&file_name, &link] {
        for arguments in [["analyze", &file_name, "--requests", output], ["report", &file_name, "-o", output]]
        {
            fails(&tracer(&[], &program()?, &arguments)?, 1, &["would overwrite the capture"])?;
            ensure!(fs::read(&file)? == header, "{arguments:?} wrote to its input");
        }
    }
    Ok(())
}

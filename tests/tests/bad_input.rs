//! Bad input: a clear message and exit code, and nothing lost that was already written.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::pod::cgroup::mount_point;
use tracer_lab::process::run;
use tracer_lab::tracer::hindered::Without;
use tracer_lab::tracer::terminal::Terminal;
use tracer_lab::tracer::{Tracing, program};
use tracer_lab::{Lab, PodSpec, Qos};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");

/// Each command that attaches to a cgroup, but `top`, which wants a terminal.
const ATTACHING: [&[&str]; 3] = [
    &["live", "--duration", "1"],
    &["agent", "--listen", "127.0.0.1:0"],
    &["capture", "-w", "-", "--duration", "1"],
];
/// Wide enough for any message.
const WIDE: (u16, u16) = (400, 45);

/// Runs the tracer; it should not get far.
fn tracer(arguments: &[&str]) -> Result<Output> {
    Command::new("timeout").arg("30").arg(program()?).args(arguments).output().context("run the tracer")
}

/// Checks the exit code, and that the message on stderr names all that it is about.
fn fails(output: &Output, code: i32, words: &[&str]) -> Result<()> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(code), "{}: {stderr}", output.status);
    says(&stderr, words)
}

fn says(message: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(message.contains(word), "no {word} in: {message}");
    }
    ensure!(!message.contains("panicked"), "{message}");
    Ok(())
}

/// Starts each command that attaches on a cgroup; all must fail with a message that has the words.
fn nothing_attaches(lab: &Lab, without: Without, cgroup: &Path, words: &[&str]) -> Result<()> {
    let target = ["--cgroup", &cgroup.to_string_lossy()];
    for command in ATTACHING {
        let output = without.command(lab, &[command, &target].concat())?.output()?;
        fails(&output, 1, words).with_context(|| format!("{command:?} without {without:?}"))?;
        ensure!(output.stdout.is_empty(), "{command:?} without {without:?} wrote to stdout");
    }
    let top = without.command(lab, &[&["top"], &target[..]].concat())?;
    let screen = Terminal::start(lab.dir(), &top, WIDE)?.given_back(1)?;
    says(&screen, words).with_context(|| format!("top without {without:?}"))
}

#[test]
fn an_unknown_flag_is_a_usage_error() -> Result<()> {
    fails(&tracer(&["live", "--no-such-flag"])?, 2, &["--no-such-flag"])
}

#[test]
fn a_wrong_cgroup_path_is_named() -> Result<()> {
    let lab = Lab::new()?;
    let (missing, elsewhere) = (mount_point()?.join("no-such-cgroup"), std::env::temp_dir());
    for (path, reason) in [(&missing, "it does not exist"), (&elsewhere, "not a cgroup v2 directory")] {
        nothing_attaches(&lab, Without::Nothing, path, &[&path.to_string_lossy(), reason])?;
    }
    Ok(())
}

#[test]
fn without_root_it_says_what_is_missing() -> Result<()> {
    let lab = Lab::new()?;
    // As docs/install.md has it: root, or the capabilities.
    nothing_attaches(&lab, Without::Root, lab.cgroup(), &["root", "CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"])
}

#[test]
fn without_cgroup2_it_says_so() -> Result<()> {
    nothing_attaches(
        &Lab::new()?,
        Without::Cgroup2,
        &mount_point()?,
        &["cgroup2 is not mounted", "unified_cgroup_hierarchy=1"],
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
    let output = tracer(&["live", "--cgroup", &cgroup, "--duration", "1", "--output", "json"])?;
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
            fails(&tracer(&arguments)?, 1, &["would overwrite the capture"])?;
            ensure!(fs::read(&file)? == header, "{arguments:?} wrote to its input");
        }
    }
    Ok(())
}

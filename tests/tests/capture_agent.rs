//! Captures through a running agent: over its API, and as `kubectl tracer capture`.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tracer_lab::certificate;
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::nginx::Nginx;
use tracer_lab::process::run;
use tracer_lab::secret::find;
use tracer_lab::tracer::through_agent::{capture as through_agent, start};
use tracer_lab::tracer::{Tracing, program};
use tracer_lab::wire::tshark;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
/// A user whose password is "pass-1", hashed at a low cost.
const USER: &str = "ann:$2b$05$EyWhi.OQz4FxhR.sEHjtPORw5HMPDfq/PlVkBmj0wcizlT/Ly7cBG";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_agent_that_allows_it_streams_what_is_asked_for() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let agent = Tracing::start(&program()?, &incident.lab, "agent", &["--allow-capture"])?;
    let file = |name: &str| incident.lab.dir().join(name);
    let uid = incident.backend.uid();
    let flags = ["--pod", uid, "--duration", "6", "tcp port 8080 or udp port 53"];
    let mut first = start(&mut through_agent(&incident.lab, &file("first.pcapng"), &flags)?)?;
    let second = through_agent(&incident.lab, &file("second.pcapng"), &[])?.output()?;
    ensure!(second.status.code() == Some(1) && said(&second).contains("one at a time"), "{}", said(&second));
    incident.run(20, 1)?;
    ensure!(first.wait(Duration::from_secs(20))? == Some(0), "the capture failed");
    let captured = file("first.pcapng");
    let requests =
        tshark(&captured, "http.request && tcp.dstport == 8080", &["frame.interface_description"])?;
    ensure!(requests.len() == 20 && requests.iter().all(|fields| fields.concat() == uid), "{requests:?}");
    let others = tshark(&captured, "!(tcp.port == 8080 || udp.port == 53)", &["frame.number"])?;
    ensure!(others.is_empty(), "{} other packets", others.len());
    let comments = tshark(&captured, "frame.comment contains \"metadata\"", &["frame.comment"])?;
    ensure!(comments.len() >= 20, "{} requests have comments", comments.len());
    ensure!(find(&fs::read(&captured)?, incident.canary()).is_none(), "the capture holds a secret");
    ensure!(fs::metadata(&captured)?.permissions().mode() & 0o777 == 0o600);

    // The next one may begin, and ends when it is interrupted.
    let next = start(&mut through_agent(&incident.lab, &file("next.pcapng"), &["--slower-than", "10s"])?)?;
    incident.run(2, 1)?;
    next.signal(tracer_lab::process::Signal::Interrupt)?;
    let mut next = next;
    ensure!(next.wait(Duration::from_secs(10))? == Some(0), "the interrupted capture failed");
    ensure!(tshark(&file("next.pcapng"), "frame", &["frame.number"])?.is_empty(), "no request was slow");
    let packets = |what: &str| agent.metric(&format!("tracer_packets_{what}_total"), &[]);
    let (emitted, consumed, dropped) = (packets("emitted")?, packets("consumed")?, packets("dropped")?);
    ensure!(
        emitted > 100.0 && dropped < 0.5 && (emitted - consumed).abs() < 0.5,
        "{consumed} of {emitted} packets"
    );
    let wrong = agent.fetch("/api/v1/capture?filter=tcp%20port%20x")?;
    ensure!(wrong.0 == 400 && wrong.2.contains('^'), "{wrong:?}");
    agent.finish().map(drop)
}

#[test]
fn a_capture_through_tls_needs_the_right_certificate_and_password() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let file = |name: &str| incident.lab.dir().join(name);
    let [cert, key, users, other] = ["cert.pem", "key.pem", "users", "other.pem"].map(file);
    certificate::make(&cert, &key, "agent")?;
    certificate::make(&other, &file("other-key.pem"), "other")?;
    fs::write(&users, format!("{USER}\n"))?;
    let [c, k, u, o] = [&cert, &key, &users, &other].map(|path| path.to_string_lossy().into_owned());
    let flags = ["--allow-capture", "--tls-cert", &c, "--tls-key", &k, "--basic-auth-file", &u];
    let agent = Tracing::start(&program()?, &incident.lab, "agent", &flags)?;
    let capture = |ca: &str, password: &str| -> Result<Command> {
        let mut command = incident.lab.node().command(&program()?.to_string_lossy());
        command.args([
            "capture",
            "--agent",
            "https://127.0.0.1:9464",
            "--agent-ca",
            ca,
            "--agent-user",
            "ann",
        ]);
        command.env("TRACER_AGENT_PASSWORD", password).arg("-w").arg(file("tls.pcapng"));
        command.args(["--duration", "5", "tcp port 8080"]);
        Ok(command)
    };
    for (ca, password, expected) in [(&o, "pass-1", "TLS"), (&c, "pass-2", "status 401")] {
        let refused = capture(ca, password)?.output()?;
        ensure!(refused.status.code() == Some(1) && said(&refused).contains(expected), "{}", said(&refused));
    }
    let mut running = start(&mut capture(&c, "pass-1")?)?;
    incident.run(10, 1)?;
    ensure!(running.wait(Duration::from_secs(20))? == Some(0), "the capture failed");
    let requests = tshark(&file("tls.pcapng"), "http.request && tcp.dstport == 8080", &["frame.number"])?;
    ensure!(requests.len() == 10, "{} requests", requests.len());
    agent.finish().map(drop)
}

#[test]
fn an_agent_that_does_not_allow_it_says_what_to_do() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let agent = Tracing::start(&program()?, &incident.lab, "agent", &[])?;
    let refused = through_agent(&incident.lab, &incident.lab.dir().join("no.pcapng"), &[])?.output()?;
    ensure!(
        refused.status.code() == Some(1) && said(&refused).contains("--allow-capture"),
        "{}",
        said(&refused)
    );
    agent.finish().map(drop)
}

#[test]
fn a_reader_that_does_not_read_is_left_behind_and_counted() -> Result<()> {
    let nginx = Nginx::start()?;
    let agent = Tracing::start(&program()?, &nginx.lab, "agent", &["--allow-capture"])?;
    let mut reader = nginx.lab.node().enter(|| Ok(TcpStream::connect("127.0.0.1:9464")?))?;
    reader.write_all(b"GET /api/v1/capture?duration=100 HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let load = nginx.start_load(Path::new(PROGRAM), 5000, 12)?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while agent.metric("tracer_captures_dropped_total", &[])? < 0.5 {
        ensure!(Instant::now() < deadline, "the reader still has its capture: {}", agent.stderr()?);
        std::thread::sleep(Duration::from_millis(200));
    }
    ensure!(load.finish()?.ok == 60_000, "the load suffered");
    drop(reader);
    agent.finish().map(drop)
}

/// A `kubectl` that knows one pod and one agent, and notes how it is called.
const KUBECTL: &str = r#"#!/bin/sh
printf '%s\n' "$*" >>"$(dirname "$0")/calls"
case "$*" in
*'get pod backend-0 '*) echo "node-1 @UID@ " ;;
*'get pods '*spec.nodeName=node-1*) echo tracer-x7k2p ;;
*'port-forward pod/tracer-x7k2p :9464 '*)
    echo 'Forwarding from 127.0.0.1:9464 -> 9464'
    exec sleep 60
    ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
"#;

fn write_program(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The plugin, as it is shipped.
fn plugin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/kubectl/kubectl-tracer")
}

#[test]
fn the_plugin_captures_through_the_agent_on_the_pods_node() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let agent = Tracing::start(&program()?, &incident.lab, "agent", &["--allow-capture"])?;
    let bin = incident.lab.dir().join("bin");
    fs::create_dir(&bin)?;
    write_program(&bin.join("kubectl"), &KUBECTL.replace("@UID@", incident.backend.uid()))?;
    std::os::unix::fs::symlink(program()?, bin.join("tracer"))?;
    let file = incident.lab.dir().join("plugin.pcapng");
    let mut command = incident.lab.node().command(&plugin().to_string_lossy());
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    command.env("PATH", path).args(["capture", "--context", "prod", "pod/backend-0", "-n", "shop", "-w"]);
    command.arg(&file).args(["--duration", "4", "--kubeconfig=/k", "tcp port 8080"]);
    let mut running = start(&mut command)?;
    incident.run(10, 1)?;
    ensure!(running.wait(Duration::from_secs(20))? == Some(0), "the plugin failed");
    ensure!(tshark(&file, "http.request", &["frame.number"])?.len() == 10);
    let calls = fs::read_to_string(bin.join("calls"))?;
    ensure!(calls.lines().count() == 3, "{calls}");
    ensure!(
        calls.lines().all(|call| call.starts_with("--context=prod --kubeconfig=/k --namespace=")),
        "{calls}"
    );
    ensure!(
        calls.contains("--namespace=shop get pod backend-0")
            && calls.contains("--namespace=tracer port-forward")
    );
    agent.finish().map(drop)
}

#[test]
fn the_plugin_says_what_is_missing_and_is_clean() -> Result<()> {
    run(Command::new("shellcheck").arg(plugin()))?;
    let usage = run(Command::new(plugin()).arg("--help"))?;
    ensure!(usage.contains("kubectl tracer capture POD"), "{usage}");
    for (arguments, reason) in [
        (&["capture"][..], "name a pod"),
        (&["capture", "-w", "x"], "name the pod first"),
        (&["capture", "a", "-n"], "needs a value"),
    ] {
        let output = Command::new(plugin()).args(arguments).output()?;
        ensure!(
            output.status.code() == Some(1) && said(&output).contains(reason),
            "{arguments:?}: {}",
            said(&output)
        );
    }
    Ok(())
}

//! The agent as its operators run it: as a sidecar, with its settings from everywhere, behind TLS and passwords, among slow
//! and greedy clients.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tracer_lab::http::{fetch, get};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::process::{Running, Signal, run, run_with_input};
use tracer_lab::tracer::report::Summary;
use tracer_lab::tracer::{Tracing, program};
use tracer_lab::{Lab, Pod, PodSpec, Qos};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const LISTEN: &str = "127.0.0.1:9464";
/// `ann:pass-1` and `ann:pass-2`, with bcrypt at cost 5.
const USERS: [&str; 2] = [
    "ann:$2b$05$EyWhi.OQz4FxhR.sEHjtPORw5HMPDfq/PlVkBmj0wcizlT/Ly7cBG",
    "ann:$2b$05$nlO6gTRMwqfmpRtfpqHGQe1/apkDoa4uFztC.s9c0kzjbGcDqkVXK",
];

#[test]
fn a_sidecar_sees_its_pod_and_no_other() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let uid = incident.backend.uid();
    let agent = Tracing::start(&program()?, &incident.lab, "agent", &["--pod-uid", uid])?;
    incident.run(5, 1)?;
    let summary = agent.settled(uid, 5)?;
    ensure!(summary.pods.len() == 1 && summary.pod(uid)?.requests == 5, "{summary:?}");
    ensure!(agent.stderr()?.contains(&format!("pod{uid};")), "{}", agent.stderr()?);
    agent.end(Signal::Terminate).map(drop)
}

#[test]
fn an_agent_finds_its_own_pod_from_inside() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let pod = &incident.backend;
    // A container of its own: what the agent answers there is not the pod's.
    let container = pod.cgroup().with_file_name("agent");
    fs::create_dir(&container)?;
    for (name, wrapper) in [("plain", &["env"][..]), ("namespaced", &["unshare", "--cgroup"])] {
        let log = incident.lab.dir().join(format!("{name}.stderr"));
        let mut command = Command::new("sh");
        // `ip netns exec` would hide the cgroups with a /sys of its own.
        let script = r#"echo $$ > "$0/cgroup.procs" && exec nsenter "$@""#;
        command.args(["-c", script]).arg(&container);
        command.arg(format!("--net=/run/netns/{}", pod.namespace().name())).args(wrapper).arg(program()?);
        command.args(["agent", "--own-pod", "--listen", LISTEN]);
        let mut agent = Running::spawn(name, command.stderr(File::create(&log)?))?;
        wait_for(|| Ok(fs::read_to_string(&log)?.contains("ready: tracing")))
            .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        incident.run(3, 1)?;
        let address: SocketAddr = LISTEN.parse()?;
        let told = || pod.namespace().enter(|| get(address, "/api/v1/summary"));
        wait_for(|| {
            let summary = Summary::parse(&told()?)?;
            Ok(summary.pods.len() == 1 && summary.pod(pod.uid()).is_ok_and(|pod| pod.requests == 3))
        })
        .with_context(|| format!("{name}: {}", told().unwrap_or_default()))?;
        agent.signal(Signal::Terminate)?;
        ensure!(agent.wait(Duration::from_secs(5))? == Some(0), "{}", fs::read_to_string(&log)?);
    }
    Ok(())
}

#[test]
fn what_cannot_be_done_is_said() -> Result<()> {
    let mut lab = Lab::new()?;
    let pod = lab.pod(PodSpec { name: "some", qos: Qos::Burstable })?;
    let cgroup = lab.cgroup().to_string_lossy().into_owned();
    let unknown = "00000000-1111-2222-3333-444444444444";
    let said = refused(&lab, &["--cgroup", &cgroup, "--pod-uid", unknown])?;
    ensure!(said.contains(&format!("pod {unknown} has no cgroup in {cgroup}")), "{said}");
    let said = refused(&lab, &["--own-pod"])?;
    ensure!(said.contains("the agent's own cgroup is") && said.contains("--pod-uid"), "{said}");
    let said = refused(&lab, &["--own-pod", "--pod-uid", pod.uid()])?;
    ensure!(said.contains("give one of them"), "{said}");

    let file = lab.dir().join("agent.json");
    let config = file.to_string_lossy();
    for (settings, expected) in [
        (r#"{"agent": {"listn": "x"}}"#, "unknown key agent.listn; known are"),
        (
            r#"{"agent": {"log_level": "loud"}}"#,
            "agent.log_level: \"loud\" cannot be used: allowed are error, warn",
        ),
        (r#"{"agent": {"tls_cert": "/x"}}"#, "give both, or none"),
    ] {
        fs::write(&file, settings)?;
        let said = refused(&lab, &["--config", &config])?;
        ensure!(said.contains(expected), "{settings}: {said}");
        ensure!(said.contains(&*config) || expected.contains("both"), "which file? {said}");
    }
    fs::write(&file, "ann:secret\n")?;
    let said = refused(&lab, &["--cgroup", &cgroup, "--basic-auth-file", &config])?;
    ensure!(said.contains("line 1: no bcrypt hash") && !said.contains("secret"), "{said}");
    let said = refused(&lab, &["--cgroup", &cgroup, "--tls-cert", &config, "--tls-key", &config])?;
    ensure!(said.contains("there is no certificate (PEM) in"), "{said}");
    Ok(())
}

/// What an agent that cannot start says.
fn refused(lab: &Lab, flags: &[&str]) -> Result<String> {
    let Output { status, stderr, .. } =
        lab.node().command(&program()?.to_string_lossy()).arg("agent").args(flags).output()?;
    let said = String::from_utf8_lossy(&stderr).into_owned();
    ensure!(status.code() == Some(1), "{flags:?}: {status}: {said}");
    Ok(said)
}

#[test]
fn settings_come_from_file_and_environment_and_the_log_is_json() -> Result<()> {
    let mut lab = Lab::new()?;
    let _pod = lab.pod(PodSpec { name: "some", qos: Qos::Burstable })?;
    let file = lab.dir().join("agent.json");
    let cgroup = lab.cgroup().to_string_lossy();
    fs::write(
        &file,
        serde_json::json!({ "agent": {
        "cgroup": [cgroup], "listen": "127.0.0.1:1", "log_format": "json", "log_level": "debug"
    } })
        .to_string(),
    )?;
    let log = lab.dir().join("agent.stderr");
    let mut command = lab.node().command(&program()?.to_string_lossy());
    command
        .arg("agent")
        .env("TRACER_CONFIG", &file)
        .env("TRACER_LISTEN", LISTEN)
        .env("TRACER_LOG_LEVEL", "info");
    let mut agent = Running::spawn("agent", command.stderr(File::create(&log)?))?;
    wait_for(|| Ok(fs::read_to_string(&log)?.contains("ready: tracing")))?;
    let address: SocketAddr = LISTEN.parse()?;
    ensure!(lab.node().enter(|| fetch(address, "/healthz"))?.0 == 200);
    let asked = Instant::now();
    agent.signal(Signal::Terminate)?;
    ensure!(agent.wait(Duration::from_secs(5))? == Some(0));
    ensure!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let log = fs::read_to_string(&log)?;
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        ensure!(line["level"] == "INFO" && line["timestamp"].is_string(), "{line}");
    }
    ensure!(log.contains("stopped: "), "{log}");
    Ok(())
}

#[test]
fn slow_and_greedy_clients_are_held_off() -> Result<()> {
    let mut lab = Lab::new()?;
    let _pod = lab.pod(PodSpec { name: "some", qos: Qos::Burstable })?;
    let agent = Tracing::start(&program()?, &lab, "agent", &[])?;
    let say = |text: &str| lab.node().enter(|| answer(text.as_bytes()));
    let long = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(40_000));
    ensure!(say(&long)?.starts_with("HTTP/1.1 431 "), "{}", say(&long)?);
    let body = "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n";
    ensure!(say(body)?.starts_with("HTTP/1.1 413 "), "{}", say(body)?);
    let post = "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    ensure!(say(post)?.starts_with("HTTP/1.1 405 "), "{}", say(post)?);

    lab.node().enter(|| {
        let began = Instant::now();
        let slow: Vec<TcpStream> = (0..64).map(|_| half_a_request()).collect::<Result<_>>()?;
        // One too many of this address.
        ensure!(answer(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").map_or(true, |said| said.is_empty()));
        for mut stream in slow {
            stream.set_read_timeout(Some(Duration::from_secs(15)))?;
            let _ended = stream.read(&mut [0; 64]);
        }
        let took = began.elapsed();
        ensure!((9..14).contains(&took.as_secs()), "half a request was waited for for {took:?}");
        Ok(())
    })?;
    ensure!(agent.fetch("/healthz")?.0 == 200);
    agent.end(Signal::Terminate).map(drop)
}

/// What a server on the agent's address sends until it closes.
fn answer(request: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(LISTEN)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    // It may have seen enough before the end.
    let _cut = stream.write_all(request);
    let mut said = Vec::new();
    let _reset = stream.read_to_end(&mut said);
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn half_a_request() -> Result<TcpStream> {
    let mut stream = TcpStream::connect(LISTEN)?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\n")?;
    Ok(stream)
}

#[test]
fn tls_and_passwords_are_renewed_while_it_runs() -> Result<()> {
    let mut lab = Lab::new()?;
    let pod = lab.pod(PodSpec { name: "some", qos: Qos::Burstable })?;
    let [certificate, key, users] = ["cert.pem", "key.pem", "users"].map(|name| lab.dir().join(name));
    make_certificate(&certificate, &key, "first")?;
    fs::write(&users, format!("{}\n", USERS[0]))?;
    let [c, k, u] = [&certificate, &key, &users].map(|path| path.to_string_lossy().into_owned());
    let flags = ["--tls-cert", &c, "--tls-key", &k, "--basic-auth-file", &u];
    let agent = Tracing::start(&program()?, &lab, "agent", &flags)?;
    ensure!(status(&pod, &lab, "/healthz", None)? == 200, "probes have no password");
    for path in ["/", "/metrics", "/api/v1/pods", "/app.js"] {
        ensure!(status(&pod, &lab, path, None)? == 401, "{path}");
        ensure!(status(&pod, &lab, path, Some("ann:pass-2"))? == 401, "{path}");
        ensure!(status(&pod, &lab, path, Some("ann:pass-1"))? == 200, "{path}");
    }
    ensure!(
        lab.node().enter(|| answer(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))?.get(..4) != Some("HTTP")
    );

    make_certificate(&certificate, &key, "second")?;
    fs::write(&users, "nonsense\n")?;
    wait_for(|| Ok(agent.stderr()?.contains("the former TLS certificate and users stay")))?;
    ensure!(status(&pod, &lab, "/metrics", Some("ann:pass-1"))? == 200);
    fs::write(&users, format!("{}\n", USERS[1]))?;
    wait_for(|| Ok(status(&pod, &lab, "/metrics", Some("ann:pass-2"))? == 200))?;
    ensure!(status(&pod, &lab, "/metrics", Some("ann:pass-1"))? == 401);
    let shown = lab.node().command("openssl").args(["s_client", "-connect", LISTEN]).output()?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    ensure!(shown.contains("second"), "{shown}");
    agent.end(Signal::Terminate).map(drop)
}

fn make_certificate(certificate: &Path, key: &Path, name: &str) -> Result<()> {
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
    ]);
    command.args(["-subj", &format!("/CN={name}")]).arg("-out").arg(certificate).arg("-keyout").arg(key);
    run(command.stderr(std::process::Stdio::null())).map(drop)
}

/// The status of a GET over TLS.
fn status(_pod: &Pod, lab: &Lab, path: &str, user: Option<&str>) -> Result<u16> {
    let login = user.map(|user| format!("Authorization: Basic {}\r\n", base64(user))).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{login}\r\n");
    let mut command = lab.node().command("openssl");
    command.args(["s_client", "-quiet", "-ign_eof", "-connect", LISTEN]).stderr(std::process::Stdio::null());
    let said = run_with_input(&mut command, &request)?;
    said.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .with_context(|| format!("no status: {said}"))
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(text)
}

/// Waits until something is so.
fn wait_for(mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so()? {
        ensure!(Instant::now() < deadline, "not so after 20 s");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

//! Secrets: canaries in headers, cookies, query strings, bodies, credentials and gRPC calls are in nothing that the tracer
//! writes, shows or serves.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tracer_lab::incident::{Incident, Secrets, Settings};
use tracer_lab::pod::network::wait_for_listener;
use tracer_lab::process::{Running, Signal};
use tracer_lab::say;
use tracer_lab::secret::find;
use tracer_lab::tracer::offline::{Offline, succeeded};
use tracer_lab::tracer::terminal::Terminal;
use tracer_lab::tracer::{Tracing, program, through_agent};
use tracer_lab::wire::Tcpdump;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const REQUESTS: u64 = 40;
/// gRPC calls: one of each kind.
const CALLS: u64 = 4;

/// What tells that an output is about all of the traffic.
const PATHS: &[&str] = &["/v1/items/", "/lab.Unary/"];
const FINDING: &[&str] = &["metadata-credentials"];
const OTLP: &str = "127.0.0.1:4317";

/// What the agent serves, and what tells that it is about the traffic.
const SERVED: [(&str, &[&str]); 10] = [
    ("/", &[]),
    ("/app.js", &[]),
    ("/style.css", &[]),
    ("/healthz", &[]),
    ("/readyz", &[]),
    ("/metrics", &["tracer_requests_total"]),
    ("/api/v1/summary", FINDING),
    ("/api/v1/pods?minutes=60", FINDING),
    ("/api/v1/requests?limit=100", PATHS),
    ("/api/v1/findings", FINDING),
];

/// The files that tracers write into the lab's directory meanwhile.
const HEADERS: &str = "headers.pcapng";
const FULL: &str = "full.pcapng";
const THROUGH_AGENT: &str = "through-agent.pcapng";
const LINES: &str = "live.jsonl";
const SPANS: &str = "otlp.fields";

/// Whether `tracer capture --payload full` is to hold a secret, by docs/capture.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// It is known to be one.
    Masks,
    /// "A secret in a body is in the file: that is what `full` asks for."
    Holds,
}

/// What the canary of each kind of secret ends with.
const KINDS: [(&str, Full); 21] = [
    // The client asks the backend, and gets an answer.
    ("query", Full::Masks),
    ("path-parameter", Full::Masks),
    ("authorization", Full::Masks),
    ("cookie", Full::Masks),
    ("request-body", Full::Holds),
    ("set-cookie", Full::Masks),
    ("response-body", Full::Holds),
    // The same by gRPC.
    ("grpc-query", Full::Masks),
    ("grpc-authorization", Full::Masks),
    ("grpc-message", Full::Masks),
    ("grpc-cookie", Full::Masks),
    // The backend asks the metadata service for a token and with it, and gets credentials.
    ("token-answer", Full::Masks),
    ("imds-token", Full::Masks),
    ("access-key-id", Full::Masks),
    ("secret-access-key", Full::Masks),
    ("session-token", Full::Masks),
    ("expires-in", Full::Masks),
    ("expires-on", Full::Masks),
    // It searches with them, and gets a document.
    ("signature", Full::Masks),
    ("key", Full::Masks),
    ("document", Full::Holds),
];

/// What the tracer wrote, showed or served.
struct Output {
    name: String,
    bytes: Vec<u8>,
    /// Texts without which it is about something else.
    about: &'static [&'static str],
}

impl Output {
    fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>, about: &'static [&'static str]) -> Self {
        Self { name: name.into(), bytes: bytes.into(), about }
    }

    fn of_file(file: &Path, about: &'static [&'static str]) -> Result<Self> {
        let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        Ok(Self::new(file.file_name().unwrap_or_default().to_string_lossy(), bytes, about))
    }

    /// It is about the traffic, and holds no canary.
    fn check(&self, canary: &str) -> Result<()> {
        let text = String::from_utf8_lossy(&self.bytes);
        for about in self.about {
            ensure!(text.contains(about), "{} says nothing of {about}: nothing is shown", self.name);
        }
        let kinds = KINDS.map(|(kind, _)| kind);
        let held = |kind: &&str| find(&self.bytes, &format!("{canary}-{kind}")).is_some();
        let form = find(&self.bytes, canary);
        let held: Vec<_> = kinds.into_iter().filter(|kind| form.is_some() && held(kind)).collect();
        ensure!(form.is_none(), "{} holds a canary {form:?}: {held:?}", self.name);
        Ok(())
    }
}

#[test]
fn no_secret_is_in_any_output() -> Result<()> {
    let settings = Settings { secrets: Secrets::All, ..Settings::sick(Path::new(PROGRAM)) };
    let incident = Incident::start(settings)?;
    let (canary, dir) = (incident.canary(), incident.lab.dir());
    let tcpdump = Tcpdump::start(&incident.backend, dir.join("tcpdump.pcap"))?;
    let tracers = Tracers::start(&incident)?;
    incident.run(REQUESTS, 2)?;
    incident.call(CALLS)?;
    let mut outputs = tracers.finish(&incident)?;
    let wire = tcpdump.finish()?;
    all_were_sent(&fs::read(&wire)?, canary)?;
    outputs.extend(offline("tcpdump", &Offline::of(&incident.backend)?, &wire, PATHS)?);
    // HTTP/2 is masked there.
    outputs.extend(offline("full", &Offline::of_named()?, &dir.join(FULL), &PATHS[..1])?);
    outputs.iter().try_for_each(|output| output.check(canary))?;
    full_holds_bodies(&fs::read(dir.join(FULL))?, canary)?;
    say(&format!("{} kinds of secrets on the wire, none of them in {} outputs", KINDS.len(), outputs.len()));
    Ok(())
}

/// What was not on the wire is in no output anyway.
fn all_were_sent(wire: &[u8], canary: &str) -> Result<()> {
    for (kind, _) in KINDS {
        let form = find(wire, &format!("{canary}-{kind}"));
        ensure!(form.is_some(), "no {kind} was on the wire: nothing is shown of it");
    }
    Ok(())
}

fn full_holds_bodies(capture: &[u8], canary: &str) -> Result<()> {
    for (kind, full) in KINDS {
        let form = find(capture, &format!("{canary}-{kind}"));
        ensure!(
            form.is_some() == (full == Full::Holds),
            "--payload full: {kind} is there {form:?}, {full:?}"
        );
    }
    Ok(())
}

/// All that trace at the same time.
struct Tracers<'a> {
    _otlp: Running,
    agent: Tracing<'a>,
    /// By name, and what tells that their stdout is about the traffic.
    others: Vec<(&'static str, Tracing<'a>, &'static [&'static str])>,
    through_agent: Running,
    top: Terminal,
}

impl<'a> Tracers<'a> {
    fn start(incident: &'a Incident) -> Result<Self> {
        let (tracer, lab) = (program()?, &incident.lab);
        let file = |name: &str| lab.dir().join(name).to_string_lossy().into_owned();
        let start = |command, flags: &[&str]| Tracing::start(&tracer, lab, command, flags);
        let otlp = receive_otlp(incident)?;
        let endpoint = format!("http://{OTLP}");
        let flags = ["--log-level", "trace", "--allow-capture", "--otlp-endpoint", &endpoint];
        let agent = start("agent", &flags)?;
        let others = vec![
            ("capture", start("capture", &["-w", &file(HEADERS)])?, &[][..]),
            ("capture full", start("capture", &["--payload", "full", "-w", &file(FULL)])?, &[]),
            ("live table", start("live", &["--waterfall", "100"])?, PATHS),
            ("live json", start("live", &["--output", "json", "--requests", &file(LINES)])?, FINDING),
        ];
        let mut through =
            through_agent::capture(lab, &lab.dir().join(THROUGH_AGENT), &["--duration", "100"])?;
        let through_agent = through_agent::start(&mut through)?;
        let mut top = lab.node().command(&tracer.to_string_lossy());
        top.arg("top").arg("--cgroup").arg(lab.cgroup());
        let top = Terminal::start(lab.dir(), &top, (160, 45))?;
        top.wait_for_text("tracer top")?;
        Ok(Self { _otlp: otlp, agent, others, through_agent, top })
    }

    /// What they said of the requests, and what they say when they end.
    fn finish(mut self, incident: &Incident) -> Result<Vec<Output>> {
        let (uid, file) = (incident.backend.uid(), |name: &str| incident.lab.dir().join(name));
        let requests = self.agent.settled(uid, REQUESTS + CALLS)?.pod(uid)?.requests;
        ensure!(requests == REQUESTS + CALLS, "the agent knows of {requests} requests");
        let mut outputs = vec![Output::new("top", look_at_top(&self.top, uid)?, PATHS)];
        for (path, about) in SERVED {
            outputs.push(Output::new(path, self.agent.get(path)?, about));
        }
        self.through_agent.signal(Signal::Interrupt)?;
        ensure!(self.through_agent.wait(Duration::from_secs(20))? == Some(0));
        self.others.push(("agent", self.agent, &[]));
        for (name, tracer, about) in self.others {
            let written = tracer.end(Signal::Terminate)?;
            outputs.push(Output::new(format!("stdout of {name}"), written.stdout, about));
            outputs.push(Output::new(format!("stderr of {name}"), written.stderr, &["ready: tracing"]));
        }
        for name in [HEADERS, THROUGH_AGENT, LINES, SPANS] {
            outputs.push(Output::of_file(&file(name), PATHS)?);
        }
        Ok(outputs)
    }
}

/// Takes the agent's spans and metrics, and writes down each field.
fn receive_otlp(incident: &Incident) -> Result<Running> {
    let (node, dir) = (incident.lab.node(), incident.lab.dir());
    let mut receiver = node.command(PROGRAM);
    receiver.args(["otlp-receiver", "--listen", OTLP, "--log"]).arg(dir.join("otlp.jsonl"));
    let receiver = Running::spawn("otlp-receiver", receiver.arg("--fields").arg(dir.join(SPANS)))?;
    wait_for_listener(node, 4317)?;
    Ok(receiver)
}

/// All screens: the pods, the one with its slow requests, the waterfalls of the slowest and of the last of them, findings.
fn look_at_top(top: &Terminal, uid: &str) -> Result<String> {
    let mut screens = top.wait_for("the pod with its finding", |screen| {
        screen.lines().any(|row| row.contains(uid) && row.contains(FINDING[0]))
    })?;
    let filter = format!("filter \"{uid}\"");
    let steps: [(&[&str], &str); 8] = [
        (&["/"], "enter keeps"),
        (&["-l", uid], uid),
        (&["Enter"], &filter),
        (&["Enter"], "/lab.Unary/"),
        (&["Enter"], "↑↓ scroll"),
        (&["Escape"], "slowest requests"),
        (&["End", "Enter"], "credentials GET"),
        (&["f"], "remedy"),
    ];
    for (keys, text) in steps {
        top.press(keys)?;
        screens += &top.wait_for_text(text)?;
    }
    top.press(&["q"])?;
    top.given_back(0)?;
    Ok(screens)
}

/// What is said of a capture, which has secrets in it, by the commands that read captures.
fn offline(
    name: &str,
    offline: &Offline,
    capture: &Path,
    about: &'static [&'static str],
) -> Result<Vec<Output>> {
    let file = |end: &str| capture.with_extension(end).to_string_lossy().into_owned();
    let [requests, page] = ["requests.jsonl", "report.html"].map(file);
    let runs: [(&str, &[&str], _); 4] = [
        ("analyze", &["--waterfall", "100"], about),
        ("analyze", &["--output", "json", "--requests", &requests], FINDING),
        ("analyze", &["--output", "lines"], about),
        ("report", &["--output", &page], &[]),
    ];
    let mut outputs = Vec::new();
    for (command, flags, about) in runs {
        let output = offline.run(command, flags, &[capture])?;
        let stdout = succeeded(&output)?;
        outputs.push(Output::new(format!("{command} {flags:?} of {name}"), stdout, about));
        outputs.push(Output::new(format!("stderr of {command} {flags:?} of {name}"), output.stderr, &[]));
    }
    outputs.push(Output::of_file(&PathBuf::from(requests), about)?);
    outputs.push(Output::of_file(&PathBuf::from(page), about)?);
    Ok(outputs)
}

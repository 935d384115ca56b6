//! `tracer capture` chooses, rotates and ends as its users expect: other people's tools read what it writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::log::{Kind, RequestLine};
use tracer_lab::process::{Running, run};
use tracer_lab::tracer::{Tracing, program};
use tracer_lab::wire::{http, tshark};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");

/// A capture of an incident into a file, with these flags.
fn capture<'a>(incident: &'a Incident, file: &Path, flags: &[&str]) -> Result<Tracing<'a>> {
    let file = file.to_string_lossy();
    let flags: Vec<&str> = ["-w", &file].iter().chain(flags).copied().collect();
    Tracing::start(&program()?, &incident.lab, "capture", &flags)
}

#[test]
fn the_packets_of_slow_requests_are_there_and_no_others() -> Result<()> {
    let settings = Settings { marked: true, ..Settings::sick(Path::new(PROGRAM)) };
    let incident = Incident::start(settings)?;
    let file = incident.lab.dir().join("slow.pcapng");
    let tracing = capture(&incident, &file, &["--slower-than", "200ms"])?;
    // Names are looked up every two seconds: those requests take 250 ms, the others 105.
    incident.run(60, 1)?;
    let said = tracing.end(tracer_lab::process::Signal::Interrupt)?.stderr;

    let requests = incident.requests()?;
    let slow: Vec<&RequestLine> =
        requests.iter().filter(|request| request.n > 0 && request.t3 - request.t0 >= 200_000_000).collect();
    ensure!(slow.len() > 1 && slow.len() < 30, "{} of {} requests are slow", slow.len(), requests.len());
    ensure!(said.contains(&format!("{} slow requests; of 0", slow.len())), "{said}");

    // The whole request and its response, its searches and metadata calls, its lookups, on the backend's interface.
    let numbers = |port, client: bool| -> Result<Vec<String>> {
        let mut paths: Vec<String> = http(&file, port)?.into_iter().map(|exchange| exchange.what).collect();
        paths.sort();
        ensure!(!paths.is_empty() || client, "no exchange on port {port}");
        Ok(paths)
    };
    let paths = numbers(8080, false)?;
    ensure!(paths.len() == slow.len(), "{paths:?}, {slow:?}");
    for request in &slow {
        let own = |path: &&String| **path == format!("GET /v1/items/{}", request.n);
        ensure!(paths.iter().filter(own).count() == 1, "{} is not in {paths:?}", request.n);
    }
    let logged = |kind| slow.iter().flat_map(|r| &r.calls).filter(|call| call.kind == kind).count();
    let (metadata, searches) = (numbers(80, true)?.len(), numbers(9200, true)?.len());
    ensure!(
        (metadata, searches) == (logged(Kind::Metadata), logged(Kind::Upstream)),
        "{metadata}, {searches}"
    );
    let answers = tshark(&file, "dns.flags.response == 1", &["dns.qry.name"])?.len();
    // A and AAAA of the name and of three search domains.
    ensure!(answers == 8 * logged(Kind::Dns), "{answers} answers, {} lookups", logged(Kind::Dns));
    let interfaces = interfaces(&file)?;
    ensure!(interfaces.len() == 1 && interfaces.keys().all(|name| name.contains(incident.backend.uid())));
    let connects = tshark(&file, "tcp.flags.syn == 1 && tcp.flags.ack == 0", &["tcp.dstport"])?.len();
    ensure!(connects >= logged(Kind::Metadata), "{connects} connects");

    let comments = tshark(&file, "frame.comment", &["frame.comment"])?;
    for words in [&["request GET /v1/items/", "total 2", "dns 1"][..], &["dns call"], &["metadata call"]] {
        let fits = |line: &&Vec<String>| words.iter().all(|word| line.concat().contains(word));
        let count = comments.iter().filter(fits).count();
        ensure!(count >= slow.len(), "{count} comments with {words:?}: {comments:?}");
    }
    ensure!(tshark(&file, "_ws.malformed", &["frame.number"])?.is_empty());
    Ok(())
}

/// The interfaces with their numbers of packets.
fn interfaces(file: &Path) -> Result<BTreeMap<String, usize>> {
    let mut interfaces = BTreeMap::new();
    for fields in tshark(file, "frame", &["frame.interface_name"])? {
        *interfaces.entry(fields.concat()).or_default() += 1;
    }
    Ok(interfaces)
}

#[test]
fn each_choice_is_what_wireshark_would_choose() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let (uid, elastic) = (incident.backend.uid(), incident.elastic.addresses().v4.to_string());
    let network = format!("{elastic}/32");
    let expression = format!("tcp port 9200 or 8080 and not host {elastic}");
    let choices: [(&[&str], String); 6] = [
        (&[], "frame".to_owned()),
        (&["--port", "9200", "--port", "53"], "tcp.port == 9200 || udp.port == 53".to_owned()),
        (&["--address", &network], format!("ip.addr == {elastic}")),
        (&["--pod", uid], format!("frame.interface_description == \"{uid}\"")),
        (&["--pod", uid, "udp"], format!("frame.interface_description == \"{uid}\" && udp")),
        (&[&expression], format!("(tcp.port == 9200 || tcp.port == 8080) && ip.addr != {elastic}")),
    ];
    let file = |number: usize| incident.lab.dir().join(format!("choice-{number}.pcapng"));
    let captures: Vec<_> = (0..choices.len())
        .map(|number| capture(&incident, &file(number), choices[number].0))
        .collect::<Result<_>>()?;
    incident.run(10, 2)?;
    captures.into_iter().try_for_each(|capture| capture.finish().map(drop))?;
    for (number, (flags, filter)) in choices.iter().enumerate() {
        let count = |file: &Path, filter: &str| {
            Ok::<_, anyhow::Error>(tshark(file, filter, &["frame.number"])?.len())
        };
        let (all, chosen) = (count(&file(number), "frame")?, count(&file(0), filter)?);
        ensure!(
            all == chosen && chosen > 0,
            "{flags:?}: {all} packets, Wireshark chooses {chosen} by {filter}"
        );
    }
    Ok(())
}

#[test]
fn a_wrong_expression_is_shown_with_its_place() -> Result<()> {
    let output = Command::new(program()?).args(["capture", "-w", "-", "tcp", "port", "http"]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1) && said.contains("\n  tcp port http\n           ^^^^"), "{said}");
    Ok(())
}

#[test]
fn rotated_files_are_whole_and_private() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let folder = incident.lab.dir().join("rotated");
    fs::create_dir(&folder)?;
    let one = incident.lab.dir().join("one.pcapng");
    let by_time = capture(&incident, &folder.join("t-%H%M%S.pcapng"), &["-G", "1"])?;
    let by_size = capture(&incident, &folder.join("s.pcapng"), &["-C", "1", "-s", "512"])?;
    let whole = capture(&incident, &one, &[])?;
    incident.run(200, 8)?;
    [by_time, by_size, whole].into_iter().try_for_each(|capture| capture.finish().map(drop))?;

    let expected = tshark(&one, "frame", &["frame.number"])?.len();
    for (prefix, least) in [("t-", 2), ("s.", 2)] {
        let mut packets = 0;
        let files = named(&folder, prefix)?;
        ensure!(files.len() >= least, "{files:?}");
        for file in &files {
            let mode = fs::metadata(file)?.permissions().mode() & 0o777;
            ensure!(mode == 0o600, "{} has mode {mode:o}", file.display());
            packets += tshark(file, "frame", &["frame.number"])?.len();
            let uid = incident.backend.uid();
            let has_backend = interfaces(file)?.contains_key(uid);
            ensure!(host_names(file)?.contains(uid) == has_backend, "{} has no names", file.display());
            // capinfos fails for a file that is cut.
            run(Command::new("capinfos").arg(file))?;
        }
        ensure!(packets == expected, "{packets} packets in {files:?}, {expected} in one file");
    }
    Ok(())
}

/// Files of a folder whose name begins so.
fn named(folder: &Path, prefix: &str) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let files: Vec<PathBuf> = files.collect::<Result<_>>()?;
    let fits =
        |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    Ok(files.into_iter().filter(fits).collect())
}

/// What Wireshark shows for the hosts of a file.
fn host_names(file: &Path) -> Result<BTreeSet<String>> {
    let fields = ["-T", "fields", "-e", "ip.src_host", "-e", "ip.dst_host"];
    let text = run(Command::new("tshark").args(["-N", "n", "-2", "-r"]).arg(file).args(fields))?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

#[test]
fn a_count_of_files_ends_the_capture() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let file = incident.lab.dir().join("counted.pcapng");
    let mut tracing = capture(&incident, &file, &["-G", "1", "-W", "2"])?;
    incident.run(40, 1)?;
    ensure!(tracing.wait()? == Some(0), "the capture did not end by itself: {}", tracing.stderr()?);
    ensure!(named(incident.lab.dir(), "counted.pcapng")?.len() == 2);
    Ok(())
}

#[test]
fn standard_output_is_read_while_it_is_written_and_may_close() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let mut command = incident.lab.node().command(&program()?.to_string_lossy());
    command.arg("capture").arg("--cgroup").arg(incident.lab.cgroup()).args(["-w", "-"]);
    let mut tracer =
        Running::spawn("a capture to a pipe", command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let stdout = tracer.child().stdout.take().context("its stdout")?;
    let mut stderr = BufReader::new(tracer.child().stderr.take().context("its stderr")?);
    let mut said = String::new();
    stderr.read_line(&mut said)?;
    ensure!(said.contains("ready"), "{said}");
    let mut command = Command::new("tshark");
    command.args([
        "-n",
        "-l",
        "-r",
        "-",
        "-Y",
        "http.request",
        "-T",
        "fields",
        "-e",
        "http.request.uri",
        "-c",
        "200",
    ]);
    command.stdin(stdout).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut reader = Running::spawn("tshark", &mut command)?;
    // It holds the reading end of the pipe, too.
    drop(command);
    incident.run(40, 2)?;
    // It has its packets, ends, and so closes the pipe.
    ensure!(reader.wait(Duration::from_secs(20))? == Some(0), "tshark failed");
    incident.run(20, 2)?;
    let code = tracer.wait(Duration::from_secs(20))?;
    stderr.read_to_string(&mut said)?;
    ensure!(code == Some(0) && !said.contains("cannot"), "exit code {code:?}: {said}");
    let mut shown = String::new();
    reader.child().stdout.take().context("tshark's stdout")?.read_to_string(&mut shown)?;
    ensure!(shown.contains("/v1/items/"), "{shown}");
    Ok(())
}

/// A file system of 200 kB, which goes with the value.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path) -> Result<Self> {
        fs::create_dir(at)?;
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=200k", "tmpfs"]).arg(at))?;
        Ok(Self(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _gone_with_the_machine = run(Command::new("umount").arg(self.0));
    }
}

#[test]
fn a_full_disk_keeps_what_is_written_and_says_so() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let folder = incident.lab.dir().join("full");
    let _small = Small::mount(&folder)?;
    let file = folder.join("full.pcapng");
    let mut tracing = capture(&incident, &file, &[])?;
    incident.run(60, 4)?;
    let code = tracing.wait()?;
    let said = tracing.stderr()?;
    ensure!(
        code == Some(1) && said.contains("No space left") && said.contains("are complete"),
        "{code:?}: {said}"
    );
    let packets = tshark(&file, "frame", &["frame.number"])?.len();
    ensure!(packets > 100 && said.contains(&format!("{packets} packets (")), "{packets} packets: {said}");
    Ok(())
}

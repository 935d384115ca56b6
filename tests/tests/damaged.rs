//! Captures that are cut, broken, packed or in parts: what can be read is read, the rest is named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tracer_lab::capture::Framing;
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::process::run;
use tracer_lab::random::mix;
use tracer_lab::say;
use tracer_lab::tracer::offline::{Offline, succeeded};
use tracer_lab::tracer::{Tracing, program};
use tracer_lab::wire::Tcpdump;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const REQUESTS: u64 = 20;
const JSON: [&str; 2] = ["--output", "json"];

/// The incident in a pcapng and in a pcap.
fn captures(incident: &Incident) -> Result<[PathBuf; 2]> {
    let dir = incident.lab.dir();
    let file = dir.join("capture.pcapng");
    let tcpdump = Tcpdump::start(&incident.backend, dir.join("tcpdump.pcap"))?;
    let flags = ["-w", &file.to_string_lossy()];
    let capture =
        Tracing::start_on(incident.backend.cgroup(), &program()?, &incident.lab, "capture", &flags)?;
    incident.run(REQUESTS, 1)?;
    capture.finish()?;
    Ok([file, tcpdump.finish()?])
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Checks the exit code, that the message names the file, and that it says what is the matter.
fn says(output: &Output, code: i32, file: &Path, what: &str) -> Result<()> {
    let stderr = stderr(output);
    ensure!(output.status.code() == Some(code), "{} instead of {code}: {stderr}", output.status);
    ensure!(stderr.contains(&*file.to_string_lossy()) && stderr.contains(what), "not {what:?}: {stderr}");
    ensure!(!stderr.contains("panicked"), "{stderr}");
    Ok(())
}

#[test]
fn what_comes_before_the_damage_is_reported() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let offline = Offline::of(&incident.backend)?;
    for file in captures(&incident)? {
        let bytes = fs::read(&file)?;
        let framing = Framing::of(&bytes)?;
        let (output, whole) = offline.analyzed::<Value>(&[&file])?;
        succeeded(&output)?;
        ensure!(whole.len() as u64 == REQUESTS, "{} requests", whole.len());
        let broken = file.with_file_name("broken");
        for tenth in 1..10 {
            let packet = framing.packets.len() * tenth / 10;
            let range = framing.packets[packet].clone();
            let expected = before(&framing, &bytes, &offline, &file, packet)?;
            let at = range.start;
            let mut length = bytes.clone();
            length[at + framing.length_at..at + framing.length_at + 4].fill(0xfe);
            let damages = [
                (bytes[..usize::midpoint(at + 28, range.end)].to_vec(), format!("begins at byte {at}")),
                (bytes[..at + 5].to_vec(), format!("begins at byte {at}")),
                (length, format!("damaged at byte {at}")),
            ];
            for (damaged, what) in damages {
                fs::write(&broken, damaged)?;
                let (output, requests) = offline.analyzed::<Value>(&[&broken])?;
                says(&output, 3, &broken, &what)?;
                ensure!(
                    requests == expected,
                    "{} requests of {} before the damage at {at}",
                    requests.len(),
                    expected.len()
                );
                let complete = requests.iter().filter(|request| whole.contains(request)).count();
                // All but one that was under way; where lookups are, packets are denser.
                let passed = whole.len() * tenth / 10;
                ensure!(complete + 1 >= requests.len() && complete + 2 >= passed, "{complete} of {passed}");
            }
        }
        check_every_cut(&offline, &bytes, &broken)?;
        check_changed_bytes(&offline, &bytes, &broken)?;
    }
    Ok(())
}

/// What an undamaged capture that ends before the packet says.
fn before(
    framing: &Framing,
    bytes: &[u8],
    offline: &Offline,
    file: &Path,
    packet: usize,
) -> Result<Vec<Value>> {
    let part = file.with_file_name("before");
    let [before, _] = framing.split(bytes, packet);
    fs::write(&part, before)?;
    let (output, requests) = offline.analyzed(&[&part])?;
    succeeded(&output).map(|_| requests)
}

/// Wherever a capture ends, the tracer ends well or says where.
fn check_every_cut(offline: &Offline, bytes: &[u8], broken: &Path) -> Result<()> {
    let beginning = 0..300.min(bytes.len());
    let spread = (1..60).map(|part| bytes.len() * part / 60 + part);
    let mut codes = [0; 4];
    for end in beginning.step_by(3).chain(spread) {
        fs::write(broken, &bytes[..end.min(bytes.len())])?;
        let output = offline.run("analyze", &JSON, &[broken])?;
        let code = output.status.code().and_then(|code| usize::try_from(code).ok());
        let count = code.and_then(|code| codes.get_mut(code));
        *count.with_context(|| format!("cut at {end}: {}: {}", output.status, stderr(&output)))? += 1;
        ensure!(code == Some(0) || stderr(&output).contains("broken"), "cut at {end}: {}", stderr(&output));
        ensure!(
            code != Some(2) && !stderr(&output).contains("panicked"),
            "cut at {end}: {}",
            stderr(&output)
        );
    }
    say(&format!("cut anywhere: {} undamaged, {} no capture, {} damaged", codes[0], codes[1], codes[3]));
    Ok(())
}

/// Whatever bytes are wrong, the tracer ends well or says where.
fn check_changed_bytes(offline: &Offline, bytes: &[u8], broken: &Path) -> Result<()> {
    for round in 0..40_u64 {
        let mut changed = bytes.to_vec();
        for change in 0..=round {
            let random = mix(round << 32 | change);
            let at = 24 + usize::try_from(random >> 16)? % (changed.len() - 24);
            changed[at] = random.to_le_bytes()[0];
        }
        fs::write(broken, &changed)?;
        let output = offline.run("analyze", &JSON, &[broken])?;
        match output.status.code() {
            Some(0) => {}
            Some(3) => says(&output, 3, broken, "byte")?,
            _ => bail!("round {round}: {}: {}", output.status, stderr(&output)),
        }
        serde_json::from_slice::<Value>(&output.stdout).with_context(|| format!("round {round}"))?;
    }
    Ok(())
}

#[test]
fn what_is_no_capture_is_said_so() -> Result<()> {
    let incident = tracer_lab::Lab::new()?;
    let file = incident.dir().join("notes.txt");
    let tracer =
        |file: &Path| Command::new(program()?).arg("analyze").arg(file).output().context("run the tracer");
    fs::write(&file, "Not a capture, but the notes on one.\n")?;
    says(&tracer(&file)?, 1, &file, "not a pcap or pcapng capture")?;
    fs::write(&file, "")?;
    says(&tracer(&file)?, 1, &file, "is empty")?;
    fs::remove_file(&file)?;
    says(&tracer(&file)?, 1, &file, "No such file")
}

#[test]
fn packed_piped_and_in_parts_it_says_the_same() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let offline = Offline::of(&incident.backend)?;
    for file in captures(&incident)? {
        let whole = succeeded(&offline.run("analyze", &JSON, &[&file])?)?;
        let same = |name: &str, output: &Output| {
            let said = succeeded(output)?;
            ensure!(said == whole, "{name}: {said}\ninstead of {whole}");
            Ok(())
        };
        same("piped", &offline.run_piped("analyze", &JSON, &file)?)?;
        run(Command::new("gzip").arg("--keep").arg(&file))?;
        let packed = PathBuf::from(format!("{}.gz", file.display()));
        same("packed", &offline.run("analyze", &JSON, &[&packed])?)?;
        let cut = file.with_file_name("cut.gz");
        fs::write(&cut, &fs::read(&packed)?[..usize::try_from(packed.metadata()?.len())? / 2])?;
        let (output, requests) = offline.analyzed::<Value>(&[&cut])?;
        says(&output, 3, &cut, "byte")?;
        ensure!((5..15).contains(&requests.len()), "{} requests in half of a packed capture", requests.len());
        same("packed and piped", &offline.run_piped("analyze", &JSON, &packed)?)?;

        let bytes = fs::read(&file)?;
        let framing = Framing::of(&bytes)?;
        let halves = framing.split(&bytes, framing.packets.len() / 2);
        let parts = [file.with_file_name("first"), file.with_file_name("second")];
        for (part, bytes) in parts.iter().zip(halves) {
            fs::write(part, bytes)?;
        }
        let [first, second] = &parts;
        same("in order", &offline.run("analyze", &JSON, &[first, second])?)?;
        same("the second half first", &offline.run("analyze", &JSON, &[second, first])?)?;
    }
    Ok(())
}

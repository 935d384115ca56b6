//! What tshark says about a capture.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::child::{self, Ended};
use super::values::Observed;
use super::{ek, files};

/// tshark on a capture that takes longer is of no use.
const LIMIT: Duration = Duration::from_mins(5);
/// What an HTTP/2 client sends first, RFC 9113 section 3.4; the start of it is enough.
const PREFACE: &str = "PRI * HTTP/2.0";

/// Runs tshark on a capture.
pub(super) fn run(capture: &Path, folder: &Path) -> Result<Observed> {
    let mut command = tshark(capture, folder);
    command.args(["-T", "ek", "-J", ek::PROTOCOLS]);
    // tshark asks which port it is before it looks for HTTP/2, tracer does not.
    for port in http2_ports(capture, folder)? {
        command.args(["-d", &format!("tcp.port=={port},http")]);
    }
    let ended = run_to_end(&mut command, folder)?;
    let mut reader = ek::Reader::default();
    let mut lines = BufReader::new(open(&ended.output)?);
    let mut line = Vec::new();
    // Names in packets need not be UTF-8, so neither does the output.
    while lines.read_until(b'\n', &mut line).context("reading tshark's output")? > 0 {
        let text = String::from_utf8_lossy(&line);
        reader.line(&text).with_context(|| format!("reading {}", ended.output.display()))?;
        line.clear();
    }
    Ok(reader.finish())
}

/// The ports of servers to which somebody speaks HTTP/2 in the clear.
fn http2_ports(capture: &Path, folder: &Path) -> Result<BTreeSet<u16>> {
    let bytes = fs::read(capture).with_context(|| format!("reading {}", capture.display()))?;
    let has_preface = bytes.windows(PREFACE.len()).any(|window| window == PREFACE.as_bytes());
    if !has_preface && !files::is_compressed(&bytes) {
        return Ok(BTreeSet::new());
    }
    let mut command = tshark(capture, folder);
    let filter = format!("tcp.payload contains \"{PREFACE}\"");
    command.args(["-Y", &filter, "-T", "fields", "-E", "occurrence=l", "-e", "tcp.dstport"]);
    let ended = run_to_end(&mut command, folder)?;
    let lines = BufReader::new(open(&ended.output)?).lines();
    Ok(lines.map_while(Result::ok).filter_map(|port| port.trim().parse().ok()).collect())
}

fn tshark(capture: &Path, folder: &Path) -> Command {
    let mut command = Command::new("tshark");
    command
        .args(["-n", "-r"])
        .arg(capture)
        .args(["-o", "tcp.reassemble_out_of_order:TRUE", "-o", "http.desegment_body:TRUE"])
        // Somebody's own preferences would change what it says.
        .envs([
            no_configuration("WIRESHARK_CONFIG_DIR", folder),
            no_configuration("XDG_CONFIG_HOME", folder),
        ]);
    command
}

fn no_configuration(variable: &str, folder: &Path) -> (String, PathBuf) {
    (variable.to_owned(), folder.join("no-configuration"))
}

/// A capture that is damaged ends tshark with an error after all that it could read, which is fine.
fn run_to_end(command: &mut Command, folder: &Path) -> Result<Ended> {
    let ended = child::run(command, folder, "tshark", LIMIT)?;
    match ended.status {
        Some(status) if status.code().is_some() => Ok(ended),
        Some(status) => bail!("tshark ended with {status}: {}", ended.last_error()),
        None => bail!("tshark was still at work after {} s", LIMIT.as_secs()),
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("opening {}", path.display()))
}

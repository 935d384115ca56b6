//! Whether tracer found what the capture holds: a program that misses something would be fast for nothing.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::traffic::Contents;

/// The part of a line that is checked.
#[derive(Deserialize)]
struct Line {
    kind: String,
    time: Option<u64>,
    status: Option<u16>,
    grpc_status: Option<u16>,
    #[serde(default)]
    is: Vec<String>,
}

/// Runs tracer once and compares its counts.
pub(super) fn tracer(command: &mut Command, contents: &Contents) -> Result<()> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("starting tracer")?;
    let output = child.stdout.take().context("tracer has no output")?;
    let found = count(BufReader::with_capacity(1 << 20, output))?;
    let status = child.wait().context("waiting for tracer")?;
    ensure!(status.success(), "tracer ended with {status}");
    let expected = Contents { packets: found.packets, bytes: found.bytes, ..*contents };
    ensure!(found == expected, "tracer found {found:?}, but the capture holds {contents:?}");
    Ok(())
}

/// Counts what is complete: with its time and its status.
fn count(mut lines: impl BufRead) -> Result<Contents> {
    let mut found = Contents::default();
    let mut text = String::new();
    while lines.read_line(&mut text).context("reading tracer's lines")? > 0 {
        let line: Line = serde_json::from_str(&text).with_context(|| format!("reading the line {text}"))?;
        let has_status = line.time.is_some() && line.status == Some(200);
        match line.kind.as_str() {
            "dns" if line.time.is_some() => found.dns += 1,
            "http" if has_status => found.http += 1,
            "http2" if has_status && line.grpc_status.is_some() => found.http2 += 1,
            "segment" if line.is.iter().any(|is| is.ends_with("retransmission")) => {
                found.retransmissions += 1;
            }
            _ => {}
        }
        text.clear();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_lines_count() {
        let lines = r#"{"kind":"dns","time":5}
{"kind":"http","time":5,"status":200}
{"kind":"http","time":null,"status":200}
{"kind":"http2","time":5,"status":200,"grpc_status":0}
{"kind":"segment","is":["retransmission"]}
{"kind":"flow","flow":1}
"#;
        let expected = Contents { dns: 1, http: 1, http2: 1, retransmissions: 1, ..Contents::default() };
        assert_eq!(count(lines.as_bytes()).unwrap(), expected);
    }
}

//! The findings that tracer reports about a capture: tshark has none, so each is for people to judge.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value as Json;

use super::child;
use super::lines::LIMIT;

/// What is read of a summary.
#[derive(Deserialize)]
struct Summary {
    pods: Vec<Pod>,
}

#[derive(Deserialize)]
struct Pod {
    findings: Vec<Json>,
}

/// The findings about a capture, as `tracer analyze --output json` has them; none when it cannot be analysed.
pub(super) fn run(tracer: &Path, capture: &Path, folder: &Path) -> Result<Vec<Json>> {
    let mut command = Command::new(tracer);
    command.args(["analyze", "--output", "json"]).arg(capture);
    let ended = child::run(&mut command, folder, "findings", LIMIT)?;
    let text =
        fs::read_to_string(&ended.output).with_context(|| format!("reading {}", ended.output.display()))?;
    Ok(parse(&text))
}

fn parse(text: &str) -> Vec<Json> {
    let summary: Option<Summary> = serde_json::from_str(text).ok();
    summary.into_iter().flat_map(|summary| summary.pods).flat_map(|pod| pod.findings).collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn findings_of_all_pods_are_read() {
        let text =
            r#"{"pods": [{"findings": [{"id": "a"}]}, {"findings": []}, {"findings": [{"id": "b"}]}]}"#;
        let ids: Vec<_> = parse(text).iter().map(|found| found["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids, ["a", "b"]);
        assert!(parse("tracer: no").is_empty());
    }
}

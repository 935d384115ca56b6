//! A real Prometheus on the lab's node, which scrapes an agent every second.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::Lab;
use crate::pod::network::{Namespace, wait_for_listener};
use crate::process::{Running, run};

/// Where it listens, on the loopback of the lab's node.
const PORT: u16 = 9090;
/// Longer than a scrape takes to be seen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running Prometheus. Dropping it ends it.
pub struct Prometheus<'a> {
    _running: Running,
    node: &'a Namespace,
}

/// One value of an answer.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its labels, as an object.
    pub labels: Value,
    /// What it is; may be NaN.
    pub value: f64,
}

impl<'a> Prometheus<'a> {
    /// Starts one that scrapes `target` as the manifests' pod monitor says.
    pub fn start(lab: &'a Lab, target: SocketAddr) -> Result<Self> {
        let scrape = json!({
            "job_name": "tracer",
            "honor_labels": true,
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "static_configs": [{ "targets": [target.to_string()] }],
        });
        let file = lab.dir().join("prometheus.yml");
        // JSON is YAML.
        fs::write(&file, json!({ "scrape_configs": [scrape] }).to_string())
            .with_context(|| format!("write {}", file.display()))?;
        let log = lab.dir().join("prometheus.log");
        let log = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let mut command = lab.node().command("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", lab.dir().join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{PORT}"))
            .stderr(log);
        let running = Running::spawn("prometheus", &mut command)?;
        wait_for_listener(lab.node(), PORT)?;
        Ok(Self { _running: running, node: lab.node() })
    }

    /// The answer to an expression, as of now.
    pub fn query(&self, expression: &str) -> Result<Vec<Sample>> {
        let mut promtool = self.node.command("promtool");
        promtool.args(["query", "instant", "--format=json", &format!("http://127.0.0.1:{PORT}"), expression]);
        let answer: Value =
            serde_json::from_str(&run(&mut promtool)?).context("read the answer of Prometheus")?;
        let series = answer.as_array().with_context(|| format!("no list of series: {answer}"))?;
        series.iter().map(sample).collect()
    }

    /// Waits until the only value of an expression is this.
    pub fn wait_for(&self, expression: &str, value: f64) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.query(expression)?;
            if let [only] = &found[..]
                && (only.value - value).abs() < 1e-6
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{expression} is {found:?} after {PATIENCE:?}, not {value}");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn sample(series: &Value) -> Result<Sample> {
    let text = series["value"][1].as_str().with_context(|| format!("no value: {series}"))?;
    let value = text.parse().with_context(|| format!("not a number: {text}"))?;
    Ok(Sample { labels: series["metric"].clone(), value })
}

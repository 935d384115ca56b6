//! What the demonstration says around the tracer's own output.

use std::path::Path;

use crate::incident::{Incident, Twin};
use crate::tracer::report::{Accounting, PodSummary};

pub(super) fn opening() {
    println!(
        "THE INCIDENT. A backend moved to Kubernetes and became several times slower. Its code is the same."
    );
    println!("It is played on this machine, in cgroups and network namespaces that are gone afterwards.\n");
}

/// Whom the names in the tracer's output belong to.
pub(super) fn pods(incident: &Incident) {
    for (pod, name, does) in incident.roles() {
        println!("  {name:<9} {}  {does}", pod.uid());
    }
    println!();
}

pub(super) fn commands(requests: u64, pod: &Path, lines: &str) {
    println!(
        "{requests} requests, one at a time, take about {} s. Three commands watch:\n",
        requests / 9 + 1
    );
    println!("  tracer agent     all pods: metrics and the summary over HTTP");
    println!("  tracer capture   all pods: packets for Wireshark, with comments");
    println!("  tracer live      the backend's pod: what it prints at its end is next\n");
    println!("$ tracer live --waterfall 1 --requests {lines} \\\n    --cgroup {}\n", pod.display());
}

pub(super) fn sick(backend: &PodSummary, accounting: &Accounting) {
    let (mean, share) = (mean(backend), share(backend));
    println!(
        "\nIN SHORT. The backend takes {mean} per request and waits for credentials in {share:.0} % of that."
    );
    println!(
        "Checked: stages add up to the total to the nanosecond, both findings have evidence and a remedy,"
    );
    println!("and of the {} events that the agent was sent none was lost.\n", accounting.emitted);
}

pub(super) fn twin(requests: u64) {
    println!("THE HEALTHY TWIN. The same pods, but the credentials live 6 hours and the pod has ndots:1.");
    println!("{requests} requests take about {} s.\n", requests / 50 + 1);
}

pub(super) fn healthy(sick: Option<&PodSummary>, healthy: &PodSummary) {
    let before = sick.map(|sick| format!(" instead of {}", mean(sick))).unwrap_or_default();
    println!("The backend takes {} per request{before}. No pod has a finding.\n", mean(healthy));
}

/// Where the results are and how to look at each.
pub(super) fn files(out: &Path, twin: Option<Twin>, backend: Option<&PodSummary>) {
    let show = |name: &str, holds: &str, command: &str| {
        let file = out.join(name);
        println!("  {name:<15} {holds}\n    {}", command.replace("FILE", &file.to_string_lossy()));
    };
    println!("FILES in {}, each with a command to begin with:\n", out.display());
    if let Some(backend) = backend {
        let of_backend = format!("'.pods[] | select(.pod == \"{}\")'", backend.pod);
        show("summary.json", "stages, calls and findings of all pods", &format!("jq {of_backend} FILE"));
        let slowest = "jq -s 'sort_by(-.total_ns)[:3][] | {path, total_ns, stages_ns}' FILE";
        show("requests.jsonl", "each request of the backend with its calls", slowest);
        show("capture.pcapng", "the packets; their comments say pod, stage and finding", "wireshark FILE");
        println!("    {}", comments(&out.join("capture.pcapng")));
        show("metrics.txt", "what Prometheus would scrape", "promtool check metrics < FILE");
    }
    if twin != Some(Twin::Sick) {
        show("healthy.json", "the healthy twin's summary", "jq '[.pods[].findings[]] | length' FILE");
    }
}

/// For who has no display.
fn comments(capture: &Path) -> String {
    let fields = "-T fields -e frame.number -e frame.comment";
    format!("tshark -r {} -Y frame.comment {fields} | head", capture.display())
}

fn mean(pod: &PodSummary) -> String {
    format!("{:.2} ms", 1000.0 * pod.mean_seconds())
}

fn share(pod: &PodSummary) -> f64 {
    100.0 * pod.share("metadata")
}

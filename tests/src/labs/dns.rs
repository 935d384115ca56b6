//! A real dnsmasq for the stories' pods, which logs each query, behind a relay that takes its time.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};

use super::Stage;

/// What dnsmasq knows and how long the relay takes.
pub(super) struct Dns<'a> {
    /// Names with their addresses; a name can have several.
    pub names: &'a [(&'a str, Ipv4Addr)],
    /// Shortest and longest time before an answer, in milliseconds.
    pub delay: (u64, u64),
}

/// Where dnsmasq listens, behind the relay.
const PORT: u16 = 5335;

/// Starts both in the pod `dns`.
pub(super) fn serve(stage: &mut Stage, dns: &Dns<'_>) -> Result<()> {
    let hosts = stage.lab.dir().join("hosts");
    let lines: Vec<_> = dns.names.iter().map(|(name, address)| format!("{address} {name}\n")).collect();
    fs::write(&hosts, lines.concat()).with_context(|| format!("write {}", hosts.display()))?;
    let mut dnsmasq = stage.command("dns", "dnsmasq");
    dnsmasq
        .args("--keep-in-foreground --conf-file=/dev/null --pid-file= --user=root --no-resolv".split(' '))
        .args("--no-hosts --no-poll --cache-size=0 --bind-interfaces --listen-address=127.0.0.1".split(' '))
        .args("--local=/cluster.local/ --local=/example.com/ --log-queries".split(' '))
        .args([format!("--port={PORT}"), format!("--addn-hosts={}", hosts.display())])
        .arg(format!("--log-facility={}", log(stage).display()));
    stage.serve("dns", PORT, &mut dnsmasq)?;
    let mut relay = stage.role("dns", "dns-relay", "dns-relay");
    relay
        .arg(format!("--listen={}:53", stage.address("dns")))
        .arg(format!("--upstream=127.0.0.1:{PORT}"))
        .arg(format!("--shortest={}", dns.delay.0))
        .arg(format!("--longest={}", dns.delay.1));
    stage.serve("dns", 53, &mut relay)
}

/// A query in dnsmasq's log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// `A` or `AAAA`.
    pub kind: String,
    /// The name asked for.
    pub name: String,
}

/// The queries in dnsmasq's own log.
pub(super) fn queries(stage: &Stage) -> Result<Vec<Query>> {
    let file = log(stage);
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    Ok(text.lines().filter_map(query).collect())
}

fn log(stage: &Stage) -> std::path::PathBuf {
    stage.lab.dir().join("dnsmasq.log")
}

/// As in `Nov 22 00:00:00 dnsmasq[7]: query[AAAA] a.example.com from 127.0.0.1`.
fn query(line: &str) -> Option<Query> {
    let (_, rest) = line.split_once(": query[")?;
    let (kind, rest) = rest.split_once("] ")?;
    Some(Query { kind: kind.to_owned(), name: rest.split(' ').next()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::{Query, query};

    #[test]
    fn queries_are_found_in_the_log() {
        let line = "Nov 22 00:00:00 dnsmasq[7]: query[AAAA] a.example.com from 127.0.0.1";
        let expected = Query { kind: "AAAA".to_owned(), name: "a.example.com".to_owned() };
        assert_eq!(query(line), Some(expected));
        assert_eq!(query("Nov 22 00:00:00 dnsmasq[7]: reply a.example.com is NXDOMAIN"), None);
    }
}

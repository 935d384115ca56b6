//! What tracer says about a capture: `tracer analyze --output lines`, one JSON object per line, in no order.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::child;
use super::values::{Flow, Key, Kind, Observed, Value, name_flows};

/// A capture that takes longer has hung it.
pub(super) const LIMIT: Duration = Duration::from_secs(60);
/// The exit code for a capture that is damaged or ends too early, with everything before that reported.
const DAMAGED: i32 = 3;

/// What became of tracer.
pub(super) enum Answer {
    /// It read the capture, or as much of it as there is.
    Read(Observed),
    /// It died, hung or said what nobody understands; in words.
    Crashed(String),
}

/// Runs tracer on a capture.
pub(super) fn run(tracer: &Path, capture: &Path, folder: &Path) -> Result<Answer> {
    let mut command = Command::new(tracer);
    command.args(["analyze", "--output", "lines"]).arg(capture);
    let ended = child::run(&mut command, folder, "tracer", LIMIT)?;
    let Some(status) = ended.status else {
        return Ok(Answer::Crashed(format!("was still at work after {} s", LIMIT.as_secs())));
    };
    if !matches!(status.code(), Some(0 | DAMAGED)) {
        return Ok(Answer::Crashed(format!("ended with {status}: {}", ended.last_error())));
    }
    let bytes = fs::read(&ended.output).with_context(|| format!("reading {}", ended.output.display()))?;
    let read = parse(&String::from_utf8_lossy(&bytes));
    Ok(read.map_or_else(|error| Answer::Crashed(format!("is not understood: {error:#}")), Answer::Read))
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Dns(Dns),
    Http(Http),
    Http2(Http2),
    Flow(FlowLine),
    Segment(Segment),
    /// What the oracle has no second opinion on.
    #[serde(other)]
    Other,
}

/// An answer that has a query.
#[derive(Deserialize)]
struct Dns {
    packet: u64,
    query_packet: u64,
    time: i64,
}

/// An HTTP/1 response.
#[derive(Deserialize)]
struct Http {
    packet: u64,
    request_packet: Option<u64>,
    time: Option<i64>,
    status: Option<u64>,
}

#[derive(Deserialize)]
struct Http2 {
    flow: u64,
    stream: u64,
    method: Option<String>,
    path: Option<String>,
    status: Option<u64>,
    grpc_status: Option<u64>,
}

#[derive(Deserialize)]
struct FlowLine {
    flow: u64,
    client: String,
    server: String,
    handshake_rtt: Option<i64>,
    bytes_client: u64,
    bytes_server: u64,
    packets: u64,
    resets: Vec<u64>,
}

#[derive(Deserialize)]
struct Segment {
    packet: u64,
    is: Vec<String>,
}

/// Reads all lines.
fn parse(text: &str) -> Result<Observed> {
    let read = |line| serde_json::from_str(line).with_context(|| format!("reading the line {line}"));
    let lines: Vec<Line> = text.lines().filter(|line| !line.is_empty()).map(read).collect::<Result<_>>()?;
    let flows = flows(&lines)?;
    let find =
        |flow: u64| flows.get(&flow).copied().with_context(|| format!("there is no line of flow {flow}"));
    let mut observed = Observed::default();
    for line in &lines {
        match line {
            Line::Dns(dns) => add_dns(&mut observed, dns),
            Line::Http(http) => add_http(&mut observed, http),
            Line::Http2(http2) => add_http2(&mut observed, find(http2.flow)?, http2),
            Line::Flow(flow) => add_flow(&mut observed, find(flow.flow)?, flow)?,
            Line::Segment(segment) => {
                segment.is.iter().filter_map(|name| flag(name)).for_each(|kind| {
                    observed.mark(kind, segment.packet);
                });
            }
            Line::Other => {}
        }
    }
    Ok(observed)
}

fn flows(lines: &[Line]) -> Result<BTreeMap<u64, Flow>> {
    let mut flows = BTreeMap::new();
    for line in lines {
        if let Line::Flow(flow) = line {
            flows.insert(flow.flow, (address(&flow.client)?, address(&flow.server)?));
        }
    }
    Ok(name_flows(flows))
}

fn add_dns(observed: &mut Observed, dns: &Dns) {
    let key = Key::Frame(dns.packet);
    observed.add(Kind::DnsTime, key, Value::Time(dns.time));
    observed.add(Kind::DnsQuery, key, Value::Number(dns.query_packet));
}

fn add_http(observed: &mut Observed, http: &Http) {
    let key = Key::Frame(http.packet);
    let values = [
        (Kind::HttpTime, http.time.map(Value::Time)),
        (Kind::HttpRequest, http.request_packet.map(Value::Number)),
        (Kind::HttpStatus, http.status.map(Value::Number)),
    ];
    for (kind, value) in values {
        if let Some(value) = value {
            observed.add(kind, key, value);
        }
    }
}

fn add_http2(observed: &mut Observed, flow: Flow, http2: &Http2) {
    let key = Key::Stream(flow, http2.stream);
    observed.add_stream(key, http2.method.as_deref(), http2.path.as_deref(), http2.status);
    if let Some(status) = http2.grpc_status {
        observed.add(Kind::GrpcStatus, key, Value::Number(status));
    }
}

fn add_flow(observed: &mut Observed, name: Flow, flow: &FlowLine) -> Result<()> {
    observed.add(Kind::FlowPackets, Key::Flow(name), Value::Number(flow.packets));
    if let Some(rtt) = flow.handshake_rtt {
        observed.add(Kind::HandshakeRtt, Key::Flow(name), Value::Time(rtt));
    }
    for (side, bytes) in [(&flow.client, flow.bytes_client), (&flow.server, flow.bytes_server)] {
        observed.add(Kind::FlowBytes, Key::Side(name, address(side)?), Value::Number(bytes));
    }
    flow.resets.iter().for_each(|frame| observed.mark(Kind::Reset, *frame));
    Ok(())
}

fn flag(name: &str) -> Option<Kind> {
    Some(match name {
        "retransmission" | "fast_retransmission" | "spurious_retransmission" => Kind::Retransmission,
        "out_of_order" => Kind::OutOfOrder,
        "duplicate_ack" => Kind::DuplicateAck,
        "lost_segment" => Kind::LostSegment,
        "keep_alive" => Kind::KeepAlive,
        "zero_window" => Kind::ZeroWindow,
        "window_full" => Kind::WindowFull,
        "window_update" => Kind::WindowUpdate,
        _ => return None,
    })
}

/// An address with its port; IPv6 with brackets or without.
fn address(text: &str) -> Result<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let parts = text.rsplit_once(':').and_then(|(ip, port)| Some((ip.parse().ok()?, port.parse().ok()?)));
    let (ip, port): (IpAddr, u16) = parts.with_context(|| format!("{text} is no address with a port"))?;
    Ok(SocketAddr::new(ip, port))
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;

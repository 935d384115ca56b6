//! The two programs that read the capture, asked for the same values.

use std::path::Path;
use std::process::Command;

use super::traffic::GRPC_PORT;

/// What tracer's lines say, as tshark names it.
const FIELDS: [&str; 24] = [
    "frame.number",
    "frame.time_epoch",
    "tcp.stream",
    "tcp.len",
    "tcp.flags.reset",
    "tcp.analysis.initial_rtt",
    "tcp.analysis.flags",
    "tcp.analysis.retransmission",
    "tcp.analysis.out_of_order",
    "dns.id",
    "dns.qry.name",
    "dns.qry.type",
    "dns.flags.rcode",
    "dns.response_to",
    "dns.time",
    "http.request.method",
    "http.request.uri",
    "http.response.code",
    "http.request_in",
    "http.time",
    "http2.streamid",
    "http2.headers.method",
    "http2.headers.path",
    "http2.headers.status",
];
/// gRPC's status has no field of its own.
const GRPC_STATUS: [&str; 2] = ["http2.header.name", "http2.header.value"];

pub(super) fn tracer(program: &Path, capture: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["analyze", "--output", "lines"]).arg(capture);
    command
}

pub(super) fn tshark(capture: &Path, folder: &Path) -> Command {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r"]).arg(capture);
    command.args(["-o", "tcp.reassemble_out_of_order:TRUE", "-T", "fields"]);
    command.args(["-d", &format!("tcp.port=={GRPC_PORT},http2")]);
    for field in FIELDS.iter().chain(&GRPC_STATUS) {
        command.args(["-e", field]);
    }
    // Somebody's own preferences would change what it does.
    let none = folder.join("no-configuration");
    command.envs([("WIRESHARK_CONFIG_DIR", &none), ("XDG_CONFIG_HOME", &none)]);
    command
}

//! The independent witness: tcpdump in a pod's namespace, read by tshark.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::Pod;
use crate::process::{Running, Signal, run};

/// A tcpdump that runs.
pub struct Tcpdump {
    running: Running,
    stderr: BufReader<ChildStderr>,
    file: PathBuf,
    _late: LateStamps,
}

/// While it lives, packets are stamped when they are received, as the tracer does, and not before they queue for the CPU that
/// receives them: that wait is the machine's. On the whole machine, because the kernel has no other switch; what a killed test
/// leaves, the next one puts right.
struct LateStamps;

/// How many there are.
static LATE: Mutex<u32> = Mutex::new(0);

impl LateStamps {
    const SWITCH: &'static str = "/proc/sys/net/core/netdev_tstamp_prequeue";

    fn begin() -> Result<Self> {
        let mut count = LATE.lock().unwrap_or_else(PoisonError::into_inner);
        fs::write(Self::SWITCH, "0").with_context(|| format!("write {}", Self::SWITCH))?;
        *count += 1;
        Ok(Self)
    }
}

impl Drop for LateStamps {
    fn drop(&mut self) {
        let mut count = LATE.lock().unwrap_or_else(PoisonError::into_inner);
        *count -= 1;
        // The kernel's default, once nobody captures.
        if *count == 0
            && let Err(error) = fs::write(Self::SWITCH, "1")
        {
            eprintln!("tracer-lab: {} stays 0: {error}", Self::SWITCH);
        }
    }
}

impl Tcpdump {
    /// Starts a capture of all that the pod sends and receives, with times in nanoseconds.
    pub fn start(pod: &Pod, file: PathBuf) -> Result<Self> {
        let late = LateStamps::begin()?;
        let mut command = pod.namespace().command("tcpdump");
        command.args([
            "-i",
            "eth0",
            "-U",
            "--immediate-mode",
            // In immediate mode, the usual two megabytes are eight packets, each with room for the largest.
            "--buffer-size=262144",
            "--time-stamp-precision=nano",
            "-Z",
            "root",
            "-w",
        ]);
        let mut running = Running::spawn("tcpdump", command.arg(&file).stderr(Stdio::piped()))?;
        let mut stderr = BufReader::new(running.child().stderr.take().context("tcpdump's stderr")?);
        let mut first = String::new();
        stderr.read_line(&mut first).context("read tcpdump's stderr")?;
        ensure!(first.contains("listening on"), "tcpdump: {first}");
        Ok(Self { running, stderr, file, _late: late })
    }

    /// Ends the capture, which must hold every packet, and returns its file.
    pub fn finish(mut self) -> Result<PathBuf> {
        // The last packets are on their way through the socket's ring.
        std::thread::sleep(Duration::from_millis(500));
        self.running.signal(Signal::Interrupt)?;
        self.running.wait(Duration::from_secs(10))?;
        let mut last = String::new();
        self.stderr.read_to_string(&mut last).context("read tcpdump's stderr")?;
        ensure!(last.contains("\n0 packets dropped by kernel"), "tcpdump: {last}");
        Ok(self.file)
    }
}

/// The fields of each packet that the display filter passes; a field that occurs twice is joined by commas.
pub fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Result<Vec<Vec<String>>> {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(file).args(["-d", "tcp.port==9200,http", "-Y", filter, "-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let text = run(&mut command)?;
    Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// An exchange as tshark saw it, in unix nanoseconds.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The port of the side that asked.
    pub client_port: u16,
    /// When the request had passed.
    pub start: u64,
    /// When the response had passed.
    pub end: u64,
    /// What was asked: method and path, without the query string, or name.
    pub what: String,
}

/// The HTTP exchanges with servers on `port`, by `http.time`.
pub fn http(file: &Path, port: u16) -> Result<Vec<Exchange>> {
    let requests = format!("http.request && tcp.dstport == {port}");
    let requests = tshark(file, &requests, &["frame.number", "http.request.method"])?;
    let methods: HashMap<_, _> =
        requests.into_iter().filter_map(|line| <[_; 2]>::try_from(line).ok().map(<(_, _)>::from)).collect();
    let responses = format!("http.response && tcp.srcport == {port}");
    let fields = ["tcp.dstport", "http.time", "frame.time_epoch", "http.response_for.uri", "http.request_in"];
    exchanges(file, &responses, &fields, |asked| {
        let [uri, request] = asked else { return None };
        Some(format!("{} {}", methods.get(request)?, path(uri)?))
    })
}

/// The path of a URI with a host.
fn path(uri: &str) -> Option<&str> {
    let (_, after) = uri.split_once("://")?;
    after[after.find('/')?..].split('?').next()
}

/// The DNS exchanges, by `dns.time`.
pub fn dns(file: &Path) -> Result<Vec<Exchange>> {
    let fields = ["udp.dstport", "dns.time", "frame.time_epoch", "dns.qry.name"];
    exchanges(file, "dns.flags.response == 1", &fields, |asked| Some(asked.concat()))
}

/// The exchanges whose responses pass the filter; what was asked is read from the fields after the first three, which
/// are the client's port, the time since the request and the time of the response.
fn exchanges(
    file: &Path,
    filter: &str,
    fields: &[&str],
    what: impl Fn(&[String]) -> Option<String>,
) -> Result<Vec<Exchange>> {
    let exchange = |line: &[String]| {
        let ([port, time, epoch], asked) = line.split_first_chunk()?;
        let (time, end) = (nanoseconds(time)?, nanoseconds(epoch)?);
        Some(Exchange { client_port: port.parse().ok()?, start: end - time, end, what: what(asked)? })
    };
    let lines = tshark(file, filter, fields)?;
    lines.iter().map(|line| exchange(line).with_context(|| format!("tshark: {line:?}"))).collect()
}

/// Seconds with nine digits behind the point, as an integer.
#[must_use]
pub fn nanoseconds(seconds: &str) -> Option<u64> {
    let (whole, fraction) = seconds.split_once('.')?;
    let fraction: u64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(whole.parse::<u64>().ok()? * 1_000_000_000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::{nanoseconds, path};

    #[test]
    fn tshark_writes_seconds() {
        assert_eq!(nanoseconds("1700000000.123456789"), Some(1_700_000_000_123_456_789));
        assert_eq!(nanoseconds("0.043123"), Some(43_123_000));
        assert_eq!(nanoseconds(""), None);
    }

    #[test]
    fn tshark_writes_uris() {
        assert_eq!(path("http://backend/v1/items/7?token=x"), Some("/v1/items/7"));
        assert_eq!(path("http://169.254.169.254:80/latest/"), Some("/latest/"));
        assert_eq!(path("/v1/items/7"), None);
    }
}

//! `tracer capture --agent URL`: the packets come from a running agent. A thin client: one GET, one file.

use std::{
    env,
    io::{self, BufReader, Read as _, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};

use super::{
    http::{Body, Head},
    output::Target,
};
use crate::{cli::stop::Stop, export::pcapng::whole_blocks};

/// Where Debian and its like keep the certificates that the system trusts.
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Where the password is taken from: a command line can be read by everybody on the machine.
const PASSWORD: &str = "TRACER_AGENT_PASSWORD";
/// The port of `tracer agent`.
const PORT: u16 = 9464;
/// How often it is looked whether to stop.
const TURN: Duration = Duration::from_millis(200);
/// Longest block: a packet of 256 KiB with its comments, and room.
const BLOCK_LIMIT: usize = 1 << 20;

/// Which agent, and how to get in.
#[derive(Debug, clap::Args)]
pub(super) struct Remote {
    /// Capture through the running agent at http(s)://HOST:PORT, which was started with --allow-capture; for 60 s
    /// unless --duration says less, or more up to 110
    #[arg(long = "agent", value_name = "URL", value_parser = Url::parse, conflicts_with_all = [
        "cgroups", "config", "count", "file_count", "file_size", "hold_mib", "hold_seconds", "metadata", "payload",
        "ring_kib", "rotate_seconds", "snap_length",
    ])]
    pub(super) agent: Option<Url>,
    /// Certificates (PEM) that the agent's one is checked with [default: those that the system trusts]
    #[arg(long, value_name = "FILE", requires = "agent")]
    agent_ca: Option<PathBuf>,
    /// User, if the agent asks for one; the password is in the environment, as `TRACER_AGENT_PASSWORD`
    #[arg(long, value_name = "NAME", requires = "agent")]
    agent_user: Option<String>,
}

/// Where an agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    is_tls: bool,
    host: String,
    port: u16,
}

impl Url {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is not http://HOST:PORT or https://HOST:PORT");
        let (is_tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(wrong()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let after_address = rest.rfind(']').map_or(0, |at| at + 1);
        let colon = rest.get(after_address..).and_then(|rest| rest.rfind(':')).map(|at| at + after_address);
        let (host, port) = match colon.and_then(|at| rest.split_at_checked(at)) {
            Some((host, port)) => (host, port.trim_start_matches(':').parse().map_err(|_| wrong())?),
            None => (rest, PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return Err(wrong());
        }
        Ok(Self { is_tls, host: host.to_owned(), port })
    }
}

/// A connection that is read in turns.
trait Connection: io::Read + Write {}
impl<T: io::Read + Write> Connection for T {}

/// Captures what `query` asks for into `file`.
pub(super) fn run(remote: &Remote, url: &Url, query: &str, file: &Path) -> anyhow::Result<()> {
    let target = Target::open(file)?;
    let stop = Stop::after(None)?;
    let place = format!("the agent at {}:{}", url.host, url.port);
    let mut connection = connect(remote, url).with_context(|| format!("cannot reach {place}"))?;
    connection
        .write_all(request(remote, url, query).as_bytes())
        .with_context(|| format!("cannot ask {place}"))?;
    connection.flush().with_context(|| format!("cannot ask {place}"))?;
    let mut connection = BufReader::new(Patient { connection, stop: &stop });
    let head = Head::read(&mut connection).with_context(|| format!("{place} did not answer"))?;
    let mut body = Body::new(&head, connection);
    if head.status != 200 {
        let mut said = String::new();
        let _as_far_as_it_goes = body.by_ref().take(4096).read_to_string(&mut said);
        anyhow::bail!("{place} refused, with status {}: {}", head.status, said.trim());
    }
    let name = target.name().to_owned();
    let mut output = Blocks { output: target.empty()?, pending: Vec::new(), packets: 0 };
    eprintln!("tracer: ready: capturing through {place}");
    let result = copy(&mut body, &mut output);
    eprintln!("tracer: {} packets written to {name}", output.packets);
    match result {
        // Interrupted: what is there is whole.
        Err(_) if stop.is_now() => Ok(()),
        result => result.with_context(|| format!("the capture through {place} ended early")),
    }
}

fn copy(body: &mut impl io::Read, output: &mut Blocks) -> anyhow::Result<()> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = body.read(&mut bytes)?;
        if read == 0 {
            anyhow::ensure!(output.pending.is_empty(), "the last block is cut");
            return Ok(());
        }
        output.push(bytes.get(..read).unwrap_or_default())?;
    }
}

fn request(remote: &Remote, url: &Url, query: &str) -> String {
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
    let user = remote.agent_user.as_ref().map(|user| {
        let password = env::var(PASSWORD).unwrap_or_default();
        format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
    });
    format!(
        "GET /api/v1/capture?{query} HTTP/1.1\r\nHost: {host}:{}\r\nConnection: close\r\n{}\r\n",
        url.port,
        user.unwrap_or_default()
    )
}

fn connect(remote: &Remote, url: &Url) -> anyhow::Result<Box<dyn Connection>> {
    let stream = TcpStream::connect((url.host.as_str(), url.port))?;
    if !url.is_tls {
        stream.set_read_timeout(Some(TURN))?;
        return Ok(Box::new(stream));
    }
    let path = remote.agent_ca.as_deref().unwrap_or(Path::new(SYSTEM_CA));
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path)
        .with_context(|| format!("cannot read the certificates in {} (--agent-ca)", path.display()))?;
    roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    anyhow::ensure!(!roots.is_empty(), "there is no certificate in {} (--agent-ca)", path.display());
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(url.host.clone())?;
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, stream);
    stream.conn.complete_io(&mut stream.sock).context("TLS")?;
    stream.sock.set_read_timeout(Some(TURN))?;
    Ok(Box::new(stream))
}

/// Waits for bytes until it is told to stop.
struct Patient<'a> {
    connection: Box<dyn Connection>,
    stop: &'a Stop,
}

impl io::Read for Patient<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.read(bytes) {
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
                        && !self.stop.is_now() => {}
                result => return result,
            }
        }
    }
}

/// Writes whole blocks only, so that the file can be read wherever it ends.
struct Blocks {
    output: Box<dyn Write>,
    pending: Vec<u8>,
    packets: u64,
}

impl Blocks {
    fn push(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.pending.extend_from_slice(bytes);
        let whole = whole_blocks(&self.pending);
        let length = usize::try_from(whole.bytes)?;
        self.output
            .write_all(self.pending.get(..length).unwrap_or_default())
            .context("cannot write the capture")?;
        self.output.flush().context("cannot write the capture")?;
        self.pending.drain(..length);
        self.packets += whole.packets;
        anyhow::ensure!(self.pending.len() <= BLOCK_LIMIT, "what comes is no capture");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_of_agents() {
        let url = |is_tls, host: &str, port| Ok(Url { is_tls, host: host.to_owned(), port });
        assert_eq!(Url::parse("http://127.0.0.1:8000"), url(false, "127.0.0.1", 8000));
        assert_eq!(Url::parse("https://node-1.example/"), url(true, "node-1.example", 9464));
        assert_eq!(Url::parse("http://[fd00::1]:80"), url(false, "fd00::1", 80));
        assert_eq!(Url::parse("http://[::1]"), url(false, "::1", 9464));
        for text in ["127.0.0.1:80", "ftp://a", "http://", "http://a:b", "http://a\r\nb", "http://a/b"] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn torn_blocks_wait_for_their_rest() {
        let block = [6, 0, 0, 0, 16, 0, 0, 0, 1, 2, 3, 4, 16, 0, 0, 0];
        let mut blocks = Blocks { output: Box::new(io::sink()), pending: Vec::new(), packets: 0 };
        blocks.push(&block[..10]).unwrap();
        assert_eq!((blocks.packets, blocks.pending.len()), (0, 10));
        blocks.push(&[&block[10..], &block[..3]].concat()).unwrap();
        assert_eq!((blocks.packets, blocks.pending.len()), (1, 3));
        assert!(blocks.push(&vec![0xff; BLOCK_LIMIT]).is_err());
    }
}

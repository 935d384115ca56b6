//! What both kinds of backend share: caches, the bytes of its calls, its log.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Backend;
use crate::clock::{parse_rfc3339, unix_ns};
use crate::http::{Message, Received, Reply, Sent, request};
use crate::log::{CallLine, Kind, Log, RequestLine};
use crate::role::metadata::{CREDENTIALS, ROLE, TOKEN};

/// The backend's configuration, caches and log.
pub(super) struct State {
    pub(super) flags: Backend,
    /// Unix seconds at which the credentials end.
    expiration: Mutex<u64>,
    /// The last address of the name, and when it was resolved.
    address: Mutex<Option<(IpAddr, Instant)>>,
    log: Log,
}

impl State {
    pub(super) fn new(flags: Backend) -> Result<Self> {
        let log = Log::create(&flags.log)?;
        Ok(Self { flags, expiration: Mutex::new(0), address: Mutex::new(None), log })
    }

    /// The SDK's question before each use of the credentials.
    pub(super) fn must_refresh(&self) -> bool {
        *locked(&self.expiration) <= unix_ns() / 1_000_000_000 + self.flags.refresh
    }

    /// Keeps the expiration of credentials.
    pub(super) fn keep_credentials(&self, answer: &Message) -> Result<()> {
        let credentials: serde_json::Value = serde_json::from_slice(&answer.body).context("credentials")?;
        let expiration = credentials["Expiration"].as_str().and_then(parse_rfc3339);
        *locked(&self.expiration) = expiration.context("credentials without an expiration")?;
        Ok(())
    }

    /// The address of Elasticsearch, if it was resolved not too long ago.
    pub(super) fn known_address(&self) -> Option<SocketAddr> {
        let known = *locked(&self.address);
        let keep = Duration::from_millis(self.flags.dns_cache);
        let (address, _) = known.filter(|(_, since)| since.elapsed() < keep)?;
        Some(SocketAddr::new(address, self.flags.elastic_port))
    }

    /// The name that a request resolves.
    pub(super) fn name(&self, n: u64) -> String {
        let name = &self.flags.elastic;
        if self.flags.mark { format!("r{n}.{name}") } else { name.clone() }
    }

    /// Resolves a name by the C library's resolver, and keeps its address.
    pub(super) fn resolve(&self, name: &str) -> Result<SocketAddr> {
        let mut found =
            (name, self.flags.elastic_port).to_socket_addrs().with_context(|| format!("resolve {name}"))?;
        let address = found.next().with_context(|| format!("{name} has no address"))?;
        *locked(&self.address) = Some((address.ip(), Instant::now()));
        Ok(address)
    }

    /// The request for a token, if the metadata service is asked for one.
    pub(super) fn token_request(&self) -> Option<Ask> {
        let lifetime = "X-aws-ec2-metadata-token-ttl-seconds: 21600";
        self.flags.all_secrets.then(|| self.metadata_request("PUT", TOKEN, lifetime))
    }

    /// The two requests for credentials: the role's name, then its credentials.
    pub(super) fn credentials_requests(&self) -> [Ask; 2] {
        let token = format!("X-aws-ec2-metadata-token: {}-imds-token", self.flags.canary);
        [CREDENTIALS, &format!("{CREDENTIALS}{ROLE}")].map(|path| self.metadata_request("GET", path, &token))
    }

    fn metadata_request(&self, method: &str, path: &str, header: &str) -> Ask {
        let host = self.flags.metadata.ip().to_string();
        let bytes = request(method, path, &host, &[header, "Connection: close"]);
        Ask { kind: Kind::Metadata, what: format!("{method} {path}"), bytes }
    }

    /// The request to Elasticsearch.
    pub(super) fn search_request(&self, n: u64) -> Ask {
        let canary = &self.flags.canary;
        let header = format!("Authorization: AWS4-HMAC-SHA256 Credential={canary}-signature");
        let path = if self.flags.mark { format!("/items/{n}/_search") } else { "/items/_search".to_owned() };
        let target = format!("{path}?q=id:{n}&key={canary}-key");
        let bytes = request("GET", &target, &self.flags.elastic, &[&header]);
        Ask { kind: Kind::Upstream, what: format!("GET {path}"), bytes }
    }

    /// The backend's own work, which keeps a CPU busy.
    pub(super) fn work(&self) {
        let end = Instant::now() + Duration::from_micros(self.flags.work);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    }

    /// The answer for the outcome of a request.
    pub(super) fn reply(&self, n: u64, outcome: Result<()>) -> Reply {
        let canary = &self.flags.canary;
        let reply = match outcome {
            Ok(()) if self.flags.all_secrets => Reply {
                headers: vec![format!("Set-Cookie: session={canary}-set-cookie; HttpOnly")],
                ..Reply::ok(format!("{{\"item\":{n},\"owner\":\"{canary}-response-body\"}}"))
            },
            Ok(()) => Reply::ok(format!("{{\"item\":{n}}}")),
            Err(error) => Reply::error(502, format!("{error:#}")),
        };
        Reply { pause: Duration::from_millis(self.flags.pause), ..reply }
    }

    /// Writes the request's line.
    pub(super) fn write(&self, request: &Received, sent: Sent, served: Served) {
        let Served { n, tid, status, calls } = served;
        let (t0, t1, t2, t3) = (request.first, request.last, sent.before, sent.after);
        self.log.write(&RequestLine { n, t0, t1, t2, t3, tid, status, calls: calls.0 });
    }
}

/// The number in the path `/v1/items/<n>`.
pub(super) fn number(request: &Received) -> u64 {
    let (_, path) = request.message.method_and_path();
    path.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// What there is to say of a request once it is answered.
pub(super) struct Served {
    pub(super) n: u64,
    pub(super) tid: u32,
    pub(super) status: u16,
    pub(super) calls: Calls,
}

/// A request that the backend makes.
pub(super) struct Ask {
    pub(super) kind: Kind,
    /// Method and path.
    pub(super) what: String,
    pub(super) bytes: Vec<u8>,
}

/// The two sides of a connection of the backend.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) local_port: u16,
    pub(super) peer: SocketAddr,
}

/// The calls of one request so far.
#[derive(Default)]
pub(super) struct Calls(Vec<CallLine>);

impl Calls {
    pub(super) fn lookup(&mut self, name: String, (start, end): (u64, u64)) {
        let (kind, local_port, peer) = (Kind::Dns, 0, String::new());
        self.0.push(CallLine { kind, what: name, local_port, peer, start, end });
    }

    pub(super) fn connect(&mut self, ends: Ends, times: (u64, u64)) {
        self.push(Kind::Connect, String::new(), ends, times);
    }

    pub(super) fn exchange(&mut self, ask: &Ask, ends: Ends, times: (u64, u64)) {
        self.push(ask.kind, ask.what.clone(), ends, times);
    }

    fn push(&mut self, kind: Kind, what: String, ends: Ends, (start, end): (u64, u64)) {
        let Ends { local_port, peer } = ends;
        self.0.push(CallLine { kind, what, local_port, peer: peer.to_string(), start, end });
    }
}

/// The calling thread's id, as the kernel knows it.
pub(super) fn thread_id() -> u32 {
    let link = std::fs::read_link("/proc/thread-self").ok();
    link.and_then(|path| path.file_name()?.to_str()?.parse().ok()).unwrap_or(0)
}

/// A lock whose holder panicked still holds plain data.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

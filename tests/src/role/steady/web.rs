//! Clients of a web front: over kept connections and new ones, in bursts, and some that leave a connection idle.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;

use super::{Common, Counts, Pace};
use crate::http::{Attempt, Connection, request};

/// Threads that keep their connection.
const KEEPERS: u32 = 6;
/// Requests until a keeper renews its connection.
const RENEW: u64 = 500;
/// Requests of a burst, each on a connection of its own.
const BURST: usize = 30;
/// From one burst to the next, and from one try of an address at which nobody listens to the next.
const SELDOM: f64 = 1.0 / 20.0;
/// How long an idle connection is kept: a server that keeps them 40 s closes some of them.
const IDLE: (u64, u64) = (5, 50);
/// Tries of one request, and the pause between them: longer than a server takes to restart.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_millis(100);

/// Flags of the clients.
#[derive(Args)]
pub struct Web {
    /// The web front
    #[arg(long)]
    target: SocketAddr,
    /// A service that takes a third of a second for every answer
    #[arg(long)]
    slow: SocketAddr,
    /// A service whose health is asked for
    #[arg(long)]
    health: SocketAddr,
    /// An address at which nobody listens, of something optional that is not there
    #[arg(long)]
    absent: SocketAddr,
    #[command(flatten)]
    common: Common,
}

impl Web {
    /// Asks until it is killed.
    pub fn run(&self) -> Result<()> {
        let counts = Counts::written_to(&self.common.count)?;
        let (rate, counts) = (self.common.rate, &counts);
        let pace = |rate: f64, salt: u32| Pace::new(rate, self.common.seed ^ u64::from(salt) << 32);
        std::thread::scope(|scope| {
            for keeper in 0..KEEPERS {
                let pace = pace(rate * 0.85 / f64::from(KEEPERS), keeper);
                scope.spawn(move || keep(pace, counts, |random| (self.target, page(random))));
            }
            let (slow, health) = (pace(1.0, 10), pace(1.0, 11));
            scope.spawn(move || keep(slow, counts, |_| (self.slow, ("/report", 200))));
            scope.spawn(move || renew(health, counts, |_| (self.health, ("/healthz/1", 200))));
            let fresh = pace(rate * 0.1, 12);
            scope.spawn(move || renew(fresh, counts, |random| (self.target, page(random))));
            let (bursts, idle, absent) = (pace(SELDOM, 13), pace(SELDOM * 3.0, 14), pace(SELDOM, 15));
            scope.spawn(move || burst(bursts, counts, self.target));
            scope.spawn(move || leave_idle(idle, counts, self.target));
            scope.spawn(move || try_in_vain(absent, counts, self.absent));
        });
        Ok(())
    }
}

/// What to ask for, and how it is answered.
type Page = (&'static str, u16);

fn page(random: u64) -> Page {
    match random % 100 {
        0..12 => ("/v1/items/7", 200),
        12..18 => ("/missing", 404),
        18 => ("/broken", 500),
        19..24 => ("/large", 200),
        _ => ("/", 200),
    }
}

/// Asks over one connection, which is renewed now and then.
fn keep(mut pace: Pace, counts: &Counts, what: impl Fn(u64) -> (SocketAddr, Page)) {
    loop {
        let mut connection = None;
        for _ in 0..RENEW {
            let (server, asked) = what(pace.wait());
            counts.add("a request", &ask(&mut connection, server, asked, counts));
        }
    }
}

/// Asks over a new connection each time.
fn renew(mut pace: Pace, counts: &Counts, what: impl Fn(u64) -> (SocketAddr, Page)) {
    loop {
        let (server, asked) = what(pace.wait());
        counts.add("a request", &ask(&mut None, server, asked, counts));
    }
}

fn burst(mut pace: Pace, counts: &Counts, target: SocketAddr) {
    loop {
        pace.wait();
        std::thread::scope(|scope| {
            for _ in 0..BURST {
                scope.spawn(|| counts.add("a burst", &ask(&mut None, target, page(50), counts)));
            }
        });
    }
}

fn leave_idle(mut pace: Pace, counts: &Counts, target: SocketAddr) {
    let mut idle: Vec<(Instant, Option<Connection>)> = Vec::new();
    loop {
        let random = pace.wait();
        let mut connection = None;
        counts.add("a connection to leave idle", &ask(&mut connection, target, page(50), counts));
        let seconds = IDLE.0 + random % (IDLE.1 - IDLE.0);
        idle.push((Instant::now() + Duration::from_secs(seconds), connection));
        idle.retain(|(until, _)| *until > Instant::now());
    }
}

fn try_in_vain(mut pace: Pace, counts: &Counts, absent: SocketAddr) {
    loop {
        pace.wait();
        let connected = Attempt::start(absent, Duration::from_secs(1)).outcome;
        let refused = connected.err().map(drop).ok_or_else(|| anyhow!("somebody listens at {absent}"));
        counts.add("a connect to nobody", &refused);
    }
}

/// Asks until there is an answer, as clients do whose server restarts: what is asked for may be asked for twice.
fn ask(kept: &mut Option<Connection>, target: SocketAddr, page: Page, counts: &Counts) -> Result<()> {
    let mut outcome = ask_once(kept, target, page);
    for _ in 1..TRIES {
        if outcome.is_ok() {
            break;
        }
        // What was kept may just have been closed by the server: then there is no reason to wait.
        if kept.take().is_none() {
            std::thread::sleep(PAUSE);
        }
        counts.again();
        outcome = ask_once(kept, target, page);
    }
    outcome.with_context(|| format!("ask {target} for {}", page.0))
}

fn ask_once(kept: &mut Option<Connection>, target: SocketAddr, (path, due): Page) -> Result<()> {
    let connection = match kept {
        Some(open) => open,
        None => kept.insert(Connection::open(target)?),
    };
    connection.send(&request("GET", path, "web.example.com", &[]))?;
    let message = connection.receive()?.message;
    let status = message.status()?;
    ensure!(status == due, "{path} was answered with {status} instead of {due}");
    if message.closes() {
        *kept = None;
    }
    Ok(())
}

//! A paced load of plain HTTP requests: a given rate, not as many as possible.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use clap::Args;

use crate::http::{Connection, request};
use crate::log::LoadSummary;

/// How often a thread sends a batch.
const TICK: Duration = Duration::from_millis(1);

/// Flags of the load generator.
#[derive(Args)]
pub struct Load {
    /// The server
    #[arg(long)]
    target: SocketAddr,
    /// Requests per second
    #[arg(long, default_value_t = 20_000)]
    rate: u32,
    /// How long
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// How many connections, at most one request on each at a time
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// How many threads share them
    #[arg(long, default_value_t = 2)]
    threads: u32,
}

/// What one thread counted.
#[derive(Default)]
struct Counts {
    ok: u64,
    failed: u64,
}

impl Load {
    /// Makes the load and prints a summary; an error when a request failed.
    pub fn run(&self) -> Result<()> {
        ensure!(self.threads > 0 && self.connections >= self.threads, "fewer connections than threads");
        let started = Instant::now();
        let counts = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads).map(|_| scope.spawn(|| self.thread())).collect();
            let joined =
                threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?);
            joined.collect::<Result<Vec<_>>>()
        })?;
        let (ok, failed) = (counts.iter().map(|c| c.ok).sum(), counts.iter().map(|c| c.failed).sum());
        let summary = LoadSummary { ok, failed, seconds: started.elapsed().as_secs_f64() };
        println!("{}", serde_json::to_string(&summary)?);
        ensure!(failed == 0, "{failed} requests failed");
        Ok(())
    }

    fn thread(&self) -> Result<Counts> {
        let share = self.connections / self.threads;
        let mut connections =
            (0..share).map(|_| Connection::open(self.target)).collect::<Result<Vec<_>>>()?;
        let total = u64::from(self.rate / self.threads) * u64::from(self.seconds);
        let per_second = f64::from(self.rate / self.threads);
        let bytes = request("GET", "/", "nginx", &[]);
        let (started, mut counts, mut sent) = (Instant::now(), Counts::default(), 0_u64);
        while sent < total {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count of requests that are due"
            )]
            let due = ((started.elapsed().as_secs_f64() * per_second) as u64).min(total);
            let batch = due.saturating_sub(sent).min(connections.len() as u64);
            let used = usize::try_from(batch)?;
            self.batch(&mut connections[..used], &bytes, &mut counts)?;
            connections.rotate_left(used);
            sent += batch;
            if sent == due {
                std::thread::sleep(TICK);
            }
        }
        Ok(counts)
    }

    /// Sends one request on each connection, then reads all answers. A connection that fails is replaced.
    fn batch(&self, connections: &mut [Connection], bytes: &[u8], counts: &mut Counts) -> Result<()> {
        let sent: Vec<_> = connections.iter_mut().map(|connection| connection.send(bytes)).collect();
        for (connection, sent) in connections.iter_mut().zip(sent) {
            match sent.and_then(|()| connection.receive()?.message.status()) {
                Ok(200) => counts.ok += 1,
                outcome => {
                    counts.failed += 1;
                    eprintln!("tracer-lab: load: {outcome:?}");
                    *connection = Connection::open(self.target)?;
                }
            }
        }
        Ok(())
    }
}

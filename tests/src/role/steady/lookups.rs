//! Names looked up by the C library's resolver, as the pod's resolv.conf says.

use std::net::ToSocketAddrs;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::{Common, Counts, Pace};

/// One lookup in so many is of a name that does not exist.
const MISSING: u64 = 50;

/// Flags of the lookups.
#[derive(Args)]
pub struct Lookups {
    /// Names that exist
    #[arg(long, required = true)]
    name: Vec<String>,
    /// A name that does not
    #[arg(long)]
    missing: String,
    #[command(flatten)]
    common: Common,
}

impl Lookups {
    /// Looks names up until it is killed.
    pub fn run(&self) -> Result<()> {
        let counts = Counts::written_to(&self.common.count)?;
        let mut pace = Pace::new(self.common.rate, self.common.seed);
        loop {
            let random = pace.wait();
            let name =
                usize::try_from(random / MISSING).ok().and_then(|at| self.name.get(at % self.name.len()));
            let outcome = match name {
                Some(name) if !random.is_multiple_of(MISSING) => resolve(name),
                _ => not_there(&self.missing),
            };
            counts.add("a lookup", &outcome);
        }
    }
}

fn resolve(name: &str) -> Result<()> {
    let addresses = (name, 80).to_socket_addrs().with_context(|| format!("resolve {name}"))?;
    ensure!(addresses.count() > 0, "{name} has no address");
    Ok(())
}

fn not_there(name: &str) -> Result<()> {
    ensure!((name, 80).to_socket_addrs().is_err(), "{name} has an address");
    Ok(())
}

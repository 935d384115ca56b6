//! A long way: what is sent into a TUN device, which is standard input, comes out of it some time later.
//!
//! Not `tc … netem`, which many kernels are built without.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;

/// As long as a packet can be.
const LONGEST: usize = 1 << 16;

/// Flags of the long way.
#[derive(Args)]
pub struct LongWay {
    /// Milliseconds that each packet is on its way
    #[arg(long)]
    delay: u64,
}

/// A packet, and when it arrives.
type Travelling = (Instant, Vec<u8>);

impl LongWay {
    /// Carries packets for ever.
    pub fn run(&self) -> Result<()> {
        let device = || io::stdin().as_fd().try_clone_to_owned().map(File::from).context("the device");
        let (entrance, exit) = (device()?, device()?);
        let delay = Duration::from_millis(self.delay);
        let (depart, departed) = channel();
        let entered = std::thread::spawn(move || enter(entrance, delay, &depart));
        arrive(exit, &departed)?;
        entered.join().map_err(|_| anyhow!("the reading thread panicked"))?
    }
}

/// Takes packets from the device until nobody lets them arrive.
fn enter(mut entrance: File, delay: Duration, depart: &Sender<Travelling>) -> Result<()> {
    let mut packet = vec![0; LONGEST];
    loop {
        let length = entrance.read(&mut packet).context("read a packet")?;
        depart.send((Instant::now() + delay, packet[..length].to_vec()))?;
    }
}

/// Gives each packet back to the device when it is due.
fn arrive(mut exit: File, departed: &Receiver<Travelling>) -> Result<()> {
    for (due, packet) in departed {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        exit.write_all(&packet).context("write a packet")?;
    }
    Ok(())
}

//! Flags that several commands share.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::naming::Naming;
use crate::{
    engine::Folding,
    finding::Policy,
    proto::metadata,
    session::Session,
    source::live::{Options, privilege},
};

/// Form of the data on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

/// What to trace.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// cgroup v2 directory to trace, with everything below it; can be given several times
    /// [default: the kubepods directories below the cgroup2 mount]
    #[arg(long = "cgroup", value_name = "DIR", value_delimiter = ',', env = "TRACER_CGROUP")]
    cgroups: Vec<PathBuf>,
    /// Further address of a metadata service, besides those of AWS, GCP, Azure and Alibaba
    #[arg(
        long = "metadata-address",
        value_name = "IP",
        value_delimiter = ',',
        env = "TRACER_METADATA_ADDRESS"
    )]
    metadata: Vec<IpAddr>,
    /// Size of the kernel's ring buffer in KiB, a power of two
    #[arg(long, value_name = "KIB", default_value_t = 8192, value_parser = parse_ring, env = "TRACER_RING_KIB")]
    ring_kib: u32,
}

impl Target {
    /// What the source needs. `snap_length` is 0 unless packets are captured.
    pub(super) fn options(&self, snap_length: u32) -> anyhow::Result<Options> {
        let cgroups = if self.cgroups.is_empty() { default_cgroups()? } else { self.cgroups.clone() };
        Ok(self.options_for(cgroups, snap_length))
    }

    /// The cgroups that were given; none when those of all pods are meant.
    pub(super) fn given_cgroups(&self) -> &[PathBuf] {
        &self.cgroups
    }

    /// As [`Target::options`], for these cgroups.
    pub(super) fn options_for(&self, cgroups: Vec<PathBuf>, snap_length: u32) -> Options {
        Options {
            cgroups,
            ring_bytes: self.ring_kib * 1024,
            snap_length,
            captures: snap_length > 0,
            packet_ring_bytes: 16 << 20,
            metadata: metadata::ADDRESSES.iter().chain(&self.metadata).copied().collect(),
            folding: None,
        }
    }
}

/// Which requests come one by one.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Detail {
    /// Above so many requests per second of a pod that calls nobody, let the kernel add up the quick ones, which are told of
    /// by their sums only; 0 to tell of each
    #[arg(long, value_name = "REQUESTS", default_value_t = 1000, env = "TRACER_FOLD_ABOVE")]
    fold_above: u32,
}

impl Detail {
    /// What may be folded when who reads the requests wants to see all that take longer than `longest`.
    pub(super) fn folding(self, longest: Duration) -> Option<Folding> {
        let longest = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        (self.fold_above > 0 && longest > 0).then_some(Folding { above: self.fold_above, longest })
    }
}

/// Where kubelets put their pods, by driver (`--cgroup-driver`) and distribution.
const KUBEPODS: [&str; 4] =
    ["kubepods", "kubepods.slice", "kubelet/kubepods", "kubelet.slice/kubelet-kubepods.slice"];

fn default_cgroups() -> anyhow::Result<Vec<PathBuf>> {
    let mount = crate::source::live::cgroup::mount_point().ok_or_else(|| {
        anyhow::anyhow!(
            "cgroup2 is not mounted on this node, so there are no pods to trace; see `tracer doctor`"
        )
    })?;
    let found: Vec<PathBuf> =
        KUBEPODS.iter().map(|name| mount.join(name)).filter(|path| path.is_dir()).collect();
    anyhow::ensure!(
        !found.is_empty(),
        "no kubepods directory below {}: give the cgroup to trace with --cgroup DIR",
        mount.display()
    );
    Ok(found)
}

fn parse_ring(text: &str) -> Result<u32, String> {
    let kib: u32 = text.parse().map_err(|_| format!("{text} is not a number of KiB"))?;
    let allowed = (4..=1 << 20).contains(&kib) && kib.is_power_of_two();
    allowed.then_some(kib).ok_or_else(|| format!("{kib} KiB is not a power of two from 4 to 1048576"))
}

/// Starts tracing and says so on standard error; findings are judged by `policy`.
pub(super) fn start(options: &Options, policy: Policy, naming: &Naming) -> anyhow::Result<Session> {
    let session = begin(options, policy, naming)?;
    eprintln!("tracer: {}", ready(options, &session));
    Ok(session)
}

/// Starts tracing without a word.
pub(super) fn begin(options: &Options, policy: Policy, naming: &Naming) -> anyhow::Result<Session> {
    let mut session = Session::start(options, policy)?;
    privilege::give_up().context("cannot give up capabilities after attaching")?;
    // After that: what talks to others needs no capability.
    if let Some(feed) = naming.start()? {
        session.name_pods(feed);
    }
    Ok(session)
}

/// That tracing has begun, of what, and how well.
pub(super) fn ready(options: &Options, session: &Session) -> String {
    let cgroups: Vec<String> = options.cgroups.iter().map(|path| path.display().to_string()).collect();
    format!("ready: tracing {}; threads {}", cgroups.join(", "), session.source().thread_source())
}

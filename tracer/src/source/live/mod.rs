//! The kernel's hooks: loads the programs, attaches them, drains the rings, reads the counters.

pub mod cgroup;
mod folding;
mod load;
pub mod pod_cgroup;
pub mod privilege;
pub mod stats;
pub mod thread_source;

use std::{
    fs::File,
    io,
    net::IpAddr,
    os::fd::{AsRawFd as _, RawFd},
    path::PathBuf,
    time::Duration,
};

use aya::{
    Ebpf,
    maps::{Array, MapData, PerCpuArray, ProgramArray, RingBuf},
    programs::{CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, ProgramError, SockOps},
};
use tracer_ebpf::counter::Counter;

pub use self::thread_source::ThreadSource;
use crate::engine::{Folding, Order};

/// What to trace and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// cgroup directories; each covers its whole subtree.
    pub cgroups: Vec<PathBuf>,
    /// Bytes of the record ring, a power of two of at least a page.
    pub ring_bytes: u32,
    /// Most bytes of each packet that may be captured; 0 captures nothing, ever, and costs nothing.
    pub snap_length: u32,
    /// Whether packets are captured from the beginning; otherwise [`LiveSource::capture`] says when.
    pub captures: bool,
    /// Bytes of the packet ring, a power of two of at least a page.
    pub packet_ring_bytes: u32,
    /// Addresses of the metadata service.
    pub metadata: Vec<IpAddr>,
    /// Which requests the kernel may add up; `None` when each must be told of.
    pub folding: Option<Folding>,
}

/// Why tracing could not start or go on: what was attempted, on what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cgroup is not there or not one.
    #[error("cannot trace cgroup {path}: {reason}")]
    Cgroup {
        /// The path as given.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The kernel refuses BPF.
    #[error(
        "the kernel refuses to load BPF programs ({0}): run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON \
         (CAP_SYS_ADMIN before Linux 5.8)"
    )]
    Permission(String),
    /// The kernel cannot load the programs.
    #[error("cannot load the BPF programs: {0}; `tracer doctor` says what this kernel supports")]
    Load(String),
    /// The programs are loaded but cannot be attached.
    #[error("cannot attach {program} to cgroup {path}: {reason}")]
    Attach {
        /// Name of the program.
        program: &'static str,
        /// The cgroup.
        path: PathBuf,
        /// The kernel's answer, and what to do.
        reason: String,
    },
    /// A map of the object could not be used.
    #[error("cannot use the BPF map {0}: {1}")]
    Map(&'static str, String),
    /// Waiting for the ring failed.
    #[error("cannot wait for the ring buffer: {0}")]
    Wait(io::Error),
}

/// A running trace. Dropping it detaches everything; so does the end of the process, however it ends.
pub struct LiveSource {
    /// Holds the programs and their links.
    ebpf: Ebpf,
    records: RingBuf<MapData>,
    packets: Option<RingBuf<MapData>>,
    counters: PerCpuArray<MapData, u64>,
    /// Bytes of each packet that the programs send now.
    capturing: Array<MapData, u32>,
    pods: folding::Tables,
    /// Held, not read: without it the hooks jump nowhere.
    _walkers: ProgramArray<MapData>,
    thread_source: ThreadSource,
}

impl LiveSource {
    /// Loads and attaches.
    ///
    /// # Errors
    /// When a cgroup is none, the kernel refuses the programs, or they cannot be attached.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let cgroups = cgroup::open_all(&options.cgroups)?;
        let (mut ebpf, thread_source) = load::load(options)?;
        load::metadata_addresses(&mut ebpf, &options.metadata)?;
        let records = load::map(&mut ebpf, "RECORDS")?;
        let packets = if options.snap_length == 0 { None } else { Some(load::map(&mut ebpf, "PACKETS")?) };
        let counters = load::map(&mut ebpf, "COUNTERS")?;
        let mut capturing = load::map(&mut ebpf, "CAPTURING")?;
        if options.captures {
            set_snap_length(&mut capturing, options.snap_length)?;
        }
        let walkers = load::walkers(&mut ebpf)?;
        let pods = folding::Tables::of(&mut ebpf)?;
        for (path, cgroup) in &cgroups {
            attach(&mut ebpf, path, cgroup)?;
        }
        Ok(Self { ebpf, records, packets, counters, capturing, pods, _walkers: walkers, thread_source })
    }

    /// How threads are learned on this kernel.
    #[must_use]
    pub fn thread_source(&self) -> ThreadSource {
        self.thread_source
    }

    /// Waits until a ring fills past its wake-up level or the time is over.
    ///
    /// # Errors
    /// When `poll` fails; a signal is no failure.
    pub fn wait(&self, timeout: Duration) -> Result<(), Error> {
        let packets = self.packets.as_ref().map(std::os::fd::AsRawFd::as_raw_fd);
        poll(&[Some(self.records.as_raw_fd()), packets], timeout).map_err(Error::Wait)
    }

    /// Gives every record in the ring to `take`; at most `limit`, so that a flood cannot hold us up.
    pub fn drain_records(&mut self, limit: usize, mut take: impl FnMut(&[u8])) -> usize {
        drain(&mut self.records, limit, &mut take)
    }

    /// Gives every packet in the ring to `take`.
    pub fn drain_packets(&mut self, limit: usize, mut take: impl FnMut(&[u8])) -> usize {
        self.packets.as_mut().map_or(0, |ring| drain(ring, limit, &mut take))
    }

    /// Captures so many bytes of each packet from now on, at most as many as may be captured; 0 captures nothing.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn capture(&mut self, snap_length: u32) -> Result<(), Error> {
        set_snap_length(&mut self.capturing, snap_length)
    }

    /// Tells the programs something about a pod.
    ///
    /// # Errors
    /// When a map cannot be written.
    pub fn tell(&mut self, order: Order) -> Result<(), Error> {
        self.pods.tell(order)
    }

    /// The kernel side's counter, summed over CPUs.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn counter(&self, counter: Counter) -> Result<u64, Error> {
        let values = self.counters.get(&(counter as u32), 0);
        let values = values.map_err(|error| Error::Map("COUNTERS", error.to_string()))?;
        Ok(values.iter().sum())
    }

    /// The programs' own run time, where the kernel counts it.
    #[must_use]
    pub fn program_stats(&self) -> Vec<stats::ProgramStats> {
        stats::read(&self.ebpf)
    }

    /// Detaches the programs; what is in the rings can still be drained.
    pub fn detach(&mut self) {
        // Unloading drops the links; a program that is gone already is what we want.
        for name in ["tracer_ingress", "tracer_egress"] {
            let _ = load::program::<CgroupSkb>(&mut self.ebpf, name).map(CgroupSkb::unload);
        }
        let _ = load::program::<SockOps>(&mut self.ebpf, "tracer_sockops").map(SockOps::unload);
    }
}

fn set_snap_length(capturing: &mut Array<MapData, u32>, snap_length: u32) -> Result<(), Error> {
    capturing.set(0, &snap_length, 0).map_err(|error| Error::Map("CAPTURING", error.to_string()))
}

fn drain(ring: &mut RingBuf<MapData>, limit: usize, take: &mut dyn FnMut(&[u8])) -> usize {
    let mut taken = 0;
    while taken < limit {
        let Some(item) = ring.next() else { break };
        take(&item);
        taken += 1;
    }
    taken
}

fn attach(ebpf: &mut Ebpf, path: &std::path::Path, cgroup: &File) -> Result<(), Error> {
    for (name, kind) in
        [("tracer_ingress", CgroupSkbAttachType::Ingress), ("tracer_egress", CgroupSkbAttachType::Egress)]
    {
        let program: &mut CgroupSkb = load::program(ebpf, name)?;
        // Links always allow several programs; the kernel rejects the other modes for them.
        program
            .attach(cgroup, kind, CgroupAttachMode::Single)
            .map_err(|error| attach_error(name, path, &error))?;
    }
    let name = "tracer_sockops";
    let program: &mut SockOps = load::program(ebpf, name)?;
    program.attach(cgroup, CgroupAttachMode::Single).map_err(|error| attach_error(name, path, &error))?;
    Ok(())
}

fn attach_error(program: &'static str, path: &std::path::Path, error: &ProgramError) -> Error {
    let kernel = load::io_error(error);
    let hint = match kernel.and_then(io::Error::raw_os_error) {
        Some(libc::EPERM) => {
            "; a program of another tool sits there exclusively, or CAP_NET_ADMIN is missing (see `tracer doctor`)"
        }
        Some(libc::E2BIG) => "; 64 programs are attached there already",
        _ => "",
    };
    let reason = format!("{}{hint}", load::describe(error));
    Error::Attach { program, path: path.to_owned(), reason }
}

fn poll(descriptors: &[Option<RawFd>], timeout: Duration) -> io::Result<()> {
    let mut descriptors: Vec<libc::pollfd> = descriptors
        .iter()
        .flatten()
        .map(|fd| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 })
        .collect();
    let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let count = descriptors.len() as libc::nfds_t;
    // SAFETY: `descriptors` holds `count` entries for the whole call.
    let result = unsafe { libc::poll(descriptors.as_mut_ptr(), count, timeout) };
    if result >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}

/// `CLOCK_BOOTTIME`, nanoseconds: the hooks' clock.
#[must_use]
pub fn boot_time() -> u64 {
    clock(libc::CLOCK_BOOTTIME)
}

/// The offset of the wall clock, sampled now.
#[must_use]
pub fn wall_clock() -> crate::clock::WallClock {
    crate::clock::WallClock::new(boot_time(), clock(libc::CLOCK_REALTIME))
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for the call; the clocks exist on every kernel that we run on.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

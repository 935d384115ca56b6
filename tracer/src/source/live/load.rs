//! Loads the BPF object and gives out its programs and maps.

use std::{io, net::IpAddr};

use aya::{
    Ebpf, EbpfError, EbpfLoader, VerifierLogLevel,
    maps::{HashMap, Map, MapData, MapError, ProgramArray},
    programs::{CgroupSkb, Program, ProgramError, SockOps},
};

use super::{Error, Options, ThreadSource, thread_source};
use crate::flow::address_bytes;

/// The object that the build script made of `tracer-ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-bpf"));

/// The programs that the hooks jump to, by [`tracer_ebpf::segment::Direction`].
const WALKERS: [&str; 2] = ["tracer_walk_in", "tracer_walk_out"];

/// Loads maps and programs, with the best way to learn threads that the kernel takes.
pub(super) fn load(options: &Options) -> Result<(Ebpf, ThreadSource), Error> {
    lift_memory_lock();
    let mut failure = None;
    for source in thread_source::candidates() {
        match load_with(options, source) {
            Ok(ebpf) => return Ok((ebpf, source)),
            Err(error @ Error::Permission(_)) => return Err(error),
            // The last way asks least of the kernel: what it fails for is the cause.
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| Error::Load("no way to load was left".to_owned())))
}

fn load_with(options: &Options, source: ThreadSource) -> Result<Ebpf, Error> {
    let (mode, pid_offset, tgid_offset) = source.globals();
    let wake_at = u64::from(options.ring_bytes / 2);
    let may_fold = u32::from(options.folding.is_some());
    let mut loader = EbpfLoader::new();
    loader
        .verifier_log_level(VerifierLogLevel::DEBUG)
        .map_max_entries("RECORDS", options.ring_bytes)
        .override_global("WAKE_AT", &wake_at, true)
        .override_global("SNAP_LENGTH", &options.snap_length, true)
        .override_global("MAY_FOLD", &may_fold, true)
        .override_global("THREAD_SOURCE", &mode, true)
        .override_global("TASK_PID_OFFSET", &pid_offset, true)
        .override_global("TASK_TGID_OFFSET", &tgid_offset, true);
    if options.snap_length > 0 {
        loader.map_max_entries("PACKETS", options.packet_ring_bytes);
    }
    let mut ebpf = loader.load(OBJECT).map_err(|error| load_error(&error))?;
    for name in ["tracer_ingress", "tracer_egress", WALKERS[0], WALKERS[1]] {
        program::<CgroupSkb>(&mut ebpf, name)?.load().map_err(|error| program_error(name, &error))?;
    }
    let name = "tracer_sockops";
    program::<SockOps>(&mut ebpf, name)?.load().map_err(|error| program_error(name, &error))?;
    Ok(ebpf)
}

/// A program of the object by name and type.
pub(super) fn program<'a, T>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut T, Error>
where
    &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let program =
        ebpf.program_mut(name).ok_or_else(|| Error::Load(format!("the object has no program {name}")))?;
    program.try_into().map_err(|error| program_error(name, &error))
}

/// A map of the object.
pub(super) fn map<T>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, Error>
where
    T: TryFrom<Map, Error = MapError>,
{
    let map = ebpf.take_map(name).ok_or(Error::Map(name, "it is not in the object".to_owned()))?;
    T::try_from(map).map_err(|error| map_error(name, &error))
}

/// A map that cannot be used.
pub(super) fn map_error(name: &'static str, error: &MapError) -> Error {
    Error::Map(name, error.to_string())
}

/// Lets the hooks jump to the programs that walk over frames. The kernel empties the table when nobody holds it.
pub(super) fn walkers(ebpf: &mut Ebpf) -> Result<ProgramArray<MapData>, Error> {
    let name = "WALKERS";
    let mut walkers: ProgramArray<MapData> = map(ebpf, name)?;
    for (index, walker) in (0..).zip(WALKERS) {
        let program: &mut CgroupSkb = program(ebpf, walker)?;
        let program = program.fd().map_err(|error| program_error(walker, &error))?;
        walkers.set(index, program, 0).map_err(|error| map_error(name, &error))?;
    }
    Ok(walkers)
}

/// Tells the programs the addresses of the metadata service.
pub(super) fn metadata_addresses(ebpf: &mut Ebpf, addresses: &[IpAddr]) -> Result<(), Error> {
    let name = "METADATA";
    let fail = |error: MapError| map_error(name, &error);
    let map = ebpf.map_mut(name).ok_or(Error::Map(name, "it is not in the object".to_owned()))?;
    let mut map: HashMap<_, [u8; 16], u8> = HashMap::try_from(map).map_err(fail)?;
    for address in addresses {
        map.insert(&address_bytes(*address), &1, 0).map_err(fail)?;
    }
    Ok(())
}

fn load_error(error: &EbpfError) -> Error {
    sort(error, describe(error))
}

fn program_error(name: &str, error: &ProgramError) -> Error {
    sort(error, format!("{name}: {}", describe(error)))
}

fn sort(error: &(dyn std::error::Error + 'static), text: String) -> Error {
    let permission = io_error(error).is_some_and(|e| e.kind() == io::ErrorKind::PermissionDenied);
    // The verifier answers EACCES too, but then we are allowed to ask it.
    if permission && !may_use_bpf() { Error::Permission(text) } else { Error::Load(text) }
}

/// The kernel's error below a library's.
pub(super) fn io_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let mut error = Some(error);
    while let Some(current) = error {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            return Some(io);
        }
        error = current.source();
    }
    None
}

/// An error with its causes, in one line.
pub(super) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether the effective capabilities hold `CAP_BPF` (39) or `CAP_SYS_ADMIN` (21).
fn may_use_bpf() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0);
    effective & (1 << 39 | 1 << 21) != 0
}

/// Before Linux 5.11 maps count against `RLIMIT_MEMLOCK`; later the call changes nothing.
fn lift_memory_lock() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is valid for the call. A refusal shows as a load error that names the limit.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) };
}

#[cfg(test)]
#[path = "verifier_tests.rs"]
mod tests;

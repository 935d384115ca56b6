//! Gives up what is not needed once the programs are attached.

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};

/// Keeps `CAP_BPF` alone, which reading maps needs where `kernel.unprivileged_bpf_disabled` is set, of this
/// thread's capabilities and of those of the threads it will start.
///
/// # Errors
/// When the kernel refuses.
pub fn give_up() -> Result<(), CapsError> {
    let held = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet =
        held.into_iter().filter(|capability| *capability == Capability::CAP_BPF).collect();
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)
}

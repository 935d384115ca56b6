//! Gives up what is not needed once the programs are attached.

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};

/// Keeps, of this thread's capabilities and of those of the threads it will start, `CAP_BPF` alone: reading
/// maps needs it where `kernel.unprivileged_bpf_disabled` is set. Who has only `CAP_SYS_ADMIN`, which stands for
/// it, keeps that.
///
/// # Errors
/// When the kernel refuses.
pub fn give_up() -> Result<(), CapsError> {
    let held = caps::read(None, CapSet::Permitted)?;
    let needed = [Capability::CAP_BPF, Capability::CAP_SYS_ADMIN].into_iter().find(|c| held.contains(c));
    let kept: CapsHashSet = needed.into_iter().collect();
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)
}

//! Virtual machines: Debian kernels from the cache, the archives they boot from, QEMU, and what their consoles say.

pub(crate) mod console;
pub(crate) mod cpio;
pub(crate) mod kernel;
pub(crate) mod machine;
mod modules;

pub(crate) use console::{STEP, Step};
pub(crate) use kernel::{Image, Kernel};
pub(crate) use machine::{Accelerator, Ended, Machine};

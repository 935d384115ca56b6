//! Builds the BPF object that `source::live` embeds.

use anyhow::{Context as _, Result, ensure};

/// The toolchain of `rust-toolchain.toml`; bpf-linker is built against its LLVM.
const TOOLCHAIN: &str = "1.98.0";

fn main() -> Result<()> {
    let linker = std::process::Command::new("bpf-linker").arg("--version").output();
    ensure!(
        linker.is_ok_and(|output| output.status.success()),
        "bpf-linker is not on the PATH: `cargo xtask setup` builds it, and `cargo xtask` commands find it there"
    );
    // SAFETY: a build script is single-threaded here; nothing reads the environment meanwhile.
    // The inner cargo's progress would show as warnings of this crate.
    unsafe {
        std::env::set_var("RUSTC_BOOTSTRAP", "1");
        std::env::set_var("CARGO_TERM_QUIET", "true");
    }
    let package = aya_build::Package {
        name: "tracer-ebpf",
        root_dir: concat!(env!("CARGO_MANIFEST_DIR"), "/../tracer-ebpf"),
        ..Default::default()
    };
    aya_build::build_ebpf([package], aya_build::Toolchain::Custom(TOOLCHAIN))
        .context("building the BPF programs in tracer-ebpf/")
}

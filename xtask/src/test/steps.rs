//! How each step of `cargo xtask test` is done.

use anyhow::Result;

use super::count::{self, Counts};
use super::{Step, require_root};
use crate::manifests;
use crate::run::{self, say};
use crate::setup::{self, debian};
use crate::tidy;
use crate::workspace::Workspace;

/// Runs one step.
pub(super) fn run(workspace: &Workspace, step: Step, filter: Option<&str>) -> Result<Counts> {
    let nothing_counted = |()| Counts::default();
    match step {
        Step::Tidy => tidy::run(workspace).map(nothing_counted),
        Step::Fmt => {
            cargo(workspace, &["fmt", "--all", "--check"], "checking the format").map(nothing_counted)
        }
        Step::Clippy => clippy(workspace).map(nothing_counted),
        Step::ClippyBpf => clippy_bpf(workspace).map(nothing_counted),
        Step::Deny => deny(workspace).map(nothing_counted),
        Step::Manifests => manifests::run(workspace).map(nothing_counted),
        Step::Unit => unit(workspace, filter),
        Step::Build => build_release(workspace).map(nothing_counted),
        Step::Scenario => scenario(workspace, filter),
    }
}

/// Release builds of what the lab runs: tracer and the lab itself.
pub(crate) fn build_release(workspace: &Workspace) -> Result<()> {
    cargo(
        workspace,
        &["build", "--release", "-p", "tracer", "-p", "tracer-lab"],
        "building tracer and the lab",
    )
}

fn cargo(workspace: &Workspace, arguments: &[&str], what: &str) -> Result<()> {
    run::on_terminal(&mut workspace.cargo(arguments), what)
}

fn clippy(workspace: &Workspace) -> Result<()> {
    cargo(workspace, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], "linting")?;
    // The flag above leaves out what `cargo test` does.
    cargo(
        workspace,
        &["clippy", "-p", "tracer-lab", "--test", "apiserver", "--", "-D", "warnings"],
        "linting",
    )?;
    // The fuzz targets are a workspace of their own, which nothing else of the test command builds.
    setup::tools(workspace, &[debian::CXX])?;
    let manifest = "tests/fuzz/Cargo.toml";
    let mut command = workspace.cargo(&["clippy", "--bins", "--manifest-path", manifest]);
    command.args(["--", "-D", "warnings"]).env("CARGO_TARGET_DIR", workspace.target("fuzz"));
    run::on_terminal(&mut command, "linting the fuzz targets")
}

/// The programs themselves exist only on the BPF target, so the other clippy run never sees them.
/// The flags are those of `aya_build::build_ebpf`.
fn clippy_bpf(workspace: &Workspace) -> Result<()> {
    let target = "bpfel-unknown-none";
    let arguments =
        ["clippy", "-p", "tracer-ebpf", "--bin", "tracer-bpf", "--target", target, "-Zbuild-std=core"];
    let architecture = std::env::consts::ARCH;
    let flags = format!("--cfg=bpf_target_arch=\"{architecture}\"\x1f-Cdebuginfo=2\x1f-Clink-arg=--btf");
    let mut command = workspace.cargo(&arguments);
    command.args(["--", "-D", "warnings"]).env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", flags);
    run::on_terminal(&mut command, "linting the BPF programs")
}

fn deny(workspace: &Workspace) -> Result<()> {
    setup::cargo_deny(workspace)?;
    let check = |checks: &[&str]| {
        let mut command = workspace.cargo(&["deny", "--workspace", "--all-features", "check"]);
        run::on_terminal(command.args(checks), "checking the dependencies")
    };
    check(&["licenses", "bans", "sources"])?;
    let log = workspace.log("advisories")?;
    let mut fetch = workspace.cargo(&["deny", "fetch", "db"]);
    let limit = std::time::Duration::from_secs(120);
    match run::logged_within(&mut fetch, "fetching the advisories about crates", &log, limit) {
        Ok(()) => check(&["--disable-fetch", "advisories"]),
        Err(error) => {
            say(format_args!("the advisories were NOT checked, their database is out of reach: {error:#}"));
            Ok(())
        }
    }
}

fn unit(workspace: &Workspace, filter: Option<&str>) -> Result<Counts> {
    setup::tools(workspace, &[debian::WIRE])?;
    let arguments = ["test", "--workspace", "--exclude", "tracer-lab", "--no-fail-fast", "--"];
    count::run_tests(workspace.cargo(&arguments).args(filter), "unit tests")
}

/// One test at a time: they share the machine's cores, and measure time.
fn scenario(workspace: &Workspace, filter: Option<&str>) -> Result<Counts> {
    require_root()?;
    setup::tools(workspace, &[debian::LAB])?;
    let collector = setup::collector(workspace)?;
    let arguments = ["test", "-p", "tracer-lab", "--release", "--no-fail-fast", "--", "--test-threads=1"];
    let mut command = workspace.cargo(&arguments);
    command.args(filter).env("TRACER_BIN", workspace.target("release/tracer"));
    command.env("TRACER_COLLECTOR", collector);
    count::run_tests(&mut command, "scenario tests")
}

//! `cargo xtask image`: a container image with one static program, for both architectures, as an OCI layout.
//!
//! Nothing in it depends on the time or the machine: the same source in the same folder gives the same digest.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use oci_spec::image::Arch;

use crate::run::say;
use crate::setup::{self, debian};
use crate::workspace::Workspace;

mod bom;
pub(crate) mod build;
mod check;
mod layout;

use layout::{File, Layout, Program};

/// Where the first build is, below the target folder: with what else was built.
const FIRST: &str = "";
/// Where the second is.
const SECOND: &str = "image/again";
/// Nobody of the machine runs the program unless told otherwise: tracing needs root, reading captures does not.
const TRACER: Program<'_> = Program { path: "/usr/bin/tracer", argument: "--help", user: "65532:65532" };
/// The lab's program waits unless told otherwise: that makes it a sandbox's.
const LAB: Program<'_> = Program { path: "/usr/bin/tracer-lab", argument: "wait", user: "65532:65532" };

/// What to build.
#[derive(Args)]
pub(crate) struct Options {
    /// Architectures of the image
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ARCH,…", default_values_t = Architecture::ALL)]
    architectures: Vec<Architecture>,
    /// Build everything twice, from nothing, and compare the digests
    #[arg(long)]
    twice: bool,
}

/// An architecture that nodes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Architecture {
    /// Intel and AMD
    #[value(name = "x86_64")]
    X86,
    /// 64-bit ARM
    #[value(name = "aarch64")]
    Arm,
}

impl Architecture {
    const ALL: [Self; 2] = [Self::X86, Self::Arm];

    /// Its name in Rust.
    fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm => "aarch64",
        }
    }

    /// The target that links a static program.
    fn target(self) -> String {
        format!("{}-unknown-linux-musl", self.name())
    }

    /// Its name in images.
    fn oci(self) -> Arch {
        match self {
            Self::X86 => Arch::Amd64,
            Self::Arm => Arch::ARM64,
        }
    }
}

/// Builds the image and tries it.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    ensure!(
        std::env::consts::ARCH == "x86_64",
        "the image is built on x86-64: Debian's cross compiler is from there"
    );
    setup::build(workspace)?;
    setup::tools(workspace, &[debian::IMAGE])?;
    let folder = workspace.target("image/tracer");
    let (digest, programs) = make(workspace, &options.architectures, &folder, FIRST)?;
    if options.twice {
        let (again, _) =
            make(workspace, &options.architectures, &workspace.target("image/tracer-again"), SECOND)?;
        ensure!(digest == again, "two builds have different digests: {digest} and {again}");
        say("image: a second build from nothing has the same digest");
    }
    check::image(&folder, &options.architectures)?;
    for (architecture, program) in &programs {
        match architecture {
            Architecture::X86 => check::program(workspace, program)?,
            Architecture::Arm => check::emulated(*architecture, program)?,
        }
    }
    println!("{}\t{digest}", folder.display());
    Ok(())
}

/// Builds the programs below `build` of the target folder and writes the layout; the digest of its index, and the
/// programs.
fn make(
    workspace: &Workspace,
    architectures: &[Architecture],
    folder: &Path,
    build: &str,
) -> Result<(String, Vec<(Architecture, PathBuf)>)> {
    let mut layout = Layout::create(folder)?;
    let mut programs = Vec::new();
    for &architecture in architectures {
        let program = build::build(workspace, architecture, "tracer", build)?;
        let bom = bom::of(workspace, &architecture.target())?;
        let beside = workspace.target(&format!("image/tracer-{}.cdx.json", architecture.name()));
        std::fs::write(&beside, &bom).with_context(|| format!("writing {}", beside.display()))?;
        layout.add(architecture.oci(), &TRACER, &contents(workspace, &program, bom)?)?;
        programs.push((architecture, program));
    }
    Ok((layout.finish()?, programs))
}

/// The image for x86-64 as `cargo xtask image` makes it, in a folder of its own.
pub(crate) fn tracer(workspace: &Workspace, folder: &Path) -> Result<()> {
    make(workspace, &[Architecture::X86], folder, FIRST).map(drop)
}

/// An image of the lab's program; where the program is.
pub(crate) fn lab(workspace: &Workspace, folder: &Path) -> Result<PathBuf> {
    let program = build::build(workspace, Architecture::X86, "tracer-lab", FIRST)?;
    let mut layout = Layout::create(folder)?;
    let bytes = read(&program)?;
    let file = File { path: LAB.path.trim_start_matches('/').to_owned(), mode: 0o755, bytes };
    layout.add(Architecture::X86.oci(), &LAB, &[file])?;
    layout.finish()?;
    Ok(program)
}

/// The files of the image.
fn contents(workspace: &Workspace, program: &Path, bom: String) -> Result<Vec<File>> {
    let document =
        |name: &str, bytes| File { path: format!("usr/share/doc/tracer/{name}"), mode: 0o644, bytes };
    Ok(vec![
        File { path: "usr/bin/tracer".to_owned(), mode: 0o755, bytes: read(program)? },
        document("LICENSE-APACHE", read(&workspace.root.join("LICENSE-APACHE"))?),
        document("LICENSE-MIT", read(&workspace.root.join("LICENSE-MIT"))?),
        document("tracer.cdx.json", bom.into_bytes()),
    ])
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("reading {}", path.display()))
}

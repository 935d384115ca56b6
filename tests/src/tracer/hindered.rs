//! The tracer where something is missing that it needs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context, Result};

use super::program;
use crate::Lab;
use crate::pod::cgroup::mount_point;

/// What the tracer has to do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Nothing.
    Nothing,
    /// Root, and every capability.
    Root,
    /// A mounted cgroup2.
    Cgroup2,
}

impl Without {
    /// `tracer ARGUMENTS…`, for half a minute at most.
    pub fn command(self, lab: &Lab, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new("timeout");
        // In a terminal it must not lose that.
        command.args(["--foreground", "30"]);
        match self {
            Self::Nothing => command.arg(program()?),
            Self::Root => {
                // The build's folders are not open to all.
                let copy = lab.dir().join("tracer");
                fs::copy(program()?, &copy).context("copy the tracer to where anybody may run it")?;
                fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
                command.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(copy)
            }
            Self::Cgroup2 => {
                let hide = r#"umount -l "$0" && exec "$@""#;
                command.args(["unshare", "--mount", "sh", "-c", hide]).arg(mount_point()?).arg(program()?)
            }
        };
        command.args(arguments).env("TRACER_CRI_SOCKET", "none");
        Ok(command)
    }
}

//! Flags win over the environment, the environment over the configuration file, and the file over the defaults: what the
//! file says becomes the defaults of the flags.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, FromArgMatches as _, builder::Resettable, error::ContextKind};

use super::Args;
use crate::config::agent::{Given, Settings};

/// What no file can say: which file, and what to do with it.
const FLAGS_ONLY: [&str; 3] = ["config", "check_config", "help"];

/// The arguments, with what the file gives for those that neither a flag nor the environment sets.
///
/// # Errors
/// When the file has an unknown key or a bad value: the key, and what is allowed.
pub(super) fn with_file(file: &Settings, line: impl IntoIterator<Item = OsString>) -> anyhow::Result<Args> {
    let mut command = command();
    for (key, given) in &file.0 {
        let known = command.get_arguments().find(|arg| name(arg).as_ref() == Some(key));
        let Some(arg) = known else {
            let known: Vec<String> = command.get_arguments().filter_map(name).collect();
            anyhow::bail!("unknown key agent.{key}; known are {}", known.join(", "));
        };
        check(arg, given).map_err(|why| anyhow::anyhow!("agent.{key}: {why}"))?;
        let id = arg.get_id().clone();
        command = command.mut_arg(id, |arg| arg.default_values(given.values().to_vec()));
    }
    let matches = command.try_get_matches_from(line).unwrap_or_else(|error| error.exit());
    Args::from_arg_matches(&matches).map_err(anyhow::Error::from)
}

/// The agent's flags as a command of their own.
pub(super) fn command() -> Command {
    <Args as clap::Args>::augment_args(Command::new("agent"))
}

/// The key of a flag in files.
pub(super) fn name(arg: &Arg) -> Option<String> {
    let name = arg.get_long()?.replace('-', "_");
    (!FLAGS_ONLY.contains(&name.as_str())).then_some(name)
}

/// Whether a flag can have the values: one at a time, so that an error is about one.
fn check(arg: &Arg, given: &Given) -> Result<(), String> {
    let is_list = matches!(arg.get_action(), ArgAction::Append);
    if matches!(given, Given::List(_)) && !is_list {
        return Err("a list, where one value is expected".to_owned());
    }
    let alone = arg.clone().env(Resettable::Reset).last(false);
    for value in given.values() {
        let line = ["agent".to_owned(), format!("--{}={value}", arg.get_long().unwrap_or_default())];
        let parsed = Command::new("agent").arg(alone.clone()).try_get_matches_from(line);
        parsed.map_err(|error| reason(value, &error))?;
    }
    Ok(())
}

/// What is wrong with a value, and what is allowed, without the words about command lines.
fn reason(value: &str, error: &clap::Error) -> String {
    use std::error::Error as _;
    let allowed = error.get(ContextKind::ValidValue).map(|values| format!("allowed are {values}"));
    let why = allowed.or_else(|| error.source().map(ToString::to_string));
    format!("{value:?} cannot be used: {}", why.unwrap_or_else(|| error.kind().to_string()))
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;

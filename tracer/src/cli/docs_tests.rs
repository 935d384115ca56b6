//! The page about flags, and the flags in the Kubernetes manifests, are those of the commands.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use clap::{Arg, Command, CommandFactory as _};

use super::Cli;
use crate::{
    config::Config,
    generated::{cell, check, file, read},
};

#[test]
fn the_page_about_flags_is_generated() {
    let mut command = Cli::command();
    command.build();
    let mut page = String::new();
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        describe(command, "tracer", &mut page);
    }
    check("docs/flags.md", page.trim_start());
}

fn describe(command: &Command, parent: &str, page: &mut String) {
    let name = format!("{parent} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(
        page,
        "\n## {name}\n\n{about}.\n\n| flag | default | environment | meaning |\n| --- | --- | --- | --- |\n"
    );
    let shown = |arg: &&Arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str());
    for arg in command.get_arguments().filter(shown) {
        let _ = writeln!(page, "{}", row(arg));
    }
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        describe(command, &name, page);
    }
}

fn row(arg: &Arg) -> String {
    let values = arg.get_num_args().is_some_and(|count| count.takes_values());
    let names = arg.get_value_names().filter(|_| values).unwrap_or_default();
    let value = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let flags: Vec<String> = short.into_iter().chain(long).collect();
    let flag = format!("{} {value}", flags.join(", "));
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    let environment = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let possible: Vec<String> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    let possible =
        if values && !possible.is_empty() { format!(" ({})", possible.join(", ")) } else { String::new() };
    let defaults = if values { defaults.join(", ") } else { String::new() };
    format!(
        "| `{}` | {} | {environment} | {}{possible} |",
        flag.trim().replace('|', "\\|"),
        cell(&defaults),
        cell(&help)
    )
}

#[test]
fn the_manifests_use_flags_that_the_agent_knows() {
    let mut command = Cli::command();
    command.build();
    let agent = command.find_subcommand("agent").expect("the agent");
    let known: BTreeSet<String> =
        agent.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect();
    let variables: BTreeSet<String> =
        agent.get_arguments().filter_map(|arg| Some(arg.get_env()?.to_string_lossy().into_owned())).collect();
    let mut used = 0;
    for (path, text) in manifests(&file("manifests")) {
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            for flag in words(line, "--", |c| c.is_ascii_lowercase() || c == '-') {
                assert!(known.contains(flag), "{path}: `tracer agent` has no flag {flag}");
                used += 1;
            }
            for name in words(line, "TRACER_", |c| c.is_ascii_uppercase() || c == '_') {
                assert!(variables.contains(name), "{path}: `tracer agent` reads no variable {name}");
            }
        }
    }
    assert!(used > 5, "{used} flags found");
}

#[test]
fn the_configuration_of_the_manifests_can_be_used() {
    Config::parse(read("manifests/base/config.json").as_bytes()).expect("the configuration of the base");
    Config::parse(read("docs/configuration.example.json").as_bytes()).expect("the example");
}

/// Words of a line that begin with `start` and go on with at least one character as `rest` wants them.
fn words<'a>(line: &'a str, start: &str, rest: fn(char) -> bool) -> Vec<&'a str> {
    let found = line.match_indices(start).filter_map(|(at, _)| {
        let word = &line[at..];
        let end = word[start.len()..].find(|c| !rest(c)).map_or(word.len(), |end| end + start.len());
        let begins = line[..at].chars().next_back().is_none_or(|c| !c.is_ascii_alphanumeric() && c != '-');
        let goes_on = word[start.len()..].starts_with(|c: char| c.is_ascii_alphabetic());
        (begins && goes_on).then(|| &word[..end])
    });
    found.collect()
}

/// Every YAML file below a folder, with its path.
fn manifests(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the manifests") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(manifests(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).expect("a manifest");
            found.push((path.display().to_string(), text));
        }
    }
    found
}

#[test]
fn flags_are_found_in_lines() {
    let flags = |line| words(line, "--", |c: char| c.is_ascii_lowercase() || c == '-');
    assert_eq!(flags("- --cgroup=/a/b--c # --no"), ["--cgroup", "--no"]);
    assert_eq!(flags("--- and {{- a }} -- b"), [""; 0]);
}

//! Rules about each file by itself.

use super::{Breach, Source};

/// Longest source file, in lines: past it, a file has more than one reason to change.
const LONGEST: usize = 400;
/// Marks of unfinished work; split so that this file keeps its own rule.
const UNFINISHED: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Breaches of one file.
pub(super) fn check(file: &Source, private_paths: &[String]) -> Vec<Breach> {
    let breach = |line, rule| Breach { file: file.path.clone(), line, rule };
    let mut breaches = Vec::new();
    let length = file.text.lines().count();
    if has_extension(&file.path, "rs") && length > LONGEST {
        breaches.push(breach(None, format!("has {length} lines; split it below {LONGEST}")));
    }
    if file.path == "CHANGELOG.md" && !file.text.contains("## [Unreleased]") {
        breaches.push(breach(None, "has no `## [Unreleased]` section".to_owned()));
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        let rules = UNFINISHED.iter().filter(|mark| line.contains(**mark));
        breaches.extend(
            rules.map(|mark| breach(Some(number), format!("{mark}: do it, or say in words why not"))),
        );
        let paths = private_paths.iter().filter(|path| names_path(line, path));
        breaches
            .extend(paths.map(|path| breach(Some(number), format!("names {path}, a path of this machine"))));
    }
    breaches
}

/// Whether a line names the path itself, not a longer path that happens to contain it.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + path.len()..].chars().next();
        before.is_none_or(|c| !is_path_character(c))
            && after.is_none_or(|c| c == '/' || !is_path_character(c))
    })
}

fn is_path_character(c: char) -> bool {
    c.is_alphanumeric() || "/._-$}".contains(c)
}

fn has_extension(path: &str, extension: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|found| found == extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(path: &str, text: &str) -> Vec<String> {
        let file = Source { path: path.to_owned(), text: text.to_owned() };
        check(&file, &["/home/me".to_owned()]).into_iter().map(|breach| breach.rule).collect()
    }

    #[test]
    fn a_long_file_is_a_breach() {
        assert_eq!(check_text("a.rs", &"\n".repeat(LONGEST)), Vec::<String>::new());
        assert_eq!(check_text("a.rs", &"\n".repeat(LONGEST + 1)).len(), 1);
        assert_eq!(check_text("a.md", &"\n".repeat(LONGEST + 1)).len(), 0);
    }

    #[test]
    fn unfinished_work_is_a_breach() {
        assert_eq!(check_text("a.rs", &format!("// {}: later", UNFINISHED[0])).len(), 1);
    }

    #[test]
    fn paths_of_the_machine_are_a_breach() {
        assert_eq!(check_text("a.md", "see /home/me/notes and `/home/me`").len(), 1);
        assert_eq!(check_text("a.md", "see /home/mercury and pods/home/me").len(), 0);
    }

    #[test]
    fn a_changelog_has_a_place_for_the_next_change() {
        assert_eq!(check_text("CHANGELOG.md", "# Changelog\n").len(), 1);
    }
}

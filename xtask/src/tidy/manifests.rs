//! Rules about the crates: all share the workspace's lints, and every dependency has its reason.

use super::{Breach, Source};

const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Breaches of the manifests against each other and against the table of dependencies.
pub(super) fn check(files: &[Source]) -> Vec<Breach> {
    let architecture = files.iter().find(|file| file.path == ARCHITECTURE).map_or("", |file| &file.text);
    let manifests = files.iter().filter(|file| file.path.ends_with("Cargo.toml"));
    manifests.flat_map(|manifest| check_one(manifest, architecture)).collect()
}

fn check_one(manifest: &Source, architecture: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let is_member = manifest.path.matches('/').count() == 1;
    if is_member && !entries(&manifest.text, is_lints).any(|(_, entry)| entry == "workspace = true") {
        let rule = "does not inherit the lints: add `[lints]` with `workspace = true`".to_owned();
        breaches.push(Breach { file: manifest.path.clone(), line: None, rule });
    }
    for (line, entry) in entries(&manifest.text, is_dependencies) {
        let name = entry.split(['=', '.', ' ']).next().unwrap_or_default();
        // The workspace's own table names what its members share.
        let is_listed_elsewhere = entry.contains("path = ") || entry.contains("workspace = true");
        if !is_listed_elsewhere && !architecture.contains(&format!("`{name}`")) {
            let rule = format!("`{name}` is not named in {ARCHITECTURE}: say there why it is used");
            breaches.push(Breach { file: manifest.path.clone(), line: Some(line), rule });
        }
    }
    breaches
}

/// The lines of the sections that `wanted` accepts, with their numbers.
fn entries(manifest: &str, wanted: fn(&str) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let mut section = "";
    (1..).zip(manifest.lines().map(str::trim)).filter(move |(_, line)| {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
            return false;
        }
        wanted(section) && !line.is_empty() && !line.starts_with('#')
    })
}

fn is_dependencies(section: &str) -> bool {
    section.ends_with("dependencies")
}

fn is_lints(section: &str) -> bool {
    section == "lints"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(manifest: &str, architecture: &str) -> usize {
        let file = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
        check(&[file(ARCHITECTURE, architecture), file("a/Cargo.toml", manifest)]).len()
    }

    #[test]
    fn a_dependency_needs_its_reason() {
        let manifest = "[dependencies]\naya = \"1\"\nlibc.workspace = true\nours = { path = \"../ours\" }\n[lints]\nworkspace = true\n";
        assert_eq!(rules(manifest, "| `aya` | loads |"), 0);
        assert_eq!(rules(manifest, ""), 1);
    }

    #[test]
    fn lints_are_inherited() {
        assert_eq!(rules("[package]\nname = \"a\"\n", ""), 1);
    }
}

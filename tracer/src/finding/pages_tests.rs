//! Each finding has a page for who reads it at night, and it says everything.

use std::{collections::BTreeSet, fs, path::Path};

use super::{COMMON, KINDS, Kind};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn identifiers_are_sorted_and_different() {
    assert!(KINDS.is_sorted_by(|a, b| a.id < b.id), "{KINDS:?}");
}

#[test]
fn each_finding_has_a_page_with_its_sections() {
    for kind in &KINDS {
        let page = page(&Kind::page(kind.id));
        assert!(page.starts_with(&format!("# {}\n", kind.id)), "{}: the title", kind.id);
        for section in
            ["## How it is recognised", "## Evidence", "## What to do", "## What looks similar and is not"]
        {
            assert!(page.contains(&format!("\n{section}\n")), "{}: no section {section}", kind.id);
        }
    }
}

#[test]
fn a_page_names_each_threshold_with_its_default_and_range() {
    for kind in &KINDS {
        let page = page(&Kind::page(kind.id));
        for threshold in kind.thresholds {
            let row = format!("| `{}` | {} | {} |", threshold.name, threshold.default, threshold.allowed());
            assert!(page.contains(&row), "{}: no line that begins with {row}", kind.id);
        }
    }
}

#[test]
fn a_page_names_each_field_of_its_evidence() {
    for kind in &KINDS {
        let page = page(&Kind::page(kind.id));
        for name in kind.evidence {
            assert!(page.contains(&format!("\n| `{name}` |")), "{}: no evidence {name}", kind.id);
        }
    }
}

#[test]
fn the_page_about_the_configuration_has_what_all_have_in_common() {
    let page = page("docs/configuration.md");
    for threshold in COMMON {
        let row = format!("| `{}` | {} | {} |", threshold.name, threshold.default, threshold.allowed());
        assert!(page.contains(&row), "no line that begins with {row}");
    }
}

#[test]
fn no_page_is_without_its_finding() {
    let pages = fs::read_dir(root().join("docs/findings")).expect("the pages");
    let pages: BTreeSet<String> =
        pages.map(|entry| entry.expect("a page").file_name().to_string_lossy().into_owned()).collect();
    let kinds: BTreeSet<String> = KINDS.iter().map(|kind| format!("{}.md", kind.id)).collect();
    assert_eq!(pages, kinds);
}

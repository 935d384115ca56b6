//! The page about metrics says what the exporter registers.

use std::{collections::BTreeMap, fmt::Write as _};

use super::tests;
use crate::generated::{cell, check, read};

/// What a family says of itself.
#[derive(Default)]
struct Family {
    help: String,
    kind: String,
    labels: Vec<String>,
}

#[test]
fn the_page_about_metrics_is_generated() {
    let families = families(&tests::metrics().render().expect("the exposition"));
    let mut page = "| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for (name, family) in &families {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ =
            writeln!(page, "| `{name}` | {} | {} | {} |", family.kind, labels.join(", "), cell(&family.help));
    }
    check("docs/metrics.md", &page);
}

/// The fixture of the tests may lack a family that is registered.
#[test]
fn the_page_about_metrics_has_every_name_in_the_sources() {
    let page = read("docs/metrics.md");
    let folder = crate::generated::file("tracer/src/export/prometheus");
    for entry in std::fs::read_dir(folder).expect("the sources") {
        let path = entry.expect("a source").path();
        if path.to_string_lossy().ends_with("tests.rs") {
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("a source");
        for name in source.split('"').filter(|text| text.starts_with("tracer_")) {
            assert!(
                page.contains(&format!("`{name}`")),
                "{}: {name} is not in docs/metrics.md",
                path.display()
            );
        }
    }
}

fn families(exposition: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in exposition.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name.to_owned()).or_default().help = help.replace("\\\"", "\"");
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let Some((name, labels)) = line.split_once('{') {
            let base =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let name = if families.contains_key(name) { name } else { base };
            families.entry(name.to_owned()).or_default().labels = names(labels);
        }
    }
    families
}

/// `namespace="shop",le="0.1"} 1` → `namespace`.
fn names(labels: &str) -> Vec<String> {
    let pairs = labels.split("\",").filter_map(|pair| pair.split_once("=\""));
    pairs.map(|(name, _)| name.to_owned()).filter(|name| name != "le").collect()
}

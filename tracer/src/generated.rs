//! Parts of the documents that the code writes, so that they cannot say anything else.

use std::{fs, path::PathBuf};

/// Rewrites the parts instead of comparing them.
const WRITE: &str = "TRACER_WRITE_DOCS";

/// A file of the repository.
pub(crate) fn file(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", path].iter().collect()
}

/// A file's text.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Everything of `path` after the line `<!-- generated -->` must be `expected`.
pub(crate) fn check(path: &str, expected: &str) {
    const MARK: &str = "<!-- generated -->\n";
    let text = read(path);
    let at = text.find(MARK).unwrap_or_else(|| panic!("{path} has no line {MARK}")) + MARK.len();
    let whole = format!("{}\n{expected}", &text[..at]);
    if std::env::var_os(WRITE).is_some() {
        fs::write(file(path), whole).unwrap_or_else(|error| panic!("{path}: {error}"));
        return;
    }
    assert!(
        text == whole,
        "{path} does not say what the code does: `{WRITE}=1 cargo test -p tracer --lib is_generated` writes it anew"
    );
}

/// A cell of a Markdown table.
pub(crate) fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('<', "&lt;")
}

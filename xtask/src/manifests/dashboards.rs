//! The Grafana dashboards: what every panel must have, and whether Prometheus can read its expressions.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Manifests;
use super::rules::{check_expressions, items};

/// The dashboards' files, from `manifests` on.
const FOLDER: &str = "components/dashboards";
/// What Grafana puts in place of its variables, as far as the grammar is concerned.
const VARIABLES: [(&str, &str); 4] =
    [("$__rate_interval", "1m"), ("$__range", "1h"), ("$namespace", ".*"), ("$pod", ".*")];

/// Checks every dashboard; the count of expressions.
pub(super) fn check(manifests: &Manifests<'_>) -> Result<usize> {
    let mut expressions = Vec::new();
    for path in manifests.list(FOLDER)?.into_iter().filter(|path| is_dashboard(path)) {
        let file = manifests.folder.join(&path);
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let dashboard: Value = serde_json::from_str(&text).with_context(|| format!("reading {path}"))?;
        expressions.extend(check_one(&dashboard).with_context(|| format!("manifests/{path}"))?);
    }
    ensure!(!expressions.is_empty(), "no dashboard has an expression");
    check_expressions(manifests, &expressions)?;
    Ok(expressions.len())
}

/// A dashboard's expressions, without Grafana's variables.
fn check_one(dashboard: &Value) -> Result<Vec<String>> {
    for field in ["title", "description", "uid"] {
        ensure!(is_text(&dashboard[field]), "it has no {field}");
    }
    let variables = &dashboard["templating"]["list"];
    ensure!(
        items(variables).any(|variable| variable["type"] == "datasource"),
        "no variable chooses the data source"
    );
    let mut expressions = Vec::new();
    for panel in items(&dashboard["panels"]).filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap_or_default();
        ensure!(
            is_text(&panel["title"]) && is_text(&panel["description"]),
            "{title:?} lacks title or description"
        );
        ensure!(is_text(&panel["fieldConfig"]["defaults"]["unit"]), "{title:?} has no unit");
        ensure!(
            panel["datasource"]["uid"] == "${datasource}",
            "{title:?} does not use the variable for its data source"
        );
        let before = expressions.len();
        for target in items(&panel["targets"]) {
            let expression = target["expr"].as_str().unwrap_or_default();
            expressions.push(plain(expression).with_context(|| format!("{title:?}"))?);
        }
        ensure!(expressions.len() > before, "{title:?} asks nothing");
    }
    Ok(expressions)
}

/// An expression as Prometheus gets it.
fn plain(expression: &str) -> Result<String> {
    ensure!(
        !expression.contains("rate(")
            || expression.contains("$__rate_interval")
            || expression.contains("$__range"),
        "a rate over a fixed time: {expression}"
    );
    let plain = VARIABLES.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value));
    ensure!(!plain.contains('$'), "an unknown variable: {expression}");
    Ok(plain)
}

fn is_dashboard(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "json")
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn variables_are_put_in_place() {
        let found = plain("rate(a{pod=~\"$pod\"}[$__rate_interval])").unwrap();
        assert_eq!(found, "rate(a{pod=~\".*\"}[1m])");
    }

    #[test]
    fn a_fixed_interval_and_an_unknown_variable_are_refused() {
        assert!(plain("rate(a[5m])").is_err());
        assert!(plain("a{b=\"$node\"}").is_err());
    }
}

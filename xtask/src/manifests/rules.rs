//! The alert rules, which promtool checks and tests, and their runbooks.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Manifests;
use crate::run;
use crate::workspace::create_folder;

/// The object with the rules, from `manifests` on.
const RULES: &str = "components/prometheusrule/prometheusrule.yaml";
/// What each alert must say.
const ANNOTATIONS: [&str; 3] = ["summary", "description", "runbook_url"];
/// Values of the label `severity`.
const SEVERITIES: [&str; 3] = ["info", "warning", "critical"];

/// Checks rules, tests and runbooks; the count of alerts. Leaves the rules as a file for a Prometheus without the
/// operator in `target/manifests/rules.yaml`.
pub(super) fn check(manifests: &Manifests<'_>) -> Result<usize> {
    let file = manifests.folder.join(RULES);
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let objects = manifests.objects(&text)?;
    let spec = objects.first().map_or(&Value::Null, |object| &object["spec"]);
    let folder = manifests.workspace.target("manifests");
    create_folder(&folder)?;
    // JSON is YAML.
    fs::write(folder.join("rules.yaml"), format!("{spec:#}\n")).context("writing the rules for promtool")?;
    let tests = manifests.folder.join("tests/rules_test.yaml");
    fs::copy(&tests, folder.join("rules_test.yaml"))
        .with_context(|| format!("copying {}", tests.display()))?;
    for arguments in [
        &["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"][..],
        &["test", "rules", "rules_test.yaml"],
    ] {
        run::output(Command::new("promtool").current_dir(&folder).args(arguments), "the alert rules")?;
    }
    let tested = tested_alerts(manifests, &fs::read_to_string(&tests)?)?;
    let alerts: Vec<Value> = groups(spec).flat_map(|group| items(&group["rules"]).cloned()).collect();
    alerts.iter().try_for_each(|alert| check_alert(manifests, alert, &tested))?;
    let names: BTreeSet<String> = alerts.iter().map(|alert| format!("{}.md", name(alert))).collect();
    let pages: BTreeSet<String> = runbooks(manifests)?;
    ensure!(names == pages, "docs/runbooks has {pages:?}, the alerts are {names:?}");
    Ok(alerts.len())
}

fn check_alert(manifests: &Manifests<'_>, alert: &Value, tested: &BTreeSet<String>) -> Result<()> {
    let name = name(alert);
    ensure!(is_camel_case(name), "{name:?} is not in CamelCase");
    ensure!(tested.contains(name), "no test of manifests/tests/rules_test.yaml expects {name}");
    let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
    ensure!(SEVERITIES.contains(&severity), "{name} has the severity {severity:?}");
    for annotation in ANNOTATIONS {
        let text = alert["annotations"][annotation].as_str().unwrap_or_default();
        ensure!(!text.is_empty(), "{name} has no {annotation}");
    }
    let url = alert["annotations"]["runbook_url"].as_str().unwrap_or_default();
    ensure!(url.ends_with(&format!("/docs/runbooks/{name}.md")), "{name} has the runbook {url}");
    let page = manifests.workspace.root.join("docs/runbooks").join(format!("{name}.md"));
    let page = fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?;
    for section in [&format!("# {name}\n"), "\n## What it means\n", "\n## What to do\n"] {
        ensure!(page.contains(section), "the runbook of {name} has no {:?}", section.trim());
    }
    Ok(())
}

/// The alerts that tests expect to fire.
fn tested_alerts(manifests: &Manifests<'_>, text: &str) -> Result<BTreeSet<String>> {
    let tests = manifests.yaml(text)?;
    let expectations = items(&tests["tests"]).flat_map(|test| items(&test["alert_rule_test"]));
    let firing = expectations.filter(|expectation| !is_empty(&expectation["exp_alerts"]));
    Ok(firing.filter_map(|expectation| expectation["alertname"].as_str().map(str::to_owned)).collect())
}

fn runbooks(manifests: &Manifests<'_>) -> Result<BTreeSet<String>> {
    let folder = manifests.workspace.root.join("docs/runbooks");
    let entries = fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    names.collect::<std::io::Result<_>>().with_context(|| format!("listing {}", folder.display()))
}

/// Lets promtool parse expressions, as recording rules of a file.
pub(super) fn check_expressions(manifests: &Manifests<'_>, expressions: &[String]) -> Result<()> {
    let folder = manifests.workspace.target("manifests");
    let rules: Vec<Value> = (0..)
        .zip(expressions)
        .map(|(number, expression): (usize, _)| json!({ "record": format!("dashboard:{number}"), "expr": expression }))
        .collect();
    let file = json!({ "groups": [{ "name": "dashboards", "rules": rules }] });
    fs::write(folder.join("dashboards.yaml"), format!("{file:#}\n"))
        .context("writing expressions for promtool")?;
    let mut promtool = Command::new("promtool");
    promtool.current_dir(&folder).args(["check", "rules", "dashboards.yaml"]);
    run::output(&mut promtool, "the expressions of the dashboards").map(drop)
}

fn groups(spec: &Value) -> impl Iterator<Item = &Value> {
    items(&spec["groups"])
}

pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn is_empty(list: &Value) -> bool {
    items(list).next().is_none()
}

fn name(alert: &Value) -> &str {
    alert["alert"].as_str().unwrap_or_default()
}

fn is_camel_case(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::is_camel_case;

    #[test]
    fn alerts_are_named_in_camel_case() {
        assert!(is_camel_case("TracerAgentDown"));
        assert!(!is_camel_case("tracerAgentDown") && !is_camel_case("Tracer_Agent") && !is_camel_case(""));
    }
}

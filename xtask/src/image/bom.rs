//! The bill of materials: the crates in the program, as `CycloneDX`.
//!
//! From `cargo metadata`, because cargo-cyclonedx writes beside every manifest of the workspace, with a time and a
//! random number in it; the image must be the same each time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::run;
use crate::workspace::Workspace;

/// Whose dependencies are listed.
const ROOT: &str = "tracer";

/// The bill of the program for a target.
pub(super) fn of(workspace: &Workspace, target: &str) -> Result<String> {
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", target];
    let metadata = run::output(&mut workspace.cargo(&arguments), "asking cargo for the dependencies")?;
    let metadata = serde_json::from_str(&metadata).context("reading cargo's metadata")?;
    Ok(format!("{:#}\n", bill(&metadata)))
}

fn bill(metadata: &Value) -> Value {
    let packages: BTreeMap<&str, &Value> =
        items(&metadata["packages"]).map(|package| (text(&package["id"]), package)).collect();
    let needs: BTreeMap<&str, Vec<&str>> = items(&metadata["resolve"]["nodes"])
        .map(|node| (text(&node["id"]), linked(node).collect()))
        .collect();
    let root =
        packages.iter().find(|(_, package)| package["name"] == ROOT).map(|(id, _)| *id).unwrap_or_default();
    let reached = reached(root, &needs);
    let url = |id: &str| packages.get(id).map(|package| package_url(package)).unwrap_or_default();
    let component = |id: &&str| packages.get(id).map(|package| component(package));
    let edges = reached.iter().map(|id| {
        let needed: BTreeSet<String> = needs.get(id).into_iter().flatten().map(|id| url(id)).collect();
        json!({ "ref": url(id), "dependsOn": needed })
    });
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": packages.get(root).map(|package| component_of(package, "application")) },
        "components": reached.iter().filter(|id| **id != root).filter_map(component).collect::<Vec<_>>(),
        "dependencies": edges.collect::<Vec<_>>(),
    })
}

/// What a package links: neither what builds nor what tests it.
fn linked(node: &Value) -> impl Iterator<Item = &str> {
    let normal = |need: &&Value| items(&need["dep_kinds"]).any(|kind| kind["kind"].is_null());
    items(&node["deps"]).filter(normal).map(|need| text(&need["pkg"]))
}

fn reached<'a>(root: &'a str, needs: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let (mut reached, mut next) = (BTreeSet::from([root]), VecDeque::from([root]));
    while let Some(id) = next.pop_front() {
        for &need in needs.get(id).into_iter().flatten() {
            if reached.insert(need) {
                next.push_back(need);
            }
        }
    }
    reached
}

fn component(package: &Value) -> Value {
    component_of(package, "library")
}

fn component_of(package: &Value, kind: &str) -> Value {
    let url = package_url(package);
    let mut component = json!({
        "type": kind,
        "bom-ref": url,
        "name": package["name"],
        "version": package["version"],
        "purl": url,
    });
    // Old crates write a slash for "or".
    if let Some(license) = package["license"].as_str() {
        component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
    }
    component
}

fn package_url(package: &Value) -> String {
    format!("pkg:cargo/{}@{}", text(&package["name"]), text(&package["version"]))
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_listed_and_what_builds_is_not() {
        let package =
            |name: &str| json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0" });
        let need = |name: &str, kind: Value| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [package("tracer"), package("linked"), package("deep"), package("builds")],
            "resolve": { "nodes": [
                { "id": "tracer", "deps": [need("linked", Value::Null), need("builds", json!("build"))] },
                { "id": "linked", "deps": [need("deep", Value::Null)] },
            ] },
        });
        let bill = bill(&metadata);
        let names: Vec<&str> = items(&bill["components"]).map(|component| text(&component["name"])).collect();
        assert_eq!(names, ["deep", "linked"]);
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill["metadata"]["component"]["purl"], "pkg:cargo/tracer@1.0.0");
    }
}

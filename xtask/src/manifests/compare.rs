//! Whether the Helm chart and a kustomization make the same objects.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::Value;

/// Labels and annotations that only one of both writes, by convention: Helm's, and its way of restarting pods when
/// the configuration changes, for which kustomize puts a hash into the name.
const CONVENTIONS: [&str; 5] = [
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
    "checksum/config",
];
/// Made by `helm install --create-namespace`: a chart cannot hold the namespace that Helm keeps its records in.
const NOT_OF_CHARTS: &str = "Namespace";
/// Characters of the hash that kustomize appends to the names of generated objects.
const HASH: usize = 10;

/// Fails with every difference.
pub(super) fn same(kustomized: &[Value], chart: &[Value]) -> Result<()> {
    let (kustomized, chart) = (by_name(kustomized), by_name(chart));
    let mut differences = Vec::new();
    for name in kustomized.keys().chain(chart.keys().filter(|name| !kustomized.contains_key(*name))) {
        match (kustomized.get(name), chart.get(name)) {
            (Some(one), Some(other)) => differ(name, one, other, &mut differences),
            (one, _) => {
                differences.push(format!(
                    "{name} is only in the {}",
                    if one.is_some() { "kustomization" } else { "chart" }
                ));
            }
        }
    }
    if !differences.is_empty() {
        bail!("they differ (kustomization, chart):\n  {}", differences.join("\n  "));
    }
    Ok(())
}

fn by_name(objects: &[Value]) -> BTreeMap<String, Value> {
    let of_charts = objects.iter().filter(|object| object["kind"] != NOT_OF_CHARTS);
    let named = of_charts.map(|object| {
        let object = plain(object);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"])), object)
    });
    named.collect()
}

/// Without what only one of both writes; lists of named things (volumes, mounts, variables) by name.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| !CONVENTIONS.contains(&name.as_str()));
            Value::Object(kept.map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(plain).collect();
            if items.iter().all(|item| item["name"].is_string()) {
                items.sort_by_key(|item| item["name"].to_string());
            }
            Value::Array(items)
        }
        Value::String(text) => Value::String(without_hash(text).to_owned()),
        other => other.clone(),
    }
}

/// `tracer-config-5b42k6tbgk` → `tracer-config`.
fn without_hash(name: &str) -> &str {
    let is_hash = |hash: &str| {
        hash.len() == HASH && hash.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    match name.rsplit_once('-') {
        Some((before, hash)) if before.starts_with("tracer-") && is_hash(hash) => before,
        _ => name,
    }
}

fn differ(path: &str, one: &Value, other: &Value, differences: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            for name in one.keys().chain(other.keys().filter(|name| !one.contains_key(*name))) {
                let null = Value::Null;
                let (one, other) = (one.get(name).unwrap_or(&null), other.get(name).unwrap_or(&null));
                differ(&format!("{path}.{name}"), one, other, differences);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                differ(&format!("{path}[{index}]"), one, other, differences);
            }
        }
        _ if one == other => {}
        _ => differences.push(format!("{path}: {one}, {other}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(name: &str, labels: &Value, data: &str) -> Value {
        json!({ "kind": "ConfigMap", "metadata": { "name": name, "labels": labels }, "data": { "a": data } })
    }

    #[test]
    fn conventions_do_not_count_as_differences() {
        let kustomized =
            [config("tracer-config-5b42k6tbgk", &json!({ "app": "x" }), "1"), json!({ "kind": "Namespace" })];
        let chart = [config("tracer-config", &json!({ "app": "x", "helm.sh/chart": "tracer-1" }), "1")];
        same(&kustomized, &chart).unwrap();
    }

    #[test]
    fn a_different_value_is_named_with_its_place() {
        let error = same(&[config("a", &json!({}), "1")], &[config("a", &json!({}), "2")]).unwrap_err();
        assert!(error.to_string().contains("ConfigMap a.data.a: \"1\", \"2\""), "{error}");
    }

    #[test]
    fn an_object_of_one_only_is_named() {
        let error = same(&[config("a", &json!({}), "1")], &[config("b", &json!({}), "1")]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("ConfigMap a is only in the kustomization"), "{text}");
        assert!(text.contains("ConfigMap b is only in the chart"), "{text}");
    }

    #[test]
    fn names_order_lists_and_their_absence_keeps_the_order() {
        let (one, other) =
            (json!([{ "name": "b" }, { "name": "a" }]), json!([{ "name": "a" }, { "name": "b" }]));
        assert_eq!(plain(&one), plain(&other));
        assert_ne!(plain(&json!(["a", "b"])), plain(&json!(["b", "a"])));
    }
}

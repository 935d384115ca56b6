use std::{fs, path::Path};

use super::*;
use crate::finding::KINDS;

fn error(text: &str) -> String {
    Config::parse(text.as_bytes()).expect_err(text).to_string()
}

/// The settings of a finding in a configuration.
fn settings(config: &Config, id: &str) -> String {
    let of_kind = KINDS.iter().zip(config.findings.kinds()).find(|(kind, _)| kind.id == id);
    format!("{:?}", of_kind.expect("a finding").1)
}

#[test]
fn what_is_not_said_is_as_by_default() {
    let empty = Config::parse(b"{}").unwrap();
    assert_eq!(empty, Config::default());
    let one = Config::parse(br#"{"findings": {"dns-search": {"wasted_queries_per_lookup": 5}}}"#).unwrap();
    assert_ne!(settings(&one, "dns-search"), settings(&empty, "dns-search"));
    assert_eq!(settings(&one, "dns-timeout"), settings(&empty, "dns-timeout"));
}

#[test]
fn the_example_is_a_configuration_and_the_page_shows_it() {
    let docs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"));
    let example = fs::read_to_string(docs.join("configuration.example.json")).unwrap();
    let config = Config::parse(example.as_bytes()).unwrap();
    assert_ne!(config, Config::default(), "it changes something");
    assert!(!config.findings.kinds().all(|settings| settings.enabled), "it switches something off");
    assert!(fs::read_to_string(docs.join("configuration.md")).unwrap().contains(&example));
}

#[test]
fn an_unknown_finding_lists_the_known() {
    let known: Vec<&str> = KINDS.iter().map(|kind| kind.id).collect();
    assert_eq!(
        error("{\n  \"findings\": {\"dns\": {}}\n}"),
        format!("line 2, column 20: unknown finding \"dns\"; known are {}", known.join(", "))
    );
}

#[test]
fn an_unknown_setting_lists_the_known() {
    assert_eq!(
        error(r#"{"findings": {"dns-search": {"wasted": 3}}}"#),
        "line 1, column 37: unknown setting of dns-search \"wasted\"; known are enabled, hold_seconds, close_at, \
         lookups, wasted_queries_per_lookup"
    );
}

#[test]
fn a_value_out_of_range_names_the_range() {
    let set = |value: &str| error(&format!(r#"{{"findings": {{"dns-search": {{"lookups": {value}}}}}}}"#));
    let allowed = "expected `lookups` to be a whole number from 1 to 1000000";
    assert_eq!(set("0"), format!("line 1, column 41: invalid value: integer `0`, {allowed}"));
    assert_eq!(set("-1"), format!("line 1, column 42: invalid value: integer `-1`, {allowed}"));
    assert_eq!(set("2.5"), format!("line 1, column 43: invalid value: floating point `2.5`, {allowed}"));
    assert_eq!(set("\"2\""), format!("line 1, column 43: invalid type: string \"2\", {allowed}"));
}

#[test]
fn what_is_said_twice_or_elsewhere_is_an_error() {
    assert!(error(r#"{"findings": {"dns-search": {}, "dns-search": {}}}"#).ends_with("is given twice"));
    assert!(
        error(r#"{"findings": {"dns-search": {"enabled": true, "enabled": true}}}"#).ends_with("given twice")
    );
    assert!(error(r#"{"finding": {}}"#).contains("unknown field `finding`, expected `findings` or `agent`"));
}

#[test]
fn settings_of_the_agent_are_texts_for_its_flags() {
    use agent::Given::{List, One};
    let given = |text: &str| Config::parse(text.as_bytes()).map(|config| config.agent.0);
    assert_eq!(
        given(
            r#"{"agent": {"listen": "[::]:9464", "own_pod": true, "ring_kib": 64, "cgroup": ["/a", "/b"]}}"#
        ),
        Ok(vec![
            ("listen".into(), One("[::]:9464".into())),
            ("own_pod".into(), One("true".into())),
            ("ring_kib".into(), One("64".into())),
            ("cgroup".into(), List(vec!["/a".into(), "/b".into()])),
        ])
    );
    assert!(error(r#"{"agent": {"listen": "a", "listen": "b"}}"#).ends_with("\"listen\" is given twice"));
    let allowed = "expected a text, a number, true, false or a list of those";
    assert!(error(r#"{"agent": {"listen": {}}}"#).ends_with(allowed));
    assert!(error(r#"{"agent": {"listen": null}}"#).ends_with(allowed));
    assert!(error(r#"{"agent": {"cgroup": [["/a"]]}}"#).contains("a list in a list"));
}

#[test]
fn what_is_no_json_says_where() {
    assert_eq!(error("{\n\"findings\": }"), "line 2, column 13: expected value");
    assert!(error("").starts_with("line 1, column 0: EOF"));
    assert!(error("{} {}").contains("trailing characters"));
}

#[test]
fn its_size_is_bounded() {
    let mut long = b"{}".to_vec();
    long.resize(SIZE_LIMIT, b' ');
    assert_eq!(Config::parse(&long), Ok(Config::default()));
    long.push(b' ');
    assert_eq!(Config::parse(&long), Err(Error::TooLong));
}

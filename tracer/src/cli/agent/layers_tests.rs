use super::*;
use crate::config::Config;

fn with(file: &str, flags: &[&str]) -> anyhow::Result<Args> {
    let file = format!(r#"{{"agent": {file}}}"#);
    let config = Config::parse(file.as_bytes())?;
    with_file(&config.agent, std::iter::once("agent").chain(flags.iter().copied()).map(OsString::from))
}

fn error(file: &str) -> String {
    format!("{:#}", with(file, &[]).expect_err(file))
}

#[test]
fn the_file_stands_in_for_flags_that_are_not_given() {
    let args = with(r#"{"listen": "[::1]:9000", "own_pod": true}"#, &[]).unwrap();
    assert_eq!((args.listen.to_string().as_str(), args.own_pod), ("[::1]:9000", true));
    assert_eq!(with("{}", &[]).unwrap().listen.to_string(), "127.0.0.1:9464");
}

#[test]
fn flags_win_over_the_file() {
    let file = r#"{"listen": "[::1]:9000", "own_pod": true, "cgroup": ["/a", "/b"]}"#;
    let args = with(file, &["--listen", "0.0.0.0:1", "--own-pod=false", "--cgroup", "/c"]).unwrap();
    assert_eq!((args.listen.to_string().as_str(), args.own_pod), ("0.0.0.0:1", false));
    assert_eq!(args.target.given_cgroups(), [std::path::PathBuf::from("/c")]);
    assert_eq!(with(file, &[]).unwrap().target.given_cgroups().len(), 2);
}

#[test]
fn an_unknown_key_lists_the_known() {
    let said = error(r#"{"listn": "x"}"#);
    assert!(said.starts_with("unknown key agent.listn; known are cgroup, "), "{said}");
    assert!(said.contains("listen") && !said.contains("check_config"), "{said}");
    assert!(error(r#"{"config": "x"}"#).contains("unknown key"));
}

#[test]
fn a_bad_value_says_what_is_allowed() {
    assert_eq!(
        error(r#"{"log_format": "xml"}"#),
        "agent.log_format: \"xml\" cannot be used: allowed are text, json"
    );
    assert_eq!(
        error(r#"{"ring_kib": 5}"#),
        "agent.ring_kib: \"5\" cannot be used: 5 KiB is not a power of two from 4 to 1048576"
    );
    assert_eq!(error(r#"{"own_pod": 3}"#), "agent.own_pod: \"3\" cannot be used: allowed are true, false");
    assert!(error(r#"{"listen": "here"}"#).contains("invalid socket address"));
    assert!(error(r#"{"listen": ["[::]:1", "[::]:2"]}"#).contains("a list, where one value"));
}

#[test]
fn every_flag_has_its_variable() {
    for arg in command().get_arguments() {
        let Some(name) = name(arg) else { continue };
        let variable = format!("TRACER_{}", name.to_uppercase());
        assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(variable.as_str()), "{name}");
    }
}

#[test]
fn the_page_has_a_row_per_flag() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/agent.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `--")).collect();
    let command = command();
    let expected: Vec<String> = command
        .get_arguments()
        .filter_map(|arg| {
            let key = name(arg)?;
            let variable = format!("TRACER_{}", key.to_uppercase());
            Some(format!("| `--{}` | `{variable}` | `{key}` | ", arg.get_long()?))
        })
        .collect();
    for row in &expected {
        assert!(rows.iter().any(|line| line.starts_with(row)), "no row {row}");
    }
    assert_eq!(rows.len(), expected.len(), "rows of flags that there are not: {rows:#?}");
}

use super::*;

#[test]
fn milliseconds_have_two_rounded_decimals() {
    assert_eq!(milliseconds(105_234_999), "105.23");
    assert_eq!(milliseconds(105_235_000), "105.24");
    assert_eq!(milliseconds(4_999), "0.00");
    assert_eq!(milliseconds(u64::MAX), "18446744073709.55");
}

#[test]
fn rounded_parts_add_up() {
    assert_eq!(apportion([1, 1, 1, 0, 0, 0, 0], 100), [34, 33, 33, 0, 0, 0, 0]);
    assert_eq!(apportion([0; 7], 100), [0; 7]);
    assert_eq!(apportion([u64::MAX / 7; 7], 1_000).iter().sum::<u64>(), 1_000);
    assert_eq!(apportion([0, 0, 0, 0, 0, 9, 0], 0), [0; 7]);
}

#[test]
fn text_is_cut_in_the_middle() {
    assert_eq!(elide("GET /latest/meta-data/role", 13), "GET /l…a/role");
    assert_eq!(elide("short", 13), "short");
    assert_eq!(elide("ab", 1), "…");
}

#[test]
fn lines_break_at_spaces() {
    assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    assert_eq!(wrap("a-word-that-is-too-long b", 5), ["a-word-that-is-too-long", "b"]);
    assert!(wrap("  ", 5).is_empty());
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    assert_eq!(printable("a\u{1b}[31mb"), "a\u{fffd}[31mb");
}

#[test]
fn evidence_reads_as_people_write_it() {
    for (given, expected) in [
        (Value::Count(400), "400"),
        (Value::Seconds(900.0), "900 s"),
        (Value::Seconds(1.25), "1.25 s"),
        (Value::Seconds(0.043_05), "43.05 ms"),
        (Value::Share(0.8183), "81.8 %"),
        (Value::Number(2.0), "2"),
        (Value::List(vec!["a".into(), "b".into()]), "a, b"),
    ] {
        assert_eq!(value(&given), expected);
    }
}

#[test]
fn a_lookup_says_what_it_cost() {
    let lookup = Lookup { name: "a.example".into(), queries: 1, ..Lookup::default() };
    assert_eq!(dns(&lookup), "a.example 1 query");
    let cut = Lookup { queries: 4, over_tcp: 2, truncated: 1, rcodes: vec![0, 3, 0], timeouts: 1, ..lookup };
    assert_eq!(dns(&cut), "a.example 4 queries, 2 over TCP, 1 NXDOMAIN, 1 truncated, 1 timeout");
}

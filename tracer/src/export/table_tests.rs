use super::*;
use crate::export::fixture;

#[test]
fn shows_pods_findings_and_losses() {
    let expected = "\
pod shop/backend-0: 2 requests, mean 105.23 ms

  stage      mean ms    share
  receive       0.01    0.0 %
  dns           0.05    0.1 %
  connect       0.00    0.0 %
  metadata     86.11   81.8 %  █████████████████████████████████████████
  upstream     18.20   17.3 %  █████████
  self          0.83    0.8 %
  send          0.03    0.0 %
  total       105.23  100.0 %

  calls       dns 2 (mean 0.15 ms), metadata 4 (mean 43.06 ms), upstream 2 (mean 18.20 ms)
  attributed  thread 4, exclusive 2, shared 2, none 0

  finding metadata-credentials (critical) of pod shop/backend-0
    since     1970-01-01T00:00:01.000000Z
    because   Every request asks the metadata service for credentials: they live 900 s, and SDKs
              that refresh at 900 s or less never cache them.
    evidence  calls per request: 2
              lifetime: 900 s
              share: 81.8 %
    remedy    Let the credentials live longer than the SDK's refresh threshold.
    more      docs/findings/metadata-credentials.md

events: 40 emitted = 40 consumed + 0 dropped
";
    assert_eq!(breakdown(&fixture::summary(), WallClock::UNIX), expected);
}

#[test]
fn says_how_many_requests_are_known_by_their_sums_only() {
    let mut summary = fixture::summary();
    summary.pods[0].totals.add_folded(&fixture::folded());
    let table = breakdown(&summary, WallClock::UNIX);
    assert!(table.starts_with("pod shop/backend-0: 4 requests, mean 53.52 ms\n"), "{table}");
    let expected =
        "shared 2, none 0\n  folded      2 requests that were quick while the pod called nobody\n\n";
    assert!(table.contains(expected), "{table}");
}

#[test]
fn says_clearly_when_it_is_partial() {
    let mut summary = fixture::summary();
    summary.accounting.emitted = 52;
    summary.accounting.dropped.insert("ring-full", 12);
    summary.accounting.dropped.insert("malformed", 0);
    assert!(breakdown(&summary, WallClock::UNIX).ends_with(
        "events: 52 emitted = 40 consumed + 12 dropped\n\
         PARTIAL: the numbers above miss the 12 dropped (ring-full 12)\n"
    ));
}

#[test]
fn shows_oddities_and_what_was_given_up() {
    let mut summary = fixture::summary();
    summary.accounting.oddities.extend([("unanswered", 2), ("late", 0)]);
    assert!(breakdown(&summary, WallClock::UNIX).ends_with("+ 0 dropped\noddities: unanswered 2\n"));
    summary.accounting.oddities.insert("abandoned", 1);
    assert!(breakdown(&summary, WallClock::UNIX).ends_with(
        "oddities: abandoned 1, unanswered 2\n\
         PARTIAL: the numbers above miss 1 request that was given up in flight\n"
    ));
    summary.accounting.oddities.insert("sums_refused", 2);
    let expected = "PARTIAL: the numbers above miss 2 requests that the kernel added up wrongly\n";
    assert!(breakdown(&summary, WallClock::UNIX).ends_with(expected));
}

#[test]
fn a_pod_that_only_calls_has_no_stages() {
    let mut summary = fixture::summary();
    summary.pods[0].findings.clear();
    summary.pods[0].totals = Totals::default();
    summary.pods[0].totals.add_call(CallKind::Dns, 1_500_000, Attribution::None);
    assert_eq!(
        breakdown(&summary, WallClock::UNIX),
        "pod shop/backend-0: no requests\n\n\
         \x20 calls       dns 1 (mean 1.50 ms)\n\
         \x20 attributed  thread 0, exclusive 0, shared 0, none 1\n\n\
         events: 40 emitted = 40 consumed + 0 dropped\n"
    );
}

#[test]
fn nothing_seen_is_said() {
    let table = breakdown(&Summary::default(), WallClock::UNIX);
    assert!(table.starts_with("no request and no call was seen\n"), "{table}");
}

#[test]
fn requests_without_time_have_no_shares() {
    let mut summary = fixture::summary();
    summary.pods[0].totals.stages = Stages::default();
    assert!(breakdown(&summary, WallClock::UNIX).contains("  total         0.00    0.0 %\n"));
}

#[test]
fn no_line_is_wider_than_the_screen() {
    for line in breakdown(&fixture::summary(), WallClock::UNIX).lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
}

use super::*;
use crate::{
    finding::fixture::{self, SECOND},
    proto::lookup::Lookup,
};

/// A pod watched through time, and what was told of it.
struct Lab {
    watch: Watch,
    ledger: Ledger,
    told: Vec<(u64, String)>,
}

impl Lab {
    fn new(policy: &Policy) -> Self {
        Self { watch: Watch::new(fixture::pod(), policy), ledger: Ledger::default(), told: Vec::new() }
    }

    /// A lookup with so many wasted queries, at a second.
    fn lookup(&mut self, second: u64, wasted: u32) {
        let domains = (0..wasted.div_ceil(2)).map(|n| format!("domain-{n}"));
        let lookup = Lookup {
            name: "db.example.com".to_owned(),
            queries: wasted + 2,
            wasted,
            search_domains: domains.collect(),
            ..Lookup::default()
        };
        let call = fixture::lookup(lookup, second * 1000, second * 1000 + 50);
        let told = &mut self.told;
        self.watch.call(&call, Attribution::None, &mut |event| told.push((second, said(event))));
    }

    fn advance(&mut self, second: u64) {
        let (told, now) = (&mut self.told, second * SECOND);
        self.watch.advance(now, &mut self.ledger, &mut |event| told.push((second, said(event))));
    }

    fn finish(&mut self, second: u64) {
        let (told, now) = (&mut self.told, second * SECOND);
        self.watch.finish(now, &mut self.ledger, &mut |event| told.push((second, said(event))));
    }

    /// What opened and closed, and when.
    fn changes(&self) -> Vec<(u64, &str)> {
        let changes = self.told.iter().filter(|(_, what)| !what.starts_with("evidence"));
        changes.map(|(second, what)| (*second, what.as_str())).collect()
    }
}

/// Where `dns-search` stands in the registry.
fn dns_search() -> usize {
    KINDS.iter().position(|kind| kind.id == "dns-search").expect("a kind")
}

/// The default settings but for these of `dns-search`.
fn with(values: &[(&str, f64)]) -> Settings {
    let mut settings = Settings::default();
    let own = settings.kind_mut(dns_search()).expect("its settings");
    for (name, value) in values {
        let at = KINDS[dns_search()].settings().position(|threshold| threshold.name == *name);
        own.set(at.expect("a threshold"), *value);
    }
    settings
}

fn said(event: Event<'_>) -> String {
    match event {
        Event::Opened(finding) => format!("opened {}", finding.id),
        Event::Closed(finding) => format!("closed {}", finding.id),
        Event::Evidence(finding, place) => format!("evidence for {} at {}", finding.id, place.start / SECOND),
    }
}

#[test]
fn a_finding_closes_when_its_evidence_has_been_absent_for_a_while() {
    let mut lab = Lab::new(&Period::LastMinute.into());
    for second in 1..200 {
        if second <= 20 {
            lab.lookup(second, 6);
        }
        lab.advance(second);
    }
    let [(2, "opened dns-search"), (closed, "closed dns-search")] = lab.changes()[..] else {
        panic!("{:?}", lab.told)
    };
    // The minute that ends at 80 s has nothing of the first 20, in buckets of 10 s, and the hold time comes on top.
    assert!((20 + 60 + 30..=20 + 70 + 31).contains(&closed), "{closed}");
    assert!(lab.watch.findings().is_empty());
    assert_eq!(lab.ledger, Ledger::default());
}

#[test]
fn since_is_the_first_evidence_of_the_open_period() {
    let mut lab = Lab::new(&Period::LastMinute.into());
    for second in 1..300 {
        lab.lookup(second, 6);
        lab.advance(second);
    }
    let [finding] = &lab.watch.findings()[..] else { panic!("{:?}", lab.told) };
    assert_eq!(finding.since, SECOND, "not the first of the last minute");
    assert_eq!(lab.changes(), [(2, "opened dns-search")]);
}

#[test]
fn evidence_around_the_bar_does_not_make_it_flap() {
    // Means of 2.9 and 3.3 wasted queries in turn; 3 is the bar.
    let changes = |settings: Settings| {
        let mut lab = Lab::new(&Policy { period: Period::LastMinute, settings: Arc::new(settings) });
        for second in 1..600 {
            let above = second / 60 % 2 == 0;
            let wasted = if above { 3 + u32::from(second % 3 == 0) } else { 3 - u32::from(second % 10 == 0) };
            lab.lookup(second, wasted);
            lab.advance(second);
        }
        lab.changes().len()
    };
    assert_eq!(changes(Settings::default()), 1);
    assert!(changes(with(&[("hold_seconds", 0.0), ("close_at", 1.0)])) > 5, "without hysteresis it flaps");
}

#[test]
fn evidence_is_told_of_from_the_calls_that_open_it_on() {
    let mut lab = Lab::new(&Period::LastMinute.into());
    lab.lookup(1, 6);
    lab.lookup(1, 6);
    lab.advance(1);
    lab.lookup(2, 6);
    lab.lookup(2, 0);
    let told: Vec<&str> = lab.told.iter().map(|(_, what)| what.as_str()).collect();
    let at = |second| format!("evidence for dns-search at {second}");
    assert_eq!(told, ["opened dns-search", &at(1), &at(1), &at(2)]);
}

#[test]
fn at_the_end_of_a_whole_run_only_what_holds_over_all_of_it_stays() {
    let run = |dilution: u32| {
        let mut lab = Lab::new(&Period::WholeRun.into());
        for second in 1..4 {
            lab.lookup(second, 6);
            lab.advance(second);
        }
        for _ in 0..dilution {
            lab.lookup(5, 2);
        }
        lab.advance(6);
        lab.finish(6);
        (lab.watch.findings().len(), lab.changes().len(), lab.ledger)
    };
    assert_eq!(run(0), (1, 1, Ledger { open: 1, refused: 0 }));
    // 2.7 wasted queries per lookup are enough to stay open, and not enough for the whole run.
    assert_eq!(run(15), (0, 2, Ledger::default()));
}

#[test]
fn a_whole_run_is_judged_as_it_ends() {
    let mut lab = Lab::new(&Period::WholeRun.into());
    lab.advance(0);
    lab.lookup(0, 6);
    lab.lookup(0, 6);
    lab.finish(0);
    assert_eq!(lab.watch.findings().len(), 1);
}

#[test]
fn what_is_not_enabled_is_not_found() {
    let mut settings = Settings::default();
    settings.kind_mut(dns_search()).expect("its settings").enabled = false;
    let mut lab = Lab::new(&Policy { period: Period::LastMinute, settings: Arc::new(settings) });
    lab.lookup(1, 6);
    lab.lookup(1, 6);
    lab.advance(1);
    assert_eq!(lab.told, []);
}

#[test]
fn a_hold_time_of_nothing_closes_at_once() {
    let settings = Arc::new(with(&[("hold_seconds", 0.0)]));
    let mut lab = Lab::new(&Policy { period: Period::LastMinute, settings });
    for _ in 0..3 {
        lab.lookup(1, 6);
    }
    lab.advance(1);
    for _ in 0..30 {
        lab.lookup(2, 2);
    }
    lab.advance(2);
    assert_eq!(lab.changes(), [(1, "opened dns-search"), (2, "closed dns-search")]);
}

#[test]
fn what_opens_beyond_the_cap_is_refused_and_counted_once() {
    let mut lab = Lab::new(&Period::LastMinute.into());
    lab.ledger.open = OPEN_LIMIT;
    for second in 1..5 {
        lab.lookup(second, 6);
        lab.advance(second);
    }
    assert_eq!((lab.changes().len(), lab.ledger.refused), (0, 1));
    lab.ledger.open -= 1;
    lab.lookup(5, 6);
    lab.advance(5);
    assert_eq!(lab.changes(), [(5, "opened dns-search")]);
}

use super::*;
use crate::{
    cli::top::fixture::{SECOND, picture, pod, summary},
    request::{Stages, totals::ABANDONED},
};

fn measure(meter: &mut Meter, requests: u64, at: u64) -> Picture {
    let stages = Stages { own: requests * 3, ..Stages::default() };
    let totals = Totals { requests, stages, ..Totals::default() };
    meter.measure(summary(vec![pod("cart", totals, Vec::new())]), &Recorder::default(), at, WallClock::UNIX)
}

#[test]
fn rates_are_of_the_last_interval() {
    let mut meter = Meter::new(10 * SECOND);
    let first = measure(&mut meter, 10, 11 * SECOND);
    assert_eq!(first.pods[0].recent.requests, 10);
    let second = measure(&mut meter, 25, 13 * SECOND);
    let pod = &second.pods[0];
    assert_eq!((pod.recent.requests, pod.recent.stages.own), (15, 45));
    assert_eq!((pod.totals.requests, pod.totals.stages.own), (25, 75));
    // 15 in two seconds, in tenths.
    assert_eq!(second.per_second(pod.recent.requests), 75);
}

#[test]
fn a_pod_that_comes_back_begins_anew() {
    let mut meter = Meter::new(0);
    measure(&mut meter, 10, SECOND);
    let nothing = summary(Vec::new());
    assert!(meter.measure(nothing, &Recorder::default(), 2 * SECOND, WallClock::UNIX).pods.is_empty());
    assert_eq!(measure(&mut meter, 4, 3 * SECOND).pods[0].recent.requests, 4);
}

#[test]
fn no_time_and_no_pod_are_no_panic() {
    let picture = Picture::empty(WallClock::UNIX);
    assert_eq!((picture.per_second(5), picture.pod("x").is_some()), (0, false));
    let mut meter = Meter::new(SECOND);
    assert_eq!(measure(&mut meter, 5, 0).per_second(u64::MAX), 0);
}

#[test]
fn what_takes_most_time_is_the_first_destination() {
    let picture = picture();
    let destinations = &picture.pods[0].destinations;
    let shown: Vec<_> = destinations.iter().map(|calling| (calling.kind, calling.calls.count)).collect();
    assert_eq!(shown, [(CallKind::Metadata, 2), (CallKind::Upstream, 1), (CallKind::Dns, 1)]);
    assert_eq!(
        destinations[0].destination.as_ref().map(ToString::to_string).as_deref(),
        Some("169.254.169.254:80")
    );
}

#[test]
fn whatever_makes_the_numbers_partial_is_named() {
    let accounting = Accounting {
        emitted: 9,
        consumed: 6,
        dropped: [("ring_full", 3), ("unparsed", 0)].into(),
        oddities: [("late", 7), (ABANDONED, 2)].into(),
    };
    assert_eq!(missing(&accounting), [("ring_full", 3), (ABANDONED, 2)]);
    assert!(missing(&Accounting::default()).is_empty());
}

#[test]
fn names_have_no_control_characters() {
    let hostile = pod("cart\u{1b}[2J", Totals::default(), Vec::new());
    let picture =
        Meter::new(0).measure(summary(vec![hostile]), &Recorder::default(), SECOND, WallClock::UNIX);
    assert_eq!(picture.pods[0].name, "shop/cart\u{fffd}[2J");
}

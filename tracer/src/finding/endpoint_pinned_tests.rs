use super::{
    super::fixture::{Case, address, call, lookup},
    *,
};
use crate::proto::{dns::Addresses, lookup::Lookup};

const PORT: u16 = 50051;
const NAME: &str = "items.prod";

/// The name has the addresses 10.0.0.1 to `last`.
fn resolved(last: u8) -> Call {
    let known = (1..=last).map(|last| address(last, 0).ip()).collect();
    let addresses = Addresses { known, incomplete: false };
    lookup(Lookup { name: NAME.to_owned(), addresses, ..Lookup::default() }, 0, 5)
}

/// A call to a server, on the connection with its number.
fn to(server: u8, port: u16, at: u64) -> Call {
    let what = What::Opaque;
    Call { flow: server.into(), ..call(CallKind::Upstream, what, address(server, port), at, at + 5) }
}

fn in_vain(server: u8, port: u16, at: u64) -> Call {
    Call { answered: false, ..to(server, port, at) }
}

/// Calls every 100 ms, each to the server that `pick` names.
fn calls(count: u64, pick: impl Fn(u64) -> u8) -> Vec<Call> {
    (0..count).map(|n| to(pick(n), PORT, 10 + n * 100)).collect()
}

fn found(servers: u8, calls: Vec<Call>) -> Option<Verdict<Evidence>> {
    Case::<EndpointPinned>::of(&[vec![resolved(servers)], calls].concat())
}

#[test]
fn a_client_that_stays_at_the_first_of_five_addresses_is_found() {
    let found = found(5, calls(100, |_| 2)).unwrap();
    assert_eq!(found.severity, Severity::Warning);
    assert_eq!(found.destination, Some(Destination::Service(NAME.into())));
    let evidence = &found.evidence;
    assert_eq!((evidence.endpoints, evidence.calls, evidence.connections), (5, 100, 1));
    assert_eq!((evidence.busiest.as_str(), evidence.share), ("10.0.0.2:50051", Share(1.0)));
    assert!(evidence.shares.joined().starts_with("10.0.0.2:50051 100.0%, 10.0.0.1:50051 0.0%"));
    assert!(found.remedy.contains("round_robin"));
}

#[test]
fn a_checker_that_one_endpoint_answers_is_found() {
    let mut seen = calls(100, |_| 1);
    for beat in 0..10 {
        seen.push(to(1, 8081, 10 + beat * 500));
        seen.extend((2..=5).map(|server| in_vain(server, 8081, 10 + beat * 500)));
    }
    let found = found(5, seen).unwrap();
    assert_eq!(found.severity, Severity::Critical);
    assert!(found.evidence.unanswered.joined().starts_with("10.0.0.2:8081 10, 10.0.0.3:8081 10"));
    assert!(found.explanation.contains("never got an answer from 10.0.0.2:8081"), "{}", found.explanation);
}

#[test]
fn a_static_list_is_known_by_what_was_tried() {
    let mut seen = calls(100, |_| 1);
    seen.extend((0..5).flat_map(|n| [in_vain(2, PORT, n * 900), in_vain(3, PORT, n * 900)]));
    let found = Case::<EndpointPinned>::of(&seen).unwrap();
    assert_eq!(found.destination, Some(Destination::Address(address(1, PORT))));
    assert_eq!((found.evidence.name.as_str(), found.evidence.endpoints), ("", 3));
}

#[test]
fn other_services_on_the_same_port_are_not_endpoints_of_one() {
    let mut seen = calls(100, |_| 1);
    seen.extend([to(2, PORT, 500), in_vain(3, PORT, 500), in_vain(3, PORT, 900)]);
    assert!(Case::<EndpointPinned>::of(&seen).is_none());
}

#[test]
fn a_fair_spread_is_not_found() {
    assert!(found(5, calls(100, |n| u8::try_from(n % 5).unwrap() + 1)).is_none());
}

#[test]
fn a_few_calls_at_random_and_one_address_are_not_found() {
    assert!(found(5, calls(7, |n| if n < 4 { 1 } else { 3 })).is_none());
    assert!(found(1, calls(100, |_| 1)).is_none());
}

/// A busy second on one connection: nobody would move in that time.
#[test]
fn a_moment_on_one_connection_is_not_found() {
    let calls = (0..100).map(|n| to(1, PORT, 10 + n)).collect();
    assert!(found(5, calls).is_none());
}

/// Each connection picks an address: that three pick the same of two is luck, that eight do is not.
#[test]
fn short_connections_to_the_same_address_may_be_luck() {
    let seen = |connections: u64| {
        let call = |n: u64| Call { flow: 100 + n * connections / 60, ..to(1, PORT, 10 + n * 100) };
        (0..60).map(call).collect::<Vec<_>>()
    };
    assert!(found(2, seen(3)).is_none());
    assert!(found(2, seen(8)).is_some());
}

#[test]
fn addresses_outside_are_load_balancers() {
    assert!(!is_inside([140, 82, 121, 3].into()) && is_inside([100, 64, 1, 2].into()));
}

#[test]
fn what_a_name_stands_for_is_not_forgotten_and_may_change() {
    use super::super::window::{Merge as _, Period, Window};
    let thresholds = <Thresholds as super::super::threshold::Thresholds>::of(&[]);
    let mut window = Window::<Tally>::new(Period::LastMinute);
    let mut take = |call: &Call| EndpointPinned::call(&mut window, call, Attribution::None, &thresholds);
    take(&resolved(3));
    for second in 0..300 {
        take(&to(1, PORT, second * 1000));
    }
    let sum = window.sum(300_000_000_000);
    assert_eq!(EndpointPinned::judge(&sum, &thresholds).len(), 1);
    let mut newer = sum.carry();
    newer.resolved(&Lookup {
        name: NAME.to_owned(),
        addresses: Addresses { known: vec![address(1, 0).ip()], incomplete: false },
        ..Lookup::default()
    });
    let mut both = sum;
    both.merge(&newer);
    assert!(EndpointPinned::judge(&both, &thresholds).is_empty(), "one address now");
}

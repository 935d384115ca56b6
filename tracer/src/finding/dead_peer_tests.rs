use super::{
    super::{
        fixture::{SECOND, address},
        threshold::Thresholds as _,
        window::Period,
    },
    *,
};
use crate::request::Place;

const TENTH: u64 = SECOND / 10;

/// Of 10.0.0.1, which was there; nothing happened yet.
fn outage() -> Outage {
    let peer = address(1, 50051);
    Outage {
        peer,
        place: Place { flow: 1, number: 3, local: address(2, 40_000), start: SECOND },
        since: SECOND,
        until: SECOND,
        was_there: true,
        goaway: false,
        calls: 0,
        longest_call: 0,
        retransmissions: Vec::new(),
        connects: 0,
        refused: 0,
        connecting: 0,
        longest_connect: 0,
        deadline: 0,
    }
}

/// A call hangs, and the kernel goes on: after 0.7 s, 1.5 s, 3.1 s and so on.
fn hanging(tenths: u64) -> Outage {
    let due = [7, 15, 31, 63, 127].into_iter().filter(|due| *due <= tenths);
    Outage {
        until: SECOND + tenths * TENTH,
        calls: 1,
        longest_call: tenths * TENTH,
        retransmissions: due.map(|due| due * TENTH).collect(),
        ..outage()
    }
}

/// Connects fail, one a second.
fn failing(connects: u64, refused: u64) -> Outage {
    let longest_connect = if refused == connects { SECOND / 1000 } else { SECOND };
    let connecting = connects * SECOND;
    Outage { until: SECOND + connecting, connects, refused, connecting, longest_connect, ..outage() }
}

fn found(outages: &[Outage]) -> Option<Verdict<Evidence>> {
    let mut window = Window::new(Period::WholeRun);
    for outage in outages {
        DeadPeer::outage(&mut window, outage);
    }
    DeadPeer::judge(&window.sum(SECOND), &Thresholds::of(&[])).pop()
}

#[test]
fn a_call_that_hangs_while_the_kernel_retransmits_is_found() {
    let found = found(&[hanging(15), hanging(52)]).unwrap();
    assert_eq!(
        (found.severity, found.destination),
        (Severity::Critical, Some(Destination::Address(address(1, 50051))))
    );
    let evidence = found.evidence;
    assert_eq!((evidence.how.as_str(), evidence.longest_hang_seconds), ("vanished", Seconds(5.2)));
    assert_eq!((evidence.calls_hung, evidence.retransmissions), (1, 3));
    assert_eq!(evidence.retransmitted_after.joined(), "0.7 s, 1.5 s, 3.1 s");
    assert!(found.remedy.contains("keepalive") && found.remedy.contains("TCP_USER_TIMEOUT"));
}

#[test]
fn a_short_loss_is_not_found() {
    assert!(found(&[hanging(14)]).is_none());
    let once = Outage { retransmissions: vec![TENTH], ..hanging(60) };
    assert!(found(&[once]).is_none(), "one lost packet, and a slow server");
}

#[test]
fn an_idle_connection_that_is_dead_hangs_nobody() {
    assert!(found(&[Outage { calls: 0, longest_call: 0, ..hanging(600) }]).is_none());
}

#[test]
fn an_address_that_refuses_is_found() {
    let found = found(&[failing(6, 6)]).unwrap();
    assert_eq!((found.severity, found.evidence.how.as_str()), (Severity::Warning, "refused"));
    assert!(found.remedy.contains("endpoints"));
}

#[test]
fn a_server_that_restarts_is_not_found() {
    assert!(found(&[failing(2, 2)]).is_none());
    assert!(found(&[failing(4, 4)]).is_none(), "four seconds");
}

#[test]
fn what_never_was_there_is_not_gone() {
    assert!(found(&[Outage { was_there: false, ..failing(60, 60) }]).is_none());
}

/// Calls that wait for a connection show nothing on the wire: their callers' deadline bounds how long they hang.
#[test]
fn a_server_that_said_goaway_is_found_by_connects_that_hang() {
    let found = found(&[Outage { goaway: true, deadline: 6 * SECOND, ..failing(12, 1) }]).unwrap();
    assert_eq!((found.severity, found.evidence.how.as_str()), (Severity::Critical, "goaway"));
    assert_eq!(found.evidence.longest_hang_seconds, Seconds(6.0));
    assert_eq!((found.evidence.connects_failed, found.evidence.connects_refused), (12, 1));
}

/// Keepalive ends the call, and the client tries the server once more before it takes another.
#[test]
fn a_connect_after_the_call_does_not_make_it_longer() {
    let again = Outage {
        until: 6 * SECOND,
        connects: 1,
        connecting: SECOND,
        longest_connect: SECOND,
        deadline: 6 * SECOND,
        ..hanging(40)
    };
    assert_eq!(found(&[again]).unwrap().evidence.longest_hang_seconds, Seconds(4.0));
}

#[test]
fn the_longer_of_two_outages_counts() {
    let later = Outage { since: 100 * SECOND, until: 103 * SECOND, ..failing(3, 3) };
    assert_eq!(found(&[failing(60, 60), later]).unwrap().evidence.outage_seconds, Seconds(60.0));
}

use super::*;

const MS: u64 = 1_000_000;
const NAME: &str = "elastic.spain.adevinta.com";
const DOMAINS: [&str; 3] = ["team.svc.cluster.local", "svc.cluster.local", "cluster.local"];

fn datagram(
    time: u64,
    thread: u32,
    id: u16,
    name: &str,
    query_type: u16,
    answer: Option<(u8, u16)>,
) -> Sighting {
    let message = Message {
        id,
        answer: answer.is_some(),
        rcode: answer.map_or(0, |(rcode, _)| rcode),
        truncated: false,
        name: name.to_owned(),
        query_type,
        answers: answer.map_or(0, |(_, answers)| answers),
        addresses: Addresses::default(),
    };
    let thread = if answer.is_some() { Thread::default() } else { Thread { thread, process: 1 } };
    let local = SocketAddr::from(([10, 0, 0, 2], 40000 + u16::try_from(thread.thread).unwrap()));
    let local = if answer.is_some() { SocketAddr::from(([10, 0, 0, 2], 40001)) } else { local };
    let peer = SocketAddr::from(([10, 0, 0, 53], 53));
    Sighting { time: time * MS, flow: 0, local, peer, thread, message }
}

/// The lookup that a message ended, if any.
fn feed(lookups: &mut Lookups, datagram: &Sighting) -> Option<Report> {
    lookups.ingest(datagram).into_iter().find(|report| !report.open)
}

/// Feeds A and AAAA of a name and their answers 30 ms later, as glibc does.
fn round(lookups: &mut Lookups, at: u64, id: u16, name: &str, answer: (u8, u16)) -> Option<Report> {
    assert_eq!(feed(lookups, &datagram(at, 1, id, name, 1, None)), None);
    assert_eq!(feed(lookups, &datagram(at, 1, id + 1, name, 28, None)), None);
    assert_eq!(feed(lookups, &datagram(at + 30, 1, id, name, 1, Some(answer))), None);
    feed(lookups, &datagram(at + 30, 1, id + 1, name, 28, Some((answer.0, 0))))
}

#[test]
fn search_domain_expansion_is_one_lookup_with_its_wasted_queries() {
    let mut lookups = Lookups::default();
    for (n, domain) in DOMAINS.iter().enumerate() {
        let n = u16::try_from(n).unwrap();
        assert_eq!(round(&mut lookups, u64::from(n) * 31, 10 * n, &format!("{NAME}.{domain}"), (3, 0)), None);
    }
    let ended = round(&mut lookups, 93, 50, NAME, (0, 1)).expect("the last answer ends the lookup");
    assert_eq!((ended.start, ended.end, ended.answered), (0, 123 * MS, true));
    assert_eq!(ended.lookup.name, NAME);
    assert_eq!((ended.lookup.queries, ended.lookup.wasted), (8, 6));
    assert_eq!(ended.lookup.search_domains, DOMAINS);
    assert_eq!(ended.lookup.rcodes, [3, 3, 3, 3, 3, 3, 0, 0]);
}

/// A capture knows no threads, and glibc opens a socket per name.
#[test]
fn without_threads_an_expansion_goes_on_from_another_socket() {
    let from = |port: u16, mut datagram: Sighting| {
        datagram.thread = Thread::default();
        datagram.local.set_port(port);
        datagram
    };
    let mut lookups = Lookups::default();
    let expanded = format!("{NAME}.{}", DOMAINS[2]);
    for (port, at, name, answer) in [(4001, 0, expanded.as_str(), (3, 0)), (4002, 31, NAME, (0, 1))] {
        let id = port;
        assert_eq!(feed(&mut lookups, &from(port, datagram(at, 1, id, name, 1, None))), None);
        let ended = feed(&mut lookups, &from(port, datagram(at + 30, 1, id, name, 1, Some(answer))));
        assert_eq!(ended.is_some(), port == 4002);
        if let Some(ended) = ended {
            assert_eq!((ended.lookup.name.as_str(), ended.lookup.queries, ended.lookup.wasted), (NAME, 2, 1));
        }
    }
    // Somebody else asks for the same name meanwhile: a lookup of its own.
    feed(&mut lookups, &from(4003, datagram(100, 1, 7, NAME, 1, None)));
    feed(&mut lookups, &from(4004, datagram(101, 1, 8, NAME, 1, None)));
    assert_eq!(lookups.active.len(), 2);
}

#[test]
fn a_name_found_at_once_wastes_nothing() {
    let mut lookups = Lookups::default();
    let ended = round(&mut lookups, 0, 1, NAME, (0, 1)).unwrap();
    assert_eq!((ended.lookup.queries, ended.lookup.wasted, ended.end), (2, 0, 30 * MS));
}

#[test]
fn a_name_that_does_not_exist_ends_after_the_grace() {
    let mut lookups = Lookups::default();
    assert_eq!(round(&mut lookups, 0, 1, NAME, (3, 0)), None);
    assert_eq!(lookups.advance(60 * MS), []);
    let [ended] = &lookups.advance(90 * MS)[..] else { panic!("one lookup ends") };
    assert_eq!((ended.end, ended.answered), (30 * MS, true));
    assert_eq!((ended.lookup.name.as_str(), ended.lookup.wasted), (NAME, 0));
}

#[test]
fn a_retransmitted_query_is_a_timeout_and_the_same_lookup() {
    let mut lookups = Lookups::default();
    feed(&mut lookups, &datagram(0, 1, 7, NAME, 1, None));
    feed(&mut lookups, &datagram(5000, 1, 7, NAME, 1, None));
    let ended = feed(&mut lookups, &datagram(5030, 1, 7, NAME, 1, Some((0, 1)))).unwrap();
    assert_eq!((ended.end - ended.start, ended.lookup.queries, ended.lookup.timeouts), (5030 * MS, 2, 1));
}

#[test]
fn a_query_without_an_answer_is_given_up() {
    let mut lookups = Lookups::default();
    feed(&mut lookups, &datagram(0, 1, 7, NAME, 1, None));
    assert_eq!(lookups.advance(14_000 * MS), []);
    let [ended] = &lookups.advance(15_001 * MS)[..] else { panic!("one lookup ends") };
    assert_eq!((ended.end, ended.answered, ended.lookup.timeouts), (15_000 * MS, false, 1));
}

#[test]
fn two_threads_asking_for_one_name_are_two_lookups() {
    let mut lookups = Lookups::default();
    feed(&mut lookups, &datagram(0, 1, 7, NAME, 1, None));
    feed(&mut lookups, &datagram(1, 2, 8, NAME, 1, None));
    feed(&mut lookups, &datagram(1, 2, 9, NAME, 28, None));
    assert_eq!(lookups.active.len(), 2);
}

#[test]
fn an_answer_nobody_waits_for_is_counted() {
    let mut lookups = Lookups::default();
    assert_eq!(feed(&mut lookups, &datagram(0, 1, 7, NAME, 1, Some((0, 1)))), None);
    assert_eq!(lookups.unmatched, 1);
}

#[test]
fn lookups_in_progress_are_bounded() {
    let mut lookups = Lookups::default();
    let ended =
        (0..2000).filter_map(|n| feed(&mut lookups, &datagram(n, 1, 7, &format!("x{n}"), 1, None))).count();
    assert_eq!((lookups.active.len(), ended), (ACTIVE_LIMIT, 2000 - ACTIVE_LIMIT));
}

#[test]
fn a_lookup_is_reported_from_its_first_query_on() {
    let mut lookups = Lookups::default();
    let [begun] = &lookups.ingest(&datagram(0, 1, 7, NAME, 1, None))[..] else { panic!("one report") };
    assert_eq!((begun.open, begun.updates, begun.start), (true, 0, 0));
    let [ended] = &lookups.ingest(&datagram(30, 1, 7, NAME, 1, Some((0, 1))))[..] else { panic!("one") };
    assert_eq!((ended.open, ended.updates, ended.number), (false, 1, begun.number));
}

#[test]
fn an_answer_to_the_first_transmission_counts() {
    let mut lookups = Lookups::default();
    lookups.ingest(&datagram(0, 1, 7, NAME, 1, None));
    lookups.ingest(&datagram(5000, 1, 8, NAME, 1, None));
    let ended = feed(&mut lookups, &datagram(5030, 1, 7, NAME, 1, Some((0, 1)))).unwrap();
    assert_eq!((ended.lookup.queries, ended.lookup.timeouts, lookups.unmatched), (2, 1, 0));
}

#[test]
fn of_two_servers_asked_at_once_one_answer_is_enough() {
    let mut lookups = Lookups::default();
    let other = |mut datagram: Sighting| {
        datagram.peer = SocketAddr::from(([10, 0, 0, 54], 53));
        datagram
    };
    for (id, kind) in [(7, 1), (8, 28)] {
        lookups.ingest(&datagram(0, 1, id, NAME, kind, None));
        lookups.ingest(&other(datagram(0, 1, id, NAME, kind, None)));
    }
    assert_eq!(feed(&mut lookups, &datagram(20, 1, 7, NAME, 1, Some((0, 1)))), None);
    let ended = feed(&mut lookups, &other(datagram(30, 1, 8, NAME, 28, Some((0, 0))))).unwrap();
    assert_eq!((ended.end, ended.answered), (30 * MS, true));
    assert_eq!((ended.lookup.queries, ended.lookup.timeouts, lookups.unmatched), (4, 0, 0));
}

#[test]
fn the_next_server_answers_after_a_failure() {
    let mut lookups = Lookups::default();
    lookups.ingest(&datagram(0, 1, 7, NAME, 1, None));
    assert_eq!(feed(&mut lookups, &datagram(10, 1, 7, NAME, 1, Some((2, 0)))), None);
    lookups.ingest(&datagram(11, 1, 8, NAME, 1, None));
    let ended = feed(&mut lookups, &datagram(20, 1, 8, NAME, 1, Some((0, 1)))).unwrap();
    assert_eq!((ended.end, ended.lookup.rcodes), (20 * MS, vec![2, 0]));
}

#[test]
fn transmissions_are_bounded_and_still_counted() {
    let mut lookups = Lookups::default();
    for n in 0..20 {
        lookups.ingest(&datagram(u64::from(n) * 1000, 1, n, NAME, 1, None));
    }
    let [ended] = &lookups.finish(20_000 * MS)[..] else { panic!("one lookup") };
    assert_eq!((ended.lookup.queries, ended.lookup.timeouts), (20, 20));
}

#[test]
fn names_of_different_threads_are_not_merged() {
    let mut lookups = Lookups::default();
    let domain = "ns.svc.cluster.local";
    lookups.ingest(&datagram(0, 1, 7, &format!("api.a.com.{domain}"), 1, None));
    lookups.ingest(&datagram(5, 1, 7, &format!("api.a.com.{domain}"), 1, Some((3, 0))));
    lookups.ingest(&datagram(6, 2, 8, &format!("api.b.com.{domain}"), 1, None));
    assert_eq!(lookups.active.len(), 2);
}

#[test]
fn an_expansion_goes_on_in_another_thread() {
    let mut lookups = Lookups::default();
    for (n, name) in ["api.a.com.ns.svc.local", "api.a.com.svc.local", "api.a.com"].iter().enumerate() {
        let (n, id) = (n as u64, 7);
        let mut query = datagram(10 * n, 1, id, name, 1, None);
        query.thread.thread = 1 + u32::try_from(n).unwrap();
        lookups.ingest(&query);
        lookups.ingest(&datagram(10 * n + 5, 1, id, name, 1, Some((3, 0))));
    }
    let [ended] = &lookups.finish(1000 * MS)[..] else { panic!("one lookup") };
    assert_eq!((ended.lookup.name.as_str(), ended.lookup.wasted), ("api.a.com", 2));
}

#[test]
fn a_question_that_was_answered_begins_a_new_lookup() {
    let mut lookups = Lookups::default();
    let mut ended = 0;
    for n in 0..3000 {
        let id = u16::try_from(n).unwrap();
        lookups.ingest(&datagram(20 * n, 1, id, NAME, 1, None));
        lookups.ingest(&datagram(20 * n + 1, 1, id, NAME, 1, Some((3, 0))));
        ended += lookups.advance((20 * n + 2) * MS).len();
    }
    ended += lookups.finish(60_000 * MS).len();
    assert_eq!((ended, lookups.unmatched), (3000, 0));
}

#[test]
fn only_expansions_before_the_name_or_before_one_that_exists_are_wasted() {
    let expand = |domain: &str| format!("{NAME}.{domain}");
    let ask = |names: &[(String, u8)]| {
        let mut lookups = Lookups::default();
        for (n, (name, rcode)) in names.iter().enumerate() {
            let n = n as u64;
            lookups.ingest(&datagram(10 * n, 1, 7, name, 1, None));
            lookups.ingest(&datagram(10 * n + 5, 1, 7, name, 1, Some((*rcode, 0))));
        }
        let [ended] = &lookups.finish(1000 * MS)[..] else { panic!("one lookup") };
        (ended.lookup.name.clone(), ended.lookup.wasted, ended.lookup.search_domains.len())
    };
    let [a, b] = [expand("a.local"), expand("local")];
    let name = NAME.to_owned();
    assert_eq!(ask(&[(name.clone(), 3), (a.clone(), 3), (b.clone(), 3)]), (name.clone(), 0, 0));
    assert_eq!(ask(&[(a.clone(), 3), (b.clone(), 3), (name.clone(), 3)]), (name.clone(), 2, 2));
    assert_eq!(ask(&[(a, 3), (b, 0)]), (name, 1, 1));
}

#[test]
fn times_at_the_end_of_the_clock_do_not_overflow() {
    let mut lookups = Lookups::default();
    lookups.ingest(&Sighting { time: u64::MAX, ..datagram(0, 1, 7, NAME, 1, None) });
    let [ended] = &lookups.finish(u64::MAX)[..] else { panic!("one lookup") };
    assert_eq!((ended.start, ended.end), (u64::MAX, u64::MAX));
}

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
) -> Datagram {
    let message = Message {
        id,
        answer: answer.is_some(),
        rcode: answer.map_or(0, |(rcode, _)| rcode),
        truncated: false,
        name: name.to_owned(),
        query_type,
        answers: answer.map_or(0, |(_, answers)| answers),
    };
    let thread = if answer.is_some() { Thread::default() } else { Thread { thread, process: 1 } };
    let local = SocketAddr::from(([10, 0, 0, 2], 40000 + u16::try_from(thread.thread).unwrap()));
    let local = if answer.is_some() { SocketAddr::from(([10, 0, 0, 2], 40001)) } else { local };
    Datagram { time: time * MS, local, peer: SocketAddr::from(([10, 0, 0, 53], 53)), thread, message }
}

/// Feeds A and AAAA of a name and their answers 30 ms later, as glibc does.
fn round(lookups: &mut Lookups, at: u64, id: u16, name: &str, answer: (u8, u16)) -> Option<Ended> {
    assert_eq!(lookups.ingest(&datagram(at, 1, id, name, 1, None)), None);
    assert_eq!(lookups.ingest(&datagram(at, 1, id + 1, name, 28, None)), None);
    assert_eq!(lookups.ingest(&datagram(at + 30, 1, id, name, 1, Some(answer))), None);
    lookups.ingest(&datagram(at + 30, 1, id + 1, name, 28, Some((answer.0, 0))))
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
    lookups.ingest(&datagram(0, 1, 7, NAME, 1, None));
    lookups.ingest(&datagram(5000, 1, 7, NAME, 1, None));
    let ended = lookups.ingest(&datagram(5030, 1, 7, NAME, 1, Some((0, 1)))).unwrap();
    assert_eq!((ended.end - ended.start, ended.lookup.queries, ended.lookup.timeouts), (5030 * MS, 2, 1));
}

#[test]
fn a_query_without_an_answer_is_given_up() {
    let mut lookups = Lookups::default();
    lookups.ingest(&datagram(0, 1, 7, NAME, 1, None));
    assert_eq!(lookups.advance(14_000 * MS), []);
    let [ended] = &lookups.advance(15_001 * MS)[..] else { panic!("one lookup ends") };
    assert_eq!((ended.end, ended.answered, ended.lookup.timeouts), (15_000 * MS, false, 1));
}

#[test]
fn two_threads_asking_for_one_name_are_two_lookups() {
    let mut lookups = Lookups::default();
    lookups.ingest(&datagram(0, 1, 7, NAME, 1, None));
    lookups.ingest(&datagram(1, 2, 8, NAME, 1, None));
    lookups.ingest(&datagram(1, 2, 9, NAME, 28, None));
    assert_eq!(lookups.active.len(), 2);
}

#[test]
fn an_answer_nobody_waits_for_is_counted() {
    let mut lookups = Lookups::default();
    assert_eq!(lookups.ingest(&datagram(0, 1, 7, NAME, 1, Some((0, 1)))), None);
    assert_eq!(lookups.unmatched, 1);
}

#[test]
fn lookups_in_progress_are_bounded() {
    let mut lookups = Lookups::default();
    let ended =
        (0..2000).filter_map(|n| lookups.ingest(&datagram(n, 1, 7, &format!("x{n}"), 1, None))).count();
    assert_eq!((lookups.active.len(), ended), (ACTIVE_LIMIT, 2000 - ACTIVE_LIMIT));
}

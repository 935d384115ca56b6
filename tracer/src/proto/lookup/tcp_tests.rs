//! Lookups that go on over TCP after an answer that was cut, or are asked over TCP from the start.

use super::*;

const MS: u64 = 1_000_000;
const NAME: &str = "big.example.com";
const A: u16 = 1;
const AAAA: u16 = 28;
const AXFR: u16 = 252;
/// An answer with two records, and one that says that the name does not exist.
const FOUND: (u8, u16) = (0, 2);
const NXDOMAIN: (u8, u16) = (3, 0);

/// A query as a capture shows it, without a thread. Each flow and each id has a socket of its own.
fn query(ms: u64, flow: u64, id: u16, name: &str, query_type: u16) -> Sighting {
    let message = Message {
        id,
        answer: false,
        rcode: 0,
        truncated: false,
        name: name.to_owned(),
        query_type,
        answers: 0,
        addresses: Addresses::default(),
    };
    let port = if flow == 0 { 40_000 + id } else { 50_000 + u16::try_from(flow).unwrap() };
    Sighting {
        time: ms * MS,
        flow,
        local: SocketAddr::from(([10, 0, 0, 2], port)),
        peer: SocketAddr::from(([10, 0, 0, 53], 53)),
        thread: Thread::default(),
        message,
    }
}

fn answer(ms: u64, query: &Sighting, (rcode, answers): (u8, u16)) -> Sighting {
    let message = Message { answer: true, rcode, answers, ..query.message.clone() };
    Sighting { time: ms * MS, thread: Thread::default(), message, ..query.clone() }
}

/// An answer of which nothing fitted.
fn cut(ms: u64, query: &Sighting) -> Sighting {
    let mut answer = answer(ms, query, (0, 0));
    answer.message.truncated = true;
    answer
}

fn by(thread: u32, mut sighting: Sighting) -> Sighting {
    sighting.thread = Thread { thread, process: 1 };
    sighting
}

/// The lookups that ended with these messages, in this order.
fn feed(lookups: &mut Lookups, sightings: &[&Sighting]) -> Vec<Report> {
    sightings.iter().flat_map(|sighting| lookups.ingest(sighting)).filter(|report| !report.open).collect()
}

/// The only lookup of these messages, which the last of them ends.
fn one(sightings: &[&Sighting]) -> Report {
    let mut lookups = Lookups::default();
    let mut ended = feed(&mut lookups, sightings);
    assert_eq!((ended.len(), lookups.active.len(), lookups.unmatched), (1, 0, 0), "{ended:?}");
    let ended = ended.remove(0);
    assert_eq!(ended.end, sightings.last().unwrap().time);
    ended
}

/// Queries, of them over TCP, answers that were cut, timeouts.
fn counts(lookup: &Lookup) -> [u32; 4] {
    [lookup.queries, lookup.over_tcp, lookup.truncated, lookup.timeouts]
}

/// glibc closes its socket at the first answer that is cut, and asks both types again on one connection, in one
/// segment, with the ids that they had.
#[test]
fn glibc_asks_both_types_again_over_tcp() {
    let udp = [
        query(0, 0, 7, NAME, A),
        Sighting { local: query(0, 0, 7, NAME, A).local, ..query(0, 0, 8, NAME, AAAA) },
    ];
    let tcp = [query(12, 1, 7, NAME, A), query(12, 1, 8, NAME, AAAA)];
    let late = answer(13, &udp[1], FOUND);
    for by_thread in [0, 11] {
        let [asked_a, asked_aaaa, again_a, again_aaaa] =
            [&udp[0], &udp[1], &tcp[0], &tcp[1]].map(|sighting| by(by_thread, sighting.clone()));
        let ended = one(&[
            &asked_a,
            &asked_aaaa,
            &cut(10, &udp[0]),
            &again_a,
            &again_aaaa,
            &late,
            &answer(15, &tcp[1], (0, 0)),
            &answer(20, &tcp[0], FOUND),
        ]);
        assert_eq!((ended.start, ended.answered, ended.lookup.name.as_str()), (0, true, NAME));
        assert_eq!(counts(&ended.lookup), [4, 2, 1, 0]);
        assert_eq!(ended.lookup.rcodes, [0, 0, 0]);
        assert_eq!(ended.lookup.answer_times, [10 * MS, 15 * MS, 8 * MS]);
    }
}

/// The answer to AAAA came before the one that was cut: glibc asks for it again all the same.
#[test]
fn glibc_asks_again_for_what_it_has() {
    let (a, aaaa) = (query(0, 0, 7, NAME, A), query(0, 0, 8, NAME, AAAA));
    let (again_a, again_aaaa) = (query(12, 1, 7, NAME, A), query(12, 1, 8, NAME, AAAA));
    let ended = one(&[
        &a,
        &aaaa,
        &answer(9, &aaaa, (0, 0)),
        &cut(10, &a),
        &again_a,
        &again_aaaa,
        &answer(14, &again_a, FOUND),
        &answer(15, &again_aaaa, (0, 0)),
    ]);
    assert_eq!(counts(&ended.lookup), [4, 2, 1, 0]);
}

/// Go and c-ares ask again for the type that was cut, Go perhaps from another thread.
#[test]
fn only_what_was_cut_is_asked_again() {
    let (a, aaaa) = (by(11, query(0, 0, 7, NAME, A)), by(12, query(0, 0, 8, NAME, AAAA)));
    let again = by(13, query(12, 1, 7, NAME, A));
    let ended =
        one(&[&a, &aaaa, &cut(10, &a), &again, &answer(13, &aaaa, (0, 0)), &answer(20, &again, FOUND)]);
    assert_eq!(counts(&ended.lookup), [3, 1, 1, 0]);
}

/// Of two that were cut, the one with the id is meant; with a new id (dig), the newest.
#[test]
fn the_id_tells_whose_retry_it_is() {
    let mut lookups = Lookups::default();
    let asked = [query(0, 0, 7, NAME, A), query(200, 0, 8, NAME, A), query(300, 0, 9, NAME, A)];
    for asked in &asked {
        feed(&mut lookups, &[asked, &cut(asked.time / MS + 10, asked)]);
    }
    let [of_first, of_third] = [query(320, 1, 7, NAME, A), query(321, 2, 99, NAME, A)];
    feed(&mut lookups, &[&of_first, &of_third]);
    let ended = feed(&mut lookups, &[&answer(330, &of_third, FOUND), &answer(340, &of_first, FOUND)]);
    let ended: Vec<_> = ended.iter().map(|e| (e.start, e.end)).collect();
    assert_eq!(ended, [(300 * MS, 330 * MS), (0, 340 * MS)]);
}

/// Somebody took an answer that was cut; the next one asks over TCP.
#[test]
fn a_query_with_a_new_id_is_no_late_retry() {
    let mut lookups = Lookups::default();
    let (asked, other) = (query(0, 0, 7, NAME, A), query(2000, 1, 8, NAME, A));
    feed(&mut lookups, &[&asked, &cut(10, &asked), &other]);
    assert_eq!(lookups.active.len(), 2);
    let late = query(2001, 2, 7, NAME, A);
    let [ended] = &feed(&mut lookups, &[&late, &answer(2002, &late, FOUND)])[..] else {
        panic!("one lookup")
    };
    assert_eq!((ended.start, ended.end, counts(&ended.lookup)), (0, 2002 * MS, [2, 1, 1, 0]));
}

/// musl before 1.2.4 takes what it got. It has its answer although we still wait for a retry.
#[test]
fn an_answer_that_was_cut_counts_when_nobody_asks_again() {
    let mut lookups = Lookups::default();
    let asked = query(0, 0, 7, NAME, A);
    lookups.ingest(&asked);
    let [waiting] = &lookups.ingest(&cut(10, &asked))[..] else { panic!("one report") };
    assert_eq!((waiting.open, waiting.answered, waiting.end), (true, true, 10 * MS));
    assert_eq!(feed(&mut lookups, &[&query(100, 0, 9, NAME, A)]), [], "the next lookup of the name");
    assert_eq!((lookups.active.len(), lookups.advance(15_010 * MS).len()), (2, 0));
    let [ended] = &lookups.advance(15_011 * MS)[..] else { panic!("one lookup ends") };
    assert_eq!((ended.start, ended.end, ended.answered), (0, 10 * MS, true));
    assert_eq!(counts(&ended.lookup), [1, 0, 1, 0]);
}

/// No connection comes about, so nothing is asked over TCP. Go tries the next server, by datagram again.
#[test]
fn the_next_server_is_asked_when_tcp_is_refused() {
    let asked = query(0, 0, 7, NAME, A);
    let next = Sighting { peer: SocketAddr::from(([10, 0, 0, 54], 53)), ..query(5000, 0, 7, NAME, A) };
    let ended = one(&[&asked, &cut(10, &asked), &next, &answer(5010, &next, FOUND)]);
    assert_eq!(counts(&ended.lookup), [2, 0, 1, 0]);
}

/// An error sends the resolver to its next server, whatever else its answer says.
#[test]
fn an_error_that_was_cut_is_an_error() {
    let mut lookups = Lookups::default();
    let asked = query(0, 0, 7, NAME, A);
    let mut failed = cut(10, &asked);
    failed.message.rcode = 2;
    feed(&mut lookups, &[&asked, &failed]);
    let [ended] = &lookups.advance(61 * MS)[..] else { panic!("nothing is awaited") };
    assert_eq!((ended.end, counts(&ended.lookup)), (10 * MS, [1, 0, 0, 0]));
}

/// `options use-vc`: a connection per name, both types in one segment, answered in any order.
#[test]
fn a_lookup_over_tcp_expands_as_any() {
    let (expanded, mut lookups) = (format!("{NAME}.svc.local"), Lookups::default());
    let [a, aaaa] = [query(0, 1, 7, &expanded, A), query(0, 1, 8, &expanded, AAAA)];
    let [next_a, next_aaaa] = [query(12, 2, 9, NAME, A), query(12, 2, 10, NAME, AAAA)];
    let begun = [&a, &aaaa, &answer(5, &aaaa, NXDOMAIN), &answer(6, &a, NXDOMAIN)];
    assert_eq!(feed(&mut lookups, &begun), []);
    let rest = [&next_a, &next_aaaa, &answer(20, &next_aaaa, (0, 0)), &answer(21, &next_a, FOUND)];
    let [ended] = &feed(&mut lookups, &rest)[..] else { panic!("one lookup") };
    assert_eq!((ended.start, ended.end, ended.lookup.name.as_str()), (0, 21 * MS, NAME));
    assert_eq!((counts(&ended.lookup), ended.lookup.wasted), ([4, 4, 0, 0], 2));
    assert_eq!(
        (&ended.lookup.rcodes[..], &ended.lookup.search_domains[..]),
        (&[3, 3, 0, 0][..], &["svc.local".to_owned()][..])
    );
}

/// A connection may be shared by all lookups of a process (RFC 7766, section 6.2.1.1): names that are asked at
/// once are told apart, and so is one name that two ask.
#[test]
fn pipelined_lookups_are_told_apart() {
    let mut lookups = Lookups::default();
    let names = ["one.example", "two.example", "one.example"];
    let asked: Vec<_> = (1..).zip(names).map(|(id, name)| query(0, 1, id, name, A)).collect();
    feed(&mut lookups, &asked.iter().collect::<Vec<_>>());
    assert_eq!(lookups.active.len(), 3);
    let answers: Vec<_> =
        (10..).zip(asked.iter().rev()).map(|(at, asked)| answer(at, asked, FOUND)).collect();
    let ended = feed(&mut lookups, &answers.iter().collect::<Vec<_>>());
    let ended: Vec<_> = ended.iter().map(|e| (e.number, e.lookup.name.as_str(), e.end)).collect();
    assert_eq!(ended, [(3, names[2], 10 * MS), (2, names[1], 11 * MS), (1, names[0], 12 * MS)]);
    assert_eq!(lookups.unmatched, 0);
}

/// On a shared connection, names with the same first label are one lookup only when one expands the other.
#[test]
fn pipelined_expansions_are_told_apart() {
    let mut lookups = Lookups::default();
    let ask = |lookups: &mut Lookups, ms, id, name: &str| {
        let asked = query(ms, 1, id, name, A);
        feed(lookups, &[&asked, &answer(ms + 1, &asked, NXDOMAIN)]);
    };
    ask(&mut lookups, 0, 1, "api.one.example.svc.local");
    ask(&mut lookups, 2, 2, "api.two.example.svc.local");
    ask(&mut lookups, 4, 3, "api.one.example.local");
    let names: Vec<_> = lookups.finish(100 * MS).into_iter().map(|e| e.lookup.name).collect();
    assert_eq!(names, ["api.one.example", "api.two.example.svc.local"]);
}

/// The server closes a connection that it finds idle (RFC 7766, section 6.2.3), and the query is sent again.
#[test]
fn a_query_whose_connection_is_closed_is_sent_again() {
    let mut lookups = Lookups::default();
    let (asked, again) = (query(0, 1, 7, NAME, A), query(12, 2, 7, NAME, A));
    feed(&mut lookups, &[&asked]);
    let [waiting] = &lookups.closed(1, 10 * MS)[..] else { panic!("one report") };
    assert_eq!((waiting.open, waiting.answered, waiting.end), (true, false, 10 * MS));
    let [ended] = &feed(&mut lookups, &[&again, &answer(20, &again, FOUND)])[..] else { panic!("one") };
    assert_eq!((ended.start, ended.end, counts(&ended.lookup)), (0, 20 * MS, [2, 2, 0, 0]));
}

#[test]
fn a_lookup_ends_with_its_connection() {
    let mut lookups = Lookups::default();
    feed(&mut lookups, &[&query(0, 1, 7, NAME, A)]);
    assert_eq!(lookups.closed(2, 5 * MS), [], "another connection");
    lookups.closed(1, 10 * MS);
    let [ended] = &lookups.advance(61 * MS)[..] else { panic!("one lookup ends") };
    assert_eq!((ended.end, ended.answered, counts(&ended.lookup)), (10 * MS, false, [1, 1, 0, 1]));
}

/// Another port, the same query: glibc's next server.
#[test]
fn the_next_server_is_asked_from_another_socket() {
    let asked = query(0, 0, 7, NAME, A);
    let mut next = query(5000, 0, 7, NAME, A);
    (next.local, next.peer) = (([10, 0, 0, 2], 45_000).into(), ([10, 0, 0, 54], 53).into());
    let ended = one(&[&asked, &next, &answer(5001, &next, FOUND)]);
    assert_eq!(counts(&ended.lookup), [2, 0, 0, 1]);
}

/// A server that cannot read a query cannot repeat its question.
#[test]
fn an_error_without_a_question_answers_by_id() {
    let mut lookups = Lookups::default();
    let asked = query(0, 0, 7, NAME, A);
    let blank = |rcode, id| {
        let mut blank = answer(10, &asked, (rcode, 0));
        (blank.message.id, blank.message.query_type) = (id, 0);
        blank.message.name.clear();
        blank
    };
    lookups.ingest(&asked);
    for stranger in [blank(1, 8), blank(0, 7)] {
        assert_eq!(lookups.ingest(&stranger), []);
    }
    let [report] = &lookups.ingest(&blank(1, 7))[..] else { panic!("one report") };
    assert_eq!((&report.lookup.rcodes[..], report.answered, lookups.unmatched), (&[1][..], true, 2));
}

/// An inverse query asks nothing; its answer has the question.
#[test]
fn an_answer_may_bring_the_question() {
    let mut asked = query(0, 0, 7, "", A);
    asked.message.query_type = 0;
    let mut found = answer(10, &asked, FOUND);
    (found.message.name, found.message.query_type) = (NAME.to_owned(), A);
    assert_eq!(one(&[&asked, &found]).lookup.rcodes, [0]);
}

#[test]
fn an_answer_that_comes_twice_counts_once() {
    let mut lookups = Lookups::default();
    let (asked, again) = (query(0, 0, 7, NAME, A), query(12, 1, 7, NAME, A));
    feed(&mut lookups, &[&asked, &cut(10, &asked), &cut(10, &asked), &again]);
    let answers = [answer(20, &again, FOUND), answer(21, &again, FOUND)];
    let [ended] = &feed(&mut lookups, &[&answers[0], &answers[1]])[..] else { panic!("one lookup") };
    assert_eq!((ended.end, counts(&ended.lookup), lookups.unmatched), (20 * MS, [2, 1, 1, 0], 2));
}

/// A zone comes in several messages, of which the further ones may leave the question out.
#[test]
fn a_transfer_ends_with_its_last_message() {
    let mut lookups = Lookups::default();
    let asked = query(0, 1, 7, "example.com", AXFR);
    let mut second = answer(30, &asked, (0, 100));
    second.message.query_type = 0;
    second.message.name.clear();
    assert_eq!(feed(&mut lookups, &[&asked, &answer(10, &asked, (0, 100)), &second]), []);
    let [ended] = &lookups.advance(81 * MS)[..] else { panic!("one lookup ends") };
    assert_eq!((ended.end, ended.answered, lookups.unmatched), (30 * MS, true, 0));
}

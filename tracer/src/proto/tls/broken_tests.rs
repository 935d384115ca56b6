//! What is cut, missing, late or no TLS at all.

use super::*;

fn ended(events: &[Event]) -> Vec<&Exchange> {
    events
        .iter()
        .filter_map(|event| if let Event::Ended(exchange) = event { Some(exchange) } else { None })
        .collect()
}

#[test]
fn a_fatal_alert_aborts_the_handshake() {
    let alert = |level, code| record(record::ALERT, &[level, code]);
    let mut packets = old_handshake();
    packets[1].1 = [alert(1, 112), packets[1].1.clone()].concat();
    let warned = run(&packets).0;
    assert_eq!(warned.alert.unwrap().description, 112);
    assert_eq!((warned.aborted, warned.ended), (None, Some(at(4))), "a warning ends nothing");
    packets[2].1 = alert(2, 48);
    packets.truncate(3);
    let failed = run(&packets).0;
    assert_eq!(failed.alert, Some(Alert { by: Client, seen: at(3), level: 2, description: 48 }));
    assert_eq!((failed.aborted, failed.ended), (Some((Client, at(3))), None));
}

#[test]
fn a_close_before_the_finished_aborts_the_handshake() {
    let handshake = run(&old_handshake()[..3]).0;
    assert_eq!((handshake.aborted, handshake.ended), (Some((Server, at(99))), None));
    let handshake = run(&old_handshake()).0;
    assert_eq!(handshake.aborted, None);
}

#[test]
fn a_hello_may_span_records_and_be_longer_than_what_is_kept() {
    let hello = message(1, &client_hello());
    let mut packets = old_handshake();
    packets[0].1 = hello.chunks(50).flat_map(|chunk| record(record::HANDSHAKE, chunk)).collect();
    assert_eq!(run(&packets).0.server_name.as_deref(), Some("shop.example"));

    let mut long = client_hello();
    let extensions = long.len() - 41 - 2;
    long.extend(extension(21, &vec![0; 20_000]));
    let total = u16::try_from(extensions + 20_004).unwrap();
    long[41..43].copy_from_slice(&total.to_be_bytes());
    let bytes: Vec<_> =
        message(1, &long).chunks(16_000).flat_map(|chunk| record(record::HANDSHAKE, chunk)).collect();
    let mut tls = Tls::new();
    read(&[(Client, bytes)], usize::MAX, 1, &mut tls);
    assert_eq!(tls.handshake().server_name.as_deref(), Some("shop.example"));
    assert_eq!(tls.skipped(), 0);
}

#[test]
fn every_cut_of_a_hello_is_read_as_far_as_it_goes() {
    let hello = client_hello();
    for length in 0..hello.len() {
        let _cut = hello::ClientHello::parse(&hello[..length]);
    }
    let hello = server_hello([1; 32], 0x1301, &extension(43, &[3, 4]));
    for length in 0..hello.len() {
        let read = hello::ServerHello::parse(&hello[..length]);
        assert_eq!(read.is_some(), length >= 2 + 32 + 1 + 2, "{length}");
    }
}

#[test]
fn a_name_that_is_no_text_is_not_shown() {
    let name = vector(&[&[0], vector(b"a\x1b[2J").as_slice()].concat());
    let hello = [&[3, 3], [7; 32].as_slice(), &[0, 0, 0, 0], &vector(&extension(0, &name))].concat();
    let (handshake, _) = run(&[(Client, plain(1, &hello))]);
    assert_eq!((handshake.begun, handshake.server_name), (Some(at(1)), None));
}

#[test]
fn a_flow_joined_in_the_middle_of_a_record_is_read_from_the_next_on() {
    let garbage = [0xee, 0x17, 0xee, 0x17, 3, 0x17, 3, 3, 0xff, 0xff, 0x16];
    let packets =
        [(Server, [garbage.as_slice(), &data(70)].concat()), (Client, data(100)), (Server, data(200))];
    let (handshake, exchanges) = run(&packets);
    assert_eq!(handshake, Handshake::default());
    assert_eq!(parts(&exchanges), [(None, part(1, 1, 75)), (part(2, 2, 105), part(3, 3, 205))]);
    let mut tls = Tls::new();
    read(&packets, usize::MAX, 1, &mut tls);
    assert_eq!(tls.skipped(), garbage.len() as u64);
}

#[test]
fn a_gap_inside_a_record_costs_nothing() {
    let mut tls = Tls::new();
    let mut events = read(&old_handshake(), usize::MAX, 1, &mut tls);
    let (request, response) = (data(100), data(1000));
    let tell = &mut |event| events.push(event);
    tls.bytes(Client, at(5), &request, tell);
    tls.bytes(Server, at(6), &response[..300], tell);
    tls.gap(Server, at(7), 705, tell);
    tls.bytes(Client, at(8), &request, tell);
    tls.end(Client, at(9), End::Unknown, tell);
    let exchanges = ended(&events);
    assert_eq!((exchanges[0].response, exchanges[0].outcome), (part(6, 7, 1005), Outcome::Complete));
    assert_eq!(exchanges[1].outcome, Outcome::Cut);
}

#[test]
fn a_gap_over_the_end_of_a_record_cuts_the_exchange() {
    let mut tls = Tls::new();
    let mut events = read(&old_handshake(), usize::MAX, 1, &mut tls);
    let tell = &mut |event| events.push(event);
    tls.bytes(Client, at(5), &data(100), tell);
    tls.bytes(Server, at(6), &data(1000)[..300], tell);
    tls.gap(Server, at(7), 706, tell);
    tls.bytes(Server, at(8), &[&[0xee; 40], data(30).as_slice()].concat(), tell);
    tls.bytes(Client, at(9), &data(100), tell);
    tls.bytes(Server, at(10), &data(20), tell);
    tls.end(Server, at(11), End::Fin, tell);
    let exchanges = ended(&events);
    assert_eq!((exchanges[0].response, exchanges[0].outcome), (part(6, 8, 335), Outcome::Cut));
    assert_eq!((exchanges[1].response, exchanges[1].outcome), (part(10, 10, 25), Outcome::Complete));
    assert_eq!(tls.skipped(), 40);
}

#[test]
fn a_gap_in_the_servers_flight_leaves_open_whether_it_resumes() {
    let mut tls = Tls::new();
    let packets = old_handshake();
    let tell = &mut |_| {};
    tls.bytes(Client, at(1), &packets[0].1, tell);
    tls.bytes(Server, at(2), &packets[1].1[..200], tell);
    tls.gap(Server, at(3), packets[1].1.len() as u64 - 200, tell);
    tls.bytes(Client, at(4), &packets[2].1, tell);
    tls.bytes(Server, at(5), &packets[3].1, tell);
    assert_eq!((tls.handshake().resumed, tls.handshake().ended), (None, Some(at(5))));
}

#[test]
fn ends_say_who_cut_what() {
    let outcome = |server: &[u8], ends: &[(Side, End)]| {
        let mut tls = Tls::new();
        let mut events = read(&old_handshake(), usize::MAX, 1, &mut tls);
        let tell = &mut |event| events.push(event);
        tls.bytes(Client, at(5), &data(100), tell);
        tls.bytes(Server, at(6), server, tell);
        for (side, end) in ends {
            tls.end(*side, at(7), *end, tell);
        }
        ended(&events).first().map(|exchange| exchange.outcome)
    };
    let response = data(50);
    assert_eq!(outcome(&response, &[(Client, End::Fin)]), None, "the server may go on");
    assert_eq!(outcome(&response, &[(Client, End::Fin), (Server, End::Fin)]), Some(Outcome::Complete));
    assert_eq!(outcome(&response, &[(Client, End::Reset)]), Some(Outcome::Complete));
    assert_eq!(outcome(&response[..30], &[(Client, End::Reset)]), Some(Outcome::Aborted(Client)));
    assert_eq!(outcome(&response[..30], &[(Server, End::Fin)]), Some(Outcome::Aborted(Server)));
    assert_eq!(outcome(&[], &[(Server, End::Fin)]), Some(Outcome::Aborted(Server)));
    assert_eq!(outcome(&[], &[(Server, End::Unknown)]), Some(Outcome::Cut));
}

#[test]
fn a_client_record_inside_a_server_record_begins_no_turn() {
    let response = data(1000);
    let mut packets = old_handshake();
    packets.extend([
        (Client, data(100)),
        (Server, response[..500].to_vec()),
        (Client, data(13)),
        (Server, response[500..].to_vec()),
    ]);
    assert_eq!(parts(&run(&packets).1), [(part(5, 5, 105), part(6, 8, 1005))]);
}

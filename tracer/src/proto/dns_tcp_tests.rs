use super::*;

use Side::{Client, Server};

fn at(packet: u64) -> Seen {
    Seen { time: packet * 10, packet }
}

/// A query of `length` bytes with this id, behind its length.
fn framed(id: u8, length: u16) -> Vec<u8> {
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend([0, id, 1, 0, 0, 1]);
    bytes.resize(2 + usize::from(length), id);
    bytes
}

/// Number of the first and of the last packet, id, bytes kept, length.
type Told = (u64, u64, u8, usize, u16);

fn read(pieces: &[(u64, &[u8])]) -> Vec<Told> {
    let (mut framing, mut told) = (Framing::default(), Vec::new());
    for (packet, bytes) in pieces {
        framing.bytes(Client, at(*packet), bytes, &mut |m| told.push(summary(&m)));
    }
    assert_eq!(framing.skipped, 0);
    told
}

fn summary(m: &Framed<'_>) -> Told {
    (m.first.packet, m.last.packet, m.bytes.get(1).copied().unwrap_or(0), m.bytes.len(), m.length)
}

#[test]
fn finds_messages_wherever_they_are_cut() {
    let bytes = [framed(1, 30), framed(2, 12), vec![0, 0], framed(3, 5000)].concat();
    let expected = |last| [(1, 1, 1, 30, 30), (1, 1, 2, 12, 12), (1, 1, 0, 0, 0), (1, last, 3, 4096, 5000)];
    assert_eq!(read(&[(1, &bytes)]), expected(1));
    for cut in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(read(&[(1, head), (1, tail)]), expected(1), "{cut}");
    }
    let single: Vec<_> = bytes.chunks(1).map(|byte| (1, byte)).collect();
    assert_eq!(read(&single), expected(1));
    assert_eq!(read(&[(1, &bytes[..100]), (2, &bytes[100..])]), expected(2));
}

#[test]
fn keeps_the_two_sides_apart() {
    let (mut framing, mut told) = (Framing::default(), Vec::new());
    let (query, answer) = (framed(1, 20), framed(2, 40));
    let tell = &mut |m: Framed<'_>| told.push((m.from, m.first.packet, m.last.packet));
    framing.bytes(Client, at(1), &query[..7], tell);
    framing.bytes(Server, at(2), &answer[..1], tell);
    framing.bytes(Client, at(3), &query[7..], tell);
    framing.bytes(Server, at(4), &answer[1..], tell);
    assert_eq!(told, [(Client, 1, 3), (Server, 2, 4)]);
}

#[test]
fn a_gap_inside_a_message_costs_only_its_bytes() {
    let (mut framing, mut told) = (Framing::default(), Vec::new());
    let tell = &mut |m: Framed<'_>| told.push(summary(&m));
    framing.bytes(Client, at(1), &framed(1, 30)[..22], tell);
    framing.gap(Client, at(2), 4, tell);
    framing.bytes(Client, at(3), &[9; 6], tell);
    framing.bytes(Client, at(4), &framed(2, 30)[..22], tell);
    framing.gap(Client, at(5), 10, tell);
    framing.bytes(Client, at(6), &framed(3, 12), tell);
    assert_eq!(told, [(1, 3, 1, 20, 30), (4, 5, 2, 20, 30), (6, 6, 3, 12, 12)]);
}

#[test]
fn after_a_longer_gap_a_message_must_begin_with_a_segment() {
    let (mut framing, mut told) = (Framing::default(), Vec::new());
    let tell = &mut |m: Framed<'_>| told.push(summary(&m));
    framing.bytes(Client, at(1), &framed(1, 30)[..22], tell);
    framing.gap(Client, at(2), 11, tell);
    framing.bytes(Client, at(3), &[0xee; 50], tell);
    framing.bytes(Client, at(4), &framed(2, 12), tell);
    assert_eq!((told, framing.skipped), (vec![(4, 4, 2, 12, 12)], 50));
}

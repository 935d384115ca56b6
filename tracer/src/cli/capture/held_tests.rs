use bytemuck::{Zeroable as _, bytes_of};

use super::*;
use crate::export::fixture;

const SECOND: u64 = 1_000_000_000;

fn record(flow: u64, time: u64) -> Vec<u8> {
    let head = PacketHead { flow, time, exchange: 1, first: 1, captured: 4, ..PacketHead::zeroed() };
    [bytes_of(&head), &[0x45, 0, 0, 0, 0xff]].concat()
}

fn push(held: &mut Held, flow: u64, time: u64) {
    held.push(&record(flow, time), |_, _| true);
}

fn flows(packets: &[HeldPacket]) -> Vec<u64> {
    packets.iter().map(|packet| packet.head.flow).collect()
}

#[test]
fn a_comment_finds_the_packet_of_its_message() {
    let mut held = Held::default();
    push(&mut held, 1, 10);
    push(&mut held, 2, 20);
    held.comment(Target::Request(2), 19, "here".to_owned());
    held.comment(Target::Request(2), 21, "nowhere: it came before that".to_owned());
    held.comment(Target::Request(3), 19, "nowhere".to_owned());
    let packets = held.ripe(20 + HOLD, None);
    let comments: Vec<&[String]> = packets.iter().map(|packet| &packet.comments[..]).collect();
    assert_eq!(comments, [&[][..], &["here".to_owned()][..]]);
    assert_eq!(packets[0].bytes.len(), 4);
}

#[test]
fn packets_wait_for_their_comments() {
    let mut held = Held::default();
    push(&mut held, 1, 10);
    assert!(held.ripe(10 + HOLD - 1, None).is_empty());
    assert_eq!(held.ripe(10 + HOLD, None).len(), 1);
}

#[test]
fn packets_wait_for_slow_requests() {
    let mut held = Held::default();
    push(&mut held, 1, 10);
    push(&mut held, 1, 20 + NEAR);
    assert_eq!(held.ripe(100 * HOLD, Some(15 + NEAR)).len(), 1);
    assert_eq!(held.ripe(200 * HOLD, None).len(), 1);
}

#[test]
fn a_cut_or_unwanted_record_is_left_out() {
    let mut held = Held::default();
    let whole = record(1, 10);
    held.push(&whole[..whole.len() - 2], |_, _| true);
    held.push(&[], |_, _| true);
    held.push(&whole, |head, bytes| head.flow != 1 || bytes.is_empty());
    assert!(held.all().is_empty());
}

fn ring(bytes: usize) -> Held {
    Held::new(Limits { bytes, age: Some(10 * SECOND), wanted_only: true })
}

#[test]
fn only_packets_of_slow_requests_leave_the_ring() {
    let request = fixture::request();
    let first = request.messages.request_first;
    let mut held = ring(1 << 20);
    push(&mut held, request.flow, first - 2 * NEAR);
    for (flow, after) in [(request.flow, 0), (99, 1), (request.calls[0].call.flow, 1_000_000)] {
        push(&mut held, flow, first + after);
    }
    push(&mut held, request.flow, first + request.total() + 2 * NEAR);
    assert!(held.want(&Wanted::of(&request)));
    let packets = held.ripe(first + 9 * SECOND, None);
    assert_eq!(flows(&packets), [request.flow, request.calls[0].call.flow]);
    assert_eq!(held.early, 0);
}

#[test]
fn the_ring_ends_after_its_seconds_and_bytes() {
    let request = fixture::request();
    let first = request.messages.request_first;
    for (held, now) in [(&mut ring(1 << 20), first + 11 * SECOND), (&mut ring(0), first + 1)] {
        push(held, request.flow, first);
        // The request has not settled, but its packets go.
        assert!(held.ripe(now, Some(first)).is_empty());
        assert_eq!(held.early, 1);
        assert!(!held.want(&Wanted::of(&request)));
    }
}

use tracer_ebpf::segment::tcp_flag::{ACK, FIN, RST, SYN};

use super::{
    Connection, Opening,
    fixture::{Said, Talk, segment},
};
use crate::{
    packet::Tcp,
    proto::stream::{
        End,
        Side::{self, Client, Server},
    },
};

fn flagged(flags: u8, tcp: Tcp<'static>) -> Tcp<'static> {
    Tcp { flags, ..tcp }
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Connection>() <= 408, "{}", size_of::<Connection>());
}

#[test]
fn the_first_segment_says_who_opened_it() {
    let of = |flags, from| Opening::of(&flagged(flags, segment(from, 1, 1, 0)));
    assert_eq!(of(SYN, Client), (Opening::Syn, Client));
    assert_eq!(of(SYN, Server), (Opening::Syn, Client), "even from a low port");
    assert_eq!(of(SYN | ACK, Server), (Opening::SynAck, Server));
    assert_eq!(of(ACK, Client), (Opening::Joined, Client));
    assert_eq!(of(ACK, Server), (Opening::Joined, Server));
}

#[test]
fn the_handshake_has_three_times() {
    let talk = Talk::opened();
    let handshake = talk.connection.handshake();
    let packets = [handshake.syn(), handshake.syn_ack(), handshake.ack()];
    assert_eq!(packets.map(|part| part.map(|seen| seen.packet)), [Some(1), Some(2), Some(3)]);
    assert!(!handshake.is_fast_open() && !handshake.is_simultaneous());
}

#[test]
fn a_syn_may_carry_bytes() {
    let mut talk = Talk::new(Opening::Syn);
    talk.hear(Client, &flagged(SYN, segment(Client, 100, 0, 20)));
    talk.hear(Server, &flagged(SYN | ACK, segment(Server, 500, 121, 0)));
    talk.say(Client, 121, 501, 30);
    assert!(talk.connection.handshake().is_fast_open());
    assert_eq!(talk.said, [Said::Bytes(Client, 20, 1), Said::Bytes(Client, 30, 3)]);
}

#[test]
fn totals_tell_what_was_sent_again() {
    let mut talk = Talk::opened();
    talk.say(Client, 101, 501, 50);
    talk.say(Client, 101, 501, 80);
    talk.say(Server, 501, 181, 10);
    let (client, server) = (talk.connection.totals(Client), talk.connection.totals(Server));
    assert_eq!((client.segments, client.bytes, client.unique), (4, 130, 80));
    assert_eq!((server.segments, server.bytes, server.unique), (2, 10, 10));
}

#[test]
fn both_sides_end_after_their_last_byte() {
    let mut talk = Talk::opened();
    talk.hear(Client, &flagged(FIN | ACK, segment(Client, 101, 501, 50)));
    talk.hear(Server, &flagged(FIN | ACK, segment(Server, 501, 152, 10)));
    assert!(talk.connection.has_ended());
    talk.say(Client, 152, 512, 0);
    talk.finish();
    let expected = [
        Said::Bytes(Client, 50, 4),
        Said::End(Client, End::Fin, 4),
        Said::Bytes(Server, 10, 5),
        Said::End(Server, End::Fin, 5),
    ];
    assert_eq!(talk.said, expected);
}

#[test]
fn a_reset_ends_both_sides() {
    let mut talk = Talk::opened();
    talk.say(Client, 101, 501, 50);
    talk.hear(Server, &flagged(RST | ACK, segment(Server, 501, 151, 0)));
    assert_eq!(talk.connection.reset_by(), Some(Server));
    talk.say(Client, 151, 501, 50);
    talk.finish();
    assert_eq!(talk.said, [Said::Bytes(Client, 50, 4), Said::End(Server, End::Reset, 5)]);
}

#[test]
fn a_far_reset_is_somebody_elses() {
    let mut talk = Talk::opened();
    talk.say(Server, 501, 101, 10);
    talk.hear(Server, &flagged(RST, segment(Server, 500_000_000, 0, 0)));
    assert_eq!(talk.connection.reset_by(), None);
    talk.say(Server, 511, 101, 10);
    assert_eq!(talk.bytes[Server as usize].len(), 20);
}

#[test]
fn a_refused_connection_may_be_tried_again() {
    let mut talk = Talk::new(Opening::Syn);
    let syn = flagged(SYN, segment(Client, 100, 0, 0));
    talk.hear(Client, &syn);
    talk.hear(Server, &flagged(RST | ACK, segment(Server, 0, 101, 0)));
    assert_eq!((talk.connection.reset_by(), talk.connection.has_ended()), (Some(Server), true));
    talk.hear(Client, &syn);
    assert_eq!(talk.connection.reset_by(), None);
    talk.hear(Server, &flagged(SYN | ACK, segment(Server, 500, 101, 0)));
    talk.say(Client, 101, 501, 50);
    assert_eq!(talk.said, [Said::Bytes(Client, 50, 5)]);
}

#[test]
fn a_refused_connection_ends_with_the_capture() {
    let mut talk = Talk::new(Opening::Syn);
    talk.hear(Client, &flagged(SYN, segment(Client, 100, 0, 0)));
    talk.hear(Server, &flagged(RST | ACK, segment(Server, 0, 101, 0)));
    assert_eq!(talk.said, []);
    talk.finish();
    assert_eq!(talk.said, [Said::End(Server, End::Reset, 2)]);
}

#[test]
fn the_end_of_the_capture_is_no_end_of_the_connection() {
    let mut talk = Talk::opened();
    talk.say(Client, 101, 501, 50);
    talk.finish();
    assert_eq!(talk.said, [Said::Bytes(Client, 50, 4), Said::End(Client, End::Unknown, 4)]);
}

#[test]
fn both_sides_are_alike() {
    for (from, other) in [(Client, Server), (Server, Client)] {
        let mut talk = Talk::new(Opening::Joined);
        talk.say(from, 1, 1, 10);
        talk.say(other, 1, 11, 10);
        let bytes = |side: Side| talk.bytes[side as usize].len();
        assert_eq!((bytes(from), bytes(other)), (10, 10));
    }
}

//! DNS messages of a capture: which answer belongs to which query, and the records for the pods' lookups.

use std::{
    collections::VecDeque,
    hash::{BuildHasher as _, Hash},
    net::IpAddr,
};

use bytemuck::Zeroable as _;
use rustc_hash::FxBuildHasher;
use tracer_ebpf::{
    record::{DATAGRAM_PREFIX, DatagramRecord, kind},
    segment::Direction,
};

use super::{DnsAnswer, Places, Sink, Whose, flow::Start};
use crate::{
    flow::{address_bytes, decode::Record},
    packet::{Packet, Udp},
    proto::{
        dns,
        dns_tcp::Framed,
        dns_transactions::{self, Answer, Conversation, Transactions, UDP_PORTS, is_transfer},
        stream::Seen,
    },
};

/// A datagram that comes again within this time was captured twice, at both ends of a node's own flow: resolvers
/// wait a second before they ask again.
const TWICE: u64 = 10_000_000;
/// Datagrams that are remembered for that.
const RECENT: usize = 64;

/// The DNS of a capture.
#[derive(Default)]
pub(super) struct Names {
    transactions: Transactions,
    /// Time and hash of the newest datagrams.
    recent: VecDeque<(u64, u64)>,
    /// Datagrams that were captured twice.
    pub(super) twice: u64,
}

impl Names {
    /// Takes a UDP datagram.
    pub(super) fn datagram(
        &mut self,
        packet: &Packet<'_>,
        udp: &Udp<'_>,
        seen: Seen,
        whose: Option<Whose>,
        places: &Places,
        sink: &mut impl Sink,
    ) {
        if !UDP_PORTS.iter().any(|port| *port == udp.source_port || *port == udp.destination_port) {
            return;
        }
        let source = (packet.source, udp.source_port);
        let destination = (packet.destination, udp.destination_port);
        let conversation = Conversation::datagrams(source.into(), destination.into());
        self.matched(conversation, seen, udp.payload, sink);
        if udp.source_port != dns::PORT && udp.destination_port != dns::PORT {
            return;
        }
        if let Some(Whose { pod, outbound }) = whose {
            let (direction, local, remote) = if outbound {
                (Direction::Egress, source, destination)
            } else {
                (Direction::Ingress, destination, source)
            };
            record(direction, pod, local, remote, udp, seen, sink);
            return;
        }
        if self.is_twice(&(source, destination, udp.payload), seen.time) {
            self.twice = self.twice.saturating_add(1);
            return;
        }
        for (direction, local, remote) in
            [(Direction::Egress, source, destination), (Direction::Ingress, destination, source)]
        {
            if let Some(cgroup) = places.locals.get(&local.0) {
                record(direction, *cgroup, local, remote, udp, seen, sink);
            }
        }
    }

    fn is_twice(&mut self, datagram: &impl Hash, time: u64) -> bool {
        let hash = FxBuildHasher.hash_one(datagram);
        let twice = self.recent.iter().any(|(at, known)| *known == hash && time.abs_diff(*at) < TWICE);
        if !twice {
            self.recent.truncate(RECENT - 1);
            self.recent.push_front((time, hash));
        }
        twice
    }

    /// Matches the queries and answers of a TCP connection.
    pub(super) fn message(&mut self, start: &Start, message: &Framed<'_>, sink: &mut impl Sink) {
        self.matched(Conversation::Flow(start.number), message.last, message.bytes, sink);
    }

    fn matched(&mut self, conversation: Conversation, seen: Seen, bytes: &[u8], sink: &mut impl Sink) {
        let Ok(message) = dns::Message::parse(bytes) else { return };
        let transfer = (message.query_type != 0).then(|| is_transfer(message.query_type));
        let said = dns_transactions::Message { id: message.id, transfer, seen };
        if !message.answer {
            self.transactions.query(conversation, said);
        } else if let Answer::Answered(answered) = self.transactions.answer(conversation, said) {
            sink.dns(&DnsAnswer {
                seen,
                query: answered.query,
                id: message.id,
                rcode: message.rcode,
                name: &message.name,
                qtype: message.query_type,
            });
        }
    }
}

/// Makes the record that the hooks would have made of a datagram.
fn record(
    direction: Direction,
    cgroup: u64,
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    udp: &Udp<'_>,
    seen: Seen,
    sink: &mut impl Sink,
) {
    let mut record = DatagramRecord::zeroed();
    record.kind = kind::DATAGRAM;
    record.direction = direction as u8;
    record.family = if local.0.is_ipv4() { 4 } else { 6 };
    (record.local, record.local_port) = (address_bytes(local.0), local.1);
    (record.remote, record.remote_port) = (address_bytes(remote.0), remote.1);
    (record.cgroup, record.time, record.length) = (cgroup, seen.time, udp.length);
    for (to, from) in record.payload.iter_mut().zip(udp.payload) {
        *to = *from;
    }
    record.payload_length = u32::try_from(udp.payload.len().min(DATAGRAM_PREFIX)).unwrap_or(u32::MAX);
    sink.record(Record::Datagram(&record));
}

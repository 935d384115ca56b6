//! DNS messages of the pods as clients → lookups.

use tracer_ebpf::{record::DatagramRecord, segment::Direction};

use super::{Engine, On, Resolve};
use crate::{
    flow::address,
    proto::{
        dns::{self, Message},
        dns_tcp::Framed,
        lookup::Sighting,
        stream::Side,
    },
    request::Thread,
};

impl<R: Resolve> Engine<R> {
    pub(super) fn datagram(&mut self, record: &DatagramRecord) {
        let length = (record.payload_length as usize).min(record.payload.len());
        let Some(message) = self.message(record.payload.get(..length).unwrap_or_default()) else { return };
        let outbound = record.direction == Direction::Egress as u8;
        // A pod that answers on port 53 is a DNS server: its datagrams are not lookups of its own.
        if record.remote_port != dns::PORT || outbound == message.answer {
            return;
        }
        let sighting = Sighting {
            time: record.time,
            flow: 0,
            local: (address(record.local), record.local_port).into(),
            peer: (address(record.remote), record.remote_port).into(),
            thread: Thread { thread: record.thread, process: record.process },
            message,
        };
        self.sighted(record.cgroup, &sighting);
    }

    /// Takes a message of a flow that speaks DNS over TCP; `side` is the end of it that `on` describes. Whoever
    /// calls this leaves the flow's exchanges out of the records: they are the same lookups.
    pub fn dns_message(&mut self, on: &On, side: Side, framed: &Framed<'_>) {
        let Some(message) = self.message(framed.bytes) else { return };
        let outbound = framed.from == side;
        if side != Side::Client || outbound == message.answer {
            return;
        }
        let sighting = Sighting {
            time: if outbound { framed.first.time } else { framed.last.time },
            flow: on.flow,
            local: on.transport.local,
            peer: on.transport.peer,
            thread: Thread::default(),
            message,
        };
        self.sighted(on.cgroup, &sighting);
    }

    fn message(&mut self, bytes: &[u8]) -> Option<Message> {
        let message = Message::parse(bytes).ok();
        self.oddities.malformed_dns += u64::from(message.is_none());
        message
    }

    fn sighted(&mut self, cgroup: u64, sighting: &Sighting) {
        if let Some(pod) = self.pod(cgroup) {
            pod.dns(sighting);
        }
    }
}

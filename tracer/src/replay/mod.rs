//! Captured packets in, records and exchanges out: what the BPF programs and the ring do live.
//!
//! Each connection is reassembled once and read by its protocol; each of its ends that is a pod's has a
//! [`view::View`] besides, the offline host of the state machine that the BPF programs run.
//!
//! Where packets say [whose](Whose) they are (a file by `tracer capture`), each pod's end is read on its own. Else the
//! addresses tell the pods, and what was captured at both ends of a node's own connection counts once.

mod caps;
mod datagram;
mod flow;
mod local;
mod table;
mod view;

use std::{net::IpAddr, net::SocketAddr, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};

use self::{
    caps::Caps,
    datagram::Names,
    flow::{Flow, Start},
    table::{Ends, Table},
};
pub use self::{local::Guess, table::Whose};
use crate::{
    engine::On,
    flow::{
        decode::Record,
        tcp::{Analysis, Budget, Flag, Opening},
    },
    packet::{Decoder, Packet, Tcp, Transport},
    proto::{
        dns_tcp::Framed,
        http1_stream, http2,
        memory::Memory,
        speaker::Handshake,
        stream::{Event, Exchange, Seen, Side},
    },
    request::totals::UNCAPTURED,
};

/// Bytes that wait for missing ones, over all connections.
const WAITING_BYTES: usize = 32 << 20;

/// Bytes that the protocols' readers hold, over all connections.
const READER_BYTES: usize = 32 << 20;

/// A DNS answer that a query waited for.
#[derive(Clone, Copy, Debug)]
pub struct DnsAnswer<'a> {
    /// The answer.
    pub seen: Seen,
    /// Its query.
    pub query: Seen,
    /// Transaction id.
    pub id: u16,
    /// Response code.
    pub rcode: u8,
    /// The name that was asked for.
    pub name: &'a str,
    /// Its type.
    pub qtype: u16,
}

/// A connection that is over.
#[derive(Clone, Debug)]
pub struct FlowSummary {
    /// From 0, in the order of first segments, as `tcp.stream`; but a connection that was captured at both ends by
    /// `tracer capture` has two.
    pub number: u64,
    /// Who opened it.
    pub client: SocketAddr,
    /// Who accepted it.
    pub server: SocketAddr,
    /// `tcp.analysis.initial_rtt`, nanoseconds.
    pub handshake_rtt: Option<u64>,
    /// Payload bytes of the client, retransmissions included.
    pub bytes_client: u64,
    /// Payload bytes of the server, retransmissions included.
    pub bytes_server: u64,
    /// Segments.
    pub packets: u64,
    /// Frames with RST, at most [`flow::RESET_LIMIT`].
    pub resets: Vec<u64>,
    /// What the client asked for in the TLS handshake.
    pub server_name: Option<Arc<str>>,
    /// What could not be read of an HTTP/1 connection.
    pub http1: Option<http1_stream::Counts>,
    /// What happened on an HTTP/2 connection.
    pub http2: Option<Box<http2::Counters>>,
}

/// Gets what a capture holds.
pub trait Sink {
    /// A record of a pod's end, as the hooks would have made it; of exchanges only those that no parser tells of.
    fn record(&mut self, record: Record<'_>);
    /// A parser tells of an exchange, seen from a pod's end.
    fn told(&mut self, on: &On, event: &Event, now: u64);
    /// A DNS message over TCP, seen from a pod's end, which is `side`.
    fn dns_message(&mut self, on: &On, side: Side, message: &Framed<'_>);
    /// A pod that is the client ended a TLS handshake.
    fn tls(&mut self, on: &On, handshake: &Handshake);
    /// A server takes no new streams of a pod's connection.
    fn goaway(&mut self, on: &On, now: u64);
    /// An exchange is over; once per [connection](FlowSummary::number), whoever's pods the ends are.
    fn exchange(&mut self, flow: u64, exchange: &Exchange);
    /// A DNS answer came.
    fn dns(&mut self, answer: &DnsAnswer<'_>);
    /// A connection is over.
    fn flow(&mut self, flow: &FlowSummary);
    /// The sequence analysis has something to say.
    fn segment(&mut self, packet: u64, flow: u64, analysis: &Analysis);
}

/// Which addresses are whose.
struct Places {
    /// Index of the pod by its address.
    locals: FxHashMap<IpAddr, u64>,
    metadata: FxHashSet<IpAddr>,
}

/// The memory that connections share.
struct Shared {
    /// Of bytes that wait for missing ones.
    budget: Budget,
    /// Of the protocols' readers.
    memory: Memory,
    /// The limits that single readers reached.
    caps: Caps,
}

/// The state of a replay.
pub struct Replay {
    decoder: Decoder,
    places: Places,
    table: Table,
    shared: Shared,
    names: Names,
    /// Connections so far.
    flows: u64,
    /// How often the capture lacks segments that were sent.
    uncaptured: u64,
}

impl Replay {
    /// Nothing seen yet. A pod's index in `locals` is its cgroup in the records.
    #[must_use]
    pub fn new(locals: &[IpAddr], metadata: Vec<IpAddr>) -> Self {
        let locals = locals.iter().copied().zip(0..).collect();
        Self {
            decoder: Decoder::default(),
            places: Places { locals, metadata: metadata.into_iter().collect() },
            table: Table::default(),
            shared: Shared {
                budget: Budget::new(WAITING_BYTES),
                memory: Memory::new(READER_BYTES),
                caps: Caps::default(),
            },
            names: Names::default(),
            flows: 0,
            uncaptured: 0,
        }
    }

    /// Takes the next packet; `link` and `original_length` as in [`Decoder::decode`], `whose` where the capture says it.
    pub fn packet(
        &mut self,
        seen: Seen,
        link: u16,
        bytes: &[u8],
        original_length: u32,
        whose: Option<Whose>,
        sink: &mut impl Sink,
    ) {
        let Self { decoder, places, table, shared, names, flows, uncaptured } = self;
        // A packet that cannot be read was counted.
        let Ok(Some(packet)) = decoder.decode(link, seen.time, bytes, original_length) else { return };
        match &packet.transport {
            Transport::Tcp(tcp) => {
                let mut state = Tcps { places, table, shared, names, flows, uncaptured };
                state.segment(&packet, tcp, seen, whose, sink);
            }
            Transport::Udp(udp) => names.datagram(&packet, udp, seen, whose, places, sink),
        }
    }

    /// The capture is over.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        let Self { table, shared, names, .. } = self;
        table.take_all(&mut |mut flow| flow.finish(shared, names, sink));
    }

    /// Packets that could not be read, by reason.
    pub fn skipped(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.decoder.skipped()
    }

    /// What was read and is odd, by kind.
    pub fn oddities(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let own = [
            ("flows_evicted", self.table.evicted),
            ("readers_shed", self.shared.memory.shed()),
            ("captured_twice", self.names.twice),
            (UNCAPTURED, self.uncaptured),
        ];
        own.into_iter().chain(self.shared.caps.named())
    }
}

/// The part of a replay that connections need.
struct Tcps<'a> {
    places: &'a Places,
    table: &'a mut Table,
    shared: &'a mut Shared,
    names: &'a mut Names,
    flows: &'a mut u64,
    uncaptured: &'a mut u64,
}

impl Tcps<'_> {
    fn segment(
        &mut self,
        packet: &Packet<'_>,
        tcp: &Tcp<'_>,
        seen: Seen,
        whose: Option<Whose>,
        sink: &mut impl Sink,
    ) {
        let source = (packet.source, tcp.source_port);
        let destination = (packet.destination, tcp.destination_port);
        let (ends, is_low) = Ends::of(source, destination, whose);
        let known = self.table.get(&ends);
        let is_reused = known.is_some();
        let flow = match known {
            Some(flow) if !flow.begins_new(flow.side(is_low), tcp) => flow,
            _ => {
                self.open(packet, tcp, (ends, is_low), is_reused, whose, seen, sink);
                let Some(flow) = self.table.get(&ends) else { return };
                flow
            }
        };
        let from = flow.side(is_low);
        let analysis = flow.segment(from, tcp, seen, self.shared, self.names, sink);
        *self.uncaptured += u64::from(analysis.flags.has(Flag::LostSegment));
    }

    #[expect(clippy::too_many_arguments, reason = "what a first segment says, and where it goes")]
    fn open(
        &mut self,
        packet: &Packet<'_>,
        tcp: &Tcp<'_>,
        (ends, is_low): (Ends, bool),
        is_reused: bool,
        whose: Option<Whose>,
        seen: Seen,
        sink: &mut impl Sink,
    ) {
        if !is_reused && self.table.is_full() {
            let Self { table, shared, names, .. } = self;
            table.make_room(seen.time, &mut |mut flow| flow.finish(shared, names, sink));
        }
        let (opening, sender) = Opening::of(tcp);
        let source = SocketAddr::new(packet.source, tcp.source_port);
        let destination = SocketAddr::new(packet.destination, tcp.destination_port);
        let (client, server) =
            if sender == Side::Client { (source, destination) } else { (destination, source) };
        let client_is_low = (sender == Side::Client) == is_low;
        let local =
            whose.map(|Whose { pod, outbound }| (if outbound { sender } else { sender.opposite() }, pod));
        let start = Start { number: *self.flows, opening, is_reused, client, server, client_is_low, local };
        *self.flows += 1;
        if let Some(mut before) = self.table.insert(ends, Flow::new(start, self.places)) {
            before.finish(self.shared, self.names, sink);
        }
    }
}

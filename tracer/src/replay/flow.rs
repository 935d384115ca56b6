//! One connection of a capture: reassembly, protocol and the views of its ends together.

use std::net::SocketAddr;

use tracer_ebpf::{
    record::{FlowRecord, kind, role},
    segment::Direction,
};

use super::{
    FlowSummary, Places, Shared, Sink,
    datagram::Names,
    view::{Identity, View},
};
use crate::{
    engine::On,
    flow::{
        Transport, address_bytes,
        decode::Record,
        tcp::{Analysis, Connection, Opening, Piece},
    },
    packet::Tcp,
    proto::{
        dns,
        speaker::{Handshake, Speaker, Told},
        stream::{Event, Seen, Side},
    },
    request::CallKind,
};

/// Frames with RST that are kept per connection.
pub(super) const RESET_LIMIT: usize = 16;

/// What a connection's first segment says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// From 0, as `tcp.stream`.
    pub(super) number: u64,
    pub(super) opening: Opening,
    /// The ends were in use before.
    pub(super) is_reused: bool,
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    /// The client is the lower of [`super::table::Ends`].
    pub(super) client_is_low: bool,
    /// The one end that is a pod's, and the pod's cgroup, where packets say so; else the addresses tell.
    pub(super) local: Option<(Side, u64)>,
}

/// A connection.
pub(super) struct Flow {
    start: Start,
    connection: Connection,
    speaker: Speaker,
    /// Of the client's and the server's end, if they are pods'.
    views: [Option<Box<End>>; 2],
    resets: Vec<u64>,
    packets: u64,
}

/// A pod's end.
struct End {
    view: View,
    on: On,
}

impl Flow {
    pub(super) fn new(start: Start, places: &Places) -> Self {
        let end = |side| End::of(&start, side, places);
        Self {
            start,
            connection: Connection::new(start.opening, start.is_reused),
            speaker: Speaker::new(start.opening == Opening::Joined, start.server.port()),
            views: [end(Side::Client), end(Side::Server)],
            resets: Vec::new(),
            packets: 0,
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.start.number
    }

    pub(super) fn side(&self, is_low: bool) -> Side {
        if is_low == self.start.client_is_low { Side::Client } else { Side::Server }
    }

    pub(super) fn begins_new(&self, from: Side, tcp: &Tcp<'_>) -> bool {
        self.connection.begins_new(from, tcp)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.connection.has_ended()
    }

    pub(super) fn last(&self) -> u64 {
        self.connection.last().time
    }

    /// Follows one segment, and gives what the sequence analysis says of it.
    pub(super) fn segment(
        &mut self,
        from: Side,
        tcp: &Tcp<'_>,
        seen: Seen,
        shared: &mut Shared,
        names: &mut Names,
        sink: &mut impl Sink,
    ) -> Analysis {
        self.packets += 1;
        if tcp.flags & tracer_ebpf::segment::tcp_flag::RST != 0 && self.resets.len() < RESET_LIMIT {
            self.resets.push(seen.packet);
        }
        let (start, speaker, views) = (&self.start, &mut self.speaker, &mut self.views);
        let mut deliver =
            |side: Side, piece: Piece<'_>| deliver(start, speaker, views, side, piece, names, sink);
        let analysis = self.connection.segment(from, tcp, seen, &mut shared.budget, &mut deliver);
        let mut told = |told: Told<'_>| pass_on(start, views, told, seen, names, sink);
        speaker.account(&mut shared.memory, seen, &mut told);
        if !analysis.flags.is_empty() {
            sink.segment(seen.packet, self.start.number, &analysis);
        }
        for (side, end) in [Side::Client, Side::Server].into_iter().zip(&mut self.views) {
            let Some(end) = end else { continue };
            let direction = if side == from { Direction::Egress } else { Direction::Ingress };
            let is_told = end.is_told(&self.speaker);
            end.view.segment(tcp, direction, seen.time, &mut |record| pass(record, is_told, sink));
        }
        analysis
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self, shared: &mut Shared, names: &mut Names, sink: &mut impl Sink) {
        self.speaker.release(&mut shared.memory);
        let (start, speaker, views) = (&self.start, &mut self.speaker, &mut self.views);
        let mut deliver =
            |side: Side, piece: Piece<'_>| deliver(start, speaker, views, side, piece, names, sink);
        self.connection.finish(&mut shared.budget, &mut deliver);
        let time = self.connection.last().time;
        for end in self.views.iter_mut().flatten() {
            let is_told = end.is_told(&self.speaker);
            end.view.flush(time, &mut |record| pass(record, is_told, sink));
        }
        let (http1, http2) = (self.speaker.http1(), self.speaker.http2().copied().map(Box::new));
        if let Some(counts) = &http1 {
            shared.caps.http1(counts);
        }
        if let Some(counters) = &http2 {
            shared.caps.http2(counters);
        }
        let [client, server] = [Side::Client, Side::Server].map(|side| self.connection.totals(side));
        sink.flow(&FlowSummary {
            number: self.start.number,
            client: self.start.client,
            server: self.start.server,
            handshake_rtt: self.connection.initial_rtt(),
            bytes_client: client.bytes,
            bytes_server: server.bytes,
            packets: self.packets,
            resets: std::mem::take(&mut self.resets),
            server_name: self.speaker.server_name(),
            http1,
            http2,
        });
    }
}

/// Hands a piece of a side's bytes to the protocol, and what that tells to the sink.
fn deliver(
    start: &Start,
    speaker: &mut Speaker,
    views: &mut [Option<Box<End>>; 2],
    side: Side,
    piece: Piece<'_>,
    names: &mut Names,
    sink: &mut impl Sink,
) {
    let seen = piece.seen();
    speaker.piece(side, piece, &mut |told| pass_on(start, views, told, seen, names, sink));
}

/// Hands what the protocol tells to the sink.
fn pass_on(
    start: &Start,
    views: &[Option<Box<End>>; 2],
    told: Told<'_>,
    seen: Seen,
    names: &mut Names,
    sink: &mut impl Sink,
) {
    match told {
        Told::Event(event, is_opaque) => {
            if let Event::Ended(exchange) = &event {
                sink.exchange(start.number, exchange);
            }
            for end in views.iter().flatten().filter(|end| end.takes(is_opaque)) {
                sink.told(&end.on, &event, seen.time);
            }
        }
        Told::Tls(handshake) => tls(views, &handshake, sink),
        Told::Dns(message) => {
            names.message(start, &message, sink);
            for (side, end) in [Side::Client, Side::Server].into_iter().zip(views.iter()) {
                let Some(end) = end else { continue };
                sink.dns_message(&end.on, side, &message);
            }
        }
        Told::Goaway => {
            if let Some(end) = &views[Side::Client as usize] {
                sink.goaway(&end.on, seen.time);
            }
        }
    }
}

/// The client's set-up goes on until TLS is ready.
fn tls(views: &[Option<Box<End>>; 2], handshake: &Handshake, sink: &mut impl Sink) {
    if let Some(end) = &views[Side::Client as usize] {
        sink.tls(&end.on, handshake);
    }
}

/// Passes a view's record on, without exchanges when the parser tells of them.
fn pass(record: Record<'_>, is_told: bool, sink: &mut impl Sink) {
    match record {
        Record::Flow(flow) if is_told && flow.kind == kind::EXCHANGE => {}
        Record::Flow(flow) if is_told => sink.record(Record::Flow(&FlowRecord { exchange: 0, ..*flow })),
        other => sink.record(other),
    }
}

impl End {
    /// Whether the parser tells of this end's exchanges; of those with the metadata service the view does, which
    /// reads their payload.
    fn is_told(&self, speaker: &Speaker) -> bool {
        speaker.is_told() && !self.view.identity().metadata
    }

    /// Whether an exchange that the parser tells of is this end's: the view keeps turns of an unknown protocol
    /// to itself, unless it took it for one with frames.
    fn takes(&self, is_opaque: bool) -> bool {
        !self.view.identity().metadata && (!is_opaque || self.view.is_framed())
    }

    fn of(start: &Start, side: Side, places: &Places) -> Option<Box<Self>> {
        let (local, peer) = match side {
            Side::Client => (start.client, start.server),
            Side::Server => (start.server, start.client),
        };
        let cgroup = match start.local {
            Some((of, cgroup)) => (of == side).then_some(cgroup)?,
            None => *places.locals.get(&local.ip())?,
        };
        let is_dns = peer.port() == dns::PORT;
        // GCP's metadata service is a DNS server as well.
        let metadata = side == Side::Client && !is_dns && places.metadata.contains(&peer.ip());
        let kind = if metadata {
            CallKind::Metadata
        } else if is_dns {
            CallKind::Dns
        } else {
            CallKind::Upstream
        };
        // Not zero, and growing with time, as the ids of live flows.
        let flow = start.number * 2 + side as u64 + 2;
        let on = On {
            flow,
            role: if side == Side::Client { role::CLIENT } else { role::SERVER },
            cgroup,
            transport: Transport { local, peer, srtt_us: 0, retransmits: 0 },
            kind,
            joined: start.opening == Opening::Joined,
        };
        let identity = Identity {
            flow,
            cgroup,
            local: (address_bytes(local.ip()), local.port()),
            remote: (address_bytes(peer.ip()), peer.port()),
            family: if local.is_ipv4() { 4 } else { 6 },
            metadata,
        };
        Some(Box::new(Self { view: View::new(identity), on }))
    }
}

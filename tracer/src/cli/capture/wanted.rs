//! The packets of one request: its own, its calls', its lookups'.

use std::net::{IpAddr, SocketAddr};

use etherparse::{SlicedPacket, TransportSlice};
use rustc_hash::FxHashMap;
use tracer_ebpf::{record::PacketHead, segment::Direction};

use super::held::NEAR;
use crate::{
    packet::filter::Header,
    proto::dns,
    request::{Request, What},
};

/// How long before a request its connection's handshake may be.
const HANDSHAKE: u64 = 100_000_000;

/// From the first packet to the last.
type Span = (u64, u64);

/// Where the packets of a request are.
pub(super) struct Wanted<'a> {
    /// By flow, when something for the request passed on it.
    flows: FxHashMap<u64, Vec<Span>>,
    /// The ends of the request's flow and since when: what its handshake brought passed a socket without a flow.
    ends: (SocketAddr, SocketAddr, u64),
    /// Lookups over UDP: who asked, for which name, when.
    lookups: Vec<(IpAddr, &'a str, Span)>,
    span: Span,
}

/// Whether the packet passed then. It is stamped a little later than the record of the message that it ends; by then the next
/// request may have begun.
fn passed(head: &PacketHead, (from, to): Span) -> bool {
    let begins_request = head.first == 1 && head.response == 0;
    let until = if begins_request { to } else { to.saturating_add(NEAR) };
    (from..=until).contains(&head.time)
}

impl<'a> Wanted<'a> {
    /// Of a settled request.
    pub(super) fn of(request: &'a Request) -> Self {
        let messages = &request.messages;
        let own = (messages.request_first, messages.request_first.saturating_add(request.total()));
        let (begin, transport) = (own.0.saturating_sub(HANDSHAKE), &request.transport);
        let ends = (transport.local, transport.peer, begin);
        let span = (begin, own.1);
        let mut wanted = Self { flows: FxHashMap::default(), ends, lookups: Vec::new(), span };
        wanted.flows.entry(request.flow).or_default().push(own);
        for call in request.calls.iter().map(|attributed| &attributed.call) {
            let span = (call.start, call.end);
            wanted.span = (wanted.span.0.min(span.0), wanted.span.1.max(span.1));
            match &call.what {
                What::Dns(lookup) => {
                    wanted.lookups.push((call.local.ip(), &lookup.name, span));
                    // Over TCP, or both when the answer was truncated.
                    if call.flow != 0 {
                        wanted.flows.entry(call.flow).or_default().push(span);
                    }
                }
                _ => wanted.flows.entry(call.flow).or_default().push(span),
            }
        }
        wanted
    }

    /// From the first packet to the last.
    pub(super) fn span(&self) -> Span {
        (self.span.0, self.span.1.saturating_add(NEAR))
    }

    /// Whether the packet is one of them.
    pub(super) fn owns(&self, head: &PacketHead, packet: &[u8]) -> bool {
        let at = |span: &Span| passed(head, *span);
        if head.flow != 0 {
            return self.flows.get(&head.flow).is_some_and(|spans| spans.iter().any(at));
        }
        let Some(header) = Header::of(packet) else { return false };
        // The peer's pod may be traced as well: that is its view of the packet.
        let outbound = head.direction == Direction::Egress as u8;
        let own = if outbound { header.source() } else { header.destination() };
        let (local, peer, begin) = self.ends;
        if head.time >= begin && local.ip() == own && header.is_between(local, peer) {
            return true;
        }
        let mut lookups = self.lookups.iter().filter(|(.., span)| at(span)).peekable();
        if lookups.peek().is_none() {
            return false;
        }
        let Some(name) = asked(packet) else { return false };
        lookups.any(|(local, wanted, _)| *local == own && is_expansion(&name, wanted))
    }
}

/// The name in a DNS datagram's question.
fn asked(packet: &[u8]) -> Option<String> {
    let sliced = SlicedPacket::from_ip(packet).ok()?;
    let Some(TransportSlice::Udp(udp)) = sliced.transport else { return None };
    if udp.source_port() != dns::PORT && udp.destination_port() != dns::PORT {
        return None;
    }
    dns::Message::parse(udp.payload()).ok().map(|message| message.name)
}

/// Whether a resolver that looks for `name` asks for this one: it, or it in a search domain.
fn is_expansion(asked: &str, name: &str) -> bool {
    let head = asked.get(..name.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(name))
        && matches!(asked.as_bytes().get(name.len()), None | Some(b'.'))
}

//! The packets of one request: its own, its calls', its lookups'.

use std::net::IpAddr;

use etherparse::{SlicedPacket, TransportSlice};
use rustc_hash::FxHashMap;
use tracer_ebpf::record::PacketHead;

use super::held::NEAR;
use crate::{
    packet::filter::{Header, Net},
    proto::dns,
    request::{Request, What},
};

/// From the first packet to the last.
type Span = (u64, u64);

/// Where the packets of a request are.
pub(super) struct Wanted<'a> {
    /// By flow, when something for the request passed on it.
    flows: FxHashMap<u64, Vec<Span>>,
    /// Lookups over UDP: who asked, for which name, when.
    lookups: Vec<(IpAddr, &'a str, Span)>,
    span: Span,
}

fn around(first: u64, last: u64) -> Span {
    (first.saturating_sub(NEAR), last.saturating_add(NEAR))
}

impl<'a> Wanted<'a> {
    /// Of a settled request.
    pub(super) fn of(request: &'a Request) -> Self {
        let messages = &request.messages;
        let own = around(messages.request_first, messages.request_first.saturating_add(request.total()));
        let mut wanted = Self { flows: FxHashMap::default(), lookups: Vec::new(), span: own };
        wanted.flows.entry(request.flow).or_default().push(own);
        for call in request.calls.iter().map(|attributed| &attributed.call) {
            let span = around(call.start, call.end);
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
        self.span
    }

    /// Whether the packet is one of them.
    pub(super) fn owns(&self, head: &PacketHead, packet: &[u8]) -> bool {
        let at = |(from, to): &Span| (*from..=*to).contains(&head.time);
        if head.flow != 0 {
            return self.flows.get(&head.flow).is_some_and(|spans| spans.iter().any(at));
        }
        let mut lookups = self.lookups.iter().filter(|(.., span)| at(span)).peekable();
        if lookups.peek().is_none() {
            return false;
        }
        let (Some(header), Some(name)) = (Header::of(packet), asked(packet)) else { return false };
        lookups.any(|(local, wanted, _)| header.has_address(&Net::of(*local)) && is_expansion(&name, wanted))
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

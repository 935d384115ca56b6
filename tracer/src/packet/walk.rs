//! From header to header, down to the innermost TCP or UDP.

use super::{
    Packet, Skipped, Transport,
    bytes::Bytes,
    fragment::{Fragments, Whole},
    ip::{self, Header},
    link, transport,
    tunnel::{self, Tunnel},
    wlan,
};

/// Steps in a packet that are taken: VLAN tags, labels, tunnels, IP and its extensions. Eight VXLANs in each other
/// are within.
const HEADERS: u32 = 64;

/// What the next header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    Ethernet,
    /// What an Ethernet type says.
    Type(u16),
    Llc,
    Ppp,
    Mpls,
    Gre,
    /// IEEE 802.11.
    Wlan,
    /// In a UDP datagram.
    Tunnel(Tunnel),
    /// IP of the version it has.
    Ip,
    Ipv4,
    Ipv6,
    /// What an IP protocol number says.
    Payload(u8),
    /// A part of what an IP protocol number says; in IPv6 after a header that says which.
    Fragment,
    Tcp,
    Udp,
}

/// What follows a header, `None` when it is nothing that is read.
pub(super) type Next = Result<Option<Layer>, Skipped>;

/// What a packet is, as [`super::Decoder::decode`] returns it.
pub(super) type Read<'a> = Result<Option<Packet<'a>>, Skipped>;

/// A packet on the way.
pub(super) struct Walk<'a> {
    rest: Bytes<'a>,
    /// The innermost so far; without one there is no transport either.
    header: Header<'a>,
    /// The datagram of the tunnel it is in: what the packet is when its inside does not parse.
    outer: Option<Packet<'a>>,
}

impl<'a> Walk<'a> {
    /// At the first header of a packet.
    pub(super) fn new(bytes: &'a [u8], length: usize) -> Self {
        Self { rest: Bytes::new(bytes, length), header: Header::V4(&[0; 20]), outer: None }
    }

    /// Behind the IP header of a datagram that came in fragments.
    pub(super) fn whole(whole: &'a Whole) -> Self {
        let rest = Bytes::new(&whole.bytes, whole.bytes.len());
        Self { rest, header: Header::Whole(whole), outer: None }
    }

    /// Goes to the end, from the header of a link type.
    #[inline]
    pub(super) fn link(mut self, link: u16, time: u64, fragments: &mut Fragments) -> Read<'a> {
        match link::first(link, &mut self.rest)? {
            Some(layer) => self.run(layer, time, fragments),
            None => Ok(None),
        }
    }

    /// Goes to the end, from `layer`. A datagram whose last fragment it has is left in `fragments`.
    pub(super) fn run(mut self, layer: Layer, time: u64, fragments: &mut Fragments) -> Read<'a> {
        let mut layer = layer;
        for _ in 0..HEADERS {
            let next = match layer {
                Layer::Tcp => match transport::tcp(self.rest) {
                    Ok(tcp) => return Ok(Some(self.header.packet(Transport::Tcp(tcp)))),
                    Err(skipped) => Err(skipped),
                },
                Layer::Udp => match transport::udp(&mut self.rest) {
                    Ok(udp) => {
                        let packet = Some(self.header.packet(Transport::Udp(udp)));
                        let Some(tunnel) = Tunnel::of(&udp) else { return Ok(packet) };
                        self.outer = packet;
                        Ok(Some(Layer::Tunnel(tunnel)))
                    }
                    Err(skipped) => Err(skipped),
                },
                _ => self.step(layer, time, fragments),
            };
            match next {
                Ok(Some(next)) => layer = next,
                Ok(None) if fragments.has_whole() => return Ok(None),
                Ok(None) => return Ok(self.outer),
                Err(skipped) => return self.outer.map(Some).ok_or(skipped),
            }
        }
        Err(Skipped::Nested)
    }

    /// Reads one header above the transport.
    #[inline]
    fn step(&mut self, layer: Layer, time: u64, fragments: &mut Fragments) -> Next {
        let rest = &mut self.rest;
        match layer {
            Layer::Ethernet => link::ethernet(rest),
            Layer::Type(value) => link::typed(value, rest),
            Layer::Llc => link::llc(rest),
            Layer::Ppp => link::ppp(rest),
            Layer::Mpls => link::mpls(rest),
            Layer::Gre => tunnel::gre(rest),
            Layer::Wlan => wlan::data(rest),
            Layer::Tunnel(tunnel) => tunnel.open(rest),
            Layer::Ip => ip::any(rest, &mut self.header),
            Layer::Ipv4 => ip::v4(rest, &mut self.header),
            Layer::Ipv6 => ip::v6(rest, &mut self.header),
            Layer::Payload(number) => ip::payload(number, &self.header, rest),
            Layer::Fragment => self.fragment(time, fragments),
            Layer::Tcp | Layer::Udp => Ok(None),
        }
    }

    /// Of a datagram that cannot be put together because of the snap length, the first fragment is read as it is.
    #[cold]
    fn fragment(&mut self, time: u64, fragments: &mut Fragments) -> Next {
        let place = ip::place(&self.header, &mut self.rest)?;
        let is_first = place.offset == 0;
        if is_first && (!place.more || !self.rest.is_whole()) {
            return Ok(Some(Layer::Payload(place.protocol)));
        }
        if !self.rest.is_whole() {
            return Err(Skipped::FragmentCut);
        }
        fragments.add(time, self.header.addresses(), place, self.rest.captured())?;
        Ok(None)
    }
}

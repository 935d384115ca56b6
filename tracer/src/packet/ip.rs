//! IP headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    Packet, Skipped, Transport,
    bytes::Bytes,
    fragment::{Place, Whole},
    walk::{Layer, Next},
};

/// More fragments follow (RFC 791, section 3.1).
const MORE: u16 = 0x2000;
/// The offset of a fragment, in units of eight bytes.
const OFFSET: u16 = 0x1fff;

/// Internet protocol numbers.
mod protocol {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const IPV4: u8 = 4;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const IPV6: u8 = 41;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const GRE: u8 = 47;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION_OPTIONS: u8 = 60;
    pub(super) const ETHER_IP: u8 = 97;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const MPLS: u8 = 137;
    pub(super) const HOST_IDENTITY: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
    pub(super) const ETHERNET: u8 = 143;
}

/// An IP header, without options and extensions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Header<'a> {
    V4(&'a [u8; 20]),
    V6(&'a [u8; 40]),
    /// The header of a datagram that came in fragments.
    Whole(&'a Whole),
}

impl<'a> Header<'a> {
    /// Source and destination.
    #[inline]
    pub(super) fn addresses(&self) -> (IpAddr, IpAddr) {
        match *self {
            Self::V4([.., s0, s1, s2, s3, d0, d1, d2, d3]) => {
                (Ipv4Addr::new(*s0, *s1, *s2, *s3).into(), Ipv4Addr::new(*d0, *d1, *d2, *d3).into())
            }
            Self::V6([_, _, _, _, _, _, _, _, addresses @ ..]) => {
                let [source, destination] = halves(addresses);
                (Ipv6Addr::from(source).into(), Ipv6Addr::from(destination).into())
            }
            Self::Whole(whole) => (whole.source, whole.destination),
        }
    }

    /// A packet with its addresses.
    #[inline]
    pub(super) fn packet(&self, transport: Transport<'a>) -> Packet<'a> {
        let (source, destination) = self.addresses();
        Packet { source, destination, transport }
    }

    /// Whether extension headers can follow.
    fn is_v6(&self) -> bool {
        match self {
            Self::V4(_) => false,
            Self::V6(_) => true,
            Self::Whole(whole) => whole.source.is_ipv6(),
        }
    }
}

/// The header that the version field says it is.
#[inline]
pub(super) fn any<'a>(rest: &mut Bytes<'a>, header: &mut Header<'a>) -> Next {
    if rest.nibble() == Some(6) { v6(rest, header) } else { v4(rest, header) }
}

/// RFC 791, section 3.1. The checksum is not looked at: of what is sent, a network card may compute it later.
#[inline]
pub(super) fn v4<'a>(rest: &mut Bytes<'a>, header: &mut Header<'a>) -> Next {
    let head = rest.take::<20>()?;
    if head[0] >> 4 != 4 {
        return Err(Skipped::Version);
    }
    let options = (usize::from(head[0] & 0x0f) * 4).checked_sub(20).ok_or(Skipped::Length)?;
    rest.skip(options)?;
    // 0 where the network card is to cut a segment that is too long for the field: it fills the packet.
    let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
    if total != 0 {
        rest.narrow(total.checked_sub(20 + options).ok_or(Skipped::Length)?);
    }
    *header = Header::V4(head);
    let is_fragment = u16::from_be_bytes([head[6], head[7]]) & (MORE | OFFSET) != 0;
    Ok(Some(if is_fragment { Layer::Fragment } else { Layer::Payload(head[9]) }))
}

/// RFC 8200, section 3.
pub(super) fn v6<'a>(rest: &mut Bytes<'a>, header: &mut Header<'a>) -> Next {
    let head = rest.take::<40>()?;
    if head[0] >> 4 != 6 {
        return Err(Skipped::Version);
    }
    // 0 in jumbograms (RFC 2675) and where the network card is to cut the segment: it fills the packet.
    let length = u16::from_be_bytes([head[4], head[5]]);
    if length != 0 {
        rest.narrow(length.into());
    }
    *header = Header::V6(head);
    Ok(Some(Layer::Payload(head[6])))
}

/// Where a fragment belongs: by the header of IPv4, or by one that is next in IPv6 (RFC 8200, section 4.5).
pub(super) fn place(header: &Header<'_>, rest: &mut Bytes<'_>) -> Result<Place, Skipped> {
    if let Header::V4(head) = header {
        let word = u16::from_be_bytes([head[6], head[7]]);
        return Ok(Place {
            identification: u16::from_be_bytes([head[4], head[5]]).into(),
            offset: usize::from(word & OFFSET) * 8,
            more: word & MORE != 0,
            protocol: head[9],
        });
    }
    let [protocol, _, o0, o1, identification @ ..] = rest.take::<8>()?;
    let word = u16::from_be_bytes([*o0, *o1]);
    Ok(Place {
        identification: u32::from_be_bytes(*identification),
        offset: usize::from(word & 0xfff8),
        more: word & 1 != 0,
        protocol: *protocol,
    })
}

/// What a protocol number behind `header` stands for.
#[inline]
pub(super) fn payload(number: u8, header: &Header<'_>, rest: &mut Bytes<'_>) -> Next {
    use protocol::{DESTINATION_OPTIONS, HOP_BY_HOP, HOST_IDENTITY, MOBILITY, ROUTING, SHIM6};
    match number {
        protocol::TCP => Ok(Some(Layer::Tcp)),
        protocol::UDP => Ok(Some(Layer::Udp)),
        protocol::IPV4 => Ok(Some(Layer::Ipv4)),
        protocol::IPV6 => Ok(Some(Layer::Ipv6)),
        protocol::GRE => Ok(Some(Layer::Gre)),
        protocol::AUTHENTICATION => authentication(rest),
        // RFC 3378: a version.
        protocol::ETHER_IP => rest.take::<2>().map(|_| Some(Layer::Ethernet)),
        protocol::MPLS => Ok(Some(Layer::Mpls)),
        protocol::ETHERNET => Ok(Some(Layer::Ethernet)),
        protocol::FRAGMENT if header.is_v6() => Ok(Some(Layer::Fragment)),
        HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | MOBILITY | HOST_IDENTITY | SHIM6 if header.is_v6() => {
            extension(rest)
        }
        _ => Ok(None),
    }
}

/// RFC 6564, section 4: every extension header begins alike.
fn extension(rest: &mut Bytes<'_>) -> Next {
    let [next, length, _, _, _, _, _, _] = *rest.take()?;
    rest.skip(usize::from(length) * 8)?;
    Ok(Some(Layer::Payload(next)))
}

/// RFC 4302, section 2: this one's length counts in units of four.
fn authentication(rest: &mut Bytes<'_>) -> Next {
    let [next, length, _, _, _, _, _, _] = *rest.take()?;
    rest.skip(usize::from(length) * 4)?;
    Ok(Some(Layer::Payload(next)))
}

/// The two addresses of IPv6.
fn halves(addresses: &[u8; 32]) -> [[u8; 16]; 2] {
    let mut halves = [[0; 16]; 2];
    halves.as_flattened_mut().copy_from_slice(addresses);
    halves
}

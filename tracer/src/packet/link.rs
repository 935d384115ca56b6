//! Link layers: what stands before an IP header.

use super::{
    Skipped,
    bytes::Bytes,
    walk::{Layer, Next},
};

/// Ethernet types (IEEE 802 numbers).
mod ether_type {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const IPV6: u16 = 0x86dd;
    /// Transparent Ethernet bridging: an Ethernet frame.
    pub(super) const BRIDGE: u16 = 0x6558;
    pub(super) const PPP: u16 = 0x880b;
    pub(super) const ARP: u16 = 0x0806;
    pub(super) const VLAN: u16 = 0x8100;
    pub(super) const SERVICE_VLAN: u16 = 0x88a8;
    /// Stacked VLANs before 802.1ad.
    pub(super) const OLD_SERVICE_VLAN: u16 = 0x9100;
    pub(super) const MPLS: u16 = 0x8847;
    pub(super) const MPLS_UPSTREAM: u16 = 0x8848;
    pub(super) const PPPOE: u16 = 0x8864;
    /// LLC in frames that are too long for a length field.
    pub(super) const LLC: u16 = 0x8870;
    /// Provider backbone bridges (802.1ah).
    pub(super) const BACKBONE: u16 = 0x88e7;
    /// Cisco VN-Tag.
    pub(super) const VN_TAG: u16 = 0x8926;
    /// Bridge port extension (802.1BR).
    pub(super) const E_TAG: u16 = 0x893f;
}

/// Up to here, the type field of Ethernet is a length (IEEE 802.3, section 3.2.6).
const LENGTH_LIMIT: u16 = 1500;
/// From here on it is a type.
const TYPE_FIRST: u16 = 0x0600;

/// The first header of a packet of a link type (<https://www.tcpdump.org/linktypes.html>).
#[inline]
pub(super) fn first(link: u16, rest: &mut Bytes<'_>) -> Next {
    match link {
        1 => Ok(Some(Layer::Ethernet)),
        // What BSDs write for raw IP.
        12 | 14 | 101 => Ok(Some(Layer::Ip)),
        228 => Ok(Some(Layer::Ipv4)),
        229 => Ok(Some(Layer::Ipv6)),
        0 | 108 => loopback(rest),
        9 => Ok(Some(Layer::Ppp)),
        10 => fddi(rest),
        50 | 104 => hdlc(rest),
        51 => Ok(Some(Layer::Type(ether_type::PPPOE))),
        113 => cooked(rest),
        239 => netfilter_log(rest),
        276 => cooked2(rest),
        _ => Err(Skipped::LinkType),
    }
}

/// Addresses and type or length.
#[inline]
pub(super) fn ethernet(rest: &mut Bytes<'_>) -> Next {
    let head = rest.take::<14>()?;
    let value = u16::from_be_bytes([head[12], head[13]]);
    Ok(Some(type_or_length(value, rest)))
}

fn type_or_length(value: u16, rest: &mut Bytes<'_>) -> Layer {
    if value > LENGTH_LIMIT {
        return Layer::Type(value);
    }
    rest.narrow(value.into());
    Layer::Llc
}

/// What an Ethernet type stands for.
#[inline]
pub(super) fn typed(value: u16, rest: &mut Bytes<'_>) -> Next {
    match value {
        // As Wireshark: with this type, the version decides.
        ether_type::IPV4 => Ok(Some(Layer::Ip)),
        ether_type::IPV6 => Ok(Some(Layer::Ipv6)),
        ether_type::VLAN | ether_type::SERVICE_VLAN | ether_type::OLD_SERVICE_VLAN => tag::<4>(rest),
        ether_type::MPLS | ether_type::MPLS_UPSTREAM => Ok(Some(Layer::Mpls)),
        ether_type::BRIDGE => Ok(Some(Layer::Ethernet)),
        ether_type::PPP => Ok(Some(Layer::Ppp)),
        ether_type::PPPOE => pppoe(rest),
        ether_type::LLC => Ok(Some(Layer::Llc)),
        // The service's tag, then the customer's frame.
        ether_type::BACKBONE => rest.take::<4>().map(|_| Some(Layer::Ethernet)),
        ether_type::VN_TAG => tag::<6>(rest),
        ether_type::E_TAG => tag::<8>(rest),
        _ => Ok(None),
    }
}

/// A tag of `N` bytes that ends with the type of what follows.
fn tag<const N: usize>(rest: &mut Bytes<'_>) -> Next {
    let tag = rest.take::<N>()?;
    let value = tag.last_chunk().map_or(0, |pair| u16::from_be_bytes(*pair));
    Ok(Some(type_or_length(value, rest)))
}

/// IEEE 802.2 logical link control, with or without SNAP.
pub(super) fn llc(rest: &mut Bytes<'_>) -> Next {
    match rest.take()? {
        [0xaa, 0xaa, 0x03] => {
            let snap = rest.take::<5>()?;
            let known = matches!(snap[..3], [0, 0, 0 | 0xf8]);
            let value = u16::from_be_bytes([snap[3], snap[4]]);
            Ok((known && value >= TYPE_FIRST).then_some(Layer::Type(value)))
        }
        // RFC 948.
        [0x06, 0x06, 0x03] => Ok(Some(Layer::Ip)),
        _ => Ok(None),
    }
}

/// RFC 2516, section 4.
fn pppoe(rest: &mut Bytes<'_>) -> Next {
    let [_, code, _, _, length @ ..] = rest.take::<6>()?;
    rest.narrow(u16::from_be_bytes(*length).into());
    Ok((*code == 0).then_some(Layer::Ppp))
}

/// RFC 1661, section 2, with or without the framing of RFC 1662.
pub(super) fn ppp(rest: &mut Bytes<'_>) -> Next {
    if rest.captured().starts_with(&[0xff, 0x03]) {
        rest.skip(2)?;
    }
    let [mut protocol] = rest.take()?.map(u16::from);
    // An odd first byte is a protocol field compressed to one byte.
    if protocol & 1 == 0 {
        let [low] = *rest.take()?;
        protocol = protocol << 8 | u16::from(low);
    }
    Ok(match protocol {
        0x0021 => Some(Layer::Ipv4),
        0x0057 => Some(Layer::Ipv6),
        0x0281 | 0x0283 => Some(Layer::Mpls),
        _ => None,
    })
}

/// Cisco HDLC, or PPP in HDLC framing.
fn hdlc(rest: &mut Bytes<'_>) -> Next {
    if rest.captured().starts_with(&[0xff, 0x03]) {
        return Ok(Some(Layer::Ppp));
    }
    let head = rest.take::<4>()?;
    Ok(Some(Layer::Type(u16::from_be_bytes([head[2], head[3]]))))
}

/// Frame control and addresses, then LLC.
fn fddi(rest: &mut Bytes<'_>) -> Next {
    rest.take::<13>().map(|_| Some(Layer::Llc))
}

/// The address family of the system that captured, in its byte order or in the network's.
fn loopback(rest: &mut Bytes<'_>) -> Next {
    let head = *rest.take()?;
    let family = u32::from_le_bytes(head).min(u32::from_be_bytes(head));
    Ok(match family {
        2 => Some(Layer::Ipv4),
        // Linux, NetBSD and OpenBSD, FreeBSD, Darwin.
        10 | 24 | 28 | 30 => Some(Layer::Ipv6),
        _ => None,
    })
}

/// Linux cooked capture.
fn cooked(rest: &mut Bytes<'_>) -> Next {
    let head = rest.take::<16>()?;
    Ok(cooked_protocol([head[14], head[15]]))
}

/// Linux cooked capture, version 2.
fn cooked2(rest: &mut Bytes<'_>) -> Next {
    let head = rest.take::<20>()?;
    Ok(cooked_protocol([head[0], head[1]]))
}

/// The packet's `skb->protocol`.
fn cooked_protocol(value: [u8; 2]) -> Option<Layer> {
    match u16::from_be_bytes(value) {
        0x0004 => Some(Layer::Llc),
        value if value >= TYPE_FIRST => Some(Layer::Type(value)),
        _ => None,
    }
}

/// Netfilter's log: a family, and attributes in the byte order of the system that captured.
fn netfilter_log(rest: &mut Bytes<'_>) -> Next {
    /// The attribute that is the packet.
    const PAYLOAD: u16 = 9;
    let [family, _, _, _] = *rest.take()?;
    loop {
        let [l0, l1, t0, t1] = *rest.take()?;
        let little = [u16::from_le_bytes([l0, l1]), u16::from_le_bytes([t0, t1])];
        let big = [u16::from_be_bytes([l0, l1]), u16::from_be_bytes([t0, t1])];
        // Types are small, but for a flag in the highest bits.
        let [length, kind] = if t0 % 64 == 0 && t1 % 64 != 0 { big } else { little };
        let length = usize::from(length).checked_sub(4).ok_or(Skipped::Length)?;
        if kind == PAYLOAD {
            rest.narrow(length);
            return Ok(match family {
                2 => Some(Layer::Ipv4),
                10 => Some(Layer::Ipv6),
                _ => None,
            });
        }
        rest.skip(length.next_multiple_of(4))?;
    }
}

/// One entry of a label stack (RFC 3032); below the last one, a guess as Wireshark's (RFC 4385, section 3).
pub(super) fn mpls(rest: &mut Bytes<'_>) -> Next {
    const LAST: u8 = 1;
    let [_, _, last, _] = rest.take()?;
    if last & LAST == 0 {
        return Ok(Some(Layer::Mpls));
    }
    Ok(match rest.nibble() {
        Some(4) => Some(Layer::Ipv4),
        Some(6) => Some(Layer::Ipv6),
        Some(0) if is_ethernet(rest, 4) => {
            rest.skip(4)?;
            Some(Layer::Ethernet)
        }
        _ => is_ethernet(rest, 0).then_some(Layer::Ethernet),
    })
}

/// Whether an Ethernet header at `at` would have a type that can lead to IP.
fn is_ethernet(rest: &Bytes<'_>, at: usize) -> bool {
    use ether_type::{ARP, IPV4, IPV6, MPLS, PPPOE, SERVICE_VLAN, VLAN};
    let value = rest.word(at + 12);
    value.is_some_and(|value| matches!(value, ARP | IPV4 | IPV6 | MPLS | PPPOE | SERVICE_VLAN | VLAN))
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;

//! Tunnels: GRE, and those in UDP datagrams.

use super::{
    Skipped, Udp,
    bytes::Bytes,
    walk::{Layer, Next},
};

/// A tunnel whose packets are UDP datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tunnel {
    /// RFC 7348.
    Vxlan,
    /// draft-ietf-nvo3-vxlan-gpe.
    VxlanGpe,
    /// RFC 8926.
    Geneve,
    /// 3GPP TS 29.281.
    Gtp,
    /// RFC 4380.
    Teredo,
    /// RFC 8086.
    Gre,
    /// RFC 7510.
    Mpls,
    /// draft-massar-v6ops-ayiya.
    Ayiya,
}

impl Tunnel {
    /// By its well-known port. At either end: Teredo and GTP answer from it.
    pub(super) fn of(udp: &Udp<'_>) -> Option<Self> {
        Self::port(udp.destination_port).or_else(|| Self::port(udp.source_port))
    }

    fn port(port: u16) -> Option<Self> {
        match port {
            2152 => Some(Self::Gtp),
            3544 => Some(Self::Teredo),
            4754 => Some(Self::Gre),
            // Linux chose the second one before there was the first.
            4789 | 8472 => Some(Self::Vxlan),
            5072 => Some(Self::Ayiya),
            4790 => Some(Self::VxlanGpe),
            6081 => Some(Self::Geneve),
            6635 => Some(Self::Mpls),
            _ => None,
        }
    }

    /// Goes past the tunnel's header.
    pub(super) fn open(self, rest: &mut Bytes<'_>) -> Next {
        match self {
            Self::Vxlan => vxlan(rest),
            Self::VxlanGpe => vxlan_gpe(rest),
            Self::Geneve => geneve(rest),
            Self::Gtp => gtp(rest),
            Self::Teredo => teredo(rest),
            Self::Gre => Ok(Some(Layer::Gre)),
            Self::Mpls => Ok(Some(Layer::Mpls)),
            Self::Ayiya => ayiya(rest),
        }
    }
}

/// Set where the network identifier of VXLAN is valid.
const VXLAN_VALID: u8 = 0x08;

fn vxlan(rest: &mut Bytes<'_>) -> Next {
    let [flags, ..] = rest.take::<8>()?;
    Ok((flags & VXLAN_VALID != 0).then_some(Layer::Ethernet))
}

fn vxlan_gpe(rest: &mut Bytes<'_>) -> Next {
    let [flags, _, _, next, ..] = rest.take::<8>()?;
    Ok(match next {
        _ if flags & VXLAN_VALID == 0 => None,
        1 => Some(Layer::Ipv4),
        2 => Some(Layer::Ipv6),
        3 => Some(Layer::Ethernet),
        _ => None,
    })
}

fn geneve(rest: &mut Bytes<'_>) -> Next {
    let [first, _, t0, t1, ..] = *rest.take::<8>()?;
    if first >> 6 != 0 {
        return Ok(None);
    }
    rest.skip(usize::from(first & 0x3f) * 4)?;
    Ok(Some(Layer::Type(u16::from_be_bytes([t0, t1]))))
}

/// Version 1, user data (message type 255).
fn gtp(rest: &mut Bytes<'_>) -> Next {
    /// Version 1, and GTP rather than GTP'.
    const VERSION: u8 = 0x30;
    /// Sequence number, N-PDU number or extension header: the three of them are there.
    const OPTIONAL: u8 = 0x07;
    const EXTENSION: u8 = 0x04;
    let [flags, kind, l0, l1, ..] = *rest.take::<8>()?;
    if flags & 0xf0 != VERSION || kind != 255 {
        return Ok(None);
    }
    rest.narrow(u16::from_be_bytes([l0, l1]).into());
    if flags & OPTIONAL != 0 {
        let [_, _, _, mut next] = *rest.take()?;
        while next != 0 && flags & EXTENSION != 0 {
            let [units] = *rest.take()?;
            let length = usize::from(units).checked_mul(4).and_then(|all| all.checked_sub(2));
            rest.skip(length.ok_or(Skipped::Length)?)?;
            [next] = *rest.take()?;
        }
    }
    Ok(matches!(rest.nibble(), Some(4 | 6)).then_some(Layer::Ip))
}

/// Lengths of identity (a power of two) and signature (words), then the time; operation 1 forwards a packet.
fn ayiya(rest: &mut Bytes<'_>) -> Next {
    let [identity, signature, operation, next, ..] = *rest.take::<8>()?;
    rest.skip((1 << (identity >> 4)) + usize::from(signature >> 4) * 4)?;
    Ok((operation & 0x0f == 1).then_some(Layer::Payload(next)))
}

/// RFC 4380, section 5.1.1: authentication and origin may stand before the IPv6 packet.
fn teredo(rest: &mut Bytes<'_>) -> Next {
    if rest.word(0) == Some(1) {
        let [_, _, client, authentication] = *rest.take()?;
        // The two, a nonce, a confirmation byte.
        rest.skip(usize::from(client) + usize::from(authentication) + 9)?;
    }
    if rest.word(0) == Some(0) {
        rest.skip(8)?;
    }
    Ok((rest.nibble() == Some(6)).then_some(Layer::Ipv6))
}

/// RFC 2784 with the options of RFC 1701 and 2890; version 1 is PPTP's (RFC 2637, section 4.1).
pub(super) fn gre(rest: &mut Bytes<'_>) -> Next {
    const CHECKSUM: u8 = 0x80;
    const ROUTING: u8 = 0x40;
    const KEY: u8 = 0x20;
    const SEQUENCE: u8 = 0x10;
    const ACKNOWLEDGMENT: u8 = 0x80;
    let [flags, version, p0, p1] = *rest.take()?;
    let optional = |bit: u8| usize::from(flags & bit != 0) * 4;
    let before = optional(CHECKSUM | ROUTING) + optional(KEY) + optional(SEQUENCE);
    match version & 0x07 {
        0 => {
            rest.skip(before)?;
            if flags & ROUTING != 0 {
                source_routes(rest)?;
            }
        }
        1 if flags & SEQUENCE != 0 => rest.skip(before + usize::from(version & ACKNOWLEDGMENT != 0) * 4)?,
        // Without a sequence number it acknowledges and carries nothing.
        _ => return Ok(None),
    }
    carried(u16::from_be_bytes([p0, p1]), flags & SEQUENCE != 0, rest)
}

/// Goes past the routing entries; one without a length is the last.
fn source_routes(rest: &mut Bytes<'_>) -> Result<(), Skipped> {
    loop {
        let [_, _, _, length] = *rest.take()?;
        if length == 0 {
            return Ok(());
        }
        rest.skip(length.into())?;
    }
}

/// What GRE carries.
fn carried(protocol: u16, has_sequence: bool, rest: &mut Bytes<'_>) -> Next {
    const ERSPAN: u16 = 0x88be;
    const ERSPAN3: u16 = 0x22eb;
    const WCCP: u16 = 0x883e;
    /// Of Aruba's controllers: the low bits are a priority.
    const WLAN: u16 = 0x8200;
    match protocol {
        // draft-foschiano-erspan: type II has a sequence number, type I no header of its own.
        ERSPAN if has_sequence => rest.take::<8>().map(|_| Some(Layer::Ethernet)),
        ERSPAN => Ok(Some(Layer::Ethernet)),
        ERSPAN3 => {
            let head = rest.take::<12>()?;
            // The last bit says that a platform's header follows.
            rest.skip(usize::from(head[11] & 1) * 8)?;
            Ok(Some(Layer::Ethernet))
        }
        // Its version 2 has a header of four bytes, its version 1 none.
        WCCP => {
            if rest.nibble() != Some(4) {
                rest.skip(4)?;
            }
            Ok(Some(Layer::Ipv4))
        }
        _ if protocol & 0xfff0 == WLAN => Ok(Some(Layer::Wlan)),
        _ => Ok(Some(Layer::Type(protocol))),
    }
}

#[cfg(test)]
#[path = "tunnel_tests.rs"]
mod tests;

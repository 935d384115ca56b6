//! Filter expressions: the part of pcap-filter(7) that chooses by address, port and protocol.
//!
//! `host`, `net`, `port` and `portrange` with `src` and `dst`; `ip`, `ip6`, `tcp`, `udp`, `icmp`, `icmp6` and `sctp`; `and`, `or`,
//! `not` and parentheses. As in libpcap `and` and `or` bind equally and from the left, and a bare value takes the
//! qualifiers of the value before it (`port 80 or 443`). A packet that is cut before the field asked for does not match.

mod lex;
mod parse;

use std::{fmt, net::IpAddr};

/// Longest expression, bytes.
pub const LENGTH_LIMIT: usize = 4096;
/// Parentheses inside parentheses.
pub const DEPTH_LIMIT: usize = 32;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
/// IPv6 extension headers (RFC 8200, section 4): hop-by-hop options and the fragment header.
const HOP_BY_HOP: u8 = 0;
const FRAGMENT: u8 = 44;

/// A filter expression, ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Chain);

/// Why an expression is none, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FilterError {
    /// What is wrong.
    pub reason: String,
    /// The expression.
    pub expression: String,
    /// Bytes before the place.
    pub at: usize,
    /// Bytes of the place.
    pub length: usize,
}

impl fmt::Display for FilterError {
    /// The reason, and below it the expression with the place marked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.expression.get(..self.at).unwrap_or_default();
        let place = self.expression.get(self.at..).and_then(|rest| rest.get(..self.length));
        let indent = before.chars().count();
        let marks = place.unwrap_or_default().chars().count().max(1);
        // A line break would tear the two lines apart.
        let shown: String = self.expression.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        write!(f, "{}\n  {shown}\n  {:indent$}{}", self.reason, "", "^".repeat(marks))
    }
}

/// Terms, joined from the left.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chain {
    first: Term,
    rest: Vec<(Joint, Term)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joint {
    And,
    Or,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    negated: bool,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Test(Test),
    Group(Box<Chain>),
}

/// One question to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    /// The version of IP.
    Family(Family),
    /// The protocol inside IP, of one version when given.
    Protocol(Option<Family>, u8),
    /// An address in a network, of one version when given.
    Net(Option<Family>, Side, Net),
    /// A port from a range, of one protocol when given.
    Ports(Option<u8>, Side, u16, u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// Whose address or port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Side {
    #[default]
    Either,
    Source,
    Destination,
    Both,
}

impl Side {
    fn holds(self, source: bool, destination: bool) -> bool {
        match self {
            Self::Either => source || destination,
            Self::Source => source,
            Self::Destination => destination,
            Self::Both => source && destination,
        }
    }
}

/// A network: the addresses that share the first bits with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    address: IpAddr,
    bits: u32,
}

impl Net {
    /// The network of one address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self { address, bits: width(address) }
    }

    /// Reads an address, or an address and the number of its network's bits (`10.0.0.0/8`).
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, bits)| (a, Some(bits)));
        let address: IpAddr =
            address.parse().map_err(|_| format!("{address} is not an address: names are not resolved"))?;
        let bits = match bits {
            None => width(address),
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= width(address))
                .ok_or_else(|| format!("{bits} is not a number of bits from 0 to {}", width(address)))?,
        };
        let net = Self { address, bits };
        if net.contains(net.base()) && net.base() != address {
            return Err(format!("{text} is not a network: that is {}/{bits}", net.base()));
        }
        Ok(net)
    }

    /// Whether the address is in the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && (number(address) ^ number(self.address)) & self.mask() == 0
    }

    /// The first bits of an address of this version, in the upper bits.
    fn mask(&self) -> u128 {
        u128::MAX.checked_shl(128 - self.bits).unwrap_or(0)
    }

    fn base(&self) -> IpAddr {
        let base = number(self.address) & self.mask();
        match self.address {
            IpAddr::V4(_) => IpAddr::V4(((base >> 96) as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(base.into()),
        }
    }
}

impl fmt::Display for Net {
    /// `10.0.0.0/8`, or the address alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == width(self.address) {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.bits)
        }
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// An address as a number, its first bit at the top.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => address.into(),
    }
}

/// What a filter asks of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    source: IpAddr,
    destination: IpAddr,
    /// What follows the IP header, and what a fragment holds.
    protocol: u8,
    fragment_of: Option<u8>,
    /// Not of fragments but IPv4's first, and of TCP, UDP and SCTP only.
    ports: Option<(u16, u16)>,
}

impl Header {
    /// Reads a packet from its IP header on; it may be cut. `None` when it is not IP.
    #[must_use]
    pub fn of(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::v4(packet),
            6 => Self::v6(packet),
            _ => None,
        }
    }

    fn v4(packet: &[u8]) -> Option<Self> {
        let header: &[u8; 20] = packet.first_chunk()?;
        let source: [u8; 4] = *header.get(12..)?.first_chunk()?;
        let destination: [u8; 4] = *header.get(16..)?.first_chunk()?;
        let (protocol, later) = (header[9], u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0);
        let at = usize::from(header[0] & 0x0f) * 4;
        let ports = if later { None } else { ports(packet, protocol, at) };
        let (source, destination) = (source.into(), destination.into());
        Some(Self { source, destination, protocol, fragment_of: None, ports })
    }

    fn v6(packet: &[u8]) -> Option<Self> {
        let header: &[u8; 40] = packet.first_chunk()?;
        let source: [u8; 16] = *header.get(8..)?.first_chunk()?;
        let destination: [u8; 16] = *header.get(24..)?.first_chunk()?;
        let mut protocol = header[6];
        let next = packet.get(40).copied();
        let mut at = 40;
        // Segments of more than 64 KiB carry a jumbo option (RFC 2675), on the host only: libpcap does not expect it.
        if protocol == HOP_BY_HOP
            && let (Some(next), Some(units)) = (next, packet.get(41))
        {
            protocol = next;
            at += (usize::from(*units) + 1) * 8;
        }
        let fragment_of = next.filter(|_| header[6] == FRAGMENT);
        let (source, destination) = (source.into(), destination.into());
        Some(Self { source, destination, protocol, fragment_of, ports: ports(packet, protocol, at) })
    }

    /// Address of the sender.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.source
    }

    /// Address of the receiver.
    #[must_use]
    pub fn destination(&self) -> IpAddr {
        self.destination
    }

    fn is(&self, family: Family) -> bool {
        self.source.is_ipv4() == (family == Family::V4)
    }

    /// Whether an end's address is in the network.
    #[must_use]
    pub fn has_address(&self, net: &Net) -> bool {
        net.contains(self.source) || net.contains(self.destination)
    }

    /// Whether an end's port is this one.
    #[must_use]
    pub fn has_port(&self, port: u16) -> bool {
        self.ports.is_some_and(|(source, destination)| source == port || destination == port)
    }
}

fn ports(packet: &[u8], protocol: u8, at: usize) -> Option<(u16, u16)> {
    if ![TCP, UDP, SCTP].contains(&protocol) {
        return None;
    }
    let [a, b, c, d] = *packet.get(at..)?.first_chunk()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

impl Filter {
    /// Reads an expression.
    ///
    /// # Errors
    /// Says what is wrong with it, and where.
    pub fn parse(expression: &str) -> Result<Self, FilterError> {
        parse::parse(expression).map(Self)
    }

    /// Whether the packet matches.
    #[must_use]
    pub fn matches(&self, header: &Header) -> bool {
        self.0.matches(header)
    }
}

impl Chain {
    fn matches(&self, header: &Header) -> bool {
        self.rest.iter().fold(self.first.matches(header), |value, (joint, term)| match joint {
            Joint::And => value && term.matches(header),
            Joint::Or => value || term.matches(header),
        })
    }
}

impl Term {
    fn matches(&self, header: &Header) -> bool {
        let value = match &self.what {
            What::Test(test) => test.matches(header),
            What::Group(chain) => chain.matches(header),
        };
        value != self.negated
    }
}

impl Test {
    fn matches(self, header: &Header) -> bool {
        let of_family = |family: Option<Family>| family.is_none_or(|family| header.is(family));
        match self {
            Self::Family(family) => header.is(family),
            Self::Protocol(family, protocol) => {
                of_family(family) && (header.protocol == protocol || header.fragment_of == Some(protocol))
            }
            Self::Net(family, side, net) => {
                of_family(family) && side.holds(net.contains(header.source), net.contains(header.destination))
            }
            Self::Ports(protocol, side, from, to) => {
                let wanted = |port: u16| (from..=to).contains(&port);
                protocol.is_none_or(|protocol| header.protocol == protocol)
                    && header
                        .ports
                        .is_some_and(|(source, destination)| side.holds(wanted(source), wanted(destination)))
            }
        }
    }
}

#[cfg(test)]
#[path = "../filter_tests.rs"]
mod tests;

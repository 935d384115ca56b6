//! Packets for the tests, built header by header from the inside out.

use super::{Decoder, Packet, Skipped, Tcp, Transport, Udp};

/// Link type of Ethernet.
pub(super) const ETHERNET: u16 = 1;
/// Link type of raw IP.
pub(super) const RAW: u16 = 101;

/// A decoder's answer to a packet that was captured whole.
pub(super) fn read(link: u16, bytes: &[u8]) -> Result<Option<Answer>, Skipped> {
    decode(&mut Decoder::default(), link, 0, bytes)
}

/// Another packet for a decoder.
pub(super) fn decode(
    decoder: &mut Decoder,
    link: u16,
    time: u64,
    bytes: &[u8],
) -> Result<Option<Answer>, Skipped> {
    let length = u32::try_from(bytes.len()).unwrap();
    Ok(decoder.decode(link, time, bytes, length)?.map(Answer::from))
}

/// What the tests look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// From whom, to whom, payload.
    Tcp(String, String, Vec<u8>),
    Udp(String, String, Vec<u8>),
}

impl From<Packet<'_>> for Answer {
    fn from(packet: Packet<'_>) -> Self {
        let end = |address, port| std::net::SocketAddr::new(address, port).to_string();
        match packet.transport {
            Transport::Tcp(Tcp { source_port, destination_port, payload, .. }) => Self::Tcp(
                end(packet.source, source_port),
                end(packet.destination, destination_port),
                payload.to_vec(),
            ),
            Transport::Udp(Udp { source_port, destination_port, payload, .. }) => Self::Udp(
                end(packet.source, source_port),
                end(packet.destination, destination_port),
                payload.to_vec(),
            ),
        }
    }
}

/// What [`hello`] says.
pub(super) fn hello_answer() -> Answer {
    Answer::Tcp("10.0.0.1:1000".into(), "10.0.0.2:80".into(), b"hello".to_vec())
}

/// What [`hello6`] says.
pub(super) fn hello6_answer() -> Answer {
    Answer::Tcp("[2001:db8::1]:1000".into(), "[2001:db8::2]:80".into(), b"hello".to_vec())
}

/// An IPv4 packet with a TCP segment.
pub(super) fn hello() -> Vec<u8> {
    ipv4(6, &tcp(&[], b"hello"))
}

/// An IPv6 packet with a TCP segment.
pub(super) fn hello6() -> Vec<u8> {
    ipv6(6, &tcp(&[], b"hello"))
}

/// A frame with an Ethernet type.
pub(super) fn ethernet(ether_type: u16, inside: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &ether_type.to_be_bytes(), inside].concat()
}

/// From 10.0.0.1 to 10.0.0.2.
pub(super) fn ipv4(protocol: u8, inside: &[u8]) -> Vec<u8> {
    ipv4_fragment(protocol, 0, inside)
}

/// With the word of flags and offset, identification 7.
pub(super) fn ipv4_fragment(protocol: u8, word: u16, inside: &[u8]) -> Vec<u8> {
    let [t0, t1] = short(20 + inside.len());
    let [w0, w1] = word.to_be_bytes();
    let head = [0x45, 0, t0, t1, 0, 7, w0, w1, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    [&head[..], inside].concat()
}

/// From `2001:db8::1` to `2001:db8::2`.
pub(super) fn ipv6(next: u8, inside: &[u8]) -> Vec<u8> {
    let [l0, l1] = short(inside.len());
    let mut address = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let head = [&[0x60, 0, 0, 0, l0, l1, next, 64][..], &address].concat();
    address[15] = 2;
    [&head[..], &address, inside].concat()
}

/// From port 1000 to port 80; `options` fill whole words.
pub(super) fn tcp(options: &[u8], payload: &[u8]) -> Vec<u8> {
    let words = u8::try_from(5 + options.len() / 4).unwrap();
    let head = [3, 232, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, words << 4, 0x12, 4, 0, 0, 0, 0, 0];
    [&head[..], options, payload].concat()
}

/// From port 2000.
pub(super) fn udp(destination_port: u16, payload: &[u8]) -> Vec<u8> {
    let [d0, d1] = destination_port.to_be_bytes();
    let [l0, l1] = short(8 + payload.len());
    [&[7, 208, d0, d1, l0, l1, 0, 0][..], payload].concat()
}

/// An IPv4 packet whose UDP datagram is a VXLAN packet with `frame`.
pub(super) fn vxlan(frame: &[u8]) -> Vec<u8> {
    ipv4(17, &udp(4789, &[&[8, 0, 0, 0, 0, 0, 42, 0][..], frame].concat()))
}

fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap().to_be_bytes()
}

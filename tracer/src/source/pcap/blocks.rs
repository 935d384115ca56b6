//! pcapng (draft-ietf-opsawg-pcapng): blocks of any type, each with its length in front and behind.

use super::{
    Found, PACKET_LIMIT,
    buffer::{BUFFER_LIMIT, Buffer},
    error::Fault,
    interface::{INTERFACE_LIMIT, Interface},
    order::Order,
    origin::{Pods, is_by_tracer, is_outbound},
};

/// What every pcapng begins with: the type of a section header, the same in both byte orders.
pub(super) const FIRST_BYTES: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Bytes of type and length in front of a body.
const HEADER: usize = 8;
/// Bytes around a body: type and length, and the length again.
const FRAME: usize = HEADER + 4;

/// Block types.
mod kind {
    pub(super) const SECTION: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE: u32 = 1;
    pub(super) const OBSOLETE_PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const ENHANCED_PACKET: u32 = 6;
    pub(super) const JOURNAL: u32 = 9;
    pub(super) const CUSTOM: u32 = 0x0bad;
    pub(super) const CUSTOM_UNCOPIED: u32 = 0x4000_0bad;

    /// Events of sysdig, which Wireshark numbers like packets.
    pub(super) const EVENTS: [u32; 6] = [0x204, 0x208, 0x216, 0x217, 0x221, 0x222];
}

/// A pcapng between two blocks.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    order: Order,
    interfaces: Vec<Interface>,
    /// Of every section so far.
    pub(super) pods: Pods,
    /// `tracer capture` wrote the section.
    is_by_tracer: bool,
    /// Time of the last packet that had one.
    time: u64,
}

/// What a body's packet is, before its place in the buffer is known.
struct Packet {
    found: Found,
    /// Bytes of the body before the packet.
    fixed: usize,
}

impl Blocks {
    /// The next packet; `None` at the end. Adds what Wireshark numbers and this skips to `number`.
    #[inline]
    pub(super) fn next(&mut self, buffer: &mut Buffer, number: &mut u64) -> Result<Option<Found>, Fault> {
        while let Some((kind, total)) = self.frame(buffer)? {
            let body = buffer.unread().get(HEADER..total.saturating_sub(4)).unwrap_or_default();
            let packet = match kind {
                kind::ENHANCED_PACKET => Some(self.packet(kind, body)?),
                _ => self.rare(kind, body, number)?,
            };
            let at = buffer.consume(total);
            if let Some(Packet { found, fixed }) = packet {
                self.time = found.time;
                return Ok(Some(Found { at: at + HEADER + fixed, ..found }));
            }
        }
        Ok(None)
    }

    /// Makes the next block available as a whole; its type and length.
    #[inline]
    fn frame(&mut self, buffer: &mut Buffer) -> Result<Option<(u32, usize)>, Fault> {
        let left = buffer.have(HEADER)?;
        if left < HEADER {
            return if left == 0 {
                Ok(None)
            } else {
                Err(Fault::short("the header of a block", HEADER, left))
            };
        }
        if buffer.unread().starts_with(&FIRST_BYTES) {
            self.order = section_order(buffer)?;
        }
        let [kind, length] = self.order.words(buffer.unread()).unwrap_or_default();
        let total = checked_length(kind, length)?;
        let left = buffer.have(total)?;
        let trailer = buffer.unread().get(total.saturating_sub(4)..total);
        let Some(trailer) = trailer else {
            return Err(Fault::short(name(kind), total, left));
        };
        let [behind] = self.order.words(trailer).unwrap_or_default();
        if rounded(behind) != total as u64 {
            return Err(Fault::wrong(
                name(kind),
                format!("its length is {length} in front and {behind} behind"),
            ));
        }
        Ok(Some((kind, total)))
    }

    /// Every block but an enhanced packet.
    fn rare(&mut self, kind: u32, body: &[u8], number: &mut u64) -> Result<Option<Packet>, Fault> {
        match kind {
            kind::SIMPLE_PACKET => return self.simple_packet(body).map(Some),
            kind::OBSOLETE_PACKET => return self.packet(kind, body).map(Some),
            kind::INTERFACE => {
                if self.interfaces.len() >= INTERFACE_LIMIT {
                    let wrong = format!("a section with more than {INTERFACE_LIMIT} of them");
                    return Err(Fault::wrong(name(kind), wrong));
                }
                let mut interface = Interface::parse(body, self.order)?;
                if self.is_by_tracer {
                    interface.pod = self.pods.add(body.get(8..).unwrap_or_default(), self.order);
                }
                self.interfaces.push(interface);
            }
            kind::SECTION => self.section(body)?,
            kind::JOURNAL | kind::CUSTOM | kind::CUSTOM_UNCOPIED => *number = number.saturating_add(1),
            _ if kind::EVENTS.contains(&kind) => *number = number.saturating_add(1),
            _ => {}
        }
        Ok(None)
    }

    fn section(&mut self, body: &[u8]) -> Result<(), Fault> {
        let what = name(kind::SECTION);
        if body.len() < 16 {
            return Err(Fault::wrong(
                what,
                format!("{} bytes are too few for its 16 fixed ones", body.len()),
            ));
        }
        let version = body.get(4..).and_then(|version| self.order.halves(version));
        match version.unwrap_or_default() {
            [1, 0 | 2] => {
                self.interfaces.clear();
                self.is_by_tracer = is_by_tracer(body.get(16..).unwrap_or_default(), self.order);
                Ok(())
            }
            [major, minor] => Err(Fault::Unsupported(format!("pcapng version {major}.{minor}"))),
        }
    }

    /// An enhanced packet, or its predecessor, which differs in the first word. Options are read where they say
    /// whose it is.
    #[inline]
    fn packet(&self, kind: u32, body: &[u8]) -> Result<Packet, Fault> {
        const FIXED: usize = 20;
        let Some([interface, high, low, captured, original]) = self.order.words(body) else {
            return Err(Fault::wrong(
                name(kind),
                format!("{} bytes are too few for its fixed ones", body.len()),
            ));
        };
        let interface = match self.order {
            _ if kind == kind::ENHANCED_PACKET => interface,
            Order::Little => interface & 0xffff,
            Order::Big => interface >> 16,
        };
        let length = checked_capture(kind, captured, body.len().saturating_sub(FIXED))?;
        let Some(of) = self.interfaces.get(interface as usize) else {
            let wrong =
                format!("it names interface {interface}, and {} are described", self.interfaces.len());
            return Err(Fault::wrong(name(kind), wrong));
        };
        let time = of.clock.nanoseconds(u64::from(high) << 32 | u64::from(low));
        let pod = of.pod.and_then(|pod| {
            let options = body.get(FIXED + length.next_multiple_of(4)..)?;
            Some((pod, is_outbound(options, self.order)?))
        });
        let found = Found { time, link: of.link, original_length: original, at: 0, length, pod };
        Ok(Packet { found, fixed: FIXED })
    }

    /// A packet of the first interface, without a time.
    fn simple_packet(&self, body: &[u8]) -> Result<Packet, Fault> {
        const FIXED: usize = 4;
        let Some([original]) = self.order.words(body) else {
            return Err(Fault::wrong(name(kind::SIMPLE_PACKET), "it has no length of the packet"));
        };
        let Some(of) = self.interfaces.first() else {
            return Err(Fault::wrong(name(kind::SIMPLE_PACKET), "no interface was described before it"));
        };
        let captured = if of.snapshot_length == 0 { original } else { original.min(of.snapshot_length) };
        let length = checked_capture(kind::SIMPLE_PACKET, captured, body.len().saturating_sub(FIXED))?;
        let found =
            Found { time: self.time, link: of.link, original_length: original, at: 0, length, pod: None };
        Ok(Packet { found, fixed: FIXED })
    }
}

/// The byte order that a section header announces.
fn section_order(buffer: &mut Buffer) -> Result<Order, Fault> {
    const NEEDED: usize = HEADER + 4;
    let left = buffer.have(NEEDED)?;
    let Some(magic) = buffer.unread().get(HEADER..NEEDED) else {
        return Err(Fault::short(name(kind::SECTION), NEEDED, left));
    };
    match magic {
        [0x4d, 0x3c, 0x2b, 0x1a] => Ok(Order::Little),
        [0x1a, 0x2b, 0x3c, 0x4d] => Ok(Order::Big),
        _ => Err(Fault::wrong(name(kind::SECTION), format!("{magic:02x?} announces no byte order"))),
    }
}

/// Some writers leave the padding out of the length, though it is in the block.
fn rounded(length: u32) -> u64 {
    u64::from(length).next_multiple_of(4)
}

#[inline]
fn checked_length(kind: u32, length: u32) -> Result<usize, Fault> {
    match usize::try_from(rounded(length)) {
        Ok(total @ FRAME..=BUFFER_LIMIT) => Ok(total),
        Ok(..FRAME) => Err(Fault::wrong(name(kind), format!("its length of {length} is below {FRAME}"))),
        _ => Err(Fault::wrong(name(kind), format!("its length of {length} is above {BUFFER_LIMIT}"))),
    }
}

/// The captured length, when the block has so many bytes with their padding.
#[inline]
fn checked_capture(kind: u32, captured: u32, room: usize) -> Result<usize, Fault> {
    if captured > PACKET_LIMIT {
        let wrong = format!("a captured length of {captured} is above {PACKET_LIMIT}");
        return Err(Fault::wrong(name(kind), wrong));
    }
    if rounded(captured) > room as u64 {
        let wrong = format!("a captured length of {captured} is above the {room} bytes that it has room for");
        return Err(Fault::wrong(name(kind), wrong));
    }
    Ok(captured as usize)
}

/// A block's name in an error.
#[cold]
fn name(kind: u32) -> String {
    match kind {
        kind::SECTION => "a section header block".to_owned(),
        kind::INTERFACE => "an interface description block".to_owned(),
        kind::OBSOLETE_PACKET => "an obsolete packet block".to_owned(),
        kind::SIMPLE_PACKET => "a simple packet block".to_owned(),
        kind::ENHANCED_PACKET => "an enhanced packet block".to_owned(),
        _ => format!("a block of type {kind:#x}"),
    }
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;

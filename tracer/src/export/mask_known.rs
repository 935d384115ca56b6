//! Masks what is known to be secret, and leaves the rest of the payload: for captures that are asked for all of it.
//!
//! Masked stay: what is said with metadata services; of HTTP/1 the values of headers and of parameters whose names speak
//! of secrets; all of HTTP/2, whose compressed headers cannot be masked one by one; and whatever belongs to a head of which the
//! beginning was not seen. A line of a head can be in two packets, and a packet can pass twice: so the places of heads are
//! remembered per flow.

use std::{net::IpAddr, ops::Range};

use etherparse::{SlicedPacket, TransportSlice};
use rustc_hash::FxHashMap;
use tracer_ebpf::record::PacketHead;

use super::mask::{MASK, hide, mask};
use crate::packet::filter::Header;

/// Flows that are remembered; beyond it all are forgotten, and masked until their next message.
const FLOW_LIMIT: usize = 65_536;
/// Heads that are remembered per direction.
const HEADS: usize = 4;
/// Longest name of a header that goes on in the next packet.
const NAME_LIMIT: usize = 64;

/// Parts of names of headers and parameters with secrets.
const SECRET: [&str; 14] = [
    "auth",
    "cert",
    "cookie",
    "credential",
    "csrf",
    "-key",
    "_key",
    "apikey",
    "passw",
    "pwd",
    "secret",
    "session",
    "signature",
    "token",
];
/// What ends a parameter within the value of a header.
const IN_VALUES: &[u8] = b"?#&; \"<>";
/// Whole names of parameters with secrets.
const SECRET_PARAMETERS: [&str; 4] = ["code", "key", "sig", "pass"];

/// What is remembered of flows.
#[derive(Default)]
pub struct KnownSecrets {
    flows: FxHashMap<u64, Flow>,
}

#[derive(Default)]
struct Flow {
    /// HTTP/2: nothing of it is shown.
    framed: bool,
    /// Of the pod, and of its peer.
    sides: [Side; 2],
}

#[derive(Default)]
struct Side {
    /// Whether the beginning of a message was seen.
    known: bool,
    /// Heads by sequence numbers, the newest last; one without an end goes on.
    heads: Vec<(u32, Option<u32>)>,
    /// Where the newest packet ended, and what goes on there; `None` when a message begins.
    next: Option<(u32, Line)>,
}

/// What a line is of which the rest is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// It has not begun.
    Open,
    /// It may be the name of a header.
    Name,
    /// It may be a header with a secret, or an address.
    Secret,
    /// A header of which parameters alone may be secret.
    Value,
    /// No line of a head.
    Harmless,
}

impl KnownSecrets {
    /// Masks a packet in place, from its IP header on; `metadata` are the addresses of metadata services.
    pub fn mask(&mut self, head: &PacketHead, packet: &mut [u8], metadata: &[IpAddr]) {
        let with_metadata = Header::of(packet).is_none_or(|header| {
            metadata.contains(&header.source()) || metadata.contains(&header.destination())
        });
        if with_metadata {
            mask(packet, head.first == 1, metadata);
            return;
        }
        let (sequence, start) = match SlicedPacket::from_ip(packet).map(|sliced| sliced.transport) {
            Ok(Some(TransportSlice::Tcp(tcp))) => (tcp.sequence_number(), packet.len() - tcp.payload().len()),
            Ok(Some(TransportSlice::Udp(_))) => return,
            // Cut, a fragment, or something that is no message: what it holds of a head is not known.
            _ => {
                self.flows.remove(&head.flow);
                mask(packet, head.first == 1, metadata);
                return;
            }
        };
        let Some(payload) = packet.get_mut(start..).filter(|payload| !payload.is_empty()) else { return };
        if head.flow == 0 {
            payload.fill(MASK);
            return;
        }
        if self.flows.len() >= FLOW_LIMIT && !self.flows.contains_key(&head.flow) {
            self.flows.clear();
        }
        self.flows.entry(head.flow).or_default().mask(head, sequence, payload);
    }
}

impl Flow {
    fn mask(&mut self, head: &PacketHead, sequence: u32, payload: &mut [u8]) {
        let begins = head.first == 1;
        if begins {
            self.framed |= is_framed(payload);
        }
        let Some(side) = self.sides.get_mut(usize::from(head.direction & 1)) else { return };
        if self.framed || !(begins || side.known) {
            payload.fill(MASK);
            return;
        }
        if begins {
            side.next = None;
        }
        // Lines first: what heads hide has no ends of lines any more.
        side.lines(sequence, payload);
        if begins {
            side.begin(sequence, payload);
        } else {
            side.go_on(sequence, payload);
        }
    }
}

impl Side {
    /// A message begins: its head is remembered, when it has one.
    fn begin(&mut self, sequence: u32, payload: &mut [u8]) {
        self.known = true;
        if !is_start_line(payload) {
            return;
        }
        let end = end_of_head(payload);
        if self.heads.len() >= HEADS {
            self.heads.remove(0);
        }
        self.heads.push((sequence, end.map(|end| sequence.wrapping_add(length(end)))));
        if end.is_none() {
            // The last line goes on, and may be any header.
            let line = payload.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            hide(payload, line..payload.len());
        }
    }

    /// Hides what repeats or continues a head, and what is older than all that is remembered.
    fn go_on(&mut self, sequence: u32, payload: &mut [u8]) {
        let size = payload.len();
        // Offsets from the packet's first byte; negative before it.
        let offset = |at: u32| i64::from(at.wrapping_sub(sequence).cast_signed());
        let index = |offset: i64| usize::try_from(offset.max(0)).unwrap_or(usize::MAX).min(size);
        if self.heads.first().is_some_and(|(from, _)| self.heads.len() >= HEADS && offset(*from) > 0) {
            payload.fill(MASK);
            return;
        }
        for (from, to) in &mut self.heads {
            let begin = index(offset(*from));
            if let Some(to) = to {
                hide(payload, begin..index(offset(*to)));
            } else {
                let rest = payload.get(begin..).unwrap_or_default();
                let end = end_of_head(rest).map(|end| begin + end);
                // Only bytes in order can end it: a hole may hide a blank line, and then more stays hidden.
                *to = end.map(|end| sequence.wrapping_add(length(end)));
                hide(payload, begin..end.unwrap_or(size));
            }
        }
    }

    /// Hides the secrets of head lines wherever they stand: pipelined requests begin in the middle.
    fn lines(&mut self, sequence: u32, payload: &mut [u8]) {
        let first = match self.next {
            None => Line::Open,
            Some((next, line)) if next == sequence => line,
            // What comes again, too early or after a loss may begin in the middle of any line.
            Some(_) => Line::Secret,
        };
        let (mut at, mut line) = (0, first);
        while at < payload.len() {
            let rest = payload.get(at..).unwrap_or_default();
            let whole = rest.iter().position(|byte| *byte == b'\n');
            let text = rest.get(..whole.unwrap_or(rest.len())).unwrap_or_default();
            let (ends, end) = (at + text.len(), at + text.strip_suffix(b"\r").unwrap_or(text).len());
            line = line.mask(payload.get_mut(at..end).unwrap_or_default());
            if whole.is_some() {
                line = Line::Open;
            }
            at = ends + 1;
        }
        let end = sequence.wrapping_add(length(payload.len()));
        if self.next.is_none_or(|(next, _)| end.wrapping_sub(next).cast_signed() > 0) {
            self.next = Some((end, line));
        }
    }
}

impl Line {
    /// Hides the secrets of a line without its end, or of what is left of it; what goes on when it has no end.
    fn mask(self, line: &mut [u8]) -> Self {
        match self {
            Self::Open if is_start_line(line) => mask_parameters(line),
            Self::Open => mask_value(line),
            Self::Name => match line.get(name_length(line)) {
                None => Self::Name,
                Some(b':') => Self::Secret.mask(line),
                Some(_) => Self::Harmless,
            },
            Self::Secret => {
                hide(line, 0..line.len());
                Self::Secret
            }
            Self::Value => {
                let first = line.iter().position(|byte| IN_VALUES.contains(byte)).unwrap_or(line.len());
                hide(line, 0..first);
                mask_values(line, first + 1..line.len(), IN_VALUES);
                Self::Value
            }
            Self::Harmless => Self::Harmless,
        }
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Hides the value of a header line with a secret, and the secret parameters of addresses in another one's (`Location`,
/// `Referer`).
fn mask_value(line: &mut [u8]) -> Line {
    let name = name_length(line);
    match line.get(name) {
        None if name == 0 => Line::Open,
        None if name <= NAME_LIMIT => Line::Name,
        Some(b':') if is_secret(line.get(..name).unwrap_or_default()) => {
            let begin = name + 1 + usize::from(line.get(name + 1) == Some(&b' '));
            hide(line, begin..line.len());
            Line::Secret
        }
        Some(b':') => {
            mask_values(line, name + 1..line.len(), IN_VALUES);
            Line::Value
        }
        _ => Line::Harmless,
    }
}

/// Bytes that may be the name of a header.
fn name_length(line: &[u8]) -> usize {
    line.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)).count()
}

fn is_secret(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

/// Hides the values of a request line's parameters with secrets, and a target with a password.
fn mask_parameters(line: &mut [u8]) -> Line {
    let Some(space) = line.iter().position(|byte| *byte == b' ').filter(|_| !line.starts_with(b"HTTP/"))
    else {
        return Line::Harmless;
    };
    let begin = space + 1;
    let rest = line.get(begin..).unwrap_or_default();
    let end = begin + rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
    let open = if end == line.len() { Line::Secret } else { Line::Harmless };
    let target = line.get(begin..end).unwrap_or_default();
    let path = begin + target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    if line.get(begin..path).is_some_and(|path| path.contains(&b'@')) {
        hide(line, begin..end);
        return open;
    }
    // What precedes the first separator is no parameter, whatever it looks like.
    let first = line.get(begin..path).and_then(|path| path.iter().position(|byte| *byte == b';'));
    if let Some(first) = first {
        mask_values(line, begin + first + 1..path, b";");
    }
    mask_values(line, path + 1..end, b"&;");
    open
}

/// Hides the values of parameters with secrets.
fn mask_values(line: &mut [u8], parameters: Range<usize>, separators: &[u8]) {
    let mut at = parameters.start;
    while at < parameters.end {
        let rest = line.get(at..parameters.end).unwrap_or_default();
        let next = at + rest.iter().position(|byte| separators.contains(byte)).unwrap_or(rest.len());
        let equals = rest.iter().position(|byte| *byte == b'=').filter(|equals| at + equals < next);
        if let Some(equals) = equals {
            let name = rest.get(..equals).unwrap_or_default();
            let whole = SECRET_PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
            if whole || is_secret(name) {
                hide(line, at + equals + 1..next);
            }
        }
        at = next + 1;
    }
}

/// Whether a message begins like HTTP/1: a word in capitals and a target, or a status line.
fn is_start_line(payload: &[u8]) -> bool {
    let capitals = payload.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    payload.starts_with(b"HTTP/1.") || ((3..=16).contains(&capitals) && payload.get(capitals) == Some(&b' '))
}

/// Bytes of a head up to the end of its blank line.
fn end_of_head(payload: &[u8]) -> Option<usize> {
    let ends =
        |end: &[u8]| payload.windows(end.len()).position(|bytes| bytes == end).map(|at| at + end.len());
    ends(b"\r\n\r\n").into_iter().chain(ends(b"\n\n")).min()
}

/// Whether a message begins like HTTP/2 (RFC 9113): the preface, or the header of a frame.
fn is_framed(payload: &[u8]) -> bool {
    const LAST_KIND: u8 = 9;
    let header = |header: &[u8; 9]| header[0] == 0 && header[3] <= LAST_KIND && header[5] & 0x80 == 0;
    payload.starts_with(b"PRI * HTTP/2") || payload.first_chunk().is_some_and(header)
}

#[cfg(test)]
#[path = "mask_known_tests.rs"]
mod tests;

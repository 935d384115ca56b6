//! TCP and UDP headers.

use super::{Skipped, Tcp, Udp, bytes::Bytes};

use tracer_ebpf::segment::tcp_flag;

/// RFC 9293, section 3.1. What the snap length cut of checksum, urgent pointer and options is not missed.
#[inline]
pub(super) fn tcp(mut rest: Bytes<'_>) -> Result<Tcp<'_>, Skipped> {
    let head = rest.take::<16>()?;
    let options = (usize::from(head[12] >> 4) * 4).checked_sub(20).ok_or(Skipped::Length)?;
    rest.take_captured(4)?;
    let options = rest.take_captured(options)?;
    let flags = head[13];
    Ok(Tcp {
        source_port: u16::from_be_bytes([head[0], head[1]]),
        destination_port: u16::from_be_bytes([head[2], head[3]]),
        sequence: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
        acknowledgment: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
        flags,
        window: u16::from_be_bytes([head[14], head[15]]),
        window_scale: window_scale(options, flags & tcp_flag::SYN != 0),
        length: length(rest),
        payload: rest.captured(),
    })
}

/// RFC 768. The length is what the header says, also where that is more than the packet has, as in the first of
/// several fragments. `rest` is at the payload then.
#[inline]
pub(super) fn udp<'a>(rest: &mut Bytes<'a>) -> Result<Udp<'a>, Skipped> {
    let [s0, s1, d0, d1, l0, l1] = *rest.take()?;
    rest.take_captured(2)?;
    // 0 in jumbograms (RFC 2675, section 4).
    let field = u32::from(u16::from_be_bytes([l0, l1]));
    let length = if field == 0 { length(*rest) } else { field.checked_sub(8).ok_or(Skipped::Length)? };
    rest.narrow(length as usize);
    Ok(Udp {
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        length,
        payload: rest.captured(),
    })
}

/// A capture's lengths have 32 bits.
fn length(rest: Bytes<'_>) -> u32 {
    u32::try_from(rest.length()).unwrap_or(u32::MAX)
}

/// The window scale of TCP's options, which counts in a SYN only (RFC 7323, section 2.2).
fn window_scale(mut options: &[u8], syn: bool) -> Option<u8> {
    /// Larger ones count as this (RFC 7323, section 2.3).
    const LIMIT: u8 = 14;
    let mut scale = None;
    while let Some((&kind, rest)) = options.split_first().filter(|_| syn) {
        if kind == 1 {
            options = rest;
            continue;
        }
        // The end (0) has no length.
        let Some(&length) = rest.first().filter(|length| kind != 0 && **length >= 2) else { break };
        if let (3, Some([bits])) = (kind, options.get(2..usize::from(length))) {
            scale = Some((*bits).min(LIMIT));
        }
        options = options.get(usize::from(length)..).unwrap_or_default();
    }
    scale
}

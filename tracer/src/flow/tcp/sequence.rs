//! Sequence numbers: they wrap, so which is later is a matter of distance (RFC 9293, section 3.4).

/// Whether `a` lies before `b`.
pub(super) const fn before(a: u32, b: u32) -> bool {
    distance(b, a) < 0
}

/// How far `to` lies behind `from`; negative when it lies before it.
pub(super) const fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}

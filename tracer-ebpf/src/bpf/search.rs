//! Four bytes among others, found with few jumps: a verifier follows each of them.

use aya_ebpf::{EbpfContext as _, helpers::generated::bpf_skb_load_bytes, programs::SkBuffContext};
use tracer_ebpf::frames::SEARCHED;

const WORDS: usize = SEARCHED as usize / size_of::<u64>();
/// Eight bytes of one, each.
const ONES: u64 = u64::MAX / 0xff;

/// Where `word`, in network order, first begins in the [`SEARCHED`] bytes at an offset, if the packet has as many and
/// eight more.
#[inline(always)]
pub(crate) fn find(ctx: &SkBuffContext, at: u32, word: u32) -> Option<u32> {
    let mut bytes = [0u64; WORDS + 1];
    let (to, size) = (bytes.as_mut_ptr().cast(), size_of_val(&bytes) as u32);
    // SAFETY: `bytes` has room for as many; the helper checks the packet's bounds.
    if unsafe { bpf_skb_load_bytes(ctx.as_ptr().cast(), at, to, size) } != 0 {
        return None;
    }
    if !may_have(&bytes, word) {
        return None;
    }
    let places = places(&bytes, u64::from(word.swap_bytes()));
    (places != 0).then(|| at.wrapping_add(lowest(places)))
}

/// Whether the second of the four bytes, a rare one, is among the others: the known trick for a byte of zero.
#[inline(always)]
fn may_have(bytes: &[u64; WORDS + 1], word: u32) -> bool {
    let [_, second, ..] = word.to_be_bytes();
    let mut any = 0;
    for eight in bytes {
        let zero = eight ^ ONES.wrapping_mul(u64::from(second));
        any |= zero.wrapping_sub(ONES) & !zero;
    }
    any & ONES.wrapping_shl(7) != 0
}

/// A bit for each place where the four bytes begin.
#[inline(always)]
fn places(bytes: &[u64; WORDS + 1], word: u64) -> u64 {
    let (mut places, mut next) = (0u64, 0u64);
    for eight in bytes.iter().rev() {
        for place in (0..8u32).rev() {
            let shift = place.wrapping_mul(8);
            let four =
                eight.wrapping_shr(shift) | next.wrapping_shl(8).wrapping_shl(56u32.wrapping_sub(shift));
            let different = (four ^ word) & 0xffff_ffff;
            places = places.wrapping_shl(1) | different.wrapping_sub(1).wrapping_shr(63);
        }
        next = *eight;
    }
    // The last eight bytes were shifted out, as they came first.
    places
}

/// The place of the lowest bit. Without a loop: what the compiler makes of one falls into its head, which kernels before 6.12
/// refuse.
#[inline(always)]
fn lowest(bits: u64) -> u32 {
    let lowest = bits.isolate_lowest_one();
    let bit = |number: u32, mask: u64| u32::from(lowest & mask != 0).wrapping_shl(number);
    bit(0, 0xaaaa_aaaa_aaaa_aaaa)
        | bit(1, 0xcccc_cccc_cccc_cccc)
        | bit(2, 0xf0f0_f0f0_f0f0_f0f0)
        | bit(3, 0xff00_ff00_ff00_ff00)
        | bit(4, 0xffff_0000_ffff_0000)
        | bit(5, 0xffff_ffff_0000_0000)
}

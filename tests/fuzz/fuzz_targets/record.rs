//! Records as the kernel puts them into the ring buffer, at the alignment it gives them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::flow::decode::decode;

fuzz_target!(|bytes: &[u8]| {
    let mut aligned = vec![0_u64; bytes.len().div_ceil(8)];
    let room = aligned.iter_mut().zip(bytes.chunks(8));
    for (word, chunk) in room {
        let mut eight = [0; 8];
        eight[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_ne_bytes(eight);
    }
    // SAFETY: the vector holds at least this many initialised bytes, and nothing writes to it meanwhile.
    let record = unsafe { std::slice::from_raw_parts(aligned.as_ptr().cast::<u8>(), bytes.len()) };
    let _decoded = decode(record);
});

//! What the BPF programs and userspace share: the records that cross the ring buffer and the state machine
//! that folds segments into messages. `no_std`, no allocation, no loop over content, so that the same code
//! passes the verifier and runs offline.

#![no_std]
#![expect(
    clippy::inline_always,
    reason = "the verifier follows one program per hook; calls cost stack and lose what it knows of pointers"
)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::arithmetic_side_effects)]

pub mod counter;
pub mod flow;
pub mod fold;
pub mod frames;
mod plan;
mod prefix;
pub mod record;
pub mod segment;
mod silence;
mod state;

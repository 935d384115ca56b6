//! The kernel side's host of the state machine: maps, hooks, output.

pub(crate) mod map;
pub(crate) mod output;
pub(crate) mod packet;
pub(crate) mod payload;
mod pods;
mod search;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod task;
pub(crate) mod tcp_sock;

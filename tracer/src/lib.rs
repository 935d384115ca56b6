//! Network latency breakdowns per pod. The folders are in the order in which data flows: [`source`] reads
//! records or packets, [`packet`], [`flow`] and [`proto`] understand them, [`request`] ties calls to requests and splits the time,
//! [`finding`] names causes, [`export`] and [`cli`] show it. [`engine`] wires the pure core together.

pub mod cli;
pub mod clock;
pub mod config;
pub mod engine;
pub mod export;
pub mod finding;
pub mod flow;
#[cfg(test)]
mod generated;
pub mod offline;
pub mod packet;
pub mod pod;
pub mod proto;
pub mod replay;
pub mod request;
pub mod session;
pub mod source;

//! Where records and packets come from. This is an edge: it reads the kernel, its clocks, and files.

pub mod live;
pub mod pcap;

//! `tracer-lab`: the servers of the lab and its demonstrations.

fn main() {}

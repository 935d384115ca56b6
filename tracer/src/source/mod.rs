//! Where records come from. This is an edge: it reads the kernel and its clocks.

pub mod live;

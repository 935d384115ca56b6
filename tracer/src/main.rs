//! Observation tool.
fn main() {}

//! The servers and clients of the lab, each a subcommand of `tracer-lab`.

pub mod answer;
pub mod backend;
pub mod broken;
pub mod bulk;
pub mod client;
pub mod dns_relay;
pub mod elastic;
pub mod grpc;
pub mod load;
pub mod long_way;
pub mod metadata;
pub mod otlp;
mod paused;
pub mod steady;
pub mod wait;

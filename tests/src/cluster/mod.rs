//! Stand-ins for what names pods: a container runtime and a Kubernetes API server, which break as asked.

mod objects;
pub(crate) mod protobuf;

pub mod api;
pub mod cri;

pub use objects::{Described, NODE};

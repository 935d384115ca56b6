//! What names pods: stand-ins for a container runtime and a Kubernetes API server, which break as asked, and a real
//! API server.

mod objects;
pub(crate) mod protobuf;

pub mod api;
pub mod cri;
pub mod node;
pub mod server;

pub use objects::{Described, Exposed, NODE};

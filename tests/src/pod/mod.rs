//! Pods as the kernel sees them: a cgroup with a kubelet-like path and a network namespace.

pub mod cgroup;
mod lab;
pub mod network;
pub mod sweep;
mod tun;

pub use cgroup::{PodCgroup, PodSpec, Qos, Tree};
pub use lab::{Lab, Pod};

//! The lab: pods made of cgroups, network namespaces and veths, real servers in them, and incidents
//! made of those, on one machine and without a container runtime.
//!
//! Everything a [`Lab`] makes carries the lab's name (`tracer-lab-<pid>-<n>`), lies in cgroups below
//! one root cgroup of its own and sends its traffic only inside its own network namespaces.
//! Dropping the lab removes all of it; what a killed lab left is swept by the next one.

#![expect(
    clippy::missing_errors_doc,
    reason = "every error is an anyhow error whose text says what was attempted, and on what"
)]

pub mod bpf;
pub mod browser;
pub mod capture;
pub mod certificate;
pub mod clock;
pub mod cluster;
pub mod demo;
pub mod hostile;
pub mod http;
pub mod incident;
pub mod labs;
pub mod log;
pub mod nginx;
pub mod node;
pub mod oracle;
pub mod pair;
pub mod pod;
pub mod priority;
pub mod process;
pub mod prometheus;
pub mod random;
pub mod role;
pub mod secret;
pub mod soak;
pub mod tracer;
pub mod wire;

pub use pod::{Lab, Pod, PodSpec, Qos};

/// Prints what a test measured, for whoever reads its output: a test that passes shows it too, although the
/// test harness keeps what `println!` prints to itself.
pub fn say(measured: &str) {
    use std::io::Write as _;
    // Who closed stdout does not want to read it.
    let _unread = writeln!(std::io::stdout(), "    {measured}");
}

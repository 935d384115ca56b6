//! Run time of the BPF programs, which the kernel counts while `kernel.bpf_stats_enabled` is 1.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::Ebpf;

/// What one program cost so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramStats {
    /// Name of the program.
    pub program: String,
    /// Nanoseconds it ran.
    pub nanoseconds: u64,
    /// How often it ran.
    pub runs: u64,
}

/// Reads the counts from the descriptors' `fdinfo`; programs that are not loaded are left out.
pub(super) fn read(ebpf: &Ebpf) -> Vec<ProgramStats> {
    let stats = ebpf.programs().filter_map(|(name, program)| {
        let descriptor = program.fd().ok()?.as_fd().as_raw_fd();
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).ok()?;
        Some(parse(name, &info))
    });
    let mut stats: Vec<ProgramStats> = stats.collect();
    stats.sort_by(|a, b| a.program.cmp(&b.program));
    stats
}

fn parse(name: &str, info: &str) -> ProgramStats {
    let field = |key: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(key));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    ProgramStats { program: name.to_owned(), nanoseconds: field("run_time_ns:"), runs: field("run_cnt:") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_fdinfo() {
        let info = "pos:\t0\nprog_type:\t8\nprog_jited:\t1\nrun_time_ns:\t1234\nrun_cnt:\t5\n";
        let stats = parse("tracer_ingress", info);
        assert_eq!((stats.nanoseconds, stats.runs), (1234, 5));
    }
}

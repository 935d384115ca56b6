//! What tracer says about itself.

use prometheus::{CounterVec, IntCounter, IntCounterVec, Result};

use super::maker::{Maker, seconds};
use crate::request::totals::{Accounting, PacketAccounting};

pub(super) struct Families {
    /// Observations that went to `~other`.
    pub(super) overflow: IntCounter,
    emitted: IntCounter,
    consumed: IntCounter,
    dropped: IntCounterVec,
    oddities: IntCounterVec,
    exported: IntCounterVec,
    captures_dropped: IntCounter,
    packets: [IntCounter; 3],
    program_run: CounterVec,
    program_runs: IntCounterVec,
}

impl Families {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self> {
        let build = make.gauge("tracer_build_info", "Always 1; the labels say what runs.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        Ok(Self {
            overflow: make.counter(
                "tracer_metrics_overflow_total",
                "Observations counted for pod=\"~other\", because too many pods have series.",
            )?,
            emitted: make.counter("tracer_events_emitted_total", "Records that the BPF programs made.")?,
            consumed: make
                .counter("tracer_events_consumed_total", "Records that were read and understood.")?,
            dropped: make.counters(
                "tracer_events_dropped_total",
                "Records that were lost, by reason; emitted = consumed + dropped.",
                &["reason"],
            )?,
            oddities: make.counters(
                "tracer_oddities_total",
                "What was read and could not be used as it should, by kind; requests that were abandoned or \
                 unanswered are in no other series.",
                &["kind"],
            )?,
            exported: make.counters(
                "tracer_otlp_exports_total",
                "Spans, and exports of metrics, for the OpenTelemetry collector, by what became of them.",
                &["signal", "result"],
            )?,
            captures_dropped: make.counter(
                "tracer_captures_dropped_total",
                "Captures over the API that ended because their reader was too slow.",
            )?,
            packets: [
                make.counter(
                    "tracer_packets_emitted_total",
                    "Packets that the BPF programs saw for captures.",
                )?,
                make.counter("tracer_packets_consumed_total", "Packets for captures that were read.")?,
                make.counter(
                    "tracer_packets_dropped_total",
                    "Packets for captures for which the ring had no room; emitted = consumed + dropped.",
                )?,
            ],
            program_run: make.seconds(
                "tracer_bpf_program_run_seconds_total",
                "Time in a BPF program; grows while kernel.bpf_stats_enabled is 1.",
                &["program"],
            )?,
            program_runs: make.counters(
                "tracer_bpf_program_runs_total",
                "Runs of a BPF program; grows while kernel.bpf_stats_enabled is 1.",
                &["program"],
            )?,
        })
    }

    pub(super) fn accounting(&self, accounting: &Accounting) {
        raise(&self.emitted, accounting.emitted);
        raise(&self.consumed, accounting.consumed);
        for (reason, lost) in &accounting.dropped {
            raise(&self.dropped.with_label_values(&[*reason]), *lost);
        }
        for (kind, count) in &accounting.oddities {
            raise(&self.oddities.with_label_values(&[*kind]), *count);
        }
    }

    pub(super) fn exported(&self, signal: &str, result: &str, count: u64) {
        raise(&self.exported.with_label_values(&[signal, result]), count);
    }

    pub(super) fn captures_dropped(&self, count: u64) {
        raise(&self.captures_dropped, count);
    }

    pub(super) fn packets(&self, accounting: PacketAccounting) {
        let PacketAccounting { emitted, consumed, dropped } = accounting;
        for (counter, count) in self.packets.iter().zip([emitted, consumed, dropped]) {
            raise(counter, count);
        }
    }

    pub(super) fn program(&self, name: &str, run_nanoseconds: u64, runs: u64) {
        let run = self.program_run.with_label_values(&[name]);
        run.inc_by((seconds(run_nanoseconds) - run.get()).max(0.0));
        raise(&self.program_runs.with_label_values(&[name]), runs);
    }
}

/// Counters only grow: brings one up to a number that something else counts.
pub(super) fn raise(counter: &IntCounter, number: u64) {
    counter.inc_by(number.saturating_sub(counter.get()));
}

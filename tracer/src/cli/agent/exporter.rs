//! Feeds the metrics with what settles.

use std::sync::Arc;

use crate::{
    engine::{FlowEvent, Observer},
    export::prometheus::{ConnectResult, Metrics, POD_LIMIT, ResetBy},
    finding,
    pod::Pod,
    request::{Attribution, Call, Request},
    session::Session,
};

/// The metrics of the agent.
pub(super) struct Exporter {
    metrics: Metrics,
}

impl Exporter {
    /// Without a series of a pod yet.
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self { metrics: Metrics::new(POD_LIMIT)? })
    }

    /// The exposition, as of now.
    pub(super) fn metrics(&mut self, session: &Session) -> anyhow::Result<String> {
        let summary = session.summary()?;
        for pod in &summary.pods {
            for id in finding::IDS {
                self.metrics.finding(&pod.pod, id, pod.findings.iter().any(|finding| finding.id == id));
            }
        }
        self.metrics.accounting(&summary.accounting);
        for stats in session.source().program_stats() {
            self.metrics.program(&stats.program, stats.nanoseconds, stats.runs);
        }
        Ok(self.metrics.render()?)
    }
}

impl Observer for Exporter {
    fn request(&mut self, request: &Request) {
        self.metrics.settled(request);
    }

    fn call(&mut self, pod: &Arc<Pod>, call: &Call, attribution: Attribution) {
        self.metrics.call(pod, call, attribution);
    }

    fn flow(&mut self, pod: &Arc<Pod>, event: FlowEvent) {
        match event {
            FlowEvent::Connect { established, refused, nanoseconds } => {
                let result = match (established, refused) {
                    (true, _) => ConnectResult::Established,
                    (false, true) => ConnectResult::Refused,
                    (false, false) => ConnectResult::Unanswered,
                };
                self.metrics.tcp_connect(pod, result, nanoseconds);
            }
            FlowEvent::Reset { by_pod } => {
                self.metrics.tcp_reset(pod, if by_pod { ResetBy::Pod } else { ResetBy::Peer });
            }
            FlowEvent::Closed { srtt_us } => self.metrics.tcp_round_trip(pod, srtt_us),
            FlowEvent::Retransmits(segments) => self.metrics.tcp_retransmits(pod, segments),
        }
    }
}

//! Feeds the metrics with what settles.

use std::sync::Arc;

use crate::{
    engine::{FlowEvent, Observer},
    export::{
        prometheus::{ConnectResult, Metrics, POD_LIMIT, ResetBy},
        text,
    },
    finding::{Event, Finding, KINDS, Settings},
    pod::Pod,
    request::{Attribution, Call, Request},
    session::Session,
    source::live::wall_clock,
};

/// The metrics of the agent.
pub(super) struct Exporter {
    metrics: Metrics,
    /// The findings that are looked for.
    findings: Vec<&'static str>,
}

impl Exporter {
    /// Without a series of a pod yet.
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let enabled = KINDS.iter().zip(settings.kinds()).filter(|(_, settings)| settings.enabled);
        Ok(Self { metrics: Metrics::new(POD_LIMIT)?, findings: enabled.map(|(kind, _)| kind.id).collect() })
    }

    /// The exposition, as of now.
    pub(super) fn metrics(&mut self, session: &Session) -> anyhow::Result<String> {
        let summary = session.summary()?;
        for pod in &summary.pods {
            for &id in &self.findings {
                self.metrics.finding(&pod.pod, id, pod.findings.iter().any(|finding| finding.id == id));
            }
        }
        self.metrics.accounting(&summary.accounting);
        self.metrics.naming(&session.naming());
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

    /// Its series go on under the new name; what was counted under the old one is no pod's any more.
    fn renamed(&mut self, from: &Arc<Pod>, _: &Arc<Pod>) {
        self.metrics.forget(from);
    }

    fn finding(&mut self, event: &Event<'_>) {
        match event {
            Event::Opened(finding) => log("a finding opened", finding),
            Event::Closed(finding) => log("a finding closed", finding),
            Event::Evidence(..) => {}
        }
    }
}

fn log(what: &str, finding: &Finding) {
    tracing::info!(
        finding = finding.id,
        pod = %finding.subject,
        destination = finding.destination.as_ref().map(tracing::field::display),
        severity = finding.severity.name(),
        since = text::time(finding.since, wall_clock()),
        explanation = &*text::printable(&finding.explanation),
        "{what}"
    );
}

//! Feeds the metrics with what settles.

use std::sync::Arc;

use super::{memory::Memory, otlp::Otlp};
use crate::{
    engine::{FlowEvent, OWN_POD, Observer},
    export::{
        prometheus::{ConnectResult, Metrics, POD_LIMIT, ResetBy},
        text,
    },
    finding::{Event, Finding, KINDS, Settings},
    pod::Pod,
    request::{Attribution, Call, Request, folded::Folded},
    session::Session,
    source::live::wall_clock,
};

/// The metrics of the agent.
pub(super) struct Exporter {
    metrics: Metrics,
    /// The findings that are looked for.
    findings: Vec<&'static str>,
    otlp: Option<Otlp>,
    /// What is shown besides sums.
    pub(super) memory: Memory,
}

impl Exporter {
    /// Without a series of a pod yet.
    pub(super) fn new(settings: &Settings, has_pod_label: bool, otlp: Option<Otlp>) -> anyhow::Result<Self> {
        let enabled = KINDS.iter().zip(settings.kinds()).filter(|(_, settings)| settings.enabled);
        let metrics = Metrics::new(POD_LIMIT)?;
        let metrics = if has_pod_label { metrics } else { metrics.without_pod_label() };
        let findings = enabled.map(|(kind, _)| kind.id).collect();
        Ok(Self { metrics, findings, memory: Memory::default(), otlp })
    }

    /// Sends the metrics to the OpenTelemetry collector, when it is time to.
    pub(super) fn tick(&mut self) {
        if let Some(otlp) = &mut self.otlp {
            otlp.tick(&mut self.metrics);
        }
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self) {
        if let Some(otlp) = self.otlp.take() {
            otlp.finish(&mut self.metrics);
        }
    }

    /// Captures that ended because their reader was too slow, since the start.
    pub(super) fn captures_dropped(&self, count: u64) {
        self.metrics.captures_dropped(count);
    }

    /// The exposition, as of now.
    pub(super) fn metrics(&mut self, session: &Session) -> anyhow::Result<String> {
        let summary = session.summary()?;
        for pod in &summary.pods {
            for &id in &self.findings {
                self.metrics.finding(&pod.pod, id, false);
            }
        }
        // Pods without a label of their own share the series: it is 1 when one of them has the finding.
        for pod in &summary.pods {
            for finding in pod.findings.iter().filter(|finding| self.findings.contains(&finding.id)) {
                self.metrics.finding(&pod.pod, finding.id, true);
            }
        }
        self.metrics.accounting(&summary.accounting);
        self.metrics.packets(session.packets()?);
        for (signal, result, count) in self.otlp.iter().flat_map(|otlp| otlp.counts().all()) {
            self.metrics.exported(signal, result, count);
        }
        self.metrics.naming(&session.naming());
        for stats in session.source().program_stats() {
            self.metrics.program(&stats.program, stats.nanoseconds, stats.runs);
        }
        Ok(self.metrics.render()?)
    }
}

impl Observer for Exporter {
    fn request(&mut self, request: &Request) {
        if is_shown(&request.pod) {
            self.metrics.settled(request);
            self.memory.request(request);
            if let Some(otlp) = &self.otlp {
                otlp.request(request, wall_clock());
            }
        }
    }

    fn folded(&mut self, pod: &Arc<Pod>, folded: &Folded) {
        if is_shown(pod) {
            self.metrics.folded(pod, folded);
            self.memory.folded(pod, folded);
        }
    }

    fn call(&mut self, pod: &Arc<Pod>, call: &Call, attribution: Attribution) {
        if is_shown(pod) {
            self.metrics.call(pod, call, attribution);
        }
    }

    fn flow(&mut self, pod: &Arc<Pod>, event: FlowEvent) {
        if !is_shown(pod) {
            return;
        }
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

    fn gone(&mut self, pod: &Arc<Pod>) {
        tracing::debug!(pod = %pod, "a pod is gone: its series are removed");
        self.metrics.forget(pod);
        self.memory.forget(pod);
    }

    /// Its series go on under the new name; what was counted under the old one is no pod's any more.
    fn renamed(&mut self, from: &Arc<Pod>, _: &Arc<Pod>) {
        self.metrics.forget(from);
    }

    fn finding(&mut self, event: &Event<'_>) {
        if let Event::Opened(finding) | Event::Closed(finding) = event
            && !is_shown(&finding.subject)
        {
            return;
        }
        match event {
            Event::Opened(finding) => log("a finding opened", finding),
            Event::Closed(finding) => log("a finding closed", finding),
            Event::Evidence(..) => {}
        }
    }
}

/// All but tracer itself: who scrapes it would show as the pod's slow clients.
fn is_shown(pod: &Pod) -> bool {
    pod.uid != OWN_POD
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

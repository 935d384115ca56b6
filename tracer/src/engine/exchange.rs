//! Flow records → requests and calls.

use tracer_ebpf::record::{FlowRecord, flow_flag, kind, protocol, role};

use super::{Engine, FlowEvent, Observer, Resolve};
use crate::{
    flow::{Messages, Transport},
    proto::{
        http1,
        metadata::{MetadataCall, Step},
    },
    request::{
        Call, CallKind, Marks, Thread, What,
        pod::{Key, Pending},
    },
};

/// Flows whose retransmissions are followed; beyond it they are counted when the flow closes.
const RETRANSMIT_LIMIT: usize = 16_384;

impl<R: Resolve> Engine<R> {
    pub(super) fn flow(&mut self, record: &FlowRecord, observer: &mut dyn Observer) {
        match record.kind {
            kind::OPENED | kind::CONNECT_FAILED => self.connect(record, observer),
            kind::EXCHANGE => self.exchange(record, false),
            kind::RESET => self.event(record, FlowEvent::Reset { by_pod: true }, observer),
            _ => {
                self.exchange(record, true);
                self.closed(record, observer);
            }
        }
        self.retransmitted(record, observer);
    }

    fn connect(&mut self, record: &FlowRecord, observer: &mut dyn Observer) {
        let established = record.kind == kind::OPENED;
        let end = if established { record.established } else { record.emitted };
        let Some(pod) = self.pod(record.cgroup) else { return };
        let nanoseconds = end.saturating_sub(record.opened);
        let refused = !established && record.flags & flow_flag::RESET_IN != 0;
        observer.flow(&pod.pod, FlowEvent::Connect { established, refused, nanoseconds });
        let metadata = record.flags & flow_flag::METADATA != 0;
        let what = if metadata {
            What::Metadata(MetadataCall {
                step: Step::Connect,
                what: String::new(),
                status: None,
                remaining_seconds: None,
                lifetime_seconds: None,
            })
        } else {
            What::Connect { established }
        };
        let kind = if metadata { CallKind::Metadata } else { CallKind::Connect };
        let call =
            Call { start: record.opened, end, number: 0, answered: established, ..call(record, kind, what) };
        let key = Key { first: record.opened, flow: record.flow, number: 0 };
        pod.tracker.call(key, call, false, record.emitted, 0);
    }

    fn exchange(&mut self, record: &FlowRecord, closing: bool) {
        if record.exchange == 0 {
            return;
        }
        if record.flags & flow_flag::UNSOLICITED != 0 {
            self.oddities.unsolicited += u64::from(record.updates == 0);
            return;
        }
        let key = Key { first: record.request_first, flow: record.flow, number: record.exchange };
        let metadata = record.role == role::CLIENT && record.flags & flow_flag::METADATA != 0;
        let what = match record.role {
            role::SERVER => What::Opaque,
            _ if metadata => self.metadata_call(record),
            _ => opaque_or_http(record),
        };
        let Some(pod) = self.pod(record.cgroup) else { return };
        // The close of a flow repeats its last exchange, which has settled long ago as a rule.
        if closing && record.updates > 0 && !pod.tracker.is_pending(&key) {
            return;
        }
        if record.role == role::SERVER {
            pod.tracker.request(key, pending(record, closing), record.updates);
            return;
        }
        let kind = if metadata { CallKind::Metadata } else { CallKind::Upstream };
        let answered = record.response_first != 0;
        let end = if answered { record.response_last } else { record.emitted };
        let call = Call { start: record.request_first, end, answered, ..call(record, kind, what) };
        pod.tracker.call(key, call, !answered && !closing, record.emitted, record.updates);
    }

    fn metadata_call(&self, record: &FlowRecord) -> What {
        let http = http(record);
        let said = self.metadata.get(record.flow, record.exchange);
        let request = said.and_then(|said| said.request.as_ref());
        let method = request.map(|(method, _)| method.as_str()).or(http.method()).unwrap_or_default();
        let cut = http.path();
        let path = request.map(|(_, path)| path.as_str()).or(cut.map(|path| path.text)).unwrap_or_default();
        let now = self.clock.unix_seconds(record.response_last);
        let expiry = said.map(|said| said.expiry).unwrap_or_default();
        What::Metadata(MetadataCall {
            step: Step::of(method, path),
            what: format!("{method} {path}"),
            status: http.status(),
            remaining_seconds: expiry.remaining(now),
            lifetime_seconds: expiry.lifetime(),
        })
    }

    fn closed(&mut self, record: &FlowRecord, observer: &mut dyn Observer) {
        if record.flags & flow_flag::METADATA != 0 {
            self.metadata.remove(record.flow);
        }
        if record.flags & flow_flag::RESET_IN != 0 {
            self.event(record, FlowEvent::Reset { by_pod: false }, observer);
        }
        self.event(record, FlowEvent::Closed { srtt_us: record.srtt_us }, observer);
    }

    fn event(&mut self, record: &FlowRecord, event: FlowEvent, observer: &mut dyn Observer) {
        if let Some(pod) = self.pod(record.cgroup) {
            observer.flow(&pod.pod, event);
        }
    }

    /// Counts retransmissions as they grow: long-lived flows may never close.
    fn retransmitted(&mut self, record: &FlowRecord, observer: &mut dyn Observer) {
        if record.retransmits == 0 {
            return;
        }
        let closing = record.kind == kind::CLOSED || record.kind == kind::CONNECT_FAILED;
        let known = if closing {
            self.retransmits.remove(&record.flow)
        } else if self.retransmits.len() < RETRANSMIT_LIMIT || self.retransmits.contains_key(&record.flow) {
            self.retransmits.insert(record.flow, record.retransmits)
        } else {
            return;
        };
        let more = record.retransmits.saturating_sub(known.unwrap_or(0));
        if more > 0
            && let Some(pod) = self.pod(record.cgroup)
        {
            observer.flow(&pod.pod, FlowEvent::Retransmits(more));
        }
    }
}

fn http(record: &FlowRecord) -> http1::Exchange {
    http1::Exchange::new(
        record.request_prefix,
        record.request_prefix_length,
        record.response_prefix,
        record.response_prefix_length,
    )
}

fn opaque_or_http(record: &FlowRecord) -> What {
    if record.protocol == protocol::HTTP1 { What::Http1(http(record)) } else { What::Opaque }
}

fn pending(record: &FlowRecord, closing: bool) -> Pending {
    let mut messages = Messages::of(record);
    let mut marks = Marks::default();
    if record.flags & flow_flag::JOINED != 0 && record.exchange == 1 {
        marks.set(Marks::JOINED);
    }
    if !messages.is_answered() && closing {
        marks.set(Marks::UNANSWERED);
        messages.response_first = record.emitted;
        messages.response_last = record.emitted;
    }
    if messages.is_answered() && messages.response_first < messages.request_last {
        marks.set(Marks::EARLY_RESPONSE);
    }
    Pending {
        messages,
        transport: Transport::of(record),
        thread: Thread { thread: record.thread, process: record.process },
        http: (record.protocol == protocol::HTTP1).then(|| http(record)),
        marks,
        emitted: record.emitted,
        is_final: closing || record.flags & flow_flag::FINAL != 0,
    }
}

/// What all calls of a record have in common; times and outcome are the caller's.
fn call(record: &FlowRecord, kind: CallKind, what: What) -> Call {
    let transport = Transport::of(record);
    Call {
        kind,
        start: 0,
        end: 0,
        flow: record.flow,
        number: record.exchange,
        local: transport.local,
        peer: transport.peer,
        thread: Thread { thread: record.thread, process: record.process },
        what,
        answered: false,
    }
}

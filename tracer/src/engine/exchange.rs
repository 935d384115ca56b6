//! Flow records → requests and calls.

use std::collections::BTreeMap;

use tracer_ebpf::record::{FlowRecord, FoldedRecord, flow_flag, kind, protocol, role};

use super::{Engine, FlowEvent, Observer, Resolve};
use crate::{
    flow::{Messages, Transport},
    proto::{
        dns,
        http::Http,
        http1,
        metadata::{MetadataCall, Step, public_path},
    },
    request::{
        Call, CallKind, Marks, Thread, What,
        folded::Folded,
        pod::{Key, Pending},
        wait::Rest,
    },
};

/// Flows whose retransmissions are followed; beyond it the oldest is forgotten, and what it retransmits until it is
/// seen again is not counted.
const RETRANSMIT_LIMIT: usize = 16_384;

impl<R: Resolve> Engine<R> {
    pub(super) fn flow(&mut self, record: &FlowRecord, observer: &mut dyn Observer) {
        if record.flow == 0 {
            self.oddities.unidentified += 1;
            return;
        }
        self.peer(record);
        match record.kind {
            // Nothing new of the exchange: [`super::peers`] has seen it.
            kind::SILENT | kind::HEARD | kind::ABANDONED => {}
            kind::OPENED | kind::CONNECT_FAILED => self.connect(record, observer),
            kind::EXCHANGE => self.exchange(record, false),
            kind::FRAMED => self.framed(record),
            kind::RESET => self.event(record, FlowEvent::Reset { by_pod: true }, observer),
            _ => {
                if record.protocol > protocol::OPAQUE {
                    self.close_stream(record);
                } else {
                    self.exchange(record, true);
                }
                self.closed(record, observer);
            }
        }
        let is_over = record.kind == kind::CLOSED || record.kind == kind::CONNECT_FAILED;
        self.retransmitted(Sent::of(record), is_over, observer);
    }

    pub(super) fn folded(&mut self, record: &FoldedRecord, observer: &mut dyn Observer) {
        if record.flow == 0 {
            self.oddities.unidentified += 1;
            return;
        }
        let Some(folded) = Folded::of(record) else {
            self.oddities.sums_refused += requests(record);
            return;
        };
        if let Some(pod) = self.pod(record.cgroup) {
            pod.tracker.folded(folded.thread, record.flow, folded.last);
            pod.folded(&folded, observer);
        }
        let FoldedRecord { flow, cgroup, flags, retransmits, .. } = *record;
        self.retransmitted(Sent { flow, cgroup, flags, retransmits }, false, observer);
    }

    /// Before anything of the flow ends: calls that wait are those of a server that may be gone.
    fn peer(&mut self, record: &FlowRecord) {
        if record.role == role::CLIENT
            && kind_of(record, CallKind::Upstream) == CallKind::Upstream
            && let Some(pod) = self.pod(record.cgroup)
        {
            pod.peers.record(record, &pod.tracker);
        }
    }

    fn connect(&mut self, record: &FlowRecord, observer: &mut dyn Observer) {
        let established = record.kind == kind::OPENED;
        let end = if established { record.established } else { record.emitted };
        let kind = kind_of(record, CallKind::Connect);
        let what = if kind == CallKind::Metadata {
            What::Metadata(MetadataCall {
                step: Step::Connect,
                what: String::new(),
                status: None,
                token: None,
                remaining_seconds: None,
                lifetime_seconds: None,
            })
        } else {
            What::Connect { established, syns: record.syns }
        };
        let call = self.call(record, kind, what);
        let call = Call { start: record.opened, end, number: 0, answered: established, ..call };
        let Some(pod) = self.pod(record.cgroup) else { return };
        let nanoseconds = end.saturating_sub(record.opened);
        let refused = !established && record.flags & flow_flag::RESET_IN != 0;
        pod.flow(FlowEvent::Connect { established, refused, nanoseconds }, observer);
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
        let call = (record.role != role::SERVER).then(|| self.upstream(record));
        if record.response_first != 0 && record.flags & flow_flag::METADATA != 0 {
            self.metadata.wipe(record.flow, record.exchange);
        }
        let Some(pod) = self.pod(record.cgroup) else { return };
        let answered = record.response_first != 0;
        // Who closes or resets waits for nothing any more. A response may still come to a half-closed flow.
        let given_up = !answered && record.flags & (GIVEN_UP | client_fin(record)) != 0;
        // Who has given up sends its FIN again and again, and waits no longer for that.
        if given_up && record.updates > 0 && pod.tracker.is_over(&key) {
            return;
        }
        // The close of a flow repeats its last exchange: that has settled long ago as a rule, or has ended.
        if closing && record.updates > 0 && (given_up || !pod.tracker.is_pending(&key)) {
            return;
        }
        let closing = closing || given_up;
        let Some(call) = call else {
            pod.tracker.request(key, pending(record, closing), record.updates);
            return;
        };
        let end = if answered { record.response_last } else { record.emitted };
        let call = Call { start: record.request_first, end, answered, ..call };
        pod.tracker.call(key, call, !answered && !closing, record.emitted, record.updates);
    }

    /// The call that an exchange of a client is.
    fn upstream(&self, record: &FlowRecord) -> Call {
        let kind = kind_of(record, CallKind::Upstream);
        let what = match kind {
            CallKind::Dns => What::Opaque,
            CallKind::Metadata => self.metadata_call(record),
            _ => opaque_or_http(record),
        };
        self.call(record, kind, what)
    }

    /// What all calls of a record have in common; times and outcome are the caller's.
    fn call(&self, record: &FlowRecord, kind: CallKind, what: What) -> Call {
        let transport = Transport::of(record);
        Call {
            kind,
            start: 0,
            end: 0,
            flow: record.flow,
            number: record.exchange,
            local: transport.local,
            peer: transport.peer,
            peer_name: self.peer_name(transport.peer),
            thread: Thread { thread: record.thread, process: record.process },
            what,
            messages: Messages::of(record),
            answered: false,
        }
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
            what: format!("{method} {}", public_path(path)),
            status: http.status(),
            token: said.and_then(|said| said.token),
            remaining_seconds: expiry.remaining(now),
            lifetime_seconds: expiry.lifetime(),
        })
    }

    fn closed(&mut self, record: &FlowRecord, observer: &mut dyn Observer) {
        if record.flags & flow_flag::METADATA != 0 {
            self.metadata.remove(record.flow);
        }
        if record.remote_port == dns::PORT
            && let Some(pod) = self.pod(record.cgroup)
        {
            pod.dns_closed(record.flow, record.emitted);
        }
        if record.flags & flow_flag::RESET_IN != 0 {
            self.event(record, FlowEvent::Reset { by_pod: false }, observer);
        }
        self.event(record, FlowEvent::Closed { srtt_us: record.srtt_us }, observer);
    }

    fn event(&mut self, record: &FlowRecord, event: FlowEvent, observer: &mut dyn Observer) {
        if let Some(pod) = self.pod(record.cgroup) {
            pod.flow(event, observer);
        }
    }

    /// Counts retransmissions as they grow: long-lived flows may never close.
    fn retransmitted(&mut self, sent: Sent, is_over: bool, observer: &mut dyn Observer) {
        let joined = sent.flags & flow_flag::JOINED != 0;
        if sent.retransmits == 0 && !joined {
            return;
        }
        let known =
            self.retransmits.update(sent, is_over).unwrap_or(if joined { sent.retransmits } else { 0 });
        let more = sent.retransmits.saturating_sub(known);
        if more > 0
            && let Some(pod) = self.pod(sent.cgroup)
        {
            pod.flow(FlowEvent::Retransmits(more), observer);
        }
    }
}

/// What a record says about what a flow sent.
#[derive(Clone, Copy)]
struct Sent {
    flow: u64,
    cgroup: u64,
    flags: u8,
    retransmits: u32,
}

impl Sent {
    fn of(record: &FlowRecord) -> Self {
        let FlowRecord { flow, cgroup, flags, retransmits, .. } = *record;
        Self { flow, cgroup, flags, retransmits }
    }
}

/// Retransmissions counted so far per flow.
#[derive(Debug, Default)]
pub(super) struct Retransmits {
    /// By flow: their ids grow with time.
    flows: BTreeMap<u64, u32>,
    /// Newest flow that was forgotten.
    forgotten: u64,
}

impl Retransmits {
    /// Takes the record's count and gives the one before: of a forgotten flow the same, of a new one none.
    fn update(&mut self, sent: Sent, is_over: bool) -> Option<u32> {
        let known = if is_over {
            self.flows.remove(&sent.flow)
        } else {
            self.flows.insert(sent.flow, sent.retransmits)
        };
        let known = known.or((sent.flow <= self.forgotten).then_some(sent.retransmits));
        if self.flows.len() > RETRANSMIT_LIMIT
            && let Some((flow, _)) = self.flows.pop_first()
        {
            self.forgotten = self.forgotten.max(flow);
        }
        known
    }
}

/// The kind of a client flow's call; `other` when the server is neither DNS (over TCP) nor metadata service.
pub(super) fn kind_of(record: &FlowRecord, other: CallKind) -> CallKind {
    // GCP's metadata service answers there as well.
    if record.remote_port == dns::PORT {
        CallKind::Dns
    } else if record.role == role::CLIENT && record.flags & flow_flag::METADATA != 0 {
        CallKind::Metadata
    } else {
        other
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
    if record.protocol == protocol::HTTP1 { What::Http(Http::Prefix(http(record))) } else { What::Opaque }
}

/// What is unusual about a request. One that is over without an answer ended at `now`.
pub(super) fn mark(messages: &mut Messages, joined: bool, over: bool, now: u64) -> Marks {
    let mut marks = Marks::default();
    if joined {
        marks.set(Marks::JOINED);
    }
    if over && !messages.is_answered() {
        marks.set(Marks::UNANSWERED);
        (messages.response_first, messages.response_last) = (now, now);
    }
    if messages.is_answered() && messages.response_first < messages.request_last {
        marks.set(Marks::EARLY_RESPONSE);
    }
    marks
}

fn pending(record: &FlowRecord, closing: bool) -> Pending {
    let mut messages = Messages::of(record);
    let joined = record.flags & flow_flag::JOINED != 0 && record.exchange == 1;
    let marks = mark(&mut messages, joined, closing, record.emitted);
    Pending {
        messages,
        transport: Transport::of(record),
        thread: Thread { thread: record.thread, process: record.process },
        http: (record.protocol == protocol::HTTP1).then(|| Http::Prefix(http(record))),
        marks,
        emitted: record.emitted,
        rest: rest(record, closing),
    }
}

/// How many requests a record of sums may tell of.
fn requests(record: &FoldedRecord) -> u64 {
    let counted = record.sums.buckets.iter().copied().map(u64::from).sum::<u64>();
    counted.max(record.sums.count.into())
}

/// Flags of a flow on which no answer comes any more, whoever waits.
const GIVEN_UP: u8 = flow_flag::FIN_OUT | flow_flag::RESET_IN | flow_flag::RESET_OUT;

/// A client's call is over when its server closes without an answer; a server may answer a client that closed.
fn client_fin(record: &FlowRecord) -> u8 {
    if record.role == role::CLIENT { flow_flag::FIN_IN } else { 0 }
}

fn rest(record: &FlowRecord, closing: bool) -> Rest {
    if closing || record.flags & flow_flag::FINAL != 0 {
        Rest::None
    } else if record.stalled != 0 {
        Rest::Certain
    } else {
        Rest::Possible
    }
}

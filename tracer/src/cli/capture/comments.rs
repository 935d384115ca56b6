//! Says what is known about packets, when the request that they belong to has settled.

use std::sync::Arc;

use super::{
    held::{Held, Limits, Target},
    wanted::Wanted,
};
use crate::{
    engine::{FlowEvent, Observer},
    export::comment::{call_comment, finding_comment, request_comment},
    finding::{Event, Place},
    pod::Pod,
    request::{Attribution, Call, Request, folded::Folded},
};

/// Puts comments on held packets, and marks those of slow requests.
pub(super) struct Commenter {
    /// The packets.
    pub(super) held: Held,
    /// Nanoseconds from which on a request is slow, when only slow ones are wanted.
    slower_than: Option<u64>,
    /// Slow requests.
    pub(super) slow: u64,
    /// Of them, those whose first packets were gone.
    pub(super) cut: u64,
}

impl Commenter {
    /// Holds packets within limits; with `slower_than`, nanoseconds, those of slow requests are wanted only.
    pub(super) fn new(limits: Limits, slower_than: Option<u64>) -> Self {
        let limits = Limits { wanted_only: slower_than.is_some(), ..limits };
        Self { held: Held::new(limits), slower_than, slow: 0, cut: 0 }
    }
}

fn target(call: &Place) -> Target {
    match call.number {
        _ if call.flow == 0 => Target::Datagram(call.local),
        0 => Target::Syn(call.flow),
        _ => Target::Request(call.flow),
    }
}

impl Observer for Commenter {
    fn request(&mut self, request: &Request) {
        if let Some(limit) = self.slower_than {
            if request.total() < limit {
                return;
            }
            self.slow += 1;
            self.cut += u64::from(!self.held.want(&Wanted::of(request)));
        }
        let first = request.messages.request_first;
        self.held.comment(Target::Request(request.flow), first, request_comment(request));
        for attributed in &request.calls {
            let call = Place::of(&attributed.call);
            self.held.comment(target(&call), call.start, call_comment(attributed, request));
        }
    }

    fn folded(&mut self, _: &Arc<Pod>, _: &Folded) {}

    fn call(&mut self, _: &Arc<Pod>, _: &Call, _: Attribution) {}

    fn flow(&mut self, _: &Arc<Pod>, _: FlowEvent) {}

    fn finding(&mut self, event: &Event<'_>) {
        if let Event::Evidence(finding, call) = event {
            self.held.comment(target(call), call.start, finding_comment(finding));
        }
    }

    fn gone(&mut self, _: &Arc<Pod>) {}

    fn renamed(&mut self, _: &Arc<Pod>, _: &Arc<Pod>) {}
}

//! Says what is known about packets, when the request that they belong to has settled.

use std::sync::Arc;

use super::held::{Held, Target};
use crate::{
    engine::{FlowEvent, Observer},
    export::comment::{call_comment, finding_comment, request_comment},
    finding::{Event, Place},
    pod::Pod,
    request::{Attribution, Call, Request},
};

/// Puts comments on held packets.
#[derive(Default)]
pub(super) struct Commenter {
    /// The packets.
    pub(super) held: Held,
}

fn target(call: &Place) -> Target {
    match call.number {
        _ if call.flow == 0 => Target::Datagram(call.local),
        0 => Target::Syn(call.flow),
        number => Target::Message(call.flow, number, false),
    }
}

impl Observer for Commenter {
    fn request(&mut self, request: &Request) {
        let first = request.messages.request_first;
        let target_of_request = Target::Message(request.flow, request.number, false);
        self.held.comment(target_of_request, first, request_comment(request));
        for attributed in &request.calls {
            let call = Place::of(&attributed.call);
            self.held.comment(target(&call), call.start, call_comment(attributed, request));
        }
    }

    fn call(&mut self, _: &Arc<Pod>, _: &Call, _: Attribution) {}

    fn flow(&mut self, _: &Arc<Pod>, _: FlowEvent) {}

    fn finding(&mut self, event: &Event<'_>) {
        if let Event::Evidence(finding, call) = event {
            self.held.comment(target(call), call.start, finding_comment(finding));
        }
    }
}

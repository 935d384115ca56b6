//! Says what is known about packets, when the request that they belong to has settled.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::held::{Held, Target};
use crate::{
    engine::{FlowEvent, Observer},
    export::comment::{call_comment, finding_comment, request_comment},
    finding::{dns_search, metadata_credentials},
    pod::Pod,
    proto::metadata::Step,
    request::{AttributedCall, Attribution, Call, Request, What},
    session::Session,
};

/// Puts comments on held packets.
#[derive(Default)]
pub(super) struct Commenter {
    /// The packets.
    pub(super) held: Held,
    /// Open findings as comments, by pod and identifier.
    findings: FxHashMap<(Arc<Pod>, &'static str), String>,
}

impl Commenter {
    /// Takes over which findings are open.
    pub(super) fn findings(&mut self, session: &Session) {
        let open = session.findings();
        self.findings = open.iter().map(|f| ((Arc::clone(&f.subject), f.id), finding_comment(f))).collect();
    }

    fn call_comments(&mut self, attributed: &AttributedCall, request: &Request) {
        let call = &attributed.call;
        let target = target(call);
        self.held.comment(target, call.start, call_comment(attributed, request));
        let finding = match &call.what {
            What::Metadata(metadata) if metadata.step == Step::Credentials => metadata_credentials::ID,
            What::Dns(lookup) if !lookup.search_domains.is_empty() => dns_search::ID,
            _ => return,
        };
        if let Some(comment) = self.findings.get(&(Arc::clone(&request.pod), finding)) {
            self.held.comment(target, call.start, comment.clone());
        }
    }
}

fn target(call: &Call) -> Target {
    match call.number {
        _ if call.flow == 0 => Target::Datagram(call.local),
        0 => Target::Syn(call.flow),
        number => Target::Message(call.flow, number, false),
    }
}

impl Observer for Commenter {
    fn request(&mut self, request: &Request) {
        let first = request.messages.request_first;
        self.held.comment(
            Target::Message(request.flow, request.number, false),
            first,
            request_comment(request),
        );
        for attributed in &request.calls {
            self.call_comments(attributed, request);
        }
    }

    fn call(&mut self, _: &Arc<Pod>, _: &Call, _: Attribution) {}

    fn flow(&mut self, _: &Arc<Pod>, _: FlowEvent) {}
}

//! One stream in flight: its request, its response, and when both are over.

use super::super::stream::{Event, Exchange, Head, Outcome, Part, Protocol, Seen, Side};
use super::block::Block;
use super::hpack::Fields;
use super::pair::Pair;
use super::window::Window;

/// One of its messages.
#[derive(Clone, Copy, Debug, Default)]
struct Message {
    /// None before its head.
    part: Option<Part>,
    ended: bool,
}

/// A stream that is not over.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    head: Head,
    grpc: bool,
    request: Message,
    /// The request is to come, or to end, before the exchange is over.
    needs_request: bool,
    response: Message,
    /// The response's status is unknown and no DATA came: it may be an interim one.
    provisional: bool,
    /// What the client, and the server, may send.
    pub(super) windows: Pair<Window>,
}

impl InFlight {
    /// Its request was all HTTP/1.
    pub(super) fn upgraded(request: Part, head: Head) -> Self {
        let request = Message { part: Some(request), ended: true };
        Self { head, request, needs_request: true, ..Self::default() }
    }

    /// Promised by the server.
    pub(super) fn pushed(fields: Option<&Fields>) -> Self {
        let mut stream = Self::default();
        stream.asked(fields);
        stream
    }

    /// Known from its response first.
    pub(super) fn answered(needs_request: bool) -> Self {
        Self { needs_request, ..Self::default() }
    }

    /// A header block of the client. Tells when it is the request's.
    pub(super) fn client_headers(&mut self, number: u32, seen: Seen, block: &Block) -> Option<Event> {
        if self.request.ended {
            return None;
        }
        self.request.ended = block.end_stream;
        if let Some(request) = &mut self.request.part {
            (request.last, request.bytes) = (seen, request.bytes.saturating_add(block.bytes));
            return None;
        }
        self.needs_request = true;
        self.asked(block.fields.as_ref().ok());
        let request = part(block, seen);
        self.request.part = Some(request);
        Some(Event::Begun { number, protocol: self.protocol(), head: self.head.clone(), request })
    }

    fn asked(&mut self, fields: Option<&Fields>) {
        if let Some(fields) = fields {
            self.head.method = fields.method;
            self.head.path.clone_from(&fields.path);
            self.head.timeout = fields.timeout;
            self.grpc |= fields.grpc;
        }
    }

    /// A header block of the server: an interim response, the final one's head, or its trailers.
    pub(super) fn server_headers(&mut self, seen: Seen, block: &Block) {
        if self.response.ended {
            return;
        }
        let fields = block.fields.as_ref().ok();
        let status = fields.and_then(|fields| fields.status);
        match &mut self.response.part {
            // Trailers always end the stream, so what does not is the head of a response (RFC 9113, section 8.1).
            Some(response) if !self.provisional || block.end_stream => {
                (response.last, response.bytes) = (seen, response.bytes.saturating_add(block.bytes));
            }
            _ if status.is_some_and(|status| status < 200) && !block.end_stream => return,
            response => {
                *response = Some(part(block, seen));
                self.head.status = status;
                self.provisional = status.is_none();
            }
        }
        if let Some(fields) = fields {
            self.head.grpc_status = fields.grpc_status.or(self.head.grpc_status);
            self.grpc |= fields.grpc || fields.grpc_status.is_some();
        }
        self.response.ended = block.end_stream;
    }

    /// Bytes of a DATA frame; `end` when it is complete and ends the message.
    pub(super) fn data(&mut self, from: Side, seen: Seen, bytes: u64, end: bool) {
        let message = match from {
            Side::Client => &mut self.request,
            Side::Server => &mut self.response,
        };
        // Without a head, or after its end, it is no message's: an error of the sender.
        let (Some(part), false) = (&mut message.part, message.ended) else { return };
        (part.last, part.bytes) = (seen, part.bytes.saturating_add(bytes));
        message.ended = end;
        self.provisional &= from == Side::Client;
    }

    /// Whether nothing more is to come of it.
    pub(super) fn is_over(&self) -> bool {
        self.response.ended && (self.request.ended || !self.needs_request)
    }

    /// The rest of a side's bytes is not to be had. Whether the stream can do without.
    pub(super) fn survives_without(&mut self, from: Side) -> bool {
        match from {
            Side::Server => self.response.ended,
            Side::Client => {
                self.needs_request &= self.request.part.is_some();
                self.request.ended || self.request.part.is_none()
            }
        }
    }

    /// The whole exchange. With all of its response it is complete, however the stream ends.
    pub(super) fn exchange(self, number: u32, outcome: Outcome) -> Exchange {
        let protocol = self.protocol();
        let outcome = if self.response.ended { Outcome::Complete } else { outcome };
        let (request, response) = (self.request.part, self.response.part);
        Exchange { number, protocol, head: self.head, request, response, outcome }
    }

    fn protocol(&self) -> Protocol {
        Protocol::Http2 { grpc: self.grpc }
    }
}

/// A message of which the head is there.
fn part(block: &Block, seen: Seen) -> Part {
    Part { first: block.first, head: seen, last: seen, bytes: block.bytes }
}

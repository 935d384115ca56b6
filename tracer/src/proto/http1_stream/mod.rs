//! HTTP/1.x (RFC 9110, RFC 9112) on one connection: requests and responses, matched in order.
//!
//! A head is read line by line as it comes, a body is only counted. What makes no sense, or follows a gap that
//! may have hidden the end of a message, is skipped until a delivery begins with a start line beyond doubt.
//! It is as lenient as servers are: bare LF, empty lines before a start line, folded fields, any version
//! `HTTP/1.x`; HTTP/0.9 is not read.

mod body;
mod chunks;
mod exchanges;
mod field;
mod head;
mod line;
mod paths;
mod reader;

use exchanges::Exchanges;
use field::Framing;
use reader::{Reader, Step};

pub(super) use line::{METHOD_LIMIT, is_certain_request, is_certain_status};

use super::stream::{End, Event, Outcome, Part, Seen, Side, Stream, Upgrade};

type Tell<'a> = &'a mut dyn FnMut(Event);

/// What could not be read of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that began with something else than a start line, or whose head is longer than 64 KiB or than there
    /// was room for.
    pub bad_heads: u64,
    /// Messages whose end nobody can say: contradicting or malformed `Content-Length`, unknown codings of a
    /// request, malformed chunks.
    pub bad_framings: u64,
    /// Gaps that may have hidden the end of a message.
    pub gaps: u64,
    /// Bytes that were skipped after one of these.
    pub skipped_bytes: u64,
    /// Messages that ended where a delivery began with the next start line, not where their head said.
    pub early_ends: u64,
    /// Times that requests were given up that waited for a response: 1024 of them, or more than there was room for.
    pub overflows: u64,
}

/// Both directions of a connection.
///
/// Exchanges are numbered in the order in which they are noticed, those of unseen requests too. An exchange
/// ends with its response, or with its request if that takes longer. An interim response (1xx) is part of no
/// message.
/// A body that lasts until the server closes ends with its FIN: only that says that it is all there.
/// The exchange that asked for an upgrade ends with the response that grants it, before [`Event::Upgraded`].
#[derive(Debug)]
pub struct Http1 {
    requests: Reader,
    responses: Reader,
    exchanges: Exchanges,
    /// Who ended first.
    closed: Option<Side>,
    counts: Counts,
}

impl Default for Http1 {
    fn default() -> Self {
        Self::new()
    }
}

impl Http1 {
    /// A connection of which nothing was seen; it may have been joined in the middle.
    #[must_use]
    pub fn new() -> Self {
        Self {
            requests: Reader::new(Side::Client),
            responses: Reader::new(Side::Server),
            exchanges: Exchanges::default(),
            closed: None,
            counts: Counts::default(),
        }
    }

    /// What could not be read so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let skipped_bytes = self.requests.skipped.saturating_add(self.responses.skipped);
        Counts { skipped_bytes, ..self.counts }
    }

    fn reader(&mut self, from: Side) -> &mut Reader {
        match from {
            Side::Client => &mut self.requests,
            Side::Server => &mut self.responses,
        }
    }

    /// What the beginning of a delivery says: a certain start line finds a lost direction again, and is the next
    /// message where the one before it may not have had the body that it announced.
    fn delivery(&mut self, from: Side, bytes: &[u8], tell: Tell<'_>) {
        let ended = match from {
            // Expect: 100-continue was refused: the body is not sent.
            Side::Client => self.requests.awaits_body() && self.exchanges.is_answered_early(),
            // The response to an unseen HEAD; or one that should have lasted until the close, but a request came.
            Side::Server => {
                self.responses.awaits_body() && self.exchanges.is_unasked()
                    || self.responses.ends_with_close() && self.exchanges.has_next()
            }
        };
        let reader = self.reader(from);
        if (ended || reader.is_lost()) && reader.is_certain_start(bytes) {
            reader.restart();
            if ended {
                self.counts.early_ends = self.counts.early_ends.saturating_add(1);
                self.step(from, Step::End, tell);
            }
        }
    }

    /// Tells what a step means; what the flow speaks from now on, if that is something else.
    fn step(&mut self, from: Side, step: Step, tell: Tell<'_>) -> Option<Upgrade> {
        match (step, from) {
            (Step::Nothing, _) => {}
            (Step::Head, Side::Client) => self.request_head(tell),
            (Step::Head, Side::Server) => return self.response_head(tell),
            (Step::End, Side::Client) => self.exchanges.sent(self.requests.part, tell),
            (Step::End, Side::Server) => self.exchanges.answered(self.responses.part, tell),
            (Step::BadHead | Step::BadBody | Step::Gap, _) => self.lose(from, step, tell),
        }
        None
    }

    /// Gives up the requests that wait for a response.
    fn overflow(&mut self, tell: Tell<'_>) {
        self.counts.overflows = self.counts.overflows.saturating_add(1);
        self.exchanges.cut_answer(self.responses.part, Outcome::Cut, tell);
        self.exchanges.abandon(Outcome::Cut, tell);
        self.exchanges.lose_answers();
        self.responses.lose();
    }

    fn request_head(&mut self, tell: Tell<'_>) {
        if self.exchanges.is_full() {
            self.overflow(tell);
        }
        let reader = &mut self.requests;
        self.exchanges.begin(std::mem::take(&mut reader.head.head), reader.part, tell);
        let step = reader.body(reader.head.fields.request_framing());
        self.step(Side::Client, step, tell);
    }

    fn response_head(&mut self, tell: Tell<'_>) -> Option<Upgrade> {
        let fields = self.responses.head.fields;
        let status = self.responses.head.head.status;
        let framing = match status {
            Some(100 | 102..=199) => {
                self.responses.restart();
                return None;
            }
            Some(101 | 204 | 304) => Framing::Length(0),
            _ => fields.response_framing(),
        };
        let method = self.exchanges.answer(status, tell);
        let upgrade = match (status, method) {
            (Some(101), _) if fields.h2c => Some(Upgrade::Http2),
            (Some(101), _) | (Some(200..=299), Some("CONNECT")) => Some(Upgrade::Unknown),
            _ => None,
        };
        let bodiless = upgrade.is_some() || method == Some("HEAD");
        let step = self.responses.body(if bodiless { Framing::Length(0) } else { framing });
        if upgrade.is_some() {
            self.exchanges.sent(self.requests.part, tell);
        }
        self.step(Side::Server, step, tell);
        if upgrade.is_some() {
            self.exchanges.end(Outcome::Cut, tell);
        }
        upgrade
    }

    /// The end of a direction's message is unknown.
    fn lose(&mut self, from: Side, why: Step, tell: Tell<'_>) {
        let count = match why {
            Step::Gap => &mut self.counts.gaps,
            Step::BadHead => &mut self.counts.bad_heads,
            _ => &mut self.counts.bad_framings,
        };
        *count = count.saturating_add(1);
        match from {
            Side::Client => self.exchanges.sent_unseen(self.requests.part, tell),
            Side::Server => {
                self.exchanges.sending(self.requests.part);
                self.exchanges.cut_answer(self.responses.part, Outcome::Cut, tell);
                self.exchanges.lose_answers();
            }
        }
    }

    /// One side sends nothing more.
    fn fin(&mut self, from: Side, seen: Seen, tell: Tell<'_>) {
        let first = *self.closed.get_or_insert(from);
        match from {
            Side::Client => self.exchanges.sent(self.requests.part, tell),
            Side::Server => {
                self.exchanges.sending(self.requests.part);
                let outcome = self.unanswered(Outcome::Aborted(first));
                if self.responses.ends_with_close() {
                    let response = Part { last: seen, ..self.responses.part };
                    self.exchanges.answered(response, tell);
                } else {
                    self.exchanges.cut_answer(self.responses.part, outcome, tell);
                }
                self.exchanges.abandon(outcome, tell);
            }
        }
        self.reader(from).end();
        if first != from {
            self.over(Outcome::Aborted(first), tell);
        }
    }

    /// Nothing more comes from either side.
    fn over(&mut self, outcome: Outcome, tell: Tell<'_>) {
        let outcome = self.unanswered(outcome);
        self.exchanges.sending(self.requests.part);
        self.exchanges.cut_answer(self.responses.part, outcome, tell);
        self.exchanges.end(outcome, tell);
        self.requests.end();
        self.responses.end();
    }

    /// Why a request has no response: while responses are lost, it may have had one.
    fn unanswered(&self, outcome: Outcome) -> Outcome {
        if self.responses.is_lost() { Outcome::Cut } else { outcome }
    }
}

impl Stream for Http1 {
    fn bytes(&mut self, from: Side, seen: Seen, bytes: &[u8], tell: Tell<'_>) -> usize {
        self.delivery(from, bytes, tell);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (used, step) = self.reader(from).read(seen, rest);
            rest = rest.get(used..).unwrap_or_default();
            if let Some(upgrade) = self.step(from, step, tell) {
                tell(Event::Upgraded(upgrade));
                return bytes.len().saturating_sub(rest.len());
            }
        }
        bytes.len()
    }

    fn gap(&mut self, from: Side, seen: Seen, length: u64, tell: Tell<'_>) {
        let mut rest = length;
        while rest > 0 {
            let (used, step) = self.reader(from).gap(seen, rest);
            rest = rest.saturating_sub(used);
            self.step(from, step, tell);
        }
    }

    fn end(&mut self, from: Side, seen: Seen, end: End, tell: Tell<'_>) {
        match end {
            End::Fin => self.fin(from, seen, tell),
            End::Reset => self.over(Outcome::Aborted(self.closed.unwrap_or(from)), tell),
            End::Unknown => self.over(Outcome::Cut, tell),
        }
    }

    fn held(&self) -> usize {
        self.requests.head.held() + self.responses.head.held() + self.exchanges.held()
    }

    /// The paths that are remembered and a head under way go first, then the requests in flight.
    fn shed(&mut self, room: usize, _seen: Seen, tell: Tell<'_>) {
        for side in [Side::Client, Side::Server] {
            if self.reader(side).shed() {
                self.lose(side, Step::BadHead, tell);
            }
        }
        if self.held() > room {
            self.overflow(tell);
            self.exchanges.shrink();
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

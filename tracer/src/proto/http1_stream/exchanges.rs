//! Requests and responses in the order in which they belong together (RFC 9112, section 9.3.2).

use std::collections::VecDeque;

use crate::proto::stream::{Event, Exchange, Head, Outcome, PATH_LIMIT, Part, Protocol};

/// Requests without a response that one connection may have. Clients that pipeline send a few dozen; the
/// (more than 200 KB of) memory of more is not worth it.
pub(super) const OUTSTANDING_LIMIT: usize = 1024;

/// Requests in flight that every connection has room for.
const FREE: usize = 4;

type Tell<'a> = &'a mut dyn FnMut(Event);

/// How much is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// Its body comes.
    Partly,
    /// Nothing of it is to come.
    Wholly,
    /// Its end went unseen.
    Unknown,
}

/// A request that is in flight.
#[derive(Debug)]
struct Open {
    number: u32,
    head: Head,
    request: Part,
    sent: Sent,
    /// The response, when it ended before the request did.
    answer: Option<Part>,
}

/// The response that is being read.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// That of the oldest request without one.
    Request,
    /// That of a request which was not seen.
    Unasked { number: u32, status: Option<u16> },
}

/// What is in flight on a connection.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    /// Oldest first.
    open: VecDeque<Open>,
    answer: Option<Answer>,
    /// Number of the newest exchange.
    newest: u32,
    /// The newest one when the responses were lost; which request the next response belongs to is a guess.
    lost: Option<u32>,
}

impl Exchanges {
    /// Whether no further request can be kept.
    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= OUTSTANDING_LIMIT
    }

    /// Bytes of memory that they take; a few are free.
    pub(super) fn held(&self) -> usize {
        self.open.capacity().saturating_sub(FREE) * (size_of::<Open>() + PATH_LIMIT)
    }

    /// Gives the room of those that are over back.
    pub(super) fn shrink(&mut self) {
        self.open.shrink_to(FREE);
    }

    /// A request's head is complete.
    pub(super) fn begin(&mut self, head: Head, request: Part, tell: Tell<'_>) {
        let number = self.next_number();
        tell(Event::Begun { number, protocol: Protocol::Http1, head: head.clone(), request });
        if self.open.capacity() == 0 {
            // Most connections never have a second one, and most of them are idle.
            self.open.reserve_exact(1);
        }
        self.open.push_back(Open { number, head, request, sent: Sent::Partly, answer: None });
    }

    /// The newest request is all there, as far as it comes.
    pub(super) fn sent(&mut self, request: Part, tell: Tell<'_>) {
        self.stop_sending(request, Sent::Wholly, tell);
    }

    /// The newest request's end went unseen.
    pub(super) fn sent_unseen(&mut self, request: Part, tell: Tell<'_>) {
        self.stop_sending(request, Sent::Unknown, tell);
    }

    /// The newest request so far, if it is still coming.
    pub(super) fn sending(&mut self, request: Part) {
        if let Some(open) = self.open.back_mut().filter(|open| open.sent == Sent::Partly) {
            open.request = request;
        }
    }

    /// Whether the newest request still comes although its response ended.
    pub(super) fn is_answered_early(&self) -> bool {
        self.open.back().is_some_and(|open| open.sent == Sent::Partly && open.answer.is_some())
    }

    /// Whether a request came after the one that is being answered.
    pub(super) fn has_next(&self) -> bool {
        self.open.len() > usize::from(self.is_answering())
    }

    /// Whether the response that is being read belongs to no request that was seen.
    pub(super) fn is_unasked(&self) -> bool {
        matches!(self.answer, Some(Answer::Unasked { .. }))
    }

    /// A final response's head is complete. The method of the request that it answers.
    pub(super) fn answer(&mut self, status: Option<u16>, tell: Tell<'_>) -> Option<&'static str> {
        self.find(tell);
        if let Some(open) = self.open.front_mut().filter(|open| open.answer.is_none()) {
            open.head.status = status;
            self.answer = Some(Answer::Request);
            return open.head.method;
        }
        self.answer = Some(Answer::Unasked { number: self.next_number(), status });
        None
    }

    /// The response is all there.
    pub(super) fn answered(&mut self, response: Part, tell: Tell<'_>) {
        match self.answer.take() {
            Some(Answer::Request) => {
                if let Some(open) = self.open.front_mut() {
                    open.answer = Some(response);
                }
                self.settle(tell);
            }
            Some(unasked) => Self::tell_unasked(unasked, response, Outcome::Complete, tell),
            None => {}
        }
    }

    /// The rest of the response will not be known, or not come.
    pub(super) fn cut_answer(&mut self, response: Part, outcome: Outcome, tell: Tell<'_>) {
        match self.answer.take() {
            Some(Answer::Request) => {
                if let Some(open) = self.open.pop_front() {
                    open.end(Some(response), outcome, tell);
                }
            }
            Some(unasked) => Self::tell_unasked(unasked, response, outcome, tell),
            None => {}
        }
    }

    /// Responses may have gone by unseen.
    pub(super) fn lose_answers(&mut self) {
        self.lost.get_or_insert(self.newest);
    }

    /// The requests without a response get none; one that was answered early waits for its end.
    pub(super) fn abandon(&mut self, outcome: Outcome, tell: Tell<'_>) {
        let early = self.open.pop_front_if(|open| open.answer.is_some());
        self.open.drain(..).for_each(|open| open.end(None, outcome, tell));
        self.open.extend(early);
    }

    /// Everything is over.
    pub(super) fn end(&mut self, outcome: Outcome, tell: Tell<'_>) {
        for open in self.open.drain(..) {
            let outcome = if open.answer.is_some() { Outcome::Complete } else { outcome };
            open.end(None, outcome, tell);
        }
    }

    /// After responses were lost, the next one belongs to the newest request if that came since: who does not
    /// pipeline had the responses to those before it.
    fn find(&mut self, tell: Tell<'_>) {
        let Some(lost) = self.lost.take() else { return };
        if self.open.back().is_none_or(|newest| newest.number <= lost) {
            return;
        }
        while self.open.len() > 1 {
            if let Some(open) = self.open.pop_front() {
                open.end(None, Outcome::Cut, tell);
            }
        }
    }

    fn stop_sending(&mut self, request: Part, sent: Sent, tell: Tell<'_>) {
        if let Some(open) = self.open.back_mut().filter(|open| open.sent == Sent::Partly) {
            open.request = request;
            open.sent = sent;
            self.settle(tell);
        }
    }

    /// Ends the oldest exchange if both its messages have ended.
    fn settle(&mut self, tell: Tell<'_>) {
        let over = |open: &mut Open| open.answer.is_some() && open.sent != Sent::Partly;
        if let Some(open) = self.open.pop_front_if(over) {
            let outcome = if open.sent == Sent::Unknown { Outcome::Cut } else { Outcome::Complete };
            open.end(None, outcome, tell);
        }
        if self.open.is_empty() {
            self.shrink();
        }
    }

    fn is_answering(&self) -> bool {
        matches!(self.answer, Some(Answer::Request))
    }

    fn next_number(&mut self) -> u32 {
        self.newest = self.newest.wrapping_add(1);
        self.newest
    }

    fn tell_unasked(answer: Answer, response: Part, outcome: Outcome, tell: Tell<'_>) {
        if let Answer::Unasked { number, status } = answer {
            tell(Event::Ended(Exchange {
                number,
                protocol: Protocol::Http1,
                head: Head { status, ..Head::default() },
                request: None,
                response: Some(response),
                outcome,
            }));
        }
    }
}

impl Open {
    /// `response` is what came of a response that did not end.
    fn end(self, response: Option<Part>, outcome: Outcome, tell: Tell<'_>) {
        tell(Event::Ended(Exchange {
            number: self.number,
            protocol: Protocol::Http1,
            head: self.head,
            request: Some(self.request),
            response: self.answer.or(response),
            outcome,
        }));
    }
}

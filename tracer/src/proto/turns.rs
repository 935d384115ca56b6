//! Turns of a protocol that is not understood: what one side sends until the other answers is a message.

use super::stream::{End, Event, Exchange, Head, Outcome, Part, Protocol, Seen, Side, Stream};

/// The message that is being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    None,
    Request,
    Response,
}

/// The turns of one connection.
///
/// An exchange begins with the first byte of a request, and ends when the next one begins or the flow ends. One
/// with a response counts as complete: nothing says that more was to come. What the server sends first is an
/// exchange without a request. Missing bytes are bytes.
#[derive(Debug)]
pub struct Turns {
    protocol: Protocol,
    turn: Turn,
    number: u32,
    request: Option<Part>,
    response: Option<Part>,
    /// Who ended first.
    closed: Option<Side>,
}

impl Turns {
    /// Exchanges are told as those of `protocol`: [`Protocol::Opaque`], or [`Protocol::Tls`] for the bytes of
    /// records.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        Self { protocol, turn: Turn::None, number: 0, request: None, response: None, closed: None }
    }

    fn sent(&mut self, from: Side, seen: Seen, bytes: u64, tell: &mut dyn FnMut(Event)) {
        if bytes == 0 {
            return;
        }
        match from {
            Side::Client if self.turn == Turn::Request => extend(&mut self.request, seen, bytes),
            Side::Client => {
                self.finish(Outcome::Complete, tell);
                self.number = self.number.wrapping_add(1);
                self.turn = Turn::Request;
                let request = extend(&mut self.request, seen, bytes);
                let (number, protocol) = (self.number, self.protocol);
                tell(Event::Begun { number, protocol, head: Head::default(), request });
                request
            }
            Side::Server => {
                if self.turn == Turn::None {
                    self.number = self.number.wrapping_add(1);
                }
                self.turn = Turn::Response;
                extend(&mut self.response, seen, bytes)
            }
        };
    }

    fn finish(&mut self, unanswered: Outcome, tell: &mut dyn FnMut(Event)) {
        if self.turn == Turn::None {
            return;
        }
        self.turn = Turn::None;
        let (request, response) = (self.request.take(), self.response.take());
        tell(Event::Ended(Exchange {
            number: self.number,
            protocol: self.protocol,
            head: Head::default(),
            request,
            response,
            outcome: if response.is_some() { Outcome::Complete } else { unanswered },
        }));
    }
}

/// The part with as many bytes more; they are its first when there is none.
fn extend(part: &mut Option<Part>, seen: Seen, bytes: u64) -> Part {
    let part = part.get_or_insert(Part { first: seen, head: seen, last: seen, bytes: 0 });
    part.last = seen;
    part.bytes = part.bytes.saturating_add(bytes);
    *part
}

impl Stream for Turns {
    fn bytes(&mut self, from: Side, seen: Seen, bytes: &[u8], tell: &mut dyn FnMut(Event)) -> usize {
        self.sent(from, seen, bytes.len() as u64, tell);
        bytes.len()
    }

    fn gap(&mut self, from: Side, seen: Seen, length: u64, tell: &mut dyn FnMut(Event)) {
        self.sent(from, seen, length, tell);
    }

    fn end(&mut self, from: Side, _: Seen, end: End, tell: &mut dyn FnMut(Event)) {
        let first = *self.closed.get_or_insert(from);
        match end {
            // The server may still answer.
            End::Fin if from == Side::Client && first == Side::Client => {}
            End::Fin | End::Reset => self.finish(Outcome::Aborted(first), tell),
            End::Unknown => self.finish(Outcome::Cut, tell),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: u64) -> Seen {
        Seen { time, packet: time }
    }

    fn part(first: u64, last: u64, bytes: u64) -> Part {
        Part { first: at(first), head: at(first), last: at(last), bytes }
    }

    /// Each delivery is of the next nanosecond.
    fn run(deliveries: &[(Side, &[u8])], end: Option<(Side, End)>) -> Vec<Event> {
        let (mut turns, mut events) = (Turns::new(Protocol::Opaque), Vec::new());
        for (time, (from, bytes)) in (1..).zip(deliveries) {
            assert_eq!(turns.bytes(*from, at(time), bytes, &mut |event| events.push(event)), bytes.len());
        }
        if let Some((from, end)) = end {
            turns.end(from, at(99), end, &mut |event| events.push(event));
        }
        events
    }

    fn ended(events: &[Event]) -> Vec<(u32, Option<Part>, Option<Part>, Outcome)> {
        let ended = events.iter().filter_map(|event| match event {
            Event::Ended(exchange) => Some(exchange),
            _ => None,
        });
        ended.map(|it| (it.number, it.request, it.response, it.outcome)).collect()
    }

    use Side::{Client, Server};

    #[test]
    fn a_message_lasts_until_the_other_side_sends() {
        let events = run(
            &[
                (Client, b"ab"),
                (Client, b"c"),
                (Server, b"defg"),
                (Server, b""),
                (Server, b"h"),
                (Client, b"i"),
            ],
            Some((Server, End::Fin)),
        );
        assert!(matches!(&events[0], Event::Begun { number: 1, request, .. } if *request == part(1, 1, 2)));
        assert!(matches!(&events[2], Event::Begun { number: 2, .. }));
        assert_eq!(
            ended(&events),
            [
                (1, Some(part(1, 2, 3)), Some(part(3, 5, 5)), Outcome::Complete),
                (2, Some(part(6, 6, 1)), None, Outcome::Aborted(Server)),
            ]
        );
    }

    #[test]
    fn a_greeting_is_an_exchange_without_a_request() {
        let events =
            run(&[(Server, b"220 hello"), (Client, b"EHLO"), (Server, b"250")], Some((Client, End::Unknown)));
        let greeting = (1, None, Some(part(1, 1, 9)), Outcome::Complete);
        assert_eq!(
            ended(&events),
            [greeting, (2, Some(part(2, 2, 4)), Some(part(3, 3, 3)), Outcome::Complete)]
        );
    }

    #[test]
    fn a_client_that_closes_may_still_be_answered() {
        let (mut turns, mut events) = (Turns::new(Protocol::Tls), Vec::new());
        let mut tell = |event| events.push(event);
        turns.bytes(Client, at(1), b"ask", &mut tell);
        turns.end(Client, at(2), End::Fin, &mut tell);
        turns.gap(Server, at(3), 5, &mut tell);
        turns.end(Server, at(4), End::Fin, &mut tell);
        turns.end(Server, at(5), End::Reset, &mut tell);
        assert_eq!(ended(&events), [(1, Some(part(1, 1, 3)), Some(part(3, 3, 5)), Outcome::Complete)]);
    }

    #[test]
    fn who_closed_first_left_the_request_unanswered() {
        for (end, outcome) in [
            (End::Reset, Outcome::Aborted(Client)),
            (End::Unknown, Outcome::Cut),
            (End::Fin, Outcome::Complete),
        ] {
            let events = run(&[(Client, b"a")], Some((Client, end)));
            let expected: Vec<_> =
                (end != End::Fin).then_some((1, Some(part(1, 1, 1)), None, outcome)).into_iter().collect();
            assert_eq!(ended(&events), expected);
        }
    }
}

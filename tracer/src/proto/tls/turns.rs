//! Application data as turns: what the client sends, then what the server sends, is an exchange.
//!
//! Rules, because nothing inside is visible:
//! - A client record that begins while a server record has not ended (multiplexed protocols) begins no turn and
//!   is left out.
//! - What the server sends before the client asked anything is left out, unless the flow was joined in the middle.
//! - Session tickets of TLS 1.3 look like data. The first server records after the handshake, four at most, of
//!   at most 1 KiB each, are taken for tickets when a server record of a later packet follows before the client
//!   sends again; or, if none does, when they are several of one length. Else they are the response.

use super::record::{HEADER, Record};
use crate::proto::stream::{End, Event, Exchange, Head, Outcome, Part, Protocol, Seen, Side};

/// Session tickets at most; nobody sends more by default.
const TICKETS: u8 = 4;
/// Longest record of tickets: their sizes are 100 to 300 bytes, more with a client certificate inside.
const TICKET_LENGTH: u16 = 1024;

/// Where the bytes of a side's record go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Nowhere,
    Request,
    Response,
    /// [`Turns::unsure`].
    Unsure,
    /// [`Turns::tickets`].
    Tickets,
}

/// Server records that may be tickets, all seen at once.
#[derive(Clone, Copy, Debug)]
struct Tickets {
    part: Part,
    count: u8,
    length: u16,
    alike: bool,
}

/// The exchanges of a flow.
#[derive(Debug, Default)]
pub(super) struct Turns {
    number: u32,
    request: Option<Part>,
    response: Option<Part>,
    /// Client records that may be handshake.
    unsure: Option<Part>,
    tickets: Option<Tickets>,
    /// Tickets that may still come.
    awaited: u8,
    /// The flow was not seen from its begin.
    joined: bool,
    /// Bytes of unknown records are missing in the exchange.
    cut: bool,
    /// The server sends nothing more.
    server_ended: bool,
    client: Place,
    server: Place,
}

impl Turns {
    /// The flow was joined after its handshake began.
    pub(super) fn joined(&mut self) {
        self.joined = true;
    }

    /// The handshake of a client that takes tickets is over.
    pub(super) fn await_tickets(&mut self) {
        self.awaited = TICKETS;
    }

    /// There was application data.
    pub(super) fn began(&self) -> bool {
        self.number > 0
    }

    /// The client's records of unknown meaning were data, or not.
    pub(super) fn settle_unsure(&mut self, data: bool, tell: &mut dyn FnMut(Event)) {
        if self.client == Place::Unsure {
            self.client = if data { Place::Request } else { Place::Nowhere };
        }
        if let Some(part) = self.unsure.take().filter(|_| data) {
            self.begin(part, tell);
        }
    }

    /// The header of a client record of unknown meaning is complete.
    pub(super) fn unsure(&mut self, record: Record, seen: Seen) {
        self.client = Place::Unsure;
        extend(&mut self.unsure, record, seen);
    }

    /// The header of a record of data is complete.
    pub(super) fn begins(&mut self, from: Side, record: Record, seen: Seen, tell: &mut dyn FnMut(Event)) {
        match from {
            Side::Client => self.asks(record, seen, tell),
            Side::Server => self.answers(record, seen),
        }
    }

    /// `length` bytes more of a side's record.
    pub(super) fn goes_on(&mut self, from: Side, seen: Seen, length: u64) {
        let part = match self.place(from) {
            Place::Nowhere => None,
            Place::Request => self.request.as_mut(),
            Place::Response => self.response.as_mut(),
            Place::Unsure => self.unsure.as_mut(),
            Place::Tickets => self.tickets.as_mut().map(|tickets| &mut tickets.part),
        };
        if let Some(part) = part {
            part.last = seen;
            part.bytes = part.bytes.saturating_add(length);
        }
    }

    /// A side's record is complete, or lost.
    pub(super) fn record_ends(&mut self, from: Side) {
        *self.place(from) = Place::Nowhere;
    }

    /// Bytes of unknown records are missing. What the client says after a response is of the next exchange.
    pub(super) fn lost(&mut self, from: Side, tell: &mut dyn FnMut(Event)) {
        self.record_ends(from);
        if from == Side::Client {
            self.settle_tickets(None);
            if self.response.is_some() {
                self.finish(Outcome::Complete, tell);
            }
        }
        self.cut |= self.number > 0;
        self.joined |= self.number == 0;
    }

    /// A side ended, or the flow.
    pub(super) fn end(&mut self, from: Side, end: End, tell: &mut dyn FnMut(Event)) {
        if end == End::Fin && from == Side::Client && self.client == Place::Nowhere && !self.server_ended {
            // The server may still answer.
            return;
        }
        self.server_ended |= from == Side::Server;
        self.settle_tickets(None);
        let whole = self.response.is_some() && self.server != Place::Response;
        let outcome = match end {
            _ if whole => Outcome::Complete,
            End::Fin if self.server_ended => Outcome::Aborted(Side::Server),
            End::Fin | End::Reset => Outcome::Aborted(from),
            End::Unknown => Outcome::Cut,
        };
        self.finish(outcome, tell);
    }

    fn asks(&mut self, record: Record, seen: Seen, tell: &mut dyn FnMut(Event)) {
        if matches!(self.server, Place::Response | Place::Tickets) {
            return;
        }
        self.settle_tickets(None);
        self.client = Place::Request;
        if self.response.is_some() {
            self.finish(Outcome::Complete, tell);
        }
        if self.request.is_some() {
            extend(&mut self.request, record, seen);
        } else {
            self.begin(part(record, seen), tell);
        }
    }

    fn answers(&mut self, record: Record, seen: Seen) {
        self.settle_tickets(Some(record));
        if self.request.is_none() && self.response.is_none() {
            if !self.joined {
                self.awaited = 0;
                return;
            }
            self.number = self.number.saturating_add(1);
        }
        if self.response.is_none() && self.awaited > 0 && record.length <= TICKET_LENGTH {
            self.awaited -= 1;
            self.server = Place::Tickets;
            self.hold(record, seen);
        } else {
            self.awaited = 0;
            self.server = Place::Response;
            if let Some(tickets) = self.tickets.take() {
                self.response = Some(tickets.part);
            }
            extend(&mut self.response, record, seen);
        }
    }

    fn hold(&mut self, record: Record, seen: Seen) {
        if let Some(tickets) = &mut self.tickets {
            tickets.count += 1;
            tickets.alike &= tickets.length == record.length;
            tickets.part.last = seen;
            tickets.part.bytes = tickets.part.bytes.saturating_add(HEADER as u64);
        } else {
            let part = part(record, seen);
            self.tickets = Some(Tickets { part, count: 1, length: record.length, alike: true });
        }
    }

    /// Decides what the records that may be tickets are, before a server record (or before anything else).
    fn settle_tickets(&mut self, next: Option<Record>) {
        let Some(tickets) = &self.tickets else { return };
        match next {
            Some(next) if next.first == tickets.part.last => return,
            Some(_) => {}
            None if tickets.count > 1 && tickets.alike => self.awaited = 0,
            None => {
                self.awaited = 0;
                self.response = Some(tickets.part);
                if self.server == Place::Tickets {
                    self.server = Place::Response;
                }
            }
        }
        self.tickets = None;
    }

    fn begin(&mut self, request: Part, tell: &mut dyn FnMut(Event)) {
        self.number = self.number.saturating_add(1);
        self.request = Some(request);
        tell(Event::Begun { number: self.number, protocol: Protocol::Tls, head: Head::default(), request });
    }

    fn finish(&mut self, outcome: Outcome, tell: &mut dyn FnMut(Event)) {
        let (request, response) = (self.request.take(), self.response.take());
        let outcome = if outcome == Outcome::Complete && self.cut { Outcome::Cut } else { outcome };
        self.cut = false;
        if request.is_some() || response.is_some() {
            tell(Event::Ended(Exchange {
                number: self.number,
                protocol: Protocol::Tls,
                head: Head::default(),
                request,
                response,
                outcome,
            }));
        }
    }

    fn place(&mut self, side: Side) -> &mut Place {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

/// A message that begins with a record.
fn part(record: Record, seen: Seen) -> Part {
    Part { first: record.first, head: record.first, last: seen, bytes: HEADER as u64 }
}

fn extend(message: &mut Option<Part>, record: Record, seen: Seen) {
    match message {
        Some(part) => {
            part.last = seen;
            part.bytes = part.bytes.saturating_add(HEADER as u64);
        }
        None => *message = Some(part(record, seen)),
    }
}

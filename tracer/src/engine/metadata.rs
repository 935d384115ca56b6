//! Conversations with the metadata service: their payload is read for path and expiry as it passes, and wiped.

use std::collections::BTreeMap;

use tracer_ebpf::{record::PayloadRecord, segment::Direction};
use zeroize::Zeroizing;

use crate::proto::metadata::{BODY_LIMIT, Expiry, carries_token, request_line};

/// Flows to the metadata service that are followed at once; beyond it the oldest is forgotten and has times, but
/// no steps.
const CONVERSATION_LIMIT: usize = 1024;
/// Of them, those whose response is being collected (each holds [`BODY_LIMIT`] bytes).
const BODIES_LIMIT: usize = 256;

/// What one exchange with the metadata service said.
#[derive(Default)]
pub(super) struct Conversation {
    exchange: u32,
    /// Method and path of the request.
    pub(super) request: Option<(String, String)>,
    /// Whether the request carried a session token.
    pub(super) token: Option<bool>,
    /// The life of the credentials in the response.
    pub(super) expiry: Expiry,
    response: Option<Zeroizing<Vec<u8>>>,
    /// Offset in the response of the piece that comes next.
    next: u32,
}

/// The current exchange of every flow to the metadata service.
#[derive(Default)]
pub(super) struct Conversations {
    /// By flow: their ids grow with time.
    flows: BTreeMap<u64, Conversation>,
    bodies: usize,
}

impl Conversations {
    /// Takes a segment's payload.
    pub(super) fn ingest(&mut self, record: &PayloadRecord) {
        if self.flows.len() >= CONVERSATION_LIMIT && !self.flows.contains_key(&record.flow) {
            self.forget_oldest();
        }
        let length = (record.payload_length as usize).min(record.payload.len());
        let bytes = record.payload.get(..length).unwrap_or_default();
        let conversation = self.flows.entry(record.flow).or_default();
        if conversation.exchange != record.exchange {
            self.bodies -= usize::from(conversation.response.is_some());
            *conversation = Conversation { exchange: record.exchange, ..Conversation::default() };
        }
        if record.direction == Direction::Egress as u8 {
            if record.offset == 0 {
                conversation.token = carries_token(bytes);
                conversation.request = request_line(bytes).map(|(method, path)| (method.into(), path.into()));
            }
            return;
        }
        if record.offset != conversation.next {
            // Something before this piece is lost: what was collected does not go on here.
            self.bodies -= usize::from(conversation.response.take().is_some());
        }
        conversation.next = record.offset.saturating_add(record.payload_length);
        if conversation.response.is_none() && !conversation.expiry.is_known() && self.bodies < BODIES_LIMIT {
            // All of it at once: a vector that grows leaves copies behind.
            conversation.response = Some(Zeroizing::new(Vec::with_capacity(BODY_LIMIT)));
            self.bodies += 1;
        }
        self.bodies -= usize::from(conversation.read_response(bytes));
    }

    /// What is known of an exchange.
    pub(super) fn get(&self, flow: u64, exchange: u32) -> Option<&Conversation> {
        self.flows.get(&flow).filter(|conversation| conversation.exchange == exchange)
    }

    /// The exchange is answered: what is held of its response is wiped, what was found in it stays. Pieces that
    /// come later (the body after the headers' acknowledgment) are read on their own.
    pub(super) fn wipe(&mut self, flow: u64, exchange: u32) {
        let known = self.flows.get_mut(&flow).filter(|conversation| conversation.exchange == exchange);
        let Some(conversation) = known else { return };
        if let Some(response) = conversation.response.take() {
            conversation.expiry = Expiry::find(&response).or(conversation.expiry);
            self.bodies -= 1;
        }
    }

    #[cfg(test)]
    pub(super) fn holds_bodies(&self) -> bool {
        self.bodies > 0
    }

    /// The flow is closed.
    pub(super) fn remove(&mut self, flow: u64) {
        if let Some(conversation) = self.flows.remove(&flow) {
            self.bodies -= usize::from(conversation.response.is_some());
        }
    }

    /// Its end was lost, or it goes on and on.
    fn forget_oldest(&mut self) {
        if let Some((_, conversation)) = self.flows.pop_first() {
            self.bodies -= usize::from(conversation.response.is_some());
        }
    }
}

impl Conversation {
    /// Collects bytes until the expiry is found; `true` when the buffer was wiped and freed.
    fn read_response(&mut self, bytes: &[u8]) -> bool {
        let Some(response) = &mut self.response else { return false };
        let room = BODY_LIMIT - response.len();
        response.extend_from_slice(bytes.get(..bytes.len().min(room)).unwrap_or_default());
        let expiry = Expiry::find(response);
        let over = expiry.is_known() || response.len() >= BODY_LIMIT;
        if over {
            self.expiry = expiry.or(self.expiry);
            self.response = None;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;

    use super::*;

    fn payload(exchange: u32, direction: Direction, offset: u32, bytes: &[u8]) -> PayloadRecord {
        let mut record = PayloadRecord { exchange, offset, flow: 1, ..PayloadRecord::zeroed() };
        record.direction = direction as u8;
        record.payload_length = u32::try_from(bytes.len()).unwrap();
        record.payload[..bytes.len()].copy_from_slice(bytes);
        record
    }

    #[test]
    fn an_expiry_in_pieces_is_found_and_the_buffer_wiped() {
        let mut conversations = Conversations::default();
        conversations.ingest(&payload(1, Direction::Egress, 0, b"GET /latest/meta-data/x?y HTTP/1.1\r\n"));
        conversations.ingest(&payload(
            1,
            Direction::Ingress,
            0,
            b"HTTP/1.1 200 OK\r\n\r\n{\"Expiration\": \"2026-11",
        ));
        assert!(conversations.get(1, 1).unwrap().response.is_some());
        conversations.ingest(&payload(1, Direction::Ingress, 42, b"-21T10:15:00Z\"}"));
        let conversation = conversations.get(1, 1).unwrap();
        assert!(conversation.expiry.is_known() && conversation.response.is_none());
        assert_eq!(conversation.request, Some(("GET".into(), "/latest/meta-data/x".into())));
        assert_eq!(conversations.bodies, 0);
    }

    #[test]
    fn the_next_exchange_forgets_the_last() {
        let mut conversations = Conversations::default();
        conversations.ingest(&payload(1, Direction::Ingress, 0, b"{\"SecretAccessKey\": \"canary\""));
        conversations.ingest(&payload(2, Direction::Egress, 0, b"GET / HTTP/1.1\r\n"));
        assert!(conversations.get(1, 1).is_none());
        assert_eq!(conversations.bodies, 0);
        conversations.remove(1);
        assert!(conversations.flows.is_empty());
    }

    #[test]
    fn conversations_and_bodies_are_bounded() {
        let mut conversations = Conversations::default();
        for flow in 0..2 * CONVERSATION_LIMIT as u64 {
            conversations.ingest(&PayloadRecord { flow, ..payload(1, Direction::Ingress, 0, b"x") });
        }
        assert_eq!((conversations.flows.len(), conversations.bodies), (CONVERSATION_LIMIT, BODIES_LIMIT));
        assert!(conversations.get(2 * CONVERSATION_LIMIT as u64 - 1, 1).is_some(), "the newest is followed");
    }

    #[test]
    fn pieces_around_a_lost_one_are_not_joined() {
        let mut conversations = Conversations::default();
        conversations.ingest(&payload(1, Direction::Ingress, 0, b"{\"Expiration\": \"2026-11"));
        conversations.ingest(&payload(1, Direction::Ingress, 60, b"-21T10:15:00Z\"}"));
        assert!(!conversations.get(1, 1).unwrap().expiry.is_known());
        assert_eq!(conversations.bodies, 1);
    }

    #[test]
    fn an_answered_exchange_holds_no_body_and_later_pieces_are_read() {
        let mut conversations = Conversations::default();
        conversations.ingest(&payload(
            1,
            Direction::Ingress,
            0,
            b"{\"LastUpdated\": \"2026-11-21T10:00:00Z\",",
        ));
        conversations.wipe(1, 2);
        assert_eq!(conversations.bodies, 1, "another exchange");
        conversations.wipe(1, 1);
        assert!(conversations.get(1, 1).unwrap().response.is_none());
        conversations.ingest(&payload(
            1,
            Direction::Ingress,
            39,
            b"\"Expiration\": \"2026-11-21T10:15:00Z\"}",
        ));
        assert_eq!(conversations.get(1, 1).unwrap().expiry.lifetime(), Some(900));
        assert_eq!(conversations.bodies, 0);
    }
}

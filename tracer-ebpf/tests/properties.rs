//! Whatever a conversation is cut into, and whatever of it comes twice or in another order, its messages are the
//! same: random conversations, always the same ones.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use bytemuck::Zeroable as _;
use tracer_ebpf::{
    flow::FlowState,
    record::{FlowRecord, role},
    segment::{Direction, Segment, tcp_flag},
};

/// Conversations per property.
const CONVERSATIONS: u64 = 500;

/// Xorshift (Marsaglia): enough to be different each time and the same each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// One message: who sends it, when, its first sequence number, its length, what it acknowledges.
#[derive(Clone, Copy)]
struct Message {
    direction: Direction,
    time: u64,
    sequence: u32,
    length: u32,
    acknowledgment: u32,
}

/// Requests and responses that take turns, close to where sequence numbers wrap.
fn conversation(random: &mut Random) -> Vec<Message> {
    let mut next = [u32::MAX - 5_000, 7_000];
    let mut time = 1_000;
    (0..2 + 2 * random.below(5))
        .map(|turn| {
            let own = usize::from(turn % 2 == 1);
            let direction = if own == 0 { Direction::Ingress } else { Direction::Egress };
            let length = u32::try_from(1 + random.below(4_000)).unwrap();
            time += 1 + random.below(1_000);
            let message =
                Message { direction, time, sequence: next[own], length, acknowledgment: next[1 - own] };
            next[own] = next[own].wrapping_add(length);
            message
        })
        .collect()
}

/// A message in segments, all at its time.
fn cut(message: &Message, random: &mut Random) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut done = 0;
    while done < message.length {
        let most = u64::from(message.length - done);
        let length = u32::try_from(1 + random.below(most)).unwrap();
        segments.push(Segment {
            time: message.time,
            sequence: message.sequence.wrapping_add(done),
            acknowledgment: message.acknowledgment,
            length,
            window: 500,
            flags: tcp_flag::ACK | if u64::from(length) == most { tcp_flag::PSH } else { 0 },
            direction: message.direction,
        });
        done += length;
    }
    segments
}

/// The exchanges of a server's flow: what stood in the record when the next one began, and at the end.
fn exchanges(segments: &[Segment]) -> Vec<FlowRecord> {
    let mut state = FlowState::zeroed();
    state.established(1, role::SERVER, u32::MAX - 5_000, 7_000);
    let mut found: Vec<FlowRecord> = Vec::new();
    for segment in segments {
        let plan = state.plan(segment);
        state.apply(segment, &plan);
        if state.record.exchange != 0 {
            found.retain(|record| record.exchange != state.record.exchange);
            found.push(state.record);
        }
    }
    found
}

/// What a property compares: number, bytes and times of each exchange.
fn messages(records: &[FlowRecord]) -> Vec<[u64; 7]> {
    let message = |r: &FlowRecord| {
        let times = [r.request_first, r.request_last, r.response_first, r.response_last];
        [r.exchange.into(), r.request_bytes, r.response_bytes, times[0], times[1], times[2], times[3]]
    };
    records.iter().map(message).collect()
}

fn whole(conversation: &[Message]) -> Vec<[u64; 7]> {
    let expected = conversation.chunks(2).zip(1..).map(|(turn, number)| {
        let (request, response) = (turn[0], turn[1]);
        let bytes = (u64::from(request.length), u64::from(response.length));
        [number, bytes.0, bytes.1, request.time, request.time, response.time, response.time]
    });
    expected.collect()
}

#[test]
fn segment_boundaries_do_not_change_messages() {
    let mut random = Random(1);
    for _ in 0..CONVERSATIONS {
        let talk = conversation(&mut random);
        let segments: Vec<Segment> = talk.iter().flat_map(|message| cut(message, &mut random)).collect();
        assert_eq!(messages(&exchanges(&segments)), whole(&talk));
    }
}

#[test]
fn what_comes_twice_does_not_change_messages() {
    let mut random = Random(2);
    for _ in 0..CONVERSATIONS {
        let talk = conversation(&mut random);
        let mut segments: Vec<Segment> = talk.iter().flat_map(|message| cut(message, &mut random)).collect();
        for _ in 0..random.below(8) {
            let original = usize::try_from(random.below(segments.len() as u64)).unwrap();
            let later =
                original + 1 + usize::try_from(random.below((segments.len() - original) as u64)).unwrap();
            let again = Segment { time: segments[later - 1].time + 1, ..segments[original] };
            segments.insert(later, again);
        }
        assert_eq!(messages(&exchanges(&segments)), whole(&talk));
    }
}

/// Within a message: the order of what both sides say is the order of the messages.
#[test]
fn reordered_segments_do_not_change_bytes_and_turns() {
    let mut random = Random(3);
    for _ in 0..CONVERSATIONS {
        let talk = conversation(&mut random);
        let mut segments = Vec::new();
        for message in &talk {
            let mut parts = cut(message, &mut random);
            for at in (1..parts.len()).rev() {
                parts.swap(at, usize::try_from(random.below(at as u64 + 1)).unwrap());
            }
            segments.extend(parts);
        }
        assert_eq!(messages(&exchanges(&segments)), whole(&talk));
    }
}

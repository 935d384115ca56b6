//! An analysis of captured packets: replay, engine and accounting together; the offline twin of
//! [`crate::session`].

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    io::{self, Write},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
};

use rustc_hash::FxHashMap;

use crate::{
    clock::WallClock,
    engine::{Engine, Observer, On, Resolve, Resolved},
    export::lines::Line,
    finding::{Period, Policy},
    flow::{
        decode::Record,
        tcp::{Analysis, Flag},
    },
    pod::Pod,
    proto::{
        dns_tcp::Framed,
        speaker::Handshake,
        stream::{Event, Exchange, Seen, Side},
    },
    replay::{DnsAnswer, FlowSummary, Replay, Sink, Whose},
    request::totals::{Accounting, Summary},
    source::pcap::{Origin, Raw},
};

/// How often requests settle, in the capture's time.
const TICK: u64 = 50_000_000;

/// The pods of a capture: one per local address, and those that a file by `tracer capture` names. A pod's place
/// here is its cgroup in the records.
#[derive(Clone, Debug, Default)]
pub struct Pods(Rc<RefCell<Known>>);

#[derive(Debug, Default)]
struct Known {
    pods: Vec<Pod>,
    named: FxHashMap<Arc<Pod>, u64>,
}

impl Pods {
    fn at(locals: &[IpAddr]) -> Self {
        let pods = locals.iter().map(|address| Pod { uid: address.to_string(), name: None }).collect();
        Self(Rc::new(RefCell::new(Known { pods, named: FxHashMap::default() })))
    }

    fn whose(&self, origin: &Origin<'_>) -> Whose {
        let known = &mut *self.0.borrow_mut();
        let pod = known.named.get(origin.pod).copied().unwrap_or_else(|| {
            let pod = known.pods.len() as u64;
            known.pods.push(Pod::clone(origin.pod));
            known.named.insert(Arc::clone(origin.pod), pod);
            pod
        });
        Whose { pod, outbound: origin.outbound }
    }
}

impl Resolve for Pods {
    fn resolve(&mut self, cgroup: u64) -> Resolved {
        let known = self.0.borrow();
        let pod = usize::try_from(cgroup).ok().and_then(|at| known.pods.get(at));
        let pod = pod.cloned().unwrap_or_else(|| Pod { uid: "unknown".to_owned(), name: None });
        Resolved { pod, known: true }
    }
}

/// Packets that [`Frames`] remembers.
const FRAMES: usize = 1 << 20;

/// Which packet came when: the last million of them.
#[derive(Clone, Debug, Default)]
pub struct Frames(Rc<RefCell<VecDeque<(u64, u64)>>>);

impl Frames {
    fn see(&self, time: u64, number: u64) {
        let mut frames = self.0.borrow_mut();
        // A packet out of order stands with its neighbour, so that the times can be searched.
        let time = frames.back().map_or(time, |(last, _)| time.max(*last));
        if frames.len() >= FRAMES {
            frames.pop_front();
        }
        frames.push_back((time, number));
    }

    /// The number of the first packet at a time; 0 when there is none.
    #[must_use]
    pub fn at(&self, time: u64) -> u64 {
        let frames = self.0.borrow();
        let at = frames.partition_point(|(seen, _)| *seen < time);
        frames.get(at).filter(|(seen, _)| *seen == time).map_or(0, |(_, number)| *number)
    }
}

/// Replay, engine and accounting.
pub struct Offline<'a> {
    replay: Replay,
    pods: Pods,
    state: State<'a>,
    next_tick: u64,
}

/// What the replay tells to.
struct State<'a> {
    engine: Engine<Pods>,
    observer: &'a mut dyn Observer,
    /// Where the lines go, when somebody wants them.
    lines: Option<&'a mut dyn Write>,
    /// The line that is being made.
    line: Vec<u8>,
    failure: Option<io::Error>,
    frames: Option<Frames>,
    packets: u64,
    now: u64,
}

impl<'a> Offline<'a> {
    /// Analyses from the view of `locals`, and of the pods whose packets say so; `metadata` are the addresses of metadata services.
    pub fn new(
        locals: &[IpAddr],
        metadata: Vec<IpAddr>,
        observer: &'a mut dyn Observer,
        lines: Option<&'a mut dyn Write>,
    ) -> Self {
        let pods = Pods::at(locals);
        let engine = Engine::new(pods.clone(), WallClock::UNIX, Period::WholeRun);
        let state = State {
            engine,
            observer,
            lines,
            line: Vec::new(),
            failure: None,
            frames: None,
            packets: 0,
            now: 0,
        };
        Self { replay: Replay::new(locals, metadata), pods, state, next_tick: 0 }
    }

    /// Takes a packet.
    ///
    /// # Errors
    /// When a line cannot be written.
    pub fn packet(&mut self, raw: &Raw<'_>) -> io::Result<()> {
        let seen = Seen { time: raw.time, packet: raw.number };
        self.state.packets += 1;
        self.state.now = self.state.now.max(raw.time);
        if let Some(frames) = &self.state.frames {
            frames.see(raw.time, raw.number);
        }
        let whose = raw.origin.as_ref().map(|origin| self.pods.whose(origin));
        self.replay.packet(seen, raw.link.0, raw.bytes, raw.original_length, whose, &mut self.state);
        if self.state.now >= self.next_tick {
            self.state.engine.advance(self.state.now, self.state.observer);
            self.next_tick = self.state.now.saturating_add(TICK);
        }
        self.state.failure.take().map_or(Ok(()), Err)
    }

    /// The capture is over: settles everything.
    ///
    /// # Errors
    /// When a line cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.replay.finish(&mut self.state);
        self.state.engine.finish(self.state.now, self.state.observer);
        if let Some(lines) = &mut self.state.lines {
            lines.flush()?;
        }
        self.state.failure.take().map_or(Ok(()), Err)
    }

    /// Judges findings by this policy, of pods whose first packet is still to come.
    pub fn judge_by(&mut self, policy: Policy) {
        self.state.engine.judge_by(policy);
    }

    /// Remembers which packet came when, for who looks it up in `frames`.
    pub fn remember(&mut self, frames: Frames) {
        self.state.frames = Some(frames);
    }

    /// Packets so far.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.state.packets
    }

    /// Sums, findings and accounting. A packet that is whole and of another protocol counts as consumed.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let dropped: BTreeMap<&'static str, u64> = self.replay.skipped().collect();
        let lost: u64 = dropped.values().sum();
        let mut oddities: BTreeMap<&'static str, u64> = self.state.engine.oddities().named().into();
        oddities.extend(self.replay.oddities());
        let consumed = self.state.packets.saturating_sub(lost);
        let accounting = Accounting { emitted: self.state.packets, consumed, dropped, oddities };
        Summary { pods: self.state.engine.summary(), accounting }
    }
}

impl State<'_> {
    fn line(&mut self, line: &Line<'_>) {
        let Some(lines) = &mut self.lines else { return };
        // The serializer writes a few bytes at a time, which only memory takes quickly.
        self.line.clear();
        let made = serde_json::to_writer(&mut self.line, line).map_err(io::Error::from);
        self.line.push(b'\n');
        if let Err(error) = made.and_then(|()| lines.write_all(&self.line)) {
            self.failure = Some(error);
        }
    }
}

impl Sink for State<'_> {
    fn record(&mut self, record: Record<'_>) {
        self.engine.ingest(record, self.observer);
    }

    fn told(&mut self, on: &On, event: &Event, now: u64) {
        self.engine.told(on, event, now);
    }

    fn dns_message(&mut self, on: &On, side: Side, message: &Framed<'_>) {
        self.engine.dns_message(on, side, message);
    }

    fn tls(&mut self, on: &On, handshake: &Handshake) {
        self.engine.tls(on, handshake);
    }

    fn goaway(&mut self, on: &On, now: u64) {
        self.engine.goaway(on, now);
    }

    fn exchange(&mut self, flow: u64, exchange: &Exchange) {
        if self.lines.is_some()
            && let Some(line) = Line::exchange(flow, exchange)
        {
            self.line(&line);
        }
    }

    fn dns(&mut self, answer: &DnsAnswer<'_>) {
        self.line(&Line::dns(answer));
    }

    fn flow(&mut self, flow: &FlowSummary) {
        self.line(&Line::flow(flow));
    }

    fn segment(&mut self, packet: u64, flow: u64, analysis: &Analysis) {
        if self.lines.is_some() {
            self.line(&Line::Segment { packet, flow, is: analysis.flags.iter().map(Flag::name).collect() });
        }
    }
}

#[cfg(test)]
#[path = "offline_tests.rs"]
mod tests;

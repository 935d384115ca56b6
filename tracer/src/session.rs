//! A running trace: source, engine and accounting together. The commands wait, tick and read it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tracer_ebpf::counter::Counter;

use crate::{
    engine::{Engine, Observer},
    finding::Policy,
    flow::decode::decode,
    pod::{
        Pod,
        names::{Names, Status},
        source::Feed,
        table::CgroupTable,
    },
    request::totals::{Accounting, PacketAccounting, Summary},
    source::live::{self, LiveSource, Options, boot_time, cgroup, wall_clock},
};

/// How often the ring is drained. A wake-up past the ring's fill level comes in between.
pub const TICK: Duration = Duration::from_millis(50);
/// Records taken per tick before time moves on: more than a full ring holds.
const RECORDS_PER_TICK: usize = 1 << 20;

/// How long sums are kept by the kernel, and a tick.
const UNFOLD: Duration = Duration::from_nanos(tracer_ebpf::fold::KEEP).saturating_add(TICK);

/// How long the end waits for programs that still run.
const LINGER: Duration = Duration::from_millis(200);

/// Tells whose a packet is.
pub trait Owners {
    /// The pod of a cgroup.
    fn pod(&mut self, cgroup: u64) -> Arc<Pod>;

    /// The labels of a pod, as far as a source told them.
    fn labels(&self, pod: &Pod) -> Option<&BTreeMap<String, String>>;

    /// The name of the container that a cgroup is of.
    fn container(&mut self, cgroup: u64) -> Option<&str>;
}

impl Owners for Engine<Names> {
    fn pod(&mut self, cgroup: u64) -> Arc<Pod> {
        self.resolve(cgroup)
    }

    fn labels(&self, pod: &Pod) -> Option<&BTreeMap<String, String>> {
        self.resolver().labels(&pod.uid)
    }

    fn container(&mut self, cgroup: u64) -> Option<&str> {
        self.resolver_mut().container(cgroup)
    }
}

/// Source, engine and accounting.
pub struct Session {
    source: LiveSource,
    engine: Engine<Names>,
    consumed: u64,
    malformed: u64,
    /// Packets taken out of their ring.
    packets: u64,
    /// Whether the log says that the programs could not be told something.
    has_complained: bool,
}

impl Session {
    /// Loads, attaches and begins; findings are judged by `policy`.
    ///
    /// # Errors
    /// As [`LiveSource::start`].
    pub fn start(options: &Options, policy: Policy) -> Result<Self, live::Error> {
        let source = LiveSource::start(options)?;
        let traced = options.cgroups.first().and_then(|path| cgroup::mount_point_of(path));
        let root = traced.or_else(cgroup::mount_point).unwrap_or_else(|| "/sys/fs/cgroup".into());
        let mut engine = Engine::new(Names::new(CgroupTable::new(root)), wall_clock(), policy);
        if let Some(folding) = options.folding {
            engine.fold(folding);
        }
        Ok(Self { source, engine, consumed: 0, malformed: 0, packets: 0, has_complained: false })
    }

    /// Names pods by what these sources tell.
    pub fn name_pods(&mut self, feed: Feed) {
        self.engine.resolver_mut().listen(feed);
    }

    /// How the sources of names are doing.
    #[must_use]
    pub fn naming(&self) -> Status {
        self.engine.resolver().status()
    }

    /// The source.
    #[must_use]
    pub fn source(&self) -> &LiveSource {
        &self.source
    }

    /// Captures so many bytes of each packet from now on; 0 captures nothing.
    ///
    /// # Errors
    /// As [`LiveSource::capture`].
    pub fn capture(&mut self, snap_length: u32) -> Result<(), live::Error> {
        self.source.capture(snap_length)
    }

    /// Whether the programs must tell of each request for the moment: as soon as time has moved on a little.
    pub fn hold_folding(&mut self, is_held: bool) {
        self.engine.hold_folding(is_held);
    }

    /// Gives at most `limit` packets of the ring to `take`, with a way to learn whose they are.
    pub fn drain_packets(&mut self, limit: usize, mut take: impl FnMut(&[u8], &mut dyn Owners)) {
        let engine = &mut self.engine;
        self.packets += self.source.drain_packets(limit, |record| take(record, engine)) as u64;
    }

    /// Drains the ring and settles what can be settled.
    pub fn tick(&mut self, observer: &mut dyn Observer) {
        let now = boot_time();
        self.engine.set_clock(wall_clock());
        self.drain(observer);
        self.engine.advance(now, observer);
        self.tell();
    }

    /// Tells the programs what they may fold.
    fn tell(&mut self) {
        for order in self.engine.orders() {
            if let Err(error) = self.source.tell(order)
                && !std::mem::replace(&mut self.has_complained, true)
            {
                tracing::warn!("cannot tell the BPF programs which requests to add up: {error}");
            }
        }
    }

    /// Leaves out what a cgroup does: tracer's own.
    pub fn leave_out(&mut self, cgroup: u64) {
        self.engine.leave_out(cgroup);
    }

    /// Forgets the pods that have been gone and silent for so long.
    pub fn forget_gone(&mut self, after: Duration, observer: &mut dyn Observer) {
        let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        self.engine.forget_gone(boot_time(), after, observer);
    }

    /// Detaches, drains what is left and settles everything.
    pub fn finish(&mut self, observer: &mut dyn Observer) {
        self.unfold(observer);
        self.source.detach();
        self.drain_rest(observer);
        self.engine.finish(boot_time(), observer);
    }

    /// Waits for what the kernel has added up: it comes with the next exchange of each flow.
    fn unfold(&mut self, observer: &mut dyn Observer) {
        if !self.engine.unfold() {
            return;
        }
        let until = Instant::now() + UNFOLD;
        self.tell();
        while Instant::now() < until && self.source.wait(TICK).is_ok() {
            self.tick(observer);
        }
    }

    /// A program may still run on another CPU when its link is gone: drains until every record that was counted
    /// is accounted for, at most for [`LINGER`].
    fn drain_rest(&mut self, observer: &mut dyn Observer) {
        let until = Instant::now() + LINGER;
        loop {
            self.drain(observer);
            let over = self.accounting().map_or(true, |accounting| accounting.is_complete());
            if over || Instant::now() >= until {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn drain(&mut self, observer: &mut dyn Observer) {
        let (engine, consumed, malformed) = (&mut self.engine, &mut self.consumed, &mut self.malformed);
        self.source.drain_records(RECORDS_PER_TICK, |bytes| match decode(bytes) {
            Ok(record) => {
                *consumed += 1;
                engine.ingest(record, observer);
            }
            Err(_) => *malformed += 1,
        });
    }

    /// What the kernel emitted and what became of it. While traffic flows, `emitted` runs ahead by what is in
    /// the ring; after [`Session::finish`] it is exact.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn accounting(&self) -> Result<Accounting, live::Error> {
        let emitted = self.source.counter(Counter::Emitted)?;
        let count = |counter| self.source.counter(counter);
        let dropped = [
            ("ring_full", count(Counter::DroppedRingFull)?),
            ("no_storage", count(Counter::NoStorage)?),
            ("unparsed", count(Counter::Unparsed)?),
            ("malformed", self.malformed),
        ];
        let oddities = self.engine.oddities().named().into();
        Ok(Accounting { emitted, consumed: self.consumed, dropped: dropped.into(), oddities })
    }

    /// The same of captured packets; while somebody captures, `emitted` runs ahead by what is in their ring.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn packets(&self) -> Result<PacketAccounting, live::Error> {
        let count = |counter| self.source.counter(counter);
        let (emitted, dropped) = (count(Counter::PacketsEmitted)?, count(Counter::PacketsDropped)?);
        Ok(PacketAccounting { emitted, consumed: self.packets, dropped })
    }

    /// Sums, findings and accounting.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn summary(&self) -> Result<Summary, live::Error> {
        Ok(Summary { pods: self.engine.summary(), accounting: self.accounting()? })
    }

    /// The pod of a cgroup.
    pub fn pod(&mut self, cgroup: u64) -> Arc<Pod> {
        self.engine.resolve(cgroup)
    }

    /// Not later than the start of any request or call that may still settle.
    #[must_use]
    pub fn oldest_unsettled(&self) -> Option<u64> {
        self.engine.oldest_unsettled(boot_time())
    }
}

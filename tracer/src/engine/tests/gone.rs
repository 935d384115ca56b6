//! Pods that come and go.

use std::collections::BTreeSet;

use tracer_ebpf::record::role;

use super::*;

const AFTER: u64 = 600 * SECOND;

/// A pod per cgroup, of which some are there.
#[derive(Default)]
struct Alive {
    living: BTreeSet<String>,
}

impl Resolve for Alive {
    fn resolve(&mut self, cgroup: u64) -> Resolved {
        Resolved { pod: Pod { uid: format!("pod-{cgroup}"), name: None }, known: true }
    }

    fn living(&mut self) -> Option<BTreeSet<String>> {
        Some(self.living.clone())
    }
}

#[derive(Default)]
struct Told {
    gone: Vec<String>,
    requests: usize,
    closed: usize,
}

impl Observer for Told {
    fn request(&mut self, _: &Request) {
        self.requests += 1;
    }

    fn folded(&mut self, _: &Arc<Pod>, _: &Folded) {}

    fn call(&mut self, _: &Arc<Pod>, _: &Call, _: Attribution) {}

    fn flow(&mut self, _: &Arc<Pod>, _: FlowEvent) {}

    fn finding(&mut self, event: &Event<'_>) {
        self.closed += usize::from(matches!(event, Event::Closed(_)));
    }

    fn gone(&mut self, pod: &Arc<Pod>) {
        self.gone.push(pod.uid.clone());
    }

    fn renamed(&mut self, _: &Arc<Pod>, _: &Arc<Pod>) {}
}

struct Node {
    engine: Engine<Alive>,
    told: Told,
    flows: u64,
}

impl Node {
    fn new(living: &[u64]) -> Self {
        let living = living.iter().map(|pod| format!("pod-{pod}")).collect();
        let engine = Engine::new(Alive { living }, WallClock::new(0, EPOCH), Period::LastMinute);
        Self { engine, told: Told::default(), flows: 0 }
    }

    /// A request that a pod answers at once.
    fn request(&mut self, cgroup: u64, at: u64) {
        self.flows += 1;
        let record = FlowRecord {
            kind: kind::EXCHANGE,
            role: role::SERVER,
            family: 4,
            exchange: 1,
            flow: self.flows,
            cgroup,
            request_first: at,
            request_last: at,
            response_first: at + MS,
            response_last: at + MS,
            emitted: at + MS,
            flags: flow_flag::FINAL,
            ..FlowRecord::zeroed()
        };
        self.engine.ingest(Record::Flow(&record), &mut self.told);
    }

    fn advance(&mut self, now: u64) {
        self.engine.advance(now, &mut self.told);
        self.engine.forget_gone(now, AFTER, &mut self.told);
    }

    fn pods(&self) -> Vec<String> {
        self.engine.summary().iter().map(|pod| pod.pod.uid.clone()).collect()
    }
}

#[test]
fn a_pod_is_forgotten_when_it_has_been_gone_and_silent_for_long_enough() {
    let mut node = Node::new(&[1, 2, 3]);
    (1..=3).for_each(|pod| node.request(pod, SECOND));
    node.advance(10 * SECOND);
    node.engine.resolver.living.remove("pod-1");
    node.advance(20 * SECOND);
    // It goes on for a while: connections end after their pod.
    node.request(1, 50 * SECOND);
    node.advance(60 * SECOND);
    node.advance(50 * SECOND + AFTER);
    assert!(node.told.gone.is_empty());
    node.advance(61 * SECOND + AFTER);
    assert_eq!((node.told.gone.as_slice(), node.told.requests), (["pod-1".to_owned()].as_slice(), 4));
    assert_eq!(node.pods(), ["pod-2", "pod-3"]);
}

#[test]
fn those_that_stay_are_found_again_where_they_stand_now() {
    let mut node = Node::new(&[2, 3]);
    (1..=3).for_each(|pod| node.request(pod, SECOND));
    node.advance(10 * SECOND);
    node.advance(20 * SECOND + AFTER);
    assert_eq!(node.told.gone, ["pod-1"]);
    node.request(3, 30 * SECOND + AFTER);
    node.request(2, 30 * SECOND + AFTER);
    node.advance(40 * SECOND + AFTER);
    let requests: Vec<u64> = node.engine.summary().iter().map(|pod| pod.totals.requests).collect();
    assert_eq!((node.pods(), requests), (vec!["pod-2".to_owned(), "pod-3".to_owned()], vec![2, 2]));
}

#[test]
fn what_was_counted_over_all_pods_stays() {
    let mut node = Node::new(&[]);
    node.request(1, SECOND);
    let late = FlowRecord {
        kind: kind::EXCHANGE,
        role: role::SERVER,
        exchange: 7,
        updates: 1,
        flow: 99,
        cgroup: 1,
        request_first: SECOND,
        response_first: SECOND,
        ..FlowRecord::zeroed()
    };
    node.engine.ingest(Record::Flow(&late), &mut node.told);
    node.advance(10 * SECOND);
    let before = node.engine.oddities();
    assert_eq!(before.late, 1);
    node.advance(20 * SECOND + AFTER);
    assert_eq!((node.told.gone.len(), node.engine.oddities()), (1, before));
}

#[test]
fn what_tracer_does_itself_is_left_out() {
    let mut node = Node::new(&[1]);
    node.engine.leave_out(9);
    (1..=3).for_each(|second| node.request(9, second * SECOND));
    node.request(1, SECOND);
    node.advance(20 * SECOND);
    node.advance(20 * SECOND + AFTER);
    assert_eq!((node.pods(), node.told.gone.len()), (vec!["pod-1".to_owned()], 0));
}

#[test]
fn pods_in_a_row_leave_nothing() {
    let mut node = Node::new(&[]);
    for pod in 1..=5_000 {
        node.request(pod, pod * 60 * SECOND);
        node.advance(pod * 60 * SECOND + 30 * SECOND);
        assert!(node.engine.pods.len() < 15, "{}", node.engine.pods.len());
    }
    assert!(node.engine.by_cgroup.len() < 15 && node.engine.by_uid.len() < 15);
    assert_eq!(node.told.requests, 5_000);
}

#[test]
fn who_does_not_know_the_pods_forgets_none() {
    let mut lab = Lab::new();
    let record = lab.exchange(role::SERVER, 10, 20, "GET /", "HTTP/1.1 200 OK");
    lab.flow(&record);
    lab.engine.advance(10 * SECOND, &mut lab.seen);
    lab.engine.forget_gone(10 * AFTER, AFTER, &mut lab.seen);
    assert_eq!(lab.engine.summary().len(), 1);
}

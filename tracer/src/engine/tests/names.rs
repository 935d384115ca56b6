//! Pods whose names come later than their first traffic.

use super::*;
use crate::pod::PodName;

/// A resolver that learns a name.
#[derive(Default)]
struct Later {
    is_awaited: bool,
    name: Option<PodName>,
    has_changed: bool,
}

impl Later {
    fn pod(&self) -> Pod {
        Pod { uid: "u".to_owned(), name: self.name.clone() }
    }
}

impl Resolve for Later {
    fn resolve(&mut self, _: u64) -> Resolved {
        Resolved { pod: self.pod(), known: true }
    }

    fn is_awaited(&self, _: &Pod) -> bool {
        self.is_awaited
    }

    fn renamed(&mut self) -> Vec<Pod> {
        if std::mem::take(&mut self.has_changed) { vec![self.pod()] } else { Vec::new() }
    }
}

/// What was told, with the name that the pod had then.
#[derive(Default)]
struct Told(Vec<String>);

impl Observer for Told {
    fn request(&mut self, request: &Request) {
        self.0.push(format!("request of {}", request.pod));
    }

    fn folded(&mut self, _: &Arc<Pod>, _: &Folded) {}

    fn call(&mut self, pod: &Arc<Pod>, _: &Call, _: Attribution) {
        self.0.push(format!("call of {pod}"));
    }

    fn flow(&mut self, pod: &Arc<Pod>, _: FlowEvent) {
        self.0.push(format!("flow of {pod}"));
    }

    fn renamed(&mut self, from: &Arc<Pod>, to: &Arc<Pod>) {
        self.0.push(format!("{from} is {to}"));
    }

    fn gone(&mut self, _: &Arc<Pod>) {}
}

/// A pod that sent a request's answer and closed its flow at 1 s; its name is awaited.
fn seen(is_awaited: bool) -> (Engine<Later>, Told) {
    let resolver = Later { is_awaited, ..Later::default() };
    let mut engine = Engine::new(resolver, WallClock::new(0, EPOCH), Period::LastMinute);
    let (mut lab, mut told) = (Lab::new(), Told::default());
    let mut record = lab.exchange(role::SERVER, 1000, 1010, "GET / HTTP/1.1", "HTTP/1.1 200 OK");
    record.flags = flow_flag::FINAL;
    engine.ingest(Record::Flow(&record), &mut told);
    (record.kind, record.updates) = (kind::CLOSED, 1);
    engine.ingest(Record::Flow(&record), &mut told);
    engine.advance(1020 * MS, &mut told);
    (engine, told)
}

fn learn(engine: &mut Engine<Later>) {
    let resolver = engine.resolver_mut();
    resolver.name = Some(PodName { namespace: "shop".to_owned(), name: "web".to_owned(), workload: None });
    (resolver.is_awaited, resolver.has_changed) = (false, true);
}

#[test]
fn what_is_told_of_a_pod_waits_for_its_name() {
    let (mut engine, mut told) = seen(true);
    engine.advance(2000 * MS, &mut told);
    assert_eq!(told.0, [""; 0]);
    assert!(engine.oldest_unsettled(2000 * MS).is_some_and(|time| time <= 1000 * MS));
    learn(&mut engine);
    engine.advance(2050 * MS, &mut told);
    assert_eq!(told.0, ["u is shop/web", "flow of shop/web", "request of shop/web"]);
    assert_eq!(engine.summary()[0].pod.to_string(), "shop/web");
}

#[test]
fn it_does_not_wait_for_ever() {
    let (mut engine, mut told) = seen(true);
    engine.advance(3019 * MS, &mut told);
    assert_eq!(told.0, [""; 0]);
    engine.advance(3020 * MS, &mut told);
    assert_eq!(told.0, ["flow of u", "request of u"]);
    learn(&mut engine);
    engine.advance(3100 * MS, &mut told);
    assert_eq!(told.0[2..], ["u is shop/web"]);
}

#[test]
fn it_waits_no_longer_than_the_sources_work_or_the_tracing_lasts() {
    let (mut engine, mut told) = seen(true);
    engine.resolver_mut().is_awaited = false;
    engine.advance(1400 * MS, &mut told);
    assert_eq!(told.0, ["flow of u", "request of u"]);

    let (mut engine, mut told) = seen(true);
    engine.finish(1030 * MS, &mut told);
    assert_eq!(told.0, ["flow of u", "request of u"]);

    assert_eq!(seen(false).1.0, ["flow of u"]);
}

#[test]
fn a_pod_with_too_many_events_is_told_of_at_once() {
    let (mut engine, mut told) = seen(true);
    let mut record = Lab::new().exchange(role::CLIENT, 1000, 1001, "", "");
    record.kind = kind::RESET;
    for _ in 0..1024 {
        engine.ingest(Record::Flow(&record), &mut told);
    }
    assert_eq!(told.0.len(), 1025, "the one of the first flow, and these");
}

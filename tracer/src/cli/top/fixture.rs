//! Pictures for the tests: the metadata incident at one moment.

use std::sync::Arc;

use super::{
    input::Input,
    picture::{Meter, Picture},
    recorder::Recorder,
    state::{Next, State},
};
use crate::{
    clock::WallClock,
    engine::Observer as _,
    export::fixture,
    finding::Finding,
    pod::Pod,
    request::{
        Request, Stages,
        totals::{Accounting, PodSummary, Summary, Totals},
    },
};

pub(super) const SECOND: u64 = 1_000_000_000;

/// The incident's backend with two requests, and two pods of other names: `shop/cart` with many fast requests and
/// `shop/zero` with none.
pub(super) fn picture() -> Picture {
    let mut summary = fixture::summary();
    let mut recorder = Recorder::default();
    let request = fixture::request();
    recorder.request(&request);
    for call in &request.calls {
        recorder.call(&request.pod, &call.call, call.attribution);
    }
    let fast = Totals {
        requests: 50,
        stages: Stages { own: 50_000_000, upstream: 40_000_000, ..Stages::default() },
        ..Totals::default()
    };
    summary.pods.push(pod("cart", fast, Vec::new()));
    summary.pods.push(pod("zero", Totals::default(), Vec::new()));
    Meter::new(0).measure(summary, &recorder, SECOND, WallClock::UNIX)
}

/// A pod of the namespace `shop`.
pub(super) fn pod(name: &str, totals: Totals, findings: Vec<Finding>) -> PodSummary {
    let name = crate::pod::PodName { namespace: "shop".into(), name: name.into() };
    let pod = Pod { uid: format!("uid-of-{}", name.name), name: Some(name) };
    PodSummary { pod: Arc::new(pod), totals, findings }
}

/// Nothing but these pods.
pub(super) fn summary(pods: Vec<PodSummary>) -> Summary {
    Summary { pods, accounting: Accounting::default() }
}

/// The fixture's request, with another number and total.
pub(super) fn request(number: u32, total: u64) -> Request {
    let stages = Stages { own: total, ..Stages::default() };
    Request { number, stages, calls: Vec::new(), ..fixture::request() }
}

/// The state after these inputs, none of which quits.
pub(super) fn after(picture: &Picture, inputs: &[Input]) -> State {
    let mut state = State::new();
    for input in inputs {
        assert_eq!(state.input(*input, picture), Next::GoOn, "{input:?}");
    }
    state
}

/// Each character of a text as a key.
pub(super) fn typed(text: &str) -> Vec<Input> {
    text.chars().map(Input::Character).collect()
}

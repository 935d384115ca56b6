//! Whose call it was, by the backend's log, against what the tracer says.

use crate::log::{CallLine, Kind, RequestLine};
use crate::tracer::report::{TracedCall, TracedRequest};

/// How far the two clocks' readings of a call's start may be apart while 16 threads want two CPUs.
const NEAR: u64 = 10_000_000;

/// What became of the calls that the backend logged.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Tied to their request.
    pub right: usize,
    /// Said to be ambiguous.
    pub shared: usize,
    /// Found in no request.
    pub missing: usize,
    /// Tied to a request that made no such call.
    pub wrong: usize,
}

impl Verdict {
    /// All calls that the backend logged.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.right + self.shared + self.missing
    }

    /// Compares the requests traced in the backend's pod with its log.
    #[must_use]
    pub fn of(traced: &[&TracedRequest], logged: &[RequestLine]) -> Self {
        let mut verdict = Self::default();
        for line in logged {
            for call in &line.calls {
                verdict.judge(traced, line.n, call);
            }
        }
        let sure = traced.iter().flat_map(|request| {
            request.calls.iter().filter(|call| call.attribution != "shared").map(move |call| (request, call))
        });
        for (request, call) in sure {
            let line = logged.iter().find(|line| Some(line.n) == request.number());
            let made = line.is_some_and(|line| line.calls.iter().any(|logged| same(request, call, logged)));
            if !made {
                println!("wrong: {} has {call:?}", request.path);
                verdict.wrong += 1;
            }
        }
        verdict
    }

    fn judge(&mut self, traced: &[&TracedRequest], n: u64, logged: &CallLine) {
        let found: Vec<_> = traced
            .iter()
            .flat_map(|request| request.calls.iter().map(move |call| (request, call)))
            .filter(|(request, call)| same(request, call, logged))
            .collect();
        if found.iter().any(|(request, call)| request.number() == Some(n) && call.attribution != "shared") {
            self.right += 1;
        } else if found.iter().any(|(_, call)| call.attribution == "shared") {
            self.shared += 1;
        } else {
            println!("missing: request {n} made {logged:?}");
            self.missing += 1;
        }
    }
}

/// Whether both speak of the same call: same port and about the same time. The resolver hides its ports.
fn same(request: &TracedRequest, call: &TracedCall, logged: &CallLine) -> bool {
    let port = match logged.kind {
        Kind::Dns => call.kind == "dns",
        _ => call.kind != "dns" && call.local_port() == logged.local_port,
    };
    port && request.interval(call).0.abs_diff(logged.start) < NEAR
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Verdict;
    use crate::log::{CallLine, Kind, RequestLine};
    use crate::tracer::report::{TracedCall, TracedRequest};

    const START: u64 = 1_700_000_000_000_000_000;

    fn logged(n: u64, port: u16) -> RequestLine {
        let call = CallLine {
            kind: Kind::Upstream,
            local_port: port,
            peer: String::new(),
            start: START + 2_000_000,
            end: START + 20_000_000,
        };
        let (t0, t1, t2, t3) = (START, START, START + 21_000_000, START + 21_000_000);
        RequestLine { n, t0, t1, t2, t3, tid: 1, status: 200, calls: vec![call] }
    }

    fn traced(n: u64, port: u16, attribution: &str) -> TracedRequest {
        let call = TracedCall {
            kind: "upstream".to_owned(),
            attribution: attribution.to_owned(),
            share: 1.0,
            start_ns: 2_010_000,
            duration_ns: 18_000_000,
            local: format!("10.244.0.2:{port}"),
            peer: String::new(),
            what: String::new(),
        };
        TracedRequest {
            pod: String::new(),
            time_unix_ns: START,
            method: "GET".to_owned(),
            path: format!("/v1/items/{n}"),
            status: 200,
            local: String::new(),
            peer: String::new(),
            total_ns: 21_000_000,
            stages_ns: BTreeMap::new(),
            calls: vec![call],
        }
    }

    #[test]
    fn calls_are_right_shared_missing_or_wrong() {
        let logs = [logged(1, 1000), logged(2, 2000), logged(3, 3000), logged(4, 4000)];
        let seen = [traced(1, 1000, "thread"), traced(2, 2000, "shared"), traced(3, 4000, "exclusive")];
        let verdict = Verdict::of(&seen.iter().collect::<Vec<_>>(), &logs);
        assert_eq!(verdict, Verdict { right: 1, shared: 1, missing: 2, wrong: 1 });
        assert_eq!(verdict.calls(), 4);
    }
}

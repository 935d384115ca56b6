//! Connections that are older than the tracer: what it says of them is right, or marked, or not said.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use tracer_lab::incident::{Client, Incident, Settings};
use tracer_lab::oracle::{Differences, line_of};
use tracer_lab::process::Signal;
use tracer_lab::tracer::{Live, live, program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
/// How often the tracer comes and goes while the same connections stay.
const ROUNDS: u32 = 6;

#[test]
fn a_tracer_that_starts_within_a_request_leaves_it_out_and_has_the_others_right() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let client = start_client(&incident, 140)?;
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        // Each time at another moment of a request, which takes 106 ms or some.
        pause(round * 17)?;
        rounds.push(live(&program()?, &incident.lab, || pause(400))?);
    }
    client.finish()?;
    check(&incident, &rounds, |marks| marks.iter().skip(1).all(String::is_empty))
}

#[test]
fn a_tracer_that_starts_between_requests_marks_the_first() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let client = start_client(&incident, 60)?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS / 2 {
        client.signal(Signal::Stop)?;
        // The request that is on its way is answered; the client does not read the answer.
        pause(400)?;
        let work = || {
            client.signal(Signal::Continue)?;
            pause(700)
        };
        rounds.push(live(&program()?, &incident.lab, work)?);
    }
    client.finish()?;
    check(&incident, &rounds, |marks| {
        marks.iter().enumerate().all(|(position, mark)| mark == if position == 0 { "joined" } else { "" })
    })
}

/// Starts a client whose connection exists when this returns.
fn start_client(incident: &Incident, requests: u64) -> Result<Client> {
    let client = incident.start_client(incident.backend.addresses().v4.into(), requests, 1)?;
    pause(500)?;
    Ok(client)
}

#[expect(clippy::unnecessary_wraps, reason = "it is what tracers watch, which may fail as a rule")]
fn pause(milliseconds: u32) -> Result<()> {
    std::thread::sleep(Duration::from_millis(milliseconds.into()));
    Ok(())
}

/// In each of the tracer's lives the marks are as expected, and whatever a request is marked, it is right.
fn check(incident: &Incident, rounds: &[Live], expected: impl Fn(&[String]) -> bool) -> Result<()> {
    let (logged, queries) = (incident.requests()?, incident.queries()?);
    let mut differences = Differences::default();
    for live in rounds {
        let seen = live.of(incident.backend.uid())?;
        let flows: BTreeSet<_> = seen.iter().map(|request| request.flow).collect();
        ensure!(seen.len() > 3 && flows.len() == 1, "{} requests on {} flows", seen.len(), flows.len());
        let marks: Vec<_> = seen.iter().map(|request| request.marks.join(",")).collect();
        ensure!(expected(&marks), "the requests are marked {marks:?}");
        for request in seen {
            differences.add_stages(request, line_of(request, &logged)?, &queries);
        }
    }
    differences.check("stages of requests on connections older than the tracer")
}

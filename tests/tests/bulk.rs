//! Long bodies: `receive` and `send` last from the first to the last byte on the wire, whatever the pace.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use tracer_lab::log::RequestLine;
use tracer_lab::pair::Pair;
use tracer_lab::process::run;
use tracer_lab::role::bulk::Transfer;
use tracer_lab::say;
use tracer_lab::tracer::report::TracedRequest;
use tracer_lab::tracer::{live, program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const MILLISECOND: u64 = 1_000_000;
const BYTES: &str = "50000000";
const RATE: &str = "25000000";
const PAUSE: &[&str] = &["--pause", "1500"];
const UPLOAD: &[&str] = &["--upload", BYTES];

#[test]
fn a_long_response_is_sent_until_the_client_has_its_last_byte() -> Result<()> {
    transfer(&[])
}

#[test]
fn a_client_that_stops_reading_for_a_while_makes_the_response_longer_and_not_two() -> Result<()> {
    transfer(PAUSE)
}

#[test]
fn a_long_request_is_received_until_the_server_has_its_last_byte() -> Result<()> {
    transfer(UPLOAD)
}

#[test]
fn a_client_that_stops_writing_for_a_while_makes_the_request_longer_and_not_two() -> Result<()> {
    transfer(&[PAUSE, UPLOAD].concat())
}

/// One transfer, by the tracer's clock, the server's and the client's.
fn transfer(flags: &[&str]) -> Result<()> {
    let pair = Pair::start(Path::new(PROGRAM), "bulk-server", &["--bytes", BYTES])?;
    let mut client = String::new();
    let live = live(&program()?, &pair.lab, || {
        client = run(pair.client("bulk-client").args(["--number", "7", "--rate", RATE]).args(flags))?;
        Ok(())
    })?;
    let client: Transfer = serde_json::from_str(&client).context("the client's clock")?;
    let server: RequestLine = pair.log::<RequestLine>(1)?.swap_remove(0);
    let uid = pair.server.uid();
    let traced = live.of(uid)?;
    ensure!(traced.len() == 1, "{} requests were traced, 1 was made: {traced:?}", traced.len());
    let request = traced[0];
    ensure!(request.number() == Some(7) && request.status == Some(200), "{request:?}");
    ensure!(request.marks.is_empty(), "{request}");
    ensure!(live.summary.accounting.dropped() == 0, "{:?}", live.summary.accounting);

    let received = (request.stages_ns["receive"], server.t1 - server.t0);
    let sent = (request.stages_ns["send"], client.received_last - client.received_first);
    agree("receive", received)?;
    agree("send", sent)?;
    within("receive", first_in(request), server.t0)?;
    within("send", last_out(request), client.received_last)
}

fn first_in(request: &TracedRequest) -> u64 {
    request.time_unix_ns
}

fn last_out(request: &TracedRequest) -> u64 {
    request.time_unix_ns + request.total_ns
}

/// The stage lasts as long as the side that reads saw it last.
fn agree(stage: &str, (traced, logged): (u64, u64)) -> Result<()> {
    say(&format!("{stage}: {:.2} ms traced, {:.2} ms by the reader's clock", ms(traced), ms(logged)));
    ensure!(
        traced.abs_diff(logged) <= MILLISECOND.max(logged * 3 / 100),
        "{stage}: {traced} ns traced, {logged} ns by the reader's clock"
    );
    Ok(())
}

fn within(what: &str, traced: u64, logged: u64) -> Result<()> {
    let apart = traced.abs_diff(logged);
    ensure!(apart <= MILLISECOND, "{what}: {traced} traced, {logged} by the reader's clock: {apart} ns");
    Ok(())
}

fn ms(nanoseconds: u64) -> f64 {
    std::time::Duration::from_nanos(nanoseconds).as_secs_f64() * 1000.0
}

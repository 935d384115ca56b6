//! Observe only: killing the tracer changes nothing for the traffic and leaves nothing behind.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tracer_lab::bpf::{Object, held_by};
use tracer_lab::nginx::Nginx;
use tracer_lab::process::Signal;
use tracer_lab::tracer::{Tracing, program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");

#[test]
fn a_kill_under_load_fails_no_request_and_leaves_no_object() -> Result<()> {
    let nginx = Nginx::start()?;
    let mut agent = Tracing::start(&program()?, &nginx.lab, "agent", &[])?;
    let file = nginx.lab.dir().join("capture.pcapng");
    let mut capture = Tracing::start(&program()?, &nginx.lab, "capture", &["-w", &file.to_string_lossy()])?;
    let load = nginx.start_load(Path::new(PROGRAM), 5000, 6)?;
    std::thread::sleep(Duration::from_secs(3));

    let mut objects = held_by(agent.id())?;
    objects.extend(held_by(capture.id())?);
    ensure!(objects.iter().any(|object| matches!(object, Object::Program(_))), "no program: {objects:?}");
    ensure!(objects.iter().any(|object| matches!(object, Object::Map(_))), "no map: {objects:?}");
    ensure!(objects.iter().any(|object| matches!(object, Object::Link(_))), "no link: {objects:?}");
    ensure!(left(&objects)?.len() == objects.len(), "the kernel does not know objects that the tracer holds");
    agent.signal(Signal::Kill)?;
    capture.signal(Signal::Kill)?;
    ensure!(agent.wait()?.is_none() && capture.wait()?.is_none(), "the tracer was not killed");

    // The kernel frees after a grace period.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !left(&objects)?.is_empty() {
        ensure!(Instant::now() < deadline, "left in the kernel: {:?}", left(&objects)?);
        std::thread::sleep(Duration::from_millis(50));
    }
    let load = load.finish()?;
    ensure!(load.ok == 30_000, "{load:?}");
    Ok(())
}

fn left<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Result<Vec<Object>> {
    let known = objects.into_iter().map(|&object| Ok(object.exists()?.then_some(object)));
    Ok(known.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

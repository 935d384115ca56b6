//! Segments of one flow on two CPUs at once.

use super::*;

/// Two CPUs take segments of one flow at once: each looks at one, waits for the other or not, and walks.
#[test]
fn two_cpus_at_once_lose_nothing() {
    let mut random = Random(13);
    for round in 0..600 {
        let protocol = [protocol::HTTP2, protocol::TLS][round % 2];
        let (bytes, crosses, begins) = stream(&mut random, protocol);
        let mut segments = cuts(&mut random, crosses.len(), &begins);
        segments.reverse();
        let mut host = Host::new(protocol, bytes);
        host.frames.expect_first(FIRST);
        let mut cpus: [Option<(Arrival, Option<Frames>)>; 2] = [None, None];
        while !segments.is_empty() || cpus.iter().any(Option::is_some) {
            let cpu = random.below(2);
            let waits = random.below(4) != 0;
            cpus[cpu] = match cpus[cpu].take() {
                None => {
                    segments.pop().and_then(|(from, until)| host.arrive(from, until)).map(|new| (new, None))
                }
                Some((arrival, None)) if waits && host.frames.is_busy() => Some((arrival, None)),
                Some((arrival, None)) => {
                    let mut frames = host.frames.open(&arrival.segment);
                    host.begin(&mut frames, &arrival);
                    Some((arrival, Some(frames)))
                }
                Some((arrival, Some(mut frames))) => {
                    host.step(&mut frames, &arrival);
                    (!host.is_over(&frames, &arrival)).then_some((arrival, Some(frames)))
                }
            }
        }
        let (missing, lost) = (host.missing(&crosses), host.has_lost());
        assert!(missing == 0 || lost, "{missing} bytes of round {round}");
        // What was skipped at the end of the newest walk is told of with what comes next.
        let untold = host.said().iter().map(|said| u32::from(*said == 0)).sum::<u32>();
        assert!(untold <= host.frames.unsaid || lost, "{untold} bytes of round {round}");
    }
}

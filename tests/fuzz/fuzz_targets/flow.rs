//! Any segments through the segment → message state machine.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer_ebpf::{
    flow::FlowState,
    record::{kind, role},
    segment::{Direction, Segment},
};

/// Direction, sequence and acknowledgment numbers, length and flags.
type Arrival = (bool, u32, u32, u16, u8);

fuzz_target!(|input: (bool, Vec<Arrival>)| {
    let (server, segments) = input;
    let mut state: FlowState = bytemuck::Zeroable::zeroed();
    state.established(1, if server { role::SERVER } else { role::CLIENT }, 1000, 5000);
    for (time, (ingress, sequence, acknowledgment, length, flags)) in (2..).zip(segments) {
        let direction = if ingress { Direction::Ingress } else { Direction::Egress };
        let segment = Segment { time, sequence, acknowledgment, length: length.into(), window: u16::from(flags & 0x40 == 0), flags, direction };
        let plan = state.plan(&segment);
        if plan.emit_before {
            emit(&mut state);
        }
        state.apply(&segment, &plan);
        if plan.emit_after {
            emit(&mut state);
        }
        let record = &state.record;
        assert!(record.request_first <= record.request_last && record.response_first <= record.response_last);
    }
});

fn emit(state: &mut FlowState) {
    state.emitting(kind::EXCHANGE);
    state.emitted(kind::EXCHANGE, true);
}

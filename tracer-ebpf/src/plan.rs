//! What the state machine asks of its host.

/// What the host does with a segment, in the order of the fields.
#[expect(clippy::struct_excessive_bools, reason = "a list of independent yes and no answers")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Emit the record before [`FlowState::apply`](crate::flow::FlowState::apply): this segment begins the next exchange.
    pub emit_before: bool,
    /// New payload bytes; zero for control segments and duplicates.
    pub fresh: u32,
    /// The segment begins a message.
    pub begins: bool,
    /// The segment belongs to a response (else to a request).
    pub response: bool,
    /// Emit the record after [`FlowState::apply`](crate::flow::FlowState::apply): nothing more of it may ever come.
    pub emit_after: bool,
    /// The receiver of the newest message closes its window.
    pub stalls: bool,
    /// Payload from the peer that was counted before or filled a hole: [`FlowState::fill`](crate::flow::FlowState::fill) if it did.
    pub again: bool,
    /// Emit the record first as this kind: [`SILENT`](crate::record::kind::SILENT) or [`HEARD`](crate::record::kind::HEARD); 0 for neither.
    pub silence: u8,
}

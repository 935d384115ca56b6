//! What messages say: one file per protocol. Parsers take bytes, return values, never panic and never
//! allocate more than a cap.

pub mod detect;
pub mod dns;
pub mod dns_tcp;
pub mod dns_transactions;
pub mod http;
pub mod http1;
pub mod http1_stream;
pub mod http2;
pub mod lookup;
pub mod memory;
pub mod metadata;
pub mod speaker;
pub mod stream;
pub mod tls;
pub mod turns;

//! What is shown of an HTTP exchange, whatever its version and wherever it was seen.

use super::{
    http1,
    stream::{Head, Protocol},
};

/// An HTTP exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1, from the few bytes that crossed the ring.
    Prefix(http1::Exchange),
    /// From the whole heads.
    Head(Protocol, Head),
}

impl Http {
    /// The method, when it is a known one.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match self {
            Self::Prefix(prefix) => prefix.method(),
            Self::Head(_, head) => head.method,
        }
    }

    /// The path without query string and parameters.
    #[must_use]
    pub fn path(&self) -> Option<http1::Path<'_>> {
        match self {
            Self::Prefix(prefix) => prefix.path(),
            Self::Head(_, head) => head.path.as_deref().map(|text| http1::Path { text, cut: false }),
        }
    }

    /// How long the caller waits for the answer, nanoseconds; known of gRPC only.
    #[must_use]
    pub fn timeout(&self) -> Option<u64> {
        match self {
            Self::Prefix(_) => None,
            Self::Head(_, head) => head.timeout,
        }
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Prefix(prefix) => prefix.status(),
            Self::Head(_, head) => head.status,
        }
    }

    /// The status of a gRPC call.
    #[must_use]
    pub fn grpc_status(&self) -> Option<u16> {
        match self {
            Self::Prefix(_) => None,
            Self::Head(_, head) => head.grpc_status,
        }
    }
}

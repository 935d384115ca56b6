//! Groups DNS queries into lookups: A and AAAA, retransmissions and search-domain expansion are one.

/// What a program asked for, and what it cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The name the program asked for, as far as the queries tell.
    pub name: String,
    /// Queries sent, retransmissions included.
    pub queries: u32,
    /// Of them, those answered NXDOMAIN for an expansion with a search domain.
    pub wasted: u32,
    /// Search domains that were tried in vain, in order, at most [`DOMAIN_LIMIT`].
    pub search_domains: Vec<String>,
    /// Response codes of the answers in order, at most [`RCODE_LIMIT`].
    pub rcodes: Vec<u8>,
    /// Queries that got no answer.
    pub timeouts: u32,
    /// Time of each answered query, nanoseconds, at most [`RCODE_LIMIT`].
    pub answer_times: Vec<u64>,
}

/// Search domains kept per lookup (glibc takes any number, Kubernetes at most 32).
pub const DOMAIN_LIMIT: usize = 32;
/// Answers kept per lookup.
pub const RCODE_LIMIT: usize = 64;

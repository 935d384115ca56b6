//! What findings about the calls of a server have in common: the name of what was called, whether it is a stream,
//! and a tally per name.

use std::collections::BTreeMap;

use super::{value::ratio, window::Merge};
use crate::{
    proto::{http::Http, stream::Protocol},
    request::{Call, CallKind, What},
};

/// Names that a tally tells apart; what has further ones counts to [`OTHER`].
const NAME_LIMIT: usize = 32;
/// The name of what is beyond [`NAME_LIMIT`].
const OTHER: &str = "~other";
/// Segments of hexadecimal digits and dashes are identifiers from this length on.
const IDENTIFIER: usize = 8;
/// A response that goes on for so many nanoseconds, and brings fewer bytes per second than that, is a stream of events,
/// not a transfer. The longer it lasts the more it may bring: a busy subscription has some hundred messages per second, and
/// a transfer inside a cluster does not take ten seconds for some megabytes.
const STREAMS: [(u64, u64); 2] = [(1_000_000_000, 100_000), (10_000_000_000, 1_000_000)];

/// What is known of a call to another server that speaks HTTP; none of other calls.
pub(super) fn upstream_http(call: &Call) -> Option<&Http> {
    match &call.what {
        What::Http(http) if call.kind == CallKind::Upstream => Some(http),
        _ => None,
    }
}

/// The path of a gRPC call.
pub(super) fn grpc_path(http: &Http) -> Option<&str> {
    match http {
        Http::Head(Protocol::Http2 { grpc: true }, head) => head.path.as_deref(),
        _ => None,
    }
}

/// What was called: the path of a gRPC call; method and path of other HTTP, with what looks like an identifier
/// left out, so that the same thing has the same name.
pub(super) fn name(http: &Http) -> String {
    if let Some(path) = grpc_path(http) {
        return path.to_owned();
    }
    let method = http.method().unwrap_or("?");
    let Some(path) = http.path() else { return method.to_owned() };
    let segments: Vec<_> = path.text.split('/').map(segment).collect();
    let cut = if path.cut { "…" } else { "" };
    format!("{method} {}{cut}", segments.join("/"))
}

/// A segment of a path, with `N` for its numbers, or `*` for all of it when it is an identifier.
fn segment(text: &str) -> String {
    let has_digit = text.bytes().any(|b| b.is_ascii_digit());
    if !has_digit || is_version(text) {
        return text.to_owned();
    }
    let is_identifier = text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if is_identifier && text.len() >= IDENTIFIER {
        return "*".to_owned();
    }
    let mut kept = String::with_capacity(text.len());
    for character in text.chars() {
        if !character.is_ascii_digit() {
            kept.push(character);
        } else if !kept.ends_with('N') {
            kept.push('N');
        }
    }
    kept
}

/// `v1`, `v2beta1`: which API it is, and not which object.
fn is_version(text: &str) -> bool {
    let rest = text.strip_prefix('v').unwrap_or_default();
    rest.starts_with(|c: char| c.is_ascii_digit()) && text.len() < IDENTIFIER
}

/// Whether the server refused the call or failed, or nothing came back.
pub(super) fn has_failed(call: &Call) -> bool {
    let What::Http(http) = &call.what else { return !call.answered };
    let refused = http.status().is_some_and(|status| status == 429 || status >= 500);
    !call.answered || refused || http.grpc_status().is_some_and(|status| status != 0)
}

/// How long the server took: from the request's last byte to the response's first. None when it did not answer,
/// and of a stream in both directions, whose response begins before the request ends.
pub(super) fn answered_in(call: &Call) -> Option<u64> {
    let messages = &call.messages;
    let is_known = call.answered && messages.is_answered();
    is_known.then(|| messages.response_first.checked_sub(messages.request_last)).flatten()
}

/// Whether the response is a stream of events (a watch, a keepalive): it lasts, whatever the server has to say.
pub(super) fn is_stream(call: &Call) -> bool {
    let messages = &call.messages;
    let lasts = messages.response_last.saturating_sub(messages.response_first);
    let slower_than = |bytes_per_second: u64| {
        u128::from(messages.response_bytes) * 1_000_000_000 < u128::from(lasts) * u128::from(bytes_per_second)
    };
    let both_ways = messages.is_answered() && messages.response_first < messages.request_last;
    both_ways || STREAMS.iter().any(|&(time, rate)| lasts >= time && slower_than(rate))
}

/// Durations, by powers of two: enough to know the usual one.
#[derive(Clone, Debug)]
pub(super) struct Typical([(u64, u64); 64]);

impl Default for Typical {
    fn default() -> Self {
        Self([(0, 0); 64])
    }
}

impl Typical {
    /// Adds one, nanoseconds.
    pub(super) fn add(&mut self, nanoseconds: u64) {
        if let Some((count, sum)) = self.0.get_mut(nanoseconds.max(1).ilog2() as usize) {
            *count += 1;
            *sum = sum.saturating_add(nanoseconds);
        }
    }

    /// The mean of those of the median's magnitude, nanoseconds; 0 of none.
    pub(super) fn mean(&self) -> f64 {
        let all: u64 = self.0.iter().map(|(count, _)| count).sum();
        let mut below = 0;
        let median = self.0.iter().find(|(count, _)| {
            below += count;
            below * 2 > all
        });
        median.map_or(0.0, |(count, sum)| ratio(*sum, *count))
    }
}

impl Merge for Typical {
    fn merge(&mut self, other: &Self) {
        for ((count, sum), (more, longer)) in self.0.iter_mut().zip(&other.0) {
            *count += more;
            *sum = sum.saturating_add(*longer);
        }
    }
}

/// A tally per name.
#[derive(Clone, Debug)]
pub(super) struct PerName<T>(BTreeMap<String, T>);

impl<T> Default for PerName<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Merge> PerName<T> {
    /// The tally of a name; that of [`OTHER`] when there are too many.
    pub(super) fn at(&mut self, name: String) -> &mut T {
        let known = self.0.contains_key(&name) || self.0.len() < NAME_LIMIT;
        self.0.entry(if known { name } else { OTHER.to_owned() }).or_default()
    }

    /// Each with its name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, tally)| (name.as_str(), tally))
    }
}

impl<T: Merge> Merge for PerName<T> {
    fn merge(&mut self, other: &Self) {
        for (name, tally) in &other.0 {
            self.at(name.clone()).merge(tally);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::fixture::{self, http, upstream};

    fn named(path: &str) -> String {
        name(&http("GET", path))
    }

    #[test]
    fn what_looks_like_an_identifier_is_left_out() {
        assert_eq!(
            named("/api/v1/namespaces/kube-system/configmaps"),
            "GET /api/v1/namespaces/kube-system/configmaps"
        );
        assert_eq!(named("/users/4711/orders/12"), "GET /users/N/orders/N");
        assert_eq!(named("/items/item-12.json"), "GET /items/item-N.json");
        assert_eq!(named("/o/1f0c9a3e-77aa-4bb0-9d8e-3c1b2a4d5e6f"), "GET /o/*");
        assert_eq!(named("/apis/apps/v1beta2/x"), "GET /apis/apps/v1beta2/x");
    }

    #[test]
    fn a_grpc_call_is_named_by_its_path() {
        let call = fixture::grpc("/etcdserverpb.KV/Range", 0, 10);
        assert_eq!(upstream_http(&call).map(name).as_deref(), Some("/etcdserverpb.KV/Range"));
    }

    #[test]
    fn a_response_that_lasts_and_brings_little_is_a_stream() {
        let mut call = upstream(http("GET", "/watch"), 0, 30_000);
        call.messages.response_first = 5 * fixture::MS;
        call.messages.response_bytes = 10_000;
        assert!(is_stream(&call));
        call.messages.response_bytes = 30_000_000;
        assert!(!is_stream(&call), "a transfer at 1 MB/s");
        let slow = upstream(http("GET", "/report"), 0, 30_000);
        assert!(!is_stream(&slow) && answered_in(&slow) == Some(30 * fixture::SECOND));
    }

    #[test]
    fn a_stream_in_both_directions_has_no_time_to_its_answer() {
        let mut call = fixture::grpc("/etcdserverpb.Lease/LeaseKeepAlive", 0, 9000);
        call.messages.request_last = 8000 * fixture::MS;
        call.messages.response_first = 2 * fixture::MS;
        assert!(is_stream(&call) && answered_in(&call).is_none());
    }

    #[test]
    fn the_usual_duration_is_that_of_the_median_and_its_like() {
        let mut typical = Typical::default();
        assert!(typical.mean().abs() < 1e-9);
        for duration in [1000, 1010, 1020, 5, 0, 400_000, 600_000] {
            typical.add(duration);
        }
        let mut twice = typical.clone();
        twice.merge(&typical);
        assert!((twice.mean() - 1010.0).abs() < 1e-9, "all between 512 and 1024 ns");
    }

    #[test]
    fn names_are_bounded() {
        let mut tally = PerName::<u64>::default();
        for n in 0..100 {
            *tally.at(n.to_string()) += 1;
        }
        assert_eq!(tally.iter().count(), NAME_LIMIT + 1);
        assert_eq!(tally.iter().map(|(_, count)| count).sum::<u64>(), 100);
    }
}

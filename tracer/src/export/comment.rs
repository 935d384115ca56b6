//! Comments for captured packets: what Wireshark shows next to the first packet of a message.

use super::text;
use crate::{
    finding::Finding,
    request::{AttributedCall, Request, What},
};

/// For the first packet of a request: where its time went.
#[must_use]
pub fn request_comment(request: &Request) -> String {
    let mut comment = format!(
        "tracer: pod {} request {} total {} ms: {}",
        text::printable(&request.pod.to_string()),
        text::title(request),
        text::milliseconds(request.total()),
        text::stage_list(&request.stages).join(", "),
    );
    for mark in request.marks.names() {
        comment += " [";
        comment += mark;
        comment += "]";
    }
    comment
}

/// For the first packet of a call: the request it belongs to, and how sure that is.
#[must_use]
pub fn call_comment(call: &AttributedCall, request: &Request) -> String {
    let inside = match &call.call.what {
        What::Metadata(metadata) => metadata.step.name().to_owned(),
        _ => text::detail(&call.call),
    };
    format!(
        "tracer: {} call ({inside}) of request {}, attribution {}, {} ms",
        call.call.kind.name(),
        text::title(request),
        text::attribution(call),
        text::milliseconds(call.call.end.saturating_sub(call.call.start)),
    )
}

/// For the packets that a finding is about.
#[must_use]
pub fn finding_comment(finding: &Finding) -> String {
    format!(
        "tracer: finding {} ({}) of {}: {}",
        finding.id,
        finding.severity.name(),
        text::subject(finding),
        text::printable(&finding.explanation),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{export::fixture, request::Marks};

    #[test]
    fn a_request_says_where_its_time_went() {
        assert_eq!(
            request_comment(&fixture::request()),
            "tracer: pod shop/backend-0 request GET /v1/items/17 total 105.23 ms: receive 0.01, dns 0.05, \
             metadata 86.11, upstream 18.20, self 0.83, send 0.03"
        );
    }

    #[test]
    fn an_unusual_request_says_so() {
        let mut request = fixture::request_with(Vec::new());
        request.http = None;
        request.marks = Marks::UNANSWERED;
        assert_eq!(
            request_comment(&request),
            "tracer: pod shop/backend-0 request exchange 2 on port 8080 total 105.23 ms: receive 0.01, self \
             105.18, send 0.04 [unanswered]"
        );
    }

    #[test]
    fn a_call_names_its_request() {
        let request = fixture::request();
        let comments: Vec<_> = request.calls.iter().map(|call| call_comment(call, &request)).collect();
        assert_eq!(
            comments,
            [
                "tracer: metadata call (role-list) of request GET /v1/items/17, attribution thread, 43.05 ms",
                "tracer: metadata call (credentials) of request GET /v1/items/17, attribution thread, 43.06 ms",
                "tracer: dns call (elastic.example.com 8 queries, 6 NXDOMAIN) of request GET /v1/items/17, \
                 attribution shared 1/3, 0.15 ms",
                "tracer: upstream call (GET /items/_search 200) of request GET /v1/items/17, attribution \
                 exclusive, 18.20 ms",
            ]
        );
    }

    #[test]
    fn a_finding_explains_itself() {
        let comment = finding_comment(&fixture::finding());
        assert!(comment.starts_with(
            "tracer: finding metadata-credentials (critical) of pod shop/backend-0: Every request asks"
        ));
    }
}

//! Words and numbers that the outputs for people share.

use std::borrow::Cow;

use crate::{
    clock::WallClock,
    finding::{Finding, Value},
    proto::{http::Http, lookup::Lookup},
    request::{AttributedCall, Attribution, Call, Marks, Request, Stages, What},
};

/// Hundredths of a millisecond: the precision of times for people.
pub(crate) const TICK: u64 = 10_000;

/// Response code of DNS for a name that does not exist.
const NXDOMAIN: u8 = 3;

/// Milliseconds with two decimals.
pub(crate) fn milliseconds(nanoseconds: u64) -> String {
    ticks(round(nanoseconds, TICK))
}

/// Hundredths as a number with two decimals.
pub(crate) fn ticks(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// `value / unit`, to the nearest.
pub(crate) fn round(value: u64, unit: u64) -> u64 {
    (value.saturating_add(unit / 2)) / unit
}

/// Rounds parts so that they still add up: splits `whole` in the proportion of `parts` by largest remainder.
pub(crate) fn apportion(parts: [u64; 7], whole: u64) -> [u64; 7] {
    let sum: u128 = parts.iter().map(|part| u128::from(*part)).sum();
    if sum == 0 {
        return [0; 7];
    }
    let exact = parts.map(|part| u128::from(part) * u128::from(whole));
    // A part of a whole is at most the whole, so it fits.
    let mut split = exact.map(|part| u64::try_from(part / sum).unwrap_or(whole));
    let mut by_remainder = [0, 1, 2, 3, 4, 5, 6];
    by_remainder.sort_by_key(|index| std::cmp::Reverse(exact[*index] % sum));
    let missing = whole - split.iter().sum::<u64>();
    for (_, index) in (0..missing).zip(by_remainder) {
        split[index] += 1;
    }
    split
}

/// The stages that took time, in milliseconds that add up to the total's.
pub(super) fn stage_list(stages: &Stages) -> Vec<String> {
    let split = apportion(stages.values(), round(stages.total(), TICK));
    let named = Stages::NAMES.iter().zip(stages.values()).zip(split);
    named
        .filter(|((_, exact), _)| *exact > 0)
        .map(|((name, _), part)| format!("{name} {}", ticks(part)))
        .collect()
}

/// Without control characters: names come from the network and from paths.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        text.replace(char::is_control, "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// At most `width` characters, cut in the middle: the ends tell names and paths apart.
pub(crate) fn elide(text: &str, width: usize) -> Cow<'_, str> {
    let length = text.chars().count();
    if length <= width {
        return text.into();
    }
    let kept = width.saturating_sub(1);
    let head = text.chars().take(kept / 2);
    let tail = text.chars().skip(length - (kept - kept / 2));
    head.chain(['…']).chain(tail).collect::<String>().into()
}

/// Breaks text at spaces into lines of at most `width` characters; longer words stay whole.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Method and path of a request, as far as they are known.
pub(crate) fn title(request: &Request) -> String {
    let http = request.http.as_ref();
    match http.and_then(|http| Some((http.method()?, http.path()?))) {
        Some((method, path)) => format!("{method} {path}"),
        None => format!("exchange {} on port {}", request.number, request.transport.local.port()),
    }
}

/// How a request ended.
pub(crate) fn outcome(request: &Request) -> String {
    match request.http.as_ref().and_then(Http::status) {
        Some(status) => with_grpc(status.to_string(), request.http.as_ref().and_then(Http::grpc_status)),
        None if request.marks.has(Marks::UNANSWERED) => "no answer".to_owned(),
        None => "answered".to_owned(),
    }
}

/// What a call was, in few words: the name it looked up, or method and path. Empty when that is not known.
pub(super) fn what(call: &Call) -> String {
    match &call.what {
        What::Dns(lookup) => lookup.name.clone(),
        What::Metadata(metadata) => metadata.what.clone(),
        What::Http(http) => match (http.method(), http.path()) {
            (Some(method), Some(path)) => format!("{method} {path}"),
            _ => String::new(),
        },
        What::Tls { server_name } => server_name.as_deref().unwrap_or_default().to_owned(),
        What::Connect { .. } | What::Opaque => String::new(),
    }
}

/// What a call was and how it went.
pub(super) fn detail(call: &Call) -> String {
    let what = what(call);
    let mut text = match &call.what {
        What::Dns(lookup) => return printable(&dns(lookup)).into_owned(),
        What::Metadata(metadata) => with_status(format!("{} {what}", metadata.step.name()), metadata.status),
        What::Http(http) => with_grpc(with_status(what, http.status()), http.grpc_status()),
        What::Tls { .. } => format!("TLS {what}"),
        What::Connect { syns: syns @ 2.., .. } => format!("{} ({syns} SYNs)", call.peer),
        What::Connect { .. } | What::Opaque => call.peer.to_string(),
    };
    if !call.answered {
        text += " (no answer)";
    }
    printable(text.trim()).into_owned()
}

fn dns(lookup: &Lookup) -> String {
    let queries = count(lookup.queries.into(), "query", "queries");
    let nxdomain = lookup.rcodes.iter().map(|rcode| u64::from(*rcode == NXDOMAIN)).sum::<u64>();
    let nxdomain = (nxdomain > 0).then(|| format!("{nxdomain} NXDOMAIN"));
    let timeouts = (lookup.timeouts > 0).then(|| count(lookup.timeouts.into(), "timeout", "timeouts"));
    let over_tcp = (lookup.over_tcp > 0).then(|| format!("{} over TCP", lookup.over_tcp));
    let truncated = (lookup.truncated > 0).then(|| format!("{} truncated", lookup.truncated));
    let parts: Vec<_> =
        [Some(queries), over_tcp, nxdomain, truncated, timeouts].into_iter().flatten().collect();
    format!("{} {}", lookup.name, parts.join(", ")).trim_start().to_owned()
}

/// Every gRPC response has HTTP status 200: how the call went is in its trailers.
fn with_grpc(what: String, status: Option<u16>) -> String {
    match status {
        Some(status) => format!("{what} grpc-status {status}"),
        None => what,
    }
}

fn with_status(what: String, status: Option<u16>) -> String {
    match status {
        Some(status) => format!("{} {status}", what.trim_end()),
        None => what,
    }
}

/// How a call was tied to its request; with the share when several requests share it.
pub(super) fn attribution(call: &AttributedCall) -> String {
    let name = call.attribution.name();
    if call.attribution == Attribution::Shared {
        format!("{name} 1/{}", call.requests)
    } else {
        name.to_owned()
    }
}

/// A number with its noun.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A time of the source's clock as UTC, to the microsecond.
pub(crate) fn time(source_ns: u64, clock: WallClock) -> String {
    let time = jiff::Timestamp::from_nanosecond(clock.unix_ns(source_ns).into()).unwrap_or_default();
    format!("{time:.6}")
}

/// What a finding is about.
pub(crate) fn subject(finding: &Finding) -> String {
    let pod = format!("pod {}", finding.subject);
    let subject = finding.destination.as_ref().map_or(pod.clone(), |to| format!("{pod} to {to}"));
    printable(&subject).into_owned()
}

/// A value of a finding's evidence.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Count(number) => number.to_string(),
        Value::Seconds(seconds) if seconds.abs() >= 1.0 => format!("{} s", decimals(*seconds)),
        Value::Seconds(seconds) => format!("{:.2} ms", seconds * 1e3),
        Value::Share(share) => format!("{:.1} %", share * 1e2),
        Value::Number(number) => decimals(*number),
        Value::Text(text) => printable(text).into_owned(),
        Value::List(texts) if texts.is_empty() => "none".to_owned(),
        Value::List(texts) => printable(&texts.join(", ")).into_owned(),
    }
}

fn decimals(number: f64) -> String {
    if number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:.2}") }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;

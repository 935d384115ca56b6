//! One request of the report: its stages as a band, and a row per message and call.

use std::fmt::Write as _;

use super::{Escaped, text, write_bar};
use crate::request::{AttributedCall, Request};

/// Rows of calls per request; the others are counted.
const CALL_LIMIT: usize = 200;
/// Hues of the flows, far apart for every eye: each next one turns by the golden angle.
const HUE_STEP: usize = 137;

/// The packets of a request: of its first and last byte in, its first and last byte out, and of each call's
/// first and last; 0 where that is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketNumbers {
    /// The request message.
    pub request: (u64, u64),
    /// The response message.
    pub response: (u64, u64),
    /// Each call, in the order of the request's.
    pub calls: Vec<(u64, u64)>,
}

pub(super) fn write(page: &mut String, request: &Request, packets: &PacketNumbers, open: bool) {
    let total = request.total();
    let open = if open { " open" } else { "" };
    let _ = write!(
        page,
        "<details{open}><summary>{} → {}, {} ms</summary><p class=\"soft\">{} → {}{}</p>",
        Escaped(&text::title(request)),
        Escaped(&text::outcome(request)),
        text::milliseconds(total),
        request.transport.peer,
        request.transport.local,
        request.marks.names().flat_map(|mark| [", ", mark]).collect::<String>(),
    );
    write_bar(page, text::apportion(request.stages.values(), if total == 0 { 0 } else { 1_000 }));
    let _ = write!(
        page,
        "<p>{} = {} ms</p><div class=\"rows\">",
        text::stage_list(&request.stages).join(" + "),
        text::milliseconds(total)
    );
    let (t0, t3) = (request.messages.request_first, request.messages.request_first.saturating_add(total));
    let scale = Scale { t0, total };
    let t1 = t0.saturating_add(request.stages.receive);
    let t2 = t3.saturating_sub(request.stages.send);
    scale.row(page, "request", "receive", None, (t0, t1), packets.request);
    for (at, call) in request.calls.iter().take(CALL_LIMIT).enumerate() {
        let numbers = packets.calls.get(at).copied().unwrap_or_default();
        let span = (call.call.start, call.call.end);
        scale.row(page, &what(call), call.call.kind.name(), Some(hue(request, call)), span, numbers);
    }
    scale.row(page, "response", "send", None, (t2, t3), packets.response);
    let hidden = request.calls.len().saturating_sub(CALL_LIMIT);
    if hidden > 0 {
        let _ = write!(
            page,
            "<p class=\"soft\">and {}</p>",
            text::count(hidden as u64, "more call", "more calls")
        );
    }
    page.push_str("</div></details>\n");
}

fn what(call: &AttributedCall) -> String {
    let how = text::attribution(call);
    let (kind, detail) = (call.call.kind.name(), text::detail(&call.call));
    if how.is_empty() { format!("{kind} {detail}") } else { format!("{kind} {detail} ({how})") }
}

/// The same for all calls of a flow; lookups, which have none, share one.
fn hue(request: &Request, call: &AttributedCall) -> usize {
    let mut flows: Vec<u64> = request.calls.iter().map(|call| call.call.flow).collect();
    flows.sort_unstable();
    flows.dedup();
    flows.binary_search(&call.call.flow).unwrap_or_default().wrapping_mul(HUE_STEP) % 360
}

struct Scale {
    t0: u64,
    total: u64,
}

impl Scale {
    fn row(
        &self,
        page: &mut String,
        label: &str,
        stage: &str,
        hue: Option<usize>,
        span: (u64, u64),
        packets: (u64, u64),
    ) {
        let (left, width) = self.place(span);
        let colour = hue.map(|hue| format!("background:hsl({hue} 60% 50%);")).unwrap_or_default();
        let duration = text::milliseconds(span.1.saturating_sub(span.0));
        let packets = match packets {
            (0, 0) => String::new(),
            (first, last) if first == last => format!("#{first}"),
            (first, last) => format!("#{first}–{last}"),
        };
        let _ = write!(
            page,
            "<div class=\"row\"><span>{}</span><span class=\"track\"><i class=\"{stage}\" style=\"{colour}left:{left}%;width:{width}%\"></i></span>\
             <span class=\"number\">{duration} ms</span><span class=\"number soft\">{packets}</span></div>",
            Escaped(label),
        );
    }

    /// Percent of the request's time, with two decimals.
    fn place(&self, (start, end): (u64, u64)) -> (String, String) {
        let share = |time: u64| {
            let part = u128::from(time.saturating_sub(self.t0).min(self.total)) * 10_000;
            u64::try_from(part / u128::from(self.total.max(1))).unwrap_or_default()
        };
        let (left, right) = (share(start), share(end));
        (text::ticks(left), text::ticks(right.saturating_sub(left)))
    }
}

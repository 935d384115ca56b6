//! The report: one HTML page with everything in it, to attach to a ticket. No scripts, nothing from elsewhere.

mod waterfall;

use std::fmt::{self, Write as _};

pub use self::waterfall::PacketNumbers;
use super::text;
use crate::{
    clock::WallClock,
    finding::{Finding, Kind},
    request::{
        Request, Stages,
        totals::{PodSummary, Summary, Totals},
    },
};

const STYLE: &str = include_str!("style.css");

/// What the page shows.
pub struct Report<'a> {
    /// What was read.
    pub title: String,
    /// Sums and findings.
    pub summary: &'a Summary,
    /// The requests that are shown as waterfalls, slowest first, each with the numbers of its packets.
    pub requests: &'a [(Request, PacketNumbers)],
    /// Why the captures were not read to their end.
    pub damage: Option<String>,
}

/// The page.
#[must_use]
pub fn report(report: &Report<'_>) -> String {
    let mut page = String::new();
    let title = Escaped(&report.title);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>tracer: {title}</title><style>\n{STYLE}</style></head><body>\n<h1>Where the time went</h1>\n\
         <p class=\"soft\">{title}</p>\n",
    );
    if let Some(damage) = &report.damage {
        let _ = writeln!(
            page,
            "<p class=\"warn\">Not read to the end: {}. What came before is below.</p>",
            Escaped(damage)
        );
    }
    for pod in &report.summary.pods {
        write_pod(&mut page, pod);
    }
    write_requests(&mut page, report.requests);
    write_accounting(&mut page, report.summary);
    page.push_str("</body></html>\n");
    page
}

fn write_pod(page: &mut String, pod: &PodSummary) {
    let totals = &pod.totals;
    let name = pod.pod.to_string();
    let _ = writeln!(page, "<h2>Pod {}</h2>", Escaped(&name));
    if totals.requests > 0 {
        let mean = text::milliseconds(text::round(totals.stages.total(), totals.requests));
        let requests = text::count(totals.requests, "request", "requests");
        let _ = writeln!(page, "<p>{requests}, mean {mean} ms</p>");
        write_stages(page, totals);
    }
    for finding in &pod.findings {
        write_finding(page, finding);
    }
}

/// A bar of the stages' shares, and a table of their means that add up.
fn write_stages(page: &mut String, totals: &Totals) {
    let stages = totals.stages.values();
    let shares = text::apportion(stages, 1_000);
    write_bar(page, shares);
    let means =
        text::apportion(stages, text::round(text::round(totals.stages.total(), totals.requests), text::TICK));
    page.push_str(
        "<table><tr><th>stage</th><th class=\"number\">mean ms</th><th class=\"number\">share</th></tr>",
    );
    for ((name, mean), share) in Stages::NAMES.iter().zip(means).zip(shares) {
        let _ = write!(
            page,
            "<tr><td><span class=\"key {name}\"></span>{name}</td><td class=\"number\">{}</td><td class=\"number\">{}.{} %</td></tr>",
            text::ticks(mean),
            share / 10,
            share % 10
        );
    }
    page.push_str("</table>\n");
}

fn write_bar(page: &mut String, shares: [u64; 7]) {
    page.push_str("<div class=\"stages\">");
    for (name, share) in Stages::NAMES.iter().zip(shares).filter(|(_, share)| *share > 0) {
        let _ = write!(page, "<i class=\"{name}\" style=\"flex:{share}\" title=\"{name}\"></i>");
    }
    page.push_str("</div>");
}

fn write_finding(page: &mut String, finding: &Finding) {
    let _ = write!(
        page,
        "<div class=\"finding {severity}\"><h3>{} ({severity})</h3><p class=\"soft\">{}, since {}</p><p>{}</p><table>",
        finding.id,
        Escaped(&text::subject(finding)),
        // A capture's times are Unix times.
        text::time(finding.since, WallClock::UNIX),
        Escaped(&finding.explanation),
        severity = finding.severity.name(),
    );
    for (name, value) in &finding.evidence.values() {
        let name = name.trim_end_matches("_seconds").replace('_', " ");
        let _ = write!(page, "<tr><td>{name}</td><td>{}</td></tr>", Escaped(&text::value(value)));
    }
    let _ = writeln!(
        page,
        "</table><p><b>Remedy:</b> {}</p><p class=\"soft\">More: {}</p></div>",
        Escaped(&finding.remedy),
        Kind::page(finding.id)
    );
}

fn write_requests(page: &mut String, requests: &[(Request, PacketNumbers)]) {
    if requests.is_empty() {
        return;
    }
    page.push_str("<h2>Slowest requests</h2>\n<p class=\"soft\">A colour per flow; packets as Wireshark numbers them.</p>\n");
    for (at, (request, packets)) in requests.iter().enumerate() {
        waterfall::write(page, request, packets, at < 3);
    }
}

fn write_accounting(page: &mut String, summary: &Summary) {
    let accounting = &summary.accounting;
    let dropped: u64 = accounting.dropped.values().sum();
    let _ = writeln!(
        page,
        "<p class=\"soft\">{} packets = {} understood + {dropped} not readable</p>",
        accounting.emitted, accounting.consumed
    );
    let odd = accounting.dropped.iter().chain(&accounting.oddities).filter(|(_, count)| **count > 0);
    let odd: Vec<String> = odd.map(|(name, count)| format!("{name} {count}")).collect();
    if !odd.is_empty() {
        let _ = writeln!(page, "<p class=\"soft\">{}</p>", odd.join(", "));
    }
}

/// Text of the network, made harmless: markup is escaped, control characters are replaced.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if c.is_control() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixture;

    fn page() -> String {
        let requests = [(fixture::request(), PacketNumbers::default())];
        let summary = Summary::default();
        report(&Report {
            title: "<b>.pcap".into(),
            summary: &summary,
            requests: &requests,
            damage: Some("cut".into()),
        })
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        let page = page();
        for outside in ["http://", "https://", "src=", "<script", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn text_of_the_network_is_not_markup() {
        assert!(page().contains("&lt;b&gt;.pcap"));
        assert!(!page().contains("<b>.pcap"));
    }

    #[test]
    fn a_request_has_a_row_per_call_and_no_secret() {
        let page = page();
        assert!(page.contains("GET /items/_search"), "{page}");
        assert!(page.contains("105.23 ms"), "{page}");
        assert!(!page.contains("s3cr3t"));
    }

    #[test]
    fn damage_is_said_at_the_top() {
        assert!(page().contains("Not read to the end: cut"));
    }
}

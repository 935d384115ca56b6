//! The web page of the node: three files of this program, and nothing from elsewhere.

use axum::{
    Router,
    http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY},
    response::{IntoResponse, Response},
    routing::get,
};

const PAGE: &str = include_str!("../web/page.html");
const SCRIPT: &str = include_str!("../web/app.js");
/// The colours are those of the report.
const STYLE: &str = concat!(include_str!("../../../export/html/style.css"), include_str!("../web/style.css"));

/// What the page may do: run its script, show its style, ask the agent.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and its parts.
pub(super) fn router() -> Router {
    Router::new()
        .route("/", get(|| async { part("text/html; charset=utf-8", PAGE) }))
        .route("/app.js", get(|| async { part("text/javascript; charset=utf-8", SCRIPT) }))
        .route("/style.css", get(|| async { part("text/css; charset=utf-8", STYLE) }))
}

fn part(content_type: &'static str, text: &'static str) -> Response {
    let headers =
        [(CONTENT_TYPE, content_type), (CONTENT_SECURITY_POLICY, POLICY), (REFERRER_POLICY, "no-referrer")];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Stages;

    #[test]
    fn nothing_comes_from_elsewhere() {
        for text in [PAGE, SCRIPT, STYLE] {
            // The namespace of SVG is a name, nothing that is fetched.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for outside in ["http://", "https://", "@import", "url(", "//cdn"] {
                assert!(!text.contains(outside), "{outside}");
            }
        }
    }

    #[test]
    fn the_script_makes_no_markup_of_what_it_is_told() {
        let ways =
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"];
        for way in ways {
            assert!(!SCRIPT.contains(way), "{way}");
        }
        for inline in ["style=", "onclick=", "<style", "<script>"] {
            assert!(!PAGE.contains(inline), "{inline}: the policy forbids it");
        }
    }

    #[test]
    fn every_stage_has_its_colour_on_the_page_and_in_its_chart() {
        for stage in Stages::NAMES {
            assert!(STYLE.contains(&format!(".{stage} {{ background:")), "{stage}");
            assert!(STYLE.contains(&format!("#chart .{stage} {{ fill:")), "{stage}");
        }
    }
}

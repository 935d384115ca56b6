//! What leaves the process: summaries and request lines as JSON, tables and waterfalls as text, Prometheus
//! metrics, and pcapng. Nothing here reads a clock or opens a file: values come in, text and bytes go out.

mod addresses;
pub mod comment;
pub mod html;
pub mod json;
pub mod lines;
mod lines_http;
pub mod mask;
mod mask_http;
pub mod mask_known;
pub mod otlp;
pub mod pcapng;
pub mod prometheus;
pub mod table;
pub(crate) mod text;
pub mod waterfall;

#[cfg(test)]
pub(crate) mod fixture;

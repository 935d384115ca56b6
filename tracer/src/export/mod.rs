//! What leaves the process: summaries and request lines as JSON, tables and waterfalls as text, Prometheus
//! metrics, and pcapng. Nothing here reads a clock or opens a file: values come in, text and bytes go out.
pub mod clock;
pub mod json;
mod text;

#[cfg(test)]
mod fixture;

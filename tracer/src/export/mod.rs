//! What leaves the process: summaries and request lines as JSON, tables and waterfalls as text, Prometheus

pub mod comment;
pub mod json;
pub mod mask;
mod mask_http;
pub mod table;
mod text;
pub mod waterfall;

#[cfg(test)]
mod fixture;

//! The configuration file: JSON whose every field may be left out. Pure: bytes in, settings out.

pub mod agent;
mod findings;

use serde::Deserialize;

use crate::finding::Settings;

/// Bytes of the longest configuration.
pub const SIZE_LIMIT: usize = 64 * 1024;

/// What is configured.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How findings are recognised.
    #[serde(deserialize_with = "findings::settings")]
    pub findings: Settings,
    /// How the agent runs.
    pub agent: agent::Settings,
}

/// Why bytes are no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is longer than [`SIZE_LIMIT`].
    #[error("it has more than {SIZE_LIMIT} bytes, which no configuration needs")]
    TooLong,
    /// It is not JSON, or says something that is not known or not allowed.
    #[error("line {line}, column {column}: {message}")]
    Wrong {
        /// Line of the place, from 1 on.
        line: usize,
        /// Column of its last byte, from 1 on.
        column: usize,
        /// What is wrong there, and what is allowed.
        message: String,
    },
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// When it is too long, no JSON, or has a field or value that is not known or not allowed.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > SIZE_LIMIT {
            return Err(Error::TooLong);
        }
        serde_json::from_slice(bytes).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let message = error.to_string();
            let place = format!(" at line {line} column {column}");
            Error::Wrong {
                line,
                column,
                message: message.strip_suffix(&place).unwrap_or(&message).to_owned(),
            }
        })
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;

//! What a capture over the agent's API is asked for: words in a query string.

use std::{fmt::Write as _, time::Duration};

use super::{
    recorder::{Recorder, Ring, parse_duration},
    selection::Wish,
};
use crate::packet::filter::Net;

/// Seconds that a capture takes when none are asked for, and at most: a connection to the agent lives for two minutes.
const DEFAULT_SECONDS: u64 = 60;
const SECONDS_LIMIT: u64 = 110;
/// MiB of packets that wait until it is known what to say about them: the agent has other work for its memory.
const HOLD_MIB: u32 = 16;

/// The query string; lists are joined by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct Asked {
    /// Names, namespaces and names, or UIDs of pods.
    pod: Option<String>,
    /// Namespaces.
    namespace: Option<String>,
    /// Ports.
    port: Option<String>,
    /// Addresses and networks.
    address: Option<String>,
    /// An expression of pcap-filter(7).
    filter: Option<String>,
    /// Only packets of requests that took this long.
    slower_than: Option<String>,
    /// Seconds.
    duration: Option<u64>,
}

/// What it means.
pub(super) struct Order {
    /// Takes what is asked for.
    pub(super) recorder: Recorder,
    /// How long.
    pub(super) duration: Duration,
}

impl Asked {
    /// Understands it; the error says what is wrong.
    pub(super) fn order(&self) -> Result<Order, String> {
        let ports = list(self.port.as_ref()).map(|port| {
            port.parse().map_err(|_| format!("{port} is not a number of a port, from 0 to 65535"))
        });
        let wish = Wish {
            pods: list(self.pod.as_ref()).map(str::to_owned).collect(),
            namespaces: list(self.namespace.as_ref()).map(str::to_owned).collect(),
            ports: ports.collect::<Result<_, _>>()?,
            addresses: list(self.address.as_ref()).map(Net::parse).collect::<Result<_, _>>()?,
            expression: self.filter.iter().cloned().collect(),
        };
        let slower_than = self.slower_than.as_deref().map(parse_duration).transpose()?;
        let seconds = self.duration.unwrap_or(DEFAULT_SECONDS);
        if !(1..=SECONDS_LIMIT).contains(&seconds) {
            return Err(format!("duration has to be a whole number of seconds from 1 to {SECONDS_LIMIT}"));
        }
        let selection = wish.selection().map_err(|error| error.to_string())?;
        let recorder = Recorder::new(selection, &Ring::within(slower_than, HOLD_MIB));
        Ok(Order { recorder, duration: Duration::from_secs(seconds) })
    }

    /// What flags ask for, as a query string.
    pub(super) fn query(wish: &Wish, slower_than: Option<Duration>, duration: Option<Duration>) -> String {
        let join = |texts: Vec<String>| texts.join(",");
        let seconds = duration.map(|duration| duration.as_secs_f64().ceil().to_string());
        let slower = slower_than.map(|limit| format!("{}ms", limit.as_millis()));
        let parts = [
            ("pod", join(wish.pods.clone())),
            ("namespace", join(wish.namespaces.clone())),
            ("port", join(wish.ports.iter().map(ToString::to_string).collect())),
            ("address", join(wish.addresses.iter().map(ToString::to_string).collect())),
            ("filter", wish.expression.join(" ")),
            ("slower_than", slower.unwrap_or_default()),
            ("duration", seconds.unwrap_or_default()),
        ];
        let given = parts.iter().filter(|(_, value)| !value.is_empty());
        given.map(|(key, value)| format!("{key}={}", escape(value))).collect::<Vec<_>>().join("&")
    }
}

fn list(text: Option<&String>) -> impl Iterator<Item = &str> {
    text.into_iter().flat_map(|text| text.split(',')).filter(|part| !part.is_empty())
}

/// All but unreserved characters as `%` and two digits (RFC 3986, section 2.1).
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(byte.into());
        } else {
            // Writing to a string does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Asked {
        let uri = format!("http://a/?{text}").parse().unwrap();
        axum::extract::Query::try_from_uri(&uri).unwrap().0
    }

    #[test]
    fn flags_become_a_query_that_means_the_same() {
        let wish = Wish {
            pods: vec!["shop/a".to_owned(), "b".to_owned()],
            ports: vec![80, 443],
            addresses: vec![Net::parse("10.0.0.0/8").unwrap(), Net::parse("fd00::1").unwrap()],
            expression: vec!["tcp && port".to_owned(), "80".to_owned()],
            ..Wish::default()
        };
        let (slower, seconds) = (Duration::from_millis(1500), Duration::from_secs_f64(2.5));
        let query = Asked::query(&wish, Some(slower), Some(seconds));
        assert_eq!(
            asked(&query),
            Asked {
                pod: Some("shop/a,b".to_owned()),
                port: Some("80,443".to_owned()),
                address: Some("10.0.0.0/8,fd00::1".to_owned()),
                filter: Some("tcp && port 80".to_owned()),
                slower_than: Some("1500ms".to_owned()),
                duration: Some(3),
                namespace: None,
            }
        );
        assert_eq!(asked(&query).order().unwrap().duration, Duration::from_secs(3));
        assert_eq!(Asked::query(&Wish::default(), None, None), "");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |text| asked(text).order().err().unwrap();
        assert!(wrong("port=x").contains("x is not a number"));
        assert!(wrong("address=10.0.0.1%2F8").contains("is not a network"));
        assert!(wrong("filter=tcp%20port").contains("a port is missing"));
        assert!(wrong("slower_than=5").contains("such as 500ms"));
        assert!(wrong("duration=0").contains("from 1 to 110"));
    }
}

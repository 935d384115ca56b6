//! The cloud metadata service: which step of the credentials dance a call is, and how long the credentials it
//! returned live. Nothing else of the payload is kept.
//!
//! AWS IMDSv1/v2, ECS task roles and EKS Pod Identity, GCP, Azure and Alibaba are known; of other providers the
//! steps are `other`, with their path.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use super::http1::{known_method, plain_path};

/// Addresses of metadata services, without configuration.
pub const ADDRESSES: [IpAddr; 6] = [
    // AWS IMDS, GCP, Azure, OpenStack, Oracle.
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    // ECS task roles.
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    // EKS Pod Identity.
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    // Alibaba Cloud.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
];

/// Where ECS hands out a task's credentials, before the id.
const ECS: &str = "/v2/credentials/";

/// The header that carries the session token of IMDSv2.
const TOKEN_HEADER: &[u8] = b"x-aws-ec2-metadata-token";

/// Step of a metadata call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// The connection set-up before the call.
    Connect,
    /// `PUT /latest/api/token`: the IMDSv2 session token.
    Token,
    /// The name of the role.
    RoleList,
    /// Credentials or an access token.
    Credentials,
    /// Anything else.
    Other,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 5] = [Self::Connect, Self::Token, Self::RoleList, Self::Credentials, Self::Other];

    /// Its name in outputs and labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Token => "token",
            Self::RoleList => "role-list",
            Self::Credentials => "credentials",
            Self::Other => "other",
        }
    }

    /// The step that a method and path (without query string) are.
    #[must_use]
    pub fn of(method: &str, path: &str) -> Self {
        const AWS: &str = "/latest/meta-data/iam/security-credentials";
        if method == "PUT" && path == "/latest/api/token" {
            return Self::Token;
        }
        if let Some(role) = path.strip_prefix(AWS) {
            return if role.trim_matches('/').is_empty() { Self::RoleList } else { Self::Credentials };
        }
        let credentials = path.starts_with(ECS)
            || path == "/v1/credentials"
            || path.starts_with("/computeMetadata/v1/instance/service-accounts/") && path.ends_with("/token")
            || path == "/metadata/identity/oauth2/token"
            || path.starts_with("/latest/meta-data/ram/security-credentials/");
        if credentials { Self::Credentials } else { Self::Other }
    }
}

/// A call to the metadata service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataCall {
    /// Which step it is.
    pub step: Step,
    /// Method and path without query string, cut to [`PATH_LIMIT`] bytes, as [`public_path`] shows it; empty
    /// for a connect.
    pub what: String,
    /// Status of the answer.
    pub status: Option<u16>,
    /// Whether the request carried a session token of IMDSv2; none when its head was not seen to the end.
    pub token: Option<bool>,
    /// Seconds the credentials had left when the answer came.
    pub remaining_seconds: Option<i64>,
    /// Seconds from their issue to their expiry, when the answer says when they were issued.
    pub lifetime_seconds: Option<i64>,
}

/// Bytes of a path that are kept.
pub const PATH_LIMIT: usize = 128;

/// Bytes of a metadata message that are held until its expiry is found.
pub const BODY_LIMIT: usize = 16 * 1024;

/// What a response says about the life of the credentials in it, in seconds of Unix time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// When they end.
    pub at: Option<i64>,
    /// When they were issued.
    pub issued: Option<i64>,
    /// How long they live from now on, where the answer says that instead.
    pub after: Option<i64>,
}

impl Expiry {
    /// Seconds left at `now` (Unix time).
    #[must_use]
    pub fn remaining(&self, now: i64) -> Option<i64> {
        self.after.or_else(|| Some(self.at?.saturating_sub(now)))
    }

    /// Seconds from issue to end.
    #[must_use]
    pub fn lifetime(&self) -> Option<i64> {
        self.after.or_else(|| Some(self.at?.saturating_sub(self.issued?)))
    }

    /// Looks for the [expiry fields](expiry_fields) in a response. The bytes are searched, not parsed: a JSON
    /// parser would copy the secrets around them.
    #[must_use]
    pub fn find(response: &[u8]) -> Self {
        let [at, issued, on, after] =
            FIELDS.map(|field| field.find(response).and_then(|range| field.read(response.get(range)?)));
        Self { at: at.or(on), issued, after }
    }

    /// What is known here, and else of `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            at: self.at.or(other.at),
            issued: self.issued.or(other.issued),
            after: self.after.or(other.after),
        }
    }

    /// Whether the end is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.at.is_some() || self.after.is_some()
    }
}

/// Where a response has the fields that tell how long credentials live: those of AWS (`Expiration`,
/// `LastUpdated`), GCP and Azure (`expires_in`, `expires_on`). Each range begins with the quoted key and ends with
/// the byte that ends the value; the value is a time or a number and nothing else.
pub fn expiry_fields(response: &[u8]) -> impl Iterator<Item = Range<usize>> {
    FIELDS.into_iter().filter_map(|field| {
        let value = field.find(response)?;
        field.read(response.get(value.clone())?)?;
        let key = position(response, field.key)?;
        Some(key..value.end + 1)
    })
}

/// Bytes of a number of seconds.
const NUMBER_LIMIT: usize = 12;
/// Bytes of a value.
const VALUE_LIMIT: usize = 40;

/// A field of an answer that is read.
#[derive(Clone, Copy)]
struct Field {
    /// Its name, quoted.
    key: &'static [u8],
    /// Whether it is a time of day (RFC 3339) and not a number.
    time: bool,
}

const FIELDS: [Field; 4] = [
    Field { key: b"\"Expiration\"", time: true },
    Field { key: b"\"LastUpdated\"", time: true },
    Field { key: b"\"expires_on\"", time: false },
    Field { key: b"\"expires_in\"", time: false },
];

impl Field {
    /// Where the value is: a quoted string without its quotes, or a number; what ends it follows.
    fn find(self, bytes: &[u8]) -> Option<Range<usize>> {
        let after = position(bytes, self.key)? + self.key.len();
        let colon = skip_space(bytes, after);
        let begin = skip_space(bytes, colon + 1);
        let quoted = bytes.get(begin) == Some(&b'"');
        let begin = begin + usize::from(quoted);
        let ends: &[u8] = if quoted { b"\"" } else { b",} \r\n" };
        let length = bytes.get(begin..)?.iter().take(VALUE_LIMIT + 1).position(|byte| ends.contains(byte))?;
        (bytes.get(colon) == Some(&b':')).then_some(begin..begin + length)
    }

    /// The value in seconds (of Unix time); `None` when it is anything but what the field is for.
    fn read(self, value: &[u8]) -> Option<i64> {
        let text = str::from_utf8(value).ok()?;
        if self.time {
            // A timestamp may have annotations in brackets, which may say anything.
            let plain = |byte: &u8| byte.is_ascii_digit() || b"-:.+TZ ".contains(byte);
            let time = value.iter().all(plain).then(|| text.parse::<jiff::Timestamp>().ok())??;
            return Some(time.as_second());
        }
        (value.len() <= NUMBER_LIMIT).then(|| text.parse().ok())?
    }
}

fn position(bytes: &[u8], key: &[u8]) -> Option<usize> {
    bytes.windows(key.len()).position(|window| window == key)
}

/// The first position from `at` on that is no white space.
fn skip_space(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Method and path without query string of a request's first bytes; the path is cut to [`PATH_LIMIT`].
#[must_use]
pub fn request_line(request: &[u8]) -> Option<(&str, &str)> {
    let line = request.split(|b| *b == b'\r' || *b == b'\n').next()?;
    let mut words = line.split(|b| *b == b' ');
    let method = known_method(words.next()?)?;
    let path = words.next()?.split(|b| matches!(b, b'?' | b';' | b'#')).next()?;
    Some((method, plain_path(path.get(..path.len().min(PATH_LIMIT))?)?))
}

/// Whether a request's first bytes have the header with which IMDSv2 sends the session token (whose value is not
/// read); none when the head goes on beyond them.
#[must_use]
pub fn carries_token(request: &[u8]) -> Option<bool> {
    for line in request.split_inclusive(|byte| *byte == b'\n').skip(1) {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if name.len() < line.len() && name.eq_ignore_ascii_case(TOKEN_HEADER) {
            return Some(true);
        }
        if matches!(line, b"\n" | b"\r\n") {
            return Some(false);
        }
    }
    None
}

/// The path as it may be shown: who knows the id at the end of an ECS task's path gets its credentials.
#[must_use]
pub fn public_path(path: &str) -> &str {
    if path.starts_with(ECS) { "/v2/credentials/…" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWS: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n{\n  \"Code\" : \"Success\",\n  \"LastUpdated\" : \
        \"2026-11-21T10:00:00Z\",\n  \"SecretAccessKey\" : \"canary\",\n  \"Expiration\" : \
        \"2026-11-21T10:15:00Z\"\n}";

    #[test]
    fn aws_credentials_live_from_last_updated_to_expiration() {
        let expiry = Expiry::find(AWS);
        assert_eq!(expiry.lifetime(), Some(900));
        assert_eq!(expiry.remaining(expiry.issued.unwrap() + 60), Some(840));
    }

    #[test]
    fn gcp_and_azure_tokens_say_how_long_they_live() {
        let gcp = br#"{"access_token":"canary","expires_in":3599,"token_type":"Bearer"}"#;
        assert_eq!(Expiry::find(gcp).remaining(0), Some(3599));
        let azure = br#"{"access_token":"canary","expires_in":"86399","expires_on":"1700000000"}"#;
        assert_eq!(Expiry::find(azure).lifetime(), Some(86399));
    }

    #[test]
    fn a_cut_or_lying_body_has_no_expiry() {
        for length in 0..AWS.len() - 2 {
            let expiry = Expiry::find(&AWS[..length]);
            assert!(!expiry.is_known() || length >= AWS.len() - 3, "{length}: {expiry:?}");
        }
        assert_eq!(Expiry::find(br#"{"Expiration": "tomorrow"}"#), Expiry::default());
        assert_eq!(
            Expiry::find(&[b"{\"Expiration\":\"".as_slice(), &[b'9'; 100]].concat()),
            Expiry::default()
        );
    }

    #[test]
    fn the_fields_that_are_read_hold_times_and_numbers_only() {
        let fields = |body: &str| -> Vec<String> {
            expiry_fields(body.as_bytes()).map(|range| body[range].to_owned()).collect()
        };
        assert_eq!(
            fields(r#"{"expires_in": 3599, "Expiration" : "2026-11-21T10:15:00Z", "Token":"canary"}"#),
            ["\"Expiration\" : \"2026-11-21T10:15:00Z\"", "\"expires_in\": 3599,"]
        );
        for lie in ["canary", "2026-11-21T10:15:00Z[canary]", "2026-11-21T10:15:00Z canary", "12345678901234"]
        {
            let body = format!(r#"{{"Expiration":"{lie}","LastUpdated":"{lie}","expires_in":"{lie}"}}"#);
            assert_eq!(fields(&body), [""; 0], "{lie}");
        }
    }

    #[test]
    fn steps_are_told_by_method_and_path() {
        let role = "/latest/meta-data/iam/security-credentials/";
        assert_eq!(Step::of("PUT", "/latest/api/token"), Step::Token);
        assert_eq!(Step::of("GET", role), Step::RoleList);
        assert_eq!(Step::of("GET", &format!("{role}my-role")), Step::Credentials);
        assert_eq!(Step::of("GET", "/v2/credentials/1234"), Step::Credentials);
        assert_eq!(
            Step::of("GET", "/computeMetadata/v1/instance/service-accounts/default/token"),
            Step::Credentials
        );
        assert_eq!(Step::of("GET", "/latest/meta-data/instance-id"), Step::Other);
    }

    #[test]
    fn the_request_line_loses_its_query() {
        let request = b"GET /metadata/identity/oauth2/token?resource=x HTTP/1.1\r\nMetadata: true\r\n";
        assert_eq!(request_line(request), Some(("GET", "/metadata/identity/oauth2/token")));
        assert_eq!(request_line(b"\x16\x03"), None);
        assert_eq!(request_line(b"GET http://user:secret@host/ HTTP/1.1\r\n"), None);
        assert_eq!(request_line(b"SECRET / HTTP/1.1\r\n"), None);
    }

    #[test]
    fn a_token_is_seen_by_its_header() {
        let with = b"GET / HTTP/1.1\r\nHost: x\r\nX-Aws-Ec2-Metadata-Token: canary\r\n\r\n";
        assert_eq!(carries_token(with), Some(true));
        let life = b"PUT / HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\r\n";
        assert_eq!(carries_token(life), Some(false), "how long a token shall live is not a token");
        assert_eq!(carries_token(b"GET / HTTP/1.1\nHost: x\n\nx-aws-ec2-metadata-token: y"), Some(false));
        for length in 0..life.len() {
            assert_eq!(carries_token(&life[..length]), None, "{length}");
        }
    }
}

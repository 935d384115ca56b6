//! Users and their passwords: lines of `user:bcrypt-hash`, as `htpasswd -B` writes them and Prometheus' web configuration
//! has them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::http::HeaderValue;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bcrypt::HashParts;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};
use zeroize::Zeroizing;

/// Passwords that are checked at once: each costs a CPU some tens of milliseconds.
pub(super) const CHECKS: usize = 2;
/// How long a request waits for others to be checked.
const PATIENCE: Duration = Duration::from_secs(5);
/// Cost factors that take at most a second: who is not known would wait, and so would tracing.
const COSTS: std::ops::RangeInclusive<u32> = 4..=14;
/// Users in one file.
const USER_LIMIT: usize = 1024;
/// The longest user and password, as sent.
const CREDENTIALS_LIMIT: usize = 1024;

/// Who may ask.
#[derive(Debug)]
pub(super) struct Users {
    hashes: BTreeMap<String, String>,
    checks: Arc<Semaphore>,
}

/// What credentials are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A user and its password.
    Known,
    /// No credentials, or wrong ones.
    Unknown,
    /// Others are being checked.
    Busy,
}

impl Users {
    /// Reads the lines of a file. Empty ones and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// The line, and what is wrong with it; no password hash.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut hashes = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, hash) = line
                .split_once(':')
                .filter(|(user, _)| !user.is_empty())
                .ok_or_else(|| format!("line {number}: expected `user:bcrypt-hash`"))?;
            let parts: HashParts = hash.parse().map_err(|_| {
                format!("line {number}: no bcrypt hash after {user:?}: `htpasswd -nB {user}` writes one")
            })?;
            if !COSTS.contains(&parts.get_cost()) {
                let (least, most) = COSTS.into_inner();
                return Err(format!(
                    "line {number}: a cost of {} is not allowed, but from {least} to {most}",
                    parts.get_cost()
                ));
            }
            if hashes.insert(user.to_owned(), hash.to_owned()).is_some() {
                return Err(format!("line {number}: {user:?} is given twice"));
            }
        }
        if hashes.is_empty() || hashes.len() > USER_LIMIT {
            return Err(format!(
                "expected 1 to {USER_LIMIT} lines `user:bcrypt-hash`, found {}",
                hashes.len()
            ));
        }
        Ok(Self { hashes, checks: Arc::new(Semaphore::new(CHECKS)) })
    }

    /// Whether the header names a user with its password. Who is not known takes as long as who is.
    pub(super) async fn check(&self, header: Option<&HeaderValue>) -> Verdict {
        let Some((user, password)) = header.and_then(credentials) else { return Verdict::Unknown };
        let known = self.hashes.get(user.as_str());
        let Some(hash) = known.or_else(|| self.hashes.values().next()).cloned() else {
            return Verdict::Unknown;
        };
        let is_known = known.is_some();
        let Ok(Ok(permit)) = timeout(PATIENCE, Arc::clone(&self.checks).acquire_owned()).await else {
            return Verdict::Busy;
        };
        let verified = spawn_blocking(move || {
            let _permit = permit;
            bcrypt::verify(password.as_bytes(), &hash).unwrap_or(false)
        });
        if verified.await.unwrap_or(false) && is_known { Verdict::Known } else { Verdict::Unknown }
    }
}

/// User and password of a header; the password is wiped when it was used.
fn credentials(header: &HeaderValue) -> Option<(Zeroizing<String>, Zeroizing<String>)> {
    let header = header.to_str().ok().filter(|header| header.len() <= CREDENTIALS_LIMIT)?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(encoded.trim()).ok()?);
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((Zeroizing::new(user.to_owned()), Zeroizing::new(password.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(password: &str) -> String {
        bcrypt::hash(password, 4).unwrap()
    }

    fn basic(user: &str, password: &str) -> HeaderValue {
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        HeaderValue::from_str(&format!("Basic {encoded}")).unwrap()
    }

    #[test]
    fn a_user_needs_its_password() {
        let users = Users::parse(&format!("# who\n\nann:{}\nbob:{}\n", hash("a:b"), hash("c"))).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let check = |header: Option<HeaderValue>| runtime.block_on(users.check(header.as_ref()));
        assert_eq!(check(Some(basic("ann", "a:b"))), Verdict::Known);
        assert_eq!(check(Some(basic("bob", "c"))), Verdict::Known);
        assert_eq!(check(None), Verdict::Unknown);
        for (user, password) in [("ann", "c"), ("ann", ""), ("eve", "a:b"), ("", "")] {
            assert_eq!(check(Some(basic(user, password))), Verdict::Unknown, "{user}:{password}");
        }
        for broken in ["Basic", "Basic !", "Bearer x", "Basic YQ=="] {
            assert_eq!(check(Some(HeaderValue::from_static(broken))), Verdict::Unknown, "{broken}");
        }
    }

    #[test]
    fn errors_name_the_line_and_no_hash() {
        let error = |text: &str| Users::parse(text).unwrap_err();
        assert_eq!(error("\nann\n"), "line 2: expected `user:bcrypt-hash`");
        assert_eq!(
            error("ann:s3cr3t\n"),
            "line 1: no bcrypt hash after \"ann\": `htpasswd -nB ann` writes one"
        );
        let twice = format!("ann:{0}\nann:{0}\n", hash("a"));
        assert_eq!(error(&twice), "line 2: \"ann\" is given twice");
        let dear = hash("a").replacen("$04$", "$31$", 1);
        assert_eq!(error(&format!("ann:{dear}")), "line 1: a cost of 31 is not allowed, but from 4 to 14");
        assert!(error("# nobody\n").contains("found 0"));
    }

    #[test]
    fn a_hash_of_htpasswd_is_one() {
        let users = "ann:$2y$05$zIkUFQ0LcSXcIjHNPBTMcuEQBYrRTBjE6jlBEWtvaTXiiJuyIyeda\n";
        assert!(Users::parse(users).is_ok());
    }
}

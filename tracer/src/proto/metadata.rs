//! The cloud metadata service: which step of the credentials dance a call is, and how long the credentials it
//! returned live. Nothing else of the payload is kept.
//!
//! AWS IMDSv1/v2, ECS task roles and EKS Pod Identity, GCP, Azure (see `reference` links in
//! docs/limitations.md); other providers are `other` steps with their path.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
        let credentials = path.starts_with("/v2/credentials/")
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
    /// Method and path without query string, cut to [`PATH_LIMIT`] bytes; empty for a connect.
    pub what: String,
    /// Status of the answer.
    pub status: Option<u16>,
    /// Seconds the credentials had left when the answer came.
    pub remaining_seconds: Option<i64>,
    /// Seconds from their issue to their expiry, when the answer says when they were issued.
    pub lifetime_seconds: Option<i64>,
}

/// Bytes of a path that are kept.
pub const PATH_LIMIT: usize = 128;

//! What the agent can be told, by flag, environment or file: the same settings under the same names.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::ArgAction;

use super::{otlp, server::Files};
use crate::{
    cli::{
        configured::Configured,
        logging::Logging,
        naming::Naming,
        options::{Detail, Target},
        stop::parse_seconds,
    },
    pod::cgroup::owner,
    source::live::{Options, pod_cgroup::Places},
};

/// Bytes of each packet in captures.
const SNAP_LENGTH: u32 = 2048;
/// Bytes of the ring for packets, when captures are allowed.
const PACKET_RING: u32 = 8 << 20;

/// Arguments of `tracer agent`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) target: Target,
    /// Trace this pod only (sidecar): its UID, found below the cgroup2 mounts or below --cgroup
    #[arg(long, value_name = "UID", value_parser = parse_uid, env = "TRACER_POD_UID")]
    pub(super) pod_uid: Option<String>,
    /// Trace the agent's own pod only (sidecar)
    #[arg(
        long, value_name = "BOOL", env = "TRACER_OWN_POD", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true", hide_possible_values = true
    )]
    pub(super) own_pod: bool,
    #[command(flatten)]
    pub(super) naming: Naming,
    #[command(flatten)]
    pub(super) configured: Configured,
    /// Say whether the configuration can be used, and end
    #[arg(long)]
    pub(super) check_config: bool,
    /// Address to serve the web page, /metrics, /healthz, /readyz and /api/v1 on
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9464", env = "TRACER_LISTEN")]
    pub(super) listen: SocketAddr,
    /// Certificate chain (PEM) to serve over TLS with; read again when it changes
    #[arg(long, value_name = "FILE", env = "TRACER_TLS_CERT")]
    pub(super) tls_cert: Option<PathBuf>,
    /// Private key (PEM) of that certificate
    #[arg(long, value_name = "FILE", env = "TRACER_TLS_KEY")]
    pub(super) tls_key: Option<PathBuf>,
    /// Lines `user:bcrypt-hash` of those who may ask; /healthz and /readyz stay open
    #[arg(long, value_name = "FILE", env = "TRACER_BASIC_AUTH_FILE")]
    pub(super) basic_auth_file: Option<PathBuf>,
    /// How long a pod's series and state are kept after its cgroup is gone and its last traffic
    #[arg(
        long, value_name = "SECONDS", value_parser = parse_retention, default_value = "600", env = "TRACER_POD_RETENTION"
    )]
    pub(super) pod_retention: Duration,
    /// Tell pods apart in metrics; without it their series are added up by namespace and workload
    #[arg(
        long, value_name = "BOOL", env = "TRACER_METRICS_POD_LABEL", action = ArgAction::Set, num_args = 0..=1,
        require_equals = true, default_value_t = true, default_missing_value = "true", hide_possible_values = true
    )]
    pub(super) metrics_pod_label: bool,
    /// Let those who may ask capture packets (`tracer capture --agent`), without bodies and secrets. Takes 8 MiB
    #[arg(
        long, value_name = "BOOL", env = "TRACER_ALLOW_CAPTURE", action = ArgAction::Set, num_args = 0..=1,
        require_equals = true, default_value_t = false, default_missing_value = "true", hide_possible_values = true
    )]
    pub(super) allow_capture: bool,
    #[command(flatten)]
    pub(super) detail: Detail,
    #[command(flatten)]
    pub(super) otlp: otlp::OtlpArgs,
    #[command(flatten)]
    pub(super) logging: Logging,
}

impl Args {
    /// What must be so between the settings, whoever gave them.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.pod_uid.is_none() || !self.own_pod,
            "pod_uid and own_pod both choose the pod: give one of them"
        );
        anyhow::ensure!(
            self.tls_cert.is_some() == self.tls_key.is_some(),
            "TLS needs both tls_cert and tls_key: give both, or none"
        );
        Ok(())
    }

    /// The files for TLS and users.
    pub(super) fn files(&self) -> Files {
        Files { tls: self.tls_cert.clone().zip(self.tls_key.clone()), users: self.basic_auth_file.clone() }
    }

    /// What the source needs; whether packets may be captured is settled once, when the programs are loaded.
    pub(super) fn options(&self) -> anyhow::Result<Options> {
        let options = self.traced()?;
        let snap_length = if self.allow_capture { SNAP_LENGTH } else { 0 };
        // Requests that become spans are told of.
        let folding = self.detail.folding(self.otlp.slower_than());
        Ok(Options { snap_length, captures: false, packet_ring_bytes: PACKET_RING, folding, ..options })
    }

    /// Of one pod, or of all.
    fn traced(&self) -> anyhow::Result<Options> {
        let places = || Places::of(self.target.given_cgroups());
        let cgroups = match &self.pod_uid {
            Some(uid) => places().of_pod(uid)?,
            None if self.own_pod => places().own_pod().context("--own-pod")?,
            None => return self.target.options(0),
        };
        Ok(self.target.options_for(cgroups, 0))
    }
}

fn parse_retention(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_hours(24);
    let retention = parse_seconds(text)?;
    let is_allowed = (Duration::from_secs(1)..=LONGEST).contains(&retention);
    is_allowed
        .then_some(retention)
        .ok_or_else(|| format!("{text} s is not from 1 s to {} s", LONGEST.as_secs()))
}

fn parse_uid(text: &str) -> Result<String, String> {
    let uid = owner(&format!("pod{text}")).pod;
    uid.ok_or_else(|| {
        "a pod's UID is 32 hexadecimal digits, with dashes (metadata.uid) unless the pod is static".to_owned()
    })
}

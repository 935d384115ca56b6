//! Certificates that sign themselves, by openssl.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::process::run;

/// Makes one of that common name, for the loopback address, and its key.
pub fn make(certificate: &Path, key: &Path, name: &str) -> Result<()> {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    command.args(["-days", "1", "-subj", &format!("/CN={name}"), "-addext", "subjectAltName=IP:127.0.0.1"]);
    // As they come from openssl they are for authorities, which no server may use (RFC 5280, section 4.2.1.9).
    command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    command.arg("-out").arg(certificate).arg("-keyout").arg(key);
    run(command.stderr(Stdio::null())).map(drop)
}

//! The web front of the soak: nginx with pages of its own, some of them errors, TLS, and the backend behind it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::cluster::make_certificate;
use crate::labs::Stage;

/// Bytes of the large page.
const LARGE: usize = 60_000;

/// Writes what it serves and is configured by.
pub(super) fn set_up(stage: &Stage) -> Result<()> {
    let dir = stage.lab.dir();
    fs::write(dir.join("large"), "l".repeat(LARGE)).context("write the large page")?;
    make_certificate(&key(stage), &certificate(stage))?;
    let text = configuration(dir, &format!("{}:8080", stage.address("backend")));
    fs::write(file(stage), text).with_context(|| format!("write {}", file(stage).display()))
}

/// The program in its pod; SIGQUIT ends it with grace.
pub(super) fn command(stage: &Stage) -> Command {
    let mut command = stage.command("web", "nginx");
    command.arg("-c").arg(file(stage)).arg("-p").arg(stage.lab.dir()).args(["-e", "stderr"]);
    command
}

/// What its clients trust.
pub(super) fn certificate(stage: &Stage) -> PathBuf {
    stage.lab.dir().join("web.crt")
}

fn key(stage: &Stage) -> PathBuf {
    stage.lab.dir().join("web.key")
}

fn file(stage: &Stage) -> PathBuf {
    stage.lab.dir().join("nginx.conf")
}

fn configuration(dir: &Path, backend: &str) -> String {
    let dir = dir.display();
    format!(
        "daemon off;
user root;
worker_processes 1;
worker_shutdown_timeout 5s;
pid {dir}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  log_not_found off;
  keepalive_timeout 40s;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  upstream backend {{ server {backend}; keepalive 8; }}
  server {{
    listen 80;
    listen 443 ssl;
    ssl_certificate {dir}/web.crt;
    ssl_certificate_key {dir}/web.key;
    location / {{ return 200 \"ok\\n\"; }}
    location = /missing {{ return 404 \"no\\n\"; }}
    location = /broken {{ return 500 \"oh\\n\"; }}
    location = /large {{ root {dir}; }}
    location /v1/ {{
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
    }}
  }}
}}
"
    )
}

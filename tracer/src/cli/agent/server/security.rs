//! TLS and users, from files that are read again when they change: certificates are renewed while the agent runs.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use anyhow::Context as _;
use tokio_rustls::rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::auth::Users;
use crate::cli::file::read;

/// The longest of the files.
const FILE_LIMIT: usize = 1 << 20;

/// Which files.
#[derive(Clone, Debug, Default)]
pub(in crate::cli::agent) struct Files {
    /// Certificate chain and private key, PEM.
    pub(in crate::cli::agent) tls: Option<(PathBuf, PathBuf)>,
    /// Users and the hashes of their passwords.
    pub(in crate::cli::agent) users: Option<PathBuf>,
}

/// Who may ask, and how the answers travel.
pub(in crate::cli::agent) struct Security {
    files: Files,
    current: RwLock<Current>,
    seen: Mutex<Vec<Option<Stamp>>>,
}

#[derive(Clone, Default)]
struct Current {
    tls: Option<Arc<ServerConfig>>,
    users: Option<Arc<Users>>,
}

/// What changes when a file does: inode, size, and time of the last change.
type Stamp = (u64, u64, i64, i64);

impl Files {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let tls = self.tls.iter().flat_map(|(certificate, key)| [certificate, key]);
        tls.chain(&self.users).map(PathBuf::as_path)
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        let stamp = |path: &Path| {
            let file = fs::metadata(path).ok()?;
            Some((file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
        };
        self.paths().map(stamp).collect()
    }

    fn load(&self) -> anyhow::Result<Current> {
        let tls = self.tls.as_ref().map(|(certificate, key)| server_config(certificate, key));
        let users = self.users.as_deref().map(users);
        Ok(Current { tls: tls.transpose()?, users: users.transpose()? })
    }
}

impl Security {
    /// Reads the files.
    pub(in crate::cli::agent) fn load(files: Files) -> anyhow::Result<Self> {
        let seen = Mutex::new(files.stamps());
        let current = RwLock::new(files.load()?);
        Ok(Self { files, current, seen })
    }

    /// How TLS is spoken, if it is.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).tls.clone()
    }

    /// Who may ask, unless everybody may.
    pub(super) fn users(&self) -> Option<Arc<Users>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).users.clone()
    }

    /// Reads the files again when they changed or when `asked`; what cannot be used changes nothing.
    pub(super) fn renew(&self, asked: bool) {
        let stamps = self.files.stamps();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == stamps && !asked {
            return;
        }
        *seen = stamps;
        match self.files.load() {
            Ok(new) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
                tracing::info!("the files for TLS and users were read again");
            }
            Err(error) => tracing::error!("the former TLS certificate and users stay: {error:#}"),
        }
    }
}

fn server_config(certificate: &Path, key: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let unusable = |path: &Path, what: &str| format!("cannot use {} as {what}", path.display());
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(&read(certificate, FILE_LIMIT)?).collect();
    let chain = chain.with_context(|| unusable(certificate, "a TLS certificate (PEM)"))?;
    anyhow::ensure!(!chain.is_empty(), "there is no certificate (PEM) in {}", certificate.display());
    let secret = zeroize::Zeroizing::new(read(key, FILE_LIMIT)?);
    let secret =
        PrivateKeyDer::from_pem_slice(&secret).with_context(|| unusable(key, "a private key (PEM)"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .context("cannot set up TLS")?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .with_context(|| {
            format!("cannot use {} and {} together for TLS", certificate.display(), key.display())
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn users(path: &Path) -> anyhow::Result<Arc<Users>> {
    let text = zeroize::Zeroizing::new(read(path, FILE_LIMIT)?);
    let text = std::str::from_utf8(&text).with_context(|| format!("{} is no text", path.display()))?;
    let users = Users::parse(text).map_err(anyhow::Error::msg);
    Ok(Arc::new(users.with_context(|| format!("cannot use the users in {}", path.display()))?))
}

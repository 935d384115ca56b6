//! One connection, from its TLS handshake to its end.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{Security, slots::Slot};

/// For a TLS handshake, and for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The longest head of a request.
const HEAD_BYTES: usize = 16 * 1024;
/// After this a connection ends with the answer that is being sent.
const LIFETIME: Duration = Duration::from_secs(120);
/// How long that answer may take then.
const GRACE: Duration = Duration::from_secs(10);

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) router: Router,
    pub(super) security: Arc<Security>,
    pub(super) stopped: watch::Receiver<bool>,
}

impl Door {
    /// Serves one connection.
    pub(super) async fn receive(self, stream: TcpStream, _slot: Slot) {
        let Some(tls) = self.security.tls() else { return self.serve(stream).await };
        match timeout(HEAD_TIME, TlsAcceptor::from(tls).accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn serve(mut self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let service = TowerToHyperService::new(self.router);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!("a connection failed: {error}");
                }
                return;
            }
            _ = self.stopped.changed() => {}
            () = sleep(LIFETIME) => {}
        }
        connection.as_mut().graceful_shutdown();
        // Who does not read its answer by then does not want it.
        let _unread = timeout(GRACE, connection).await;
    }
}

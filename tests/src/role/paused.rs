//! What the two HTTP stand-ins have in common: each answer comes after a pause and is logged.

use std::net::SocketAddr;
use std::time::Duration;

use crate::http::{Received, Reply, Sent, Service};
use crate::log::{ExchangeLine, Log};

/// A service that answers by `reply` after `pause`.
pub(super) struct Paused<F> {
    pub(super) pause: Duration,
    pub(super) log: Log,
    pub(super) reply: F,
}

impl<F: Fn(&str, &str) -> Reply + Send + Sync + 'static> Service for Paused<F> {
    type Connection = SocketAddr;

    fn connected(&self, peer: SocketAddr) -> SocketAddr {
        peer
    }

    fn answer(&self, _peer: &mut SocketAddr, request: &Received) -> Reply {
        std::thread::sleep(self.pause);
        let (method, path) = request.message.method_and_path();
        (self.reply)(method, path)
    }

    fn answered(&self, peer: &mut SocketAddr, request: &Received, sent: Sent) {
        self.log.write(&ExchangeLine {
            path: request.message.method_and_path().1.to_owned(),
            peer_port: peer.port(),
            t0: request.first,
            t1: request.last,
            t2: sent.before,
            t3: sent.after,
        });
    }
}

//! The servers that a pod calls: which of them do not answer any more.
//!
//! A peer that is gone without a word shows in what the pod's kernel sends again and again ([`kind::SILENT`]), and in
//! connects that fail. Nothing here costs anything while all is well, but for a note per connect.

mod trouble;

use std::{collections::BTreeMap, net::SocketAddr};

use tracer_ebpf::record::{FlowRecord, flow_flag, kind};

use self::trouble::Peer;
use crate::{
    flow::Transport,
    request::{Call, Outage, What, pod::PodTracker},
};

/// Servers that are known per pod; beyond it the one without trouble goes that was reached longest ago.
const PEER_LIMIT: usize = 256;
/// How often is told of a server that does not answer.
const REPORT_EVERY: u64 = 1_000_000_000;
/// How long trouble counts of which there is no further sign.
const FORGET: u64 = 60_000_000_000;

/// The servers of one pod.
#[derive(Debug, Default)]
pub(super) struct Peers {
    servers: BTreeMap<SocketAddr, Peer>,
    /// Those with trouble.
    troubled: usize,
    next: u64,
}

impl Peers {
    /// Takes a record of a client's flow, before the flow's calls learn of it.
    pub(super) fn record(&mut self, record: &FlowRecord, tracker: &PodTracker) {
        let says = matches!(
            record.kind,
            kind::OPENED | kind::CLOSED | kind::CONNECT_FAILED | kind::SILENT | kind::HEARD | kind::ABANDONED
        );
        if !says {
            return;
        }
        let transport = Transport::of(record);
        let Some(peer) = self.peer(transport.peer) else { return };
        let before = peer.trouble.is_some();
        let unconnected = record.established == 0 && record.flags & flow_flag::JOINED == 0;
        match record.kind {
            kind::OPENED => peer.connected(record.opened, record.established),
            kind::CONNECT_FAILED => peer.connecting(record, &transport),
            kind::SILENT if unconnected => peer.connecting(record, &transport),
            kind::SILENT => peer.silent(record, &transport, tracker),
            kind::HEARD => peer.heard(record),
            kind::ABANDONED | kind::CLOSED => peer.closed(record, tracker),
            _ => {}
        }
        let after = peer.trouble.is_some();
        self.count(before, after);
    }

    /// A server takes no new calls on a connection.
    pub(super) fn goaway(&mut self, peer: SocketAddr, now: u64) {
        if let Some(peer) = self.peer(peer) {
            peer.goaway = now;
        }
    }

    /// A call is over.
    pub(super) fn settled(&mut self, call: &Call) {
        if let What::Http(http) = &call.what
            && let Some(deadline) = http.timeout()
            && let Some(peer) = self.servers.get_mut(&call.peer)
        {
            peer.deadline = deadline;
        }
        if !call.answered
            && let Some(trouble) = self.servers.get_mut(&call.peer).and_then(|peer| peer.trouble.as_mut())
        {
            trouble.settled(call);
        }
    }

    /// Moves time, and tells of the servers that do not answer.
    pub(super) fn advance(&mut self, now: u64, tracker: &PodTracker, tell: &mut dyn FnMut(&Outage)) {
        if self.troubled > 0 && now >= self.next {
            self.report(now, tracker, tell);
        }
    }

    /// The tracing is over.
    pub(super) fn finish(&mut self, now: u64, tracker: &PodTracker, tell: &mut dyn FnMut(&Outage)) {
        self.report(now, tracker, tell);
    }

    fn report(&mut self, now: u64, tracker: &PodTracker, tell: &mut dyn FnMut(&Outage)) {
        self.next = now.saturating_add(REPORT_EVERY);
        let mut over = 0;
        for (address, peer) in &mut self.servers {
            let Some(trouble) = &mut peer.trouble else { continue };
            if trouble.advance(now, tracker) {
                tell(&trouble.outage(*address, (peer.alive, peer.goaway, peer.deadline)));
            } else if now.saturating_sub(trouble.until()) > FORGET {
                peer.trouble = None;
                over += 1;
            }
        }
        self.troubled = self.troubled.saturating_sub(over);
    }

    fn peer(&mut self, address: SocketAddr) -> Option<&mut Peer> {
        if self.servers.len() >= PEER_LIMIT && !self.servers.contains_key(&address) {
            let well = self.servers.iter().filter(|(_, peer)| peer.trouble.is_none());
            let oldest = well.min_by_key(|(_, peer)| peer.alive).map(|(address, _)| *address)?;
            self.servers.remove(&oldest);
        }
        Some(self.servers.entry(address).or_default())
    }

    fn count(&mut self, before: bool, after: bool) {
        match (before, after) {
            (false, true) => {
                self.troubled += 1;
                self.next = 0;
            }
            (true, false) => self.troubled = self.troubled.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "peers_tests.rs"]
mod tests;

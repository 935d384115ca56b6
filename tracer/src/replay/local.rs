//! Which addresses of a capture are the pods': given, or guessed from its first flows.

use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};
use tracer_ebpf::segment::tcp_flag;

use crate::{
    packet::{Packet, Transport},
    proto::dns,
};

/// Flows that the guess looks at.
const FLOW_LIMIT: usize = 4096;

/// Guesses from the first packets: the fewest addresses that have a part in every flow. A capture taken in a
/// pod has one such address. Of two equals the one that accepts connections is the pod: it serves requests.
#[derive(Debug, Default)]
pub struct Guess {
    flows: FxHashSet<(IpAddr, u16, IpAddr, u16)>,
    ends: Vec<(IpAddr, IpAddr)>,
    accepts: FxHashMap<IpAddr, u32>,
    never: Vec<IpAddr>,
}

impl Guess {
    /// Addresses in `never` are nobody's pod: the metadata service.
    #[must_use]
    pub fn new(never: Vec<IpAddr>) -> Self {
        Self { never, ..Self::default() }
    }

    /// Looks at a packet.
    pub fn see(&mut self, packet: &Packet<'_>) {
        let (source_port, destination_port) = match &packet.transport {
            Transport::Tcp(tcp) => {
                if tcp.flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN {
                    *self.accepts.entry(packet.destination).or_default() += 1;
                }
                (tcp.source_port, tcp.destination_port)
            }
            Transport::Udp(udp) if udp.source_port == dns::PORT || udp.destination_port == dns::PORT => {
                (udp.source_port, udp.destination_port)
            }
            Transport::Udp(_) => return,
        };
        let (one, other) = ((packet.source, source_port), (packet.destination, destination_port));
        let ((a, a_port), (b, b_port)) = if one <= other { (one, other) } else { (other, one) };
        if self.flows.len() < FLOW_LIMIT && self.flows.insert((a, a_port, b, b_port)) {
            self.ends.push((a, b));
        }
    }

    /// The pods' addresses.
    #[must_use]
    pub fn locals(&self) -> Vec<IpAddr> {
        let mut left: Vec<(IpAddr, IpAddr)> = self.ends.clone();
        let mut locals = Vec::new();
        while let Some(best) = self.best(&left) {
            left.retain(|(a, b)| *a != best && *b != best);
            locals.push(best);
        }
        locals
    }

    fn best(&self, left: &[(IpAddr, IpAddr)]) -> Option<IpAddr> {
        let mut flows: FxHashMap<IpAddr, u32> = FxHashMap::default();
        for (a, b) in left {
            for end in [a, b] {
                if !self.never.contains(end) && !end.is_multicast() {
                    *flows.entry(*end).or_default() += 1;
                }
            }
        }
        let accepts = |address: &IpAddr| self.accepts.get(address).copied().unwrap_or_default();
        let best = flows.iter().max_by(|(a, x), (b, y)| {
            x.cmp(y).then_with(|| accepts(a).cmp(&accepts(b))).then_with(|| b.cmp(a))
        });
        best.map(|(address, _)| *address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Tcp, Udp};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn syn(from: &str, to: &str, port: u16) -> Packet<'static> {
        let transport = Transport::Tcp(Tcp {
            source_port: 40000,
            destination_port: port,
            sequence: 1,
            acknowledgment: 0,
            flags: tcp_flag::SYN,
            window: 1000,
            window_scale: None,
            length: 0,
            payload: &[],
        });
        Packet { source: ip(from), destination: ip(to), transport }
    }

    fn query(from: &str, to: &str) -> Packet<'static> {
        let transport =
            Transport::Udp(Udp { source_port: 5000, destination_port: 53, length: 0, payload: &[] });
        Packet { source: ip(from), destination: ip(to), transport }
    }

    #[test]
    fn a_capture_taken_in_a_pod_has_one_local_address() {
        let mut guess = Guess::new(vec![ip("169.254.169.254")]);
        guess.see(&syn("10.0.0.9", "10.0.0.1", 8080));
        guess.see(&syn("10.0.0.1", "169.254.169.254", 80));
        guess.see(&syn("10.0.0.1", "10.0.0.7", 9200));
        guess.see(&query("10.0.0.1", "10.96.0.10"));
        assert_eq!(guess.locals(), [ip("10.0.0.1")]);
    }

    #[test]
    fn of_two_equals_the_server_is_the_pod() {
        let mut guess = Guess::default();
        guess.see(&syn("10.0.0.1", "10.0.0.2", 8080));
        assert_eq!(guess.locals(), [ip("10.0.0.2")]);
    }

    #[test]
    fn nobody_runs_the_metadata_service() {
        let mut guess = Guess::new(vec![ip("169.254.169.254")]);
        guess.see(&syn("10.0.0.1", "169.254.169.254", 80));
        assert_eq!(guess.locals(), [ip("10.0.0.1")]);
    }

    #[test]
    fn a_capture_of_a_node_has_several() {
        let mut guess = Guess::default();
        guess.see(&syn("10.0.0.1", "10.0.9.1", 80));
        guess.see(&syn("10.0.0.1", "10.0.9.2", 80));
        guess.see(&syn("10.0.0.2", "10.0.9.3", 80));
        guess.see(&syn("10.0.0.2", "10.0.9.4", 80));
        assert_eq!(guess.locals(), [ip("10.0.0.1"), ip("10.0.0.2")]);
    }
}

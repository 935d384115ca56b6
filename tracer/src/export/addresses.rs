//! Which address is whose, for the names in captures.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use crate::{packet::filter::Header, pod::Pod};

/// Addresses that are named in one file; a pod has one or two.
const LIMIT: usize = 16_384;

/// The addresses seen so far.
#[derive(Default)]
pub(super) struct Addresses(HashMap<IpAddr, Owner>);

enum Owner {
    One(Arc<Pod>),
    /// Several pods have it: those in the node's network.
    Several,
}

impl Addresses {
    /// The pod's address in its packet, and the name to give it, when that is news.
    pub(super) fn see(&mut self, pod: &Arc<Pod>, packet: &[u8], outbound: bool) -> Option<(IpAddr, String)> {
        let header = Header::of(packet)?;
        let address = if outbound { header.source() } else { header.destination() };
        if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
            return None;
        }
        let name = match self.0.get(&address) {
            None if self.0.len() >= LIMIT => return None,
            None => {
                self.0.insert(address, Owner::One(Arc::clone(pod)));
                pod.to_string()
            }
            Some(Owner::One(first)) if first.uid != pod.uid => {
                let name = format!("{first} and others");
                self.0.insert(address, Owner::Several);
                name
            }
            Some(_) => return None,
        };
        Some((address, name))
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;
    use crate::export::fixture;

    fn packet(source: [u8; 4]) -> Vec<u8> {
        let mut packet = Vec::new();
        PacketBuilder::ipv4(source, [10, 0, 0, 1], 64).udp(1, 2).write(&mut packet, &[]).unwrap();
        packet
    }

    #[test]
    fn an_address_is_named_once() {
        let mut addresses = Addresses::default();
        let mut name = |source, outbound| {
            addresses
                .see(&fixture::pod(), &packet(source), outbound)
                .map(|(address, name)| format!("{address} {name}"))
        };
        assert_eq!(name([10, 0, 0, 7], true).unwrap(), "10.0.0.7 shop/backend-0");
        assert_eq!(name([10, 0, 0, 7], true), None);
        assert_eq!(name([10, 0, 0, 9], false).unwrap(), "10.0.0.1 shop/backend-0");
        assert_eq!(name([127, 0, 0, 1], true), None);
    }

    #[test]
    fn an_address_of_several_pods_says_so() {
        let mut addresses = Addresses::default();
        let packet = packet([10, 0, 0, 7]);
        let names: Vec<_> = [fixture::pod(), fixture::unnamed_pod("a"), fixture::unnamed_pod("b")]
            .iter()
            .map(|pod| addresses.see(pod, &packet, true).map(|(_, name)| name))
            .collect();
        assert_eq!(
            names,
            [Some("shop/backend-0".to_owned()), Some("shop/backend-0 and others".to_owned()), None]
        );
    }
}

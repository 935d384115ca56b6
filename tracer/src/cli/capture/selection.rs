//! Which packets are captured.

use std::sync::Arc;

use tracer_ebpf::record::PacketHead;

use crate::{
    cli::pods::is_called,
    packet::filter::{Filter, FilterError, Header, Net},
    pod::Pod,
};

/// Which packets are wanted: a packet must fit one of each kind that is given.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Wish {
    /// Only packets of this pod: its name, namespace/name or UID; can be given several times
    #[arg(long = "pod", value_name = "POD")]
    pub(super) pods: Vec<String>,
    /// Only packets of pods of this namespace; can be given several times
    #[arg(short = 'n', long = "namespace", value_name = "NAMESPACE")]
    pub(super) namespaces: Vec<String>,
    /// Only packets from or to this port; can be given several times
    #[arg(long = "port", value_name = "PORT")]
    pub(super) ports: Vec<u16>,
    /// Only packets from or to this address or network (10.0.0.0/8); can be given several times
    #[arg(long = "address", value_name = "IP", value_parser = Net::parse)]
    pub(super) addresses: Vec<Net>,
    /// Only packets that match this expression of pcap-filter(7), such as: 'tcp port 80 and host 10.0.0.1'. It
    /// knows host, net, port, portrange, src, dst, ip, ip6, tcp, udp, icmp, icmp6, sctp, and, or, not and parentheses
    #[arg(value_name = "EXPRESSION")]
    pub(super) expression: Vec<String>,
}

impl Wish {
    /// The wish as something that packets can be held against.
    pub(super) fn selection(&self) -> Result<Selection, FilterError> {
        let expression = self.expression.join(" ");
        let filter = if expression.trim().is_empty() { None } else { Some(Filter::parse(&expression)?) };
        Ok(Selection { wish: self.clone(), filter })
    }
}

/// Chooses packets.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    wish: Wish,
    filter: Option<Filter>,
}

impl Selection {
    /// Whether the packet is wanted; `pod` tells whose it is.
    pub(super) fn wants(&self, head: &PacketHead, bytes: &[u8], pod: impl FnOnce(u64) -> Arc<Pod>) -> bool {
        self.wants_bytes(bytes) && self.wants_pod(|| pod(head.cgroup))
    }

    fn wants_bytes(&self, bytes: &[u8]) -> bool {
        let Wish { ports, addresses, .. } = &self.wish;
        if ports.is_empty() && addresses.is_empty() && self.filter.is_none() {
            return true;
        }
        let Some(header) = Header::of(bytes) else { return false };
        (ports.is_empty() || ports.iter().any(|port| header.has_port(*port)))
            && (addresses.is_empty() || addresses.iter().any(|net| header.has_address(net)))
            && self.filter.as_ref().is_none_or(|filter| filter.matches(&header))
    }

    fn wants_pod(&self, pod: impl FnOnce() -> Arc<Pod>) -> bool {
        let Wish { pods, namespaces, .. } = &self.wish;
        if pods.is_empty() && namespaces.is_empty() {
            return true;
        }
        let pod = pod();
        let in_namespace = |wanted: &String| pod.name.as_ref().is_some_and(|name| name.namespace == *wanted);
        (pods.is_empty() || pods.iter().any(|wanted| is_called(&pod, wanted)))
            && (namespaces.is_empty() || namespaces.iter().any(in_namespace))
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use etherparse::PacketBuilder;

    use super::*;
    use crate::export::fixture;

    /// Whether a packet of `shop/backend-0`, from 10.0.0.7:50123 to 10.0.0.1:8080, is wanted.
    fn wants(wish: &Wish) -> bool {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4([10, 0, 0, 7], [10, 0, 0, 1], 64).tcp(50_123, 8_080, 1, 1000);
        builder.write(&mut packet, b"x").unwrap();
        wish.selection().unwrap().wants(&PacketHead::zeroed(), &packet, |_| fixture::pod())
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_a_wish_every_packet_is_wanted() {
        assert!(wants(&Wish::default()));
        assert!(Selection::default().wants(&PacketHead::zeroed(), &[], |_| fixture::pod()));
    }

    #[test]
    fn one_of_each_kind_must_fit() {
        let net = |text| Net::parse(text).unwrap();
        for (ports, addresses, expected) in [
            (vec![80, 8080], vec![], true),
            (vec![80], vec![], false),
            (vec![], vec![net("10.0.0.0/24")], true),
            (vec![8080], vec![net("10.1.0.0/24"), net("fd00::/8")], false),
        ] {
            assert_eq!(wants(&Wish { ports, addresses, ..Wish::default() }), expected);
        }
        for (pods, namespaces, expected) in [
            (vec!["backend-0"], vec![], true),
            (vec!["shop/backend-0"], vec!["bank", "shop"], true),
            (vec!["bank/backend-0"], vec![], false),
            (vec![], vec!["bank"], false),
            (vec!["0b3f1c9e-5a7d-4c53-9d0e-2f4a6b8c0d1e"], vec![], true),
        ] {
            let (pods, namespaces) = (texts(&pods), texts(&namespaces));
            assert_eq!(wants(&Wish { pods, namespaces, ..Wish::default() }), expected);
        }
    }

    #[test]
    fn an_expression_may_be_one_word_or_several() {
        for (expression, expected) in [
            (texts(&["tcp port 8080"]), true),
            (texts(&["tcp", "port", "8080", "and", "not", "host", "10.0.0.7"]), false),
        ] {
            assert_eq!(wants(&Wish { expression, ..Wish::default() }), expected);
        }
        assert!(Wish { expression: texts(&["port", "x"]), ..Wish::default() }.selection().is_err());
    }

    #[test]
    fn what_is_not_ip_fits_no_address() {
        let selection = Wish { ports: vec![80], ..Wish::default() }.selection().unwrap();
        assert!(!selection.wants(&PacketHead::zeroed(), &[0], |_| fixture::pod()));
    }
}

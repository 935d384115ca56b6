//! Which packets are captured.

use std::{collections::BTreeMap, fmt};

use tracer_ebpf::record::PacketHead;

use crate::{
    cli::pods::is_called,
    packet::filter::{Filter, FilterError, Header, Net},
    session::Owners,
};

/// A label that a pod has to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label {
    name: String,
    /// Any, when there is none.
    value: Option<String>,
}

impl Label {
    /// Reads `NAME` or `NAME=VALUE`.
    ///
    /// # Errors
    /// When there is no name.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let is_name = !name.is_empty() && !name.contains(['!', ',', ' ']);
        is_name
            .then(|| Self { name: name.to_owned(), value: value.map(str::to_owned) })
            .ok_or_else(|| format!("{text} is not NAME or NAME=VALUE"))
    }

    fn is_in(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(&self.name).is_some_and(|found| self.value.as_ref().is_none_or(|value| value == found))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.value.iter().try_for_each(|value| write!(f, "={value}"))
    }
}

/// Which packets are wanted: a packet must fit one of each kind that is given.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Wish {
    /// Only packets of this pod: its name, namespace/name or UID; can be given several times
    #[arg(long = "pod", value_name = "POD")]
    pub(super) pods: Vec<String>,
    /// Only packets of pods of this namespace; can be given several times
    #[arg(short = 'n', long = "namespace", value_name = "NAMESPACE")]
    pub(super) namespaces: Vec<String>,
    /// Only packets of pods with this label, NAME or NAME=VALUE; of those given, a pod must have all
    #[arg(short = 'l', long = "label", value_name = "LABEL", value_parser = Label::parse)]
    pub(super) labels: Vec<Label>,
    /// Only packets of containers of this name; can be given several times
    #[arg(long = "container", value_name = "NAME")]
    pub(super) containers: Vec<String>,
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
    /// Whether the packet is wanted; `owners` tell whose it is.
    pub(super) fn wants(&self, head: &PacketHead, bytes: &[u8], owners: &mut dyn Owners) -> bool {
        self.wants_bytes(bytes)
            && self.wants_pod(head.cgroup, owners)
            && self.wants_container(head.cgroup, owners)
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

    fn wants_container(&self, cgroup: u64, owners: &mut dyn Owners) -> bool {
        let wanted = &self.wish.containers;
        wanted.is_empty()
            || owners.container(cgroup).is_some_and(|name| wanted.iter().any(|wanted| wanted == name))
    }

    fn wants_pod(&self, cgroup: u64, owners: &mut dyn Owners) -> bool {
        let Wish { pods, namespaces, labels, .. } = &self.wish;
        if pods.is_empty() && namespaces.is_empty() && labels.is_empty() {
            return true;
        }
        let pod = owners.pod(cgroup);
        let has_labels =
            || owners.labels(&pod).is_some_and(|found| labels.iter().all(|wanted| wanted.is_in(found)));
        let in_namespace = |wanted: &String| pod.name.as_ref().is_some_and(|name| name.namespace == *wanted);
        (pods.is_empty() || pods.iter().any(|wanted| is_called(&pod, wanted)))
            && (namespaces.is_empty() || namespaces.iter().any(in_namespace))
            && (labels.is_empty() || has_labels())
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use etherparse::PacketBuilder;

    use std::sync::Arc;

    use super::*;
    use crate::{export::fixture, pod::Pod};

    /// Everything is the container `app` of `shop/backend-0`.
    struct One(BTreeMap<String, String>);

    impl One {
        fn new() -> Self {
            Self([("app".to_owned(), "backend".to_owned())].into())
        }
    }

    impl Owners for One {
        fn pod(&mut self, _: u64) -> Arc<Pod> {
            fixture::pod()
        }

        fn labels(&self, _: &Pod) -> Option<&BTreeMap<String, String>> {
            Some(&self.0)
        }

        fn container(&mut self, _: u64) -> Option<&str> {
            Some("app")
        }
    }

    /// Whether a packet of `shop/backend-0`, from 10.0.0.7:50123 to 10.0.0.1:8080, is wanted.
    fn wants(wish: &Wish) -> bool {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4([10, 0, 0, 7], [10, 0, 0, 1], 64).tcp(50_123, 8_080, 1, 1000);
        builder.write(&mut packet, b"x").unwrap();
        wish.selection().unwrap().wants(&PacketHead::zeroed(), &packet, &mut One::new())
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_a_wish_every_packet_is_wanted() {
        assert!(wants(&Wish::default()));
        assert!(Selection::default().wants(&PacketHead::zeroed(), &[], &mut One::new()));
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
    fn a_pod_must_have_all_labels_and_one_of_the_containers() {
        for (labels, containers, expected) in [
            (vec!["app"], vec![], true),
            (vec!["app=backend"], vec!["side", "app"], true),
            (vec!["app=backend", "tier"], vec![], false),
            (vec!["app=front"], vec![], false),
            (vec![], vec!["side"], false),
        ] {
            let labels = labels.iter().map(|label| Label::parse(label).unwrap()).collect();
            assert_eq!(wants(&Wish { labels, containers: texts(&containers), ..Wish::default() }), expected);
        }
        assert!(Label::parse("=x").is_err() && Label::parse("!app").is_err());
        assert_eq!(Label::parse("app=web").unwrap().to_string(), "app=web");
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
        assert!(!selection.wants(&PacketHead::zeroed(), &[0], &mut One::new()));
    }
}

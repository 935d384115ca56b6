//! Which pods of files by `tracer capture` are analysed.

use std::{collections::BTreeSet, sync::Arc};

use rustc_hash::FxHashMap;

use crate::{
    pod::{Pod, PodName},
    source::pcap::{Origin, Raw},
};

/// Pods that an error or a notice names.
const SHOWN: usize = 40;

/// What of the packets is analysed, and the pods seen so far.
#[derive(Default)]
pub(super) struct Pods {
    /// The only pod that is wanted: its UID, name, or namespace and name.
    wanted: Option<String>,
    /// Local addresses were given: they tell the pods, whatever the packets say.
    is_by_address: bool,
    /// Every pod seen, and whether it is wanted.
    seen: FxHashMap<Arc<Pod>, bool>,
}

impl Pods {
    pub(super) fn new(wanted: Option<String>, is_by_address: bool) -> Self {
        Self { wanted, is_by_address, seen: FxHashMap::default() }
    }

    /// The packet as it is analysed; `None` when it is not.
    pub(super) fn choose<'a>(&mut self, raw: Raw<'a>) -> Option<Raw<'a>> {
        match raw.origin {
            _ if self.is_by_address => Some(Raw { origin: None, ..raw }),
            Some(origin) => self.wants(&origin).then_some(raw),
            None => self.wanted.is_none().then_some(raw),
        }
    }

    fn wants(&mut self, origin: &Origin<'_>) -> bool {
        if let Some(wants) = self.seen.get(origin.pod) {
            return *wants;
        }
        let wants = self.wanted.as_ref().is_none_or(|wanted| is_called(origin.pod, wanted));
        self.seen.insert(Arc::clone(origin.pod), wants);
        wants
    }

    /// The pods that are analysed, as far as their packets were seen.
    pub(super) fn shown(&self) -> String {
        names(self.seen.iter().filter(|(_, wanted)| **wanted).map(|(pod, _)| pod))
    }

    /// At the end of the captures: the wanted pod must have been in them, once.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let Some(wanted) = &self.wanted else { return Ok(()) };
        anyhow::ensure!(
            !self.seen.is_empty(),
            "there is no pod {wanted}: the captures do not say whose their packets are, as files by `tracer capture` do; \
             --local IP chooses a pod by its address"
        );
        match self.seen.values().filter(|is_wanted| **is_wanted).count() {
            0 => anyhow::bail!("there is no pod {wanted} in the captures, but {}", names(self.seen.keys())),
            1 => Ok(()),
            _ => anyhow::bail!("several pods are called {wanted}: {}", self.shown()),
        }
    }
}

/// Whether the pod has this UID, name, or namespace and name.
pub(super) fn is_called(pod: &Pod, wanted: &str) -> bool {
    let is_named = |name: &PodName| match wanted.split_once('/') {
        Some((namespace, wanted)) => (name.namespace.as_str(), name.name.as_str()) == (namespace, wanted),
        None => name.name == wanted,
    };
    pod.uid == wanted || pod.name.as_ref().is_some_and(is_named)
}

/// Pods with their UIDs, in their order.
fn names<'a>(pods: impl Iterator<Item = &'a Arc<Pod>>) -> String {
    let pods: BTreeSet<&Arc<Pod>> = pods.collect();
    let shown = pods.iter().take(SHOWN).map(|pod| match &pod.name {
        Some(_) => format!("{pod} ({})", pod.uid),
        None => pod.uid.clone(),
    });
    let more = pods.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::pcap::LinkType;

    fn pod(uid: &str, name: Option<(&str, &str)>) -> Arc<Pod> {
        let name = name.map(|(namespace, name)| PodName {
            namespace: namespace.into(),
            name: name.into(),
            workload: None,
        });
        Arc::new(Pod { uid: uid.into(), name })
    }

    fn packet(pod: Option<&Arc<Pod>>) -> Raw<'_> {
        let origin = pod.map(|pod| Origin { pod, outbound: true });
        Raw { number: 1, time: 1, link: LinkType(1), original_length: 0, bytes: &[], origin }
    }

    /// Which of three pods' packets and one of nobody's are analysed, and what is wrong at the end.
    fn chosen(wanted: &str) -> (Vec<usize>, Option<String>) {
        let pods = [pod("1-1", Some(("shop", "a"))), pod("2-2", Some(("bank", "a"))), pod("3-3", None)];
        let mut chooser = Pods::new(Some(wanted.to_owned()).filter(|wanted| !wanted.is_empty()), false);
        let packets = [Some(&pods[0]), Some(&pods[1]), Some(&pods[2]), None].map(packet);
        let chosen = packets.into_iter().enumerate().filter_map(|(at, raw)| chooser.choose(raw).map(|_| at));
        (chosen.collect(), chooser.check().err().map(|error| error.to_string()))
    }

    #[test]
    fn a_pod_is_called_by_uid_or_name() {
        assert_eq!(chosen(""), (vec![0, 1, 2, 3], None));
        assert_eq!(chosen("shop/a"), (vec![0], None));
        assert_eq!(chosen("2-2"), (vec![1], None));
        assert_eq!(chosen("3-3"), (vec![2], None));
    }

    #[test]
    fn an_unknown_or_ambiguous_pod_is_an_error_that_names_the_others() {
        let (packets, error) = chosen("b");
        assert!(packets.is_empty());
        assert_eq!(error.unwrap(), "there is no pod b in the captures, but shop/a (1-1), bank/a (2-2), 3-3");
        assert_eq!(chosen("a").1.unwrap(), "several pods are called a: shop/a (1-1), bank/a (2-2)");
        let mut of_others = Pods::new(Some("a".to_owned()), false);
        assert!(of_others.choose(packet(None)).is_none());
        assert!(of_others.check().unwrap_err().to_string().contains("do not say whose"));
    }

    #[test]
    fn given_addresses_tell_the_pods() {
        let pod = pod("1-1", None);
        let mut chooser = Pods::new(None, true);
        assert_eq!(chooser.choose(packet(Some(&pod))), Some(packet(None)));
    }
}

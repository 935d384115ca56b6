//! What a pcapng by `tracer capture` says besides its packets: whose they are. The name of an interface is a pod, its
//! description the pod's UID, and each packet says whether it left or reached the pod.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{interface::split_option, order::Order};
use crate::pod::{Pod, PodName};

/// Pods of one file; packets of further ones have no [`Origin`].
pub(super) const POD_LIMIT: usize = 4096;
/// Longest name and UID, bytes: a namespace and a name have 317 at most, the path of a cgroup more.
const NAME_LIMIT: usize = 1024;
/// What the application in a section header begins with.
const APPLICATION: &[u8] = b"tracer ";

/// Options, by block.
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const SECTION_APPLICATION: u16 = 4;
    pub(super) const INTERFACE_NAME: u16 = 2;
    pub(super) const INTERFACE_DESCRIPTION: u16 = 3;
    pub(super) const PACKET_FLAGS: u16 = 2;
}

/// Whose packet it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The pod whose socket it passed.
    pub pod: &'a Arc<Pod>,
    /// The pod sent it; else the pod got it.
    pub outbound: bool,
}

/// The pods of a file, in the order of their interfaces.
#[derive(Debug, Default)]
pub(super) struct Pods {
    pods: Vec<Arc<Pod>>,
    by_pod: FxHashMap<Arc<Pod>, u32>,
}

impl Pods {
    pub(super) fn get(&self, pod: u32) -> Option<&Arc<Pod>> {
        self.pods.get(pod as usize)
    }

    /// The index of the pod that an interface's options name; `None` without one and beyond [`POD_LIMIT`].
    pub(super) fn add(&mut self, options: &[u8], order: Order) -> Option<u32> {
        let text = |code| {
            let value = value(options, code, order)?;
            Some(String::from_utf8_lossy(value.get(..NAME_LIMIT).unwrap_or(value)).into_owned())
        };
        let uid = text(option::INTERFACE_DESCRIPTION)?;
        let shown = text(option::INTERFACE_NAME)?;
        // A pod without a name is shown by its UID, which can be the path of a cgroup.
        let named = shown.split_once('/').filter(|_| shown != uid);
        let name = named.map(|(namespace, name)| PodName {
            namespace: namespace.into(),
            name: name.into(),
            workload: None,
        });
        let pod = Pod { uid, name };
        if let Some(known) = self.by_pod.get(&pod) {
            return Some(*known);
        }
        if self.pods.len() >= POD_LIMIT {
            return None;
        }
        let index = u32::try_from(self.pods.len()).ok()?;
        let pod = Arc::new(pod);
        self.by_pod.insert(Arc::clone(&pod), index);
        self.pods.push(pod);
        Some(index)
    }
}

/// Whether a section header's options say that tracer wrote the section.
pub(super) fn is_by_tracer(options: &[u8], order: Order) -> bool {
    value(options, option::SECTION_APPLICATION, order).is_some_and(|name| name.starts_with(APPLICATION))
}

/// Whether a packet's options say that it left; `None` when they say neither.
pub(super) fn is_outbound(options: &[u8], order: Order) -> Option<bool> {
    let [flags] = order.words(value(options, option::PACKET_FLAGS, order)?)?;
    match flags & 3 {
        1 => Some(false),
        2 => Some(true),
        _ => None,
    }
}

/// The first option of a kind, as far as the options are whole.
fn value(mut options: &[u8], wanted: u16, order: Order) -> Option<&[u8]> {
    loop {
        match split_option(options, order).ok()? {
            (option::END, ..) => return None,
            (code, value, _) if code == wanted => return Some(value),
            (_, _, rest) => options = rest,
        }
    }
}

#[cfg(test)]
#[path = "origin_tests.rs"]
mod tests;

//! What is known of the pods of this node, from every source. Pure: time comes in with the data.
//!
//! A pod stays for [`KEEP`] after its last source said that it is gone: what it sent last is reported later.

use std::collections::{BTreeMap, HashMap};

use super::{PodName, described::Described};

/// Pods known at once; those beyond it stay without names, and are counted.
pub const POD_LIMIT: usize = 4096;
/// How long a deleted pod stays known, nanoseconds.
pub const KEEP: u64 = 600_000_000_000;

/// Who tells of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The container runtime.
    Cri,
    /// The Kubernetes API.
    Kubernetes,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 2] = [Self::Cri, Self::Kubernetes];

    /// Its name in labels and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cri => "cri",
            Self::Kubernetes => "kubernetes",
        }
    }
}

/// What one source said of a pod last.
#[derive(Debug)]
struct Told {
    described: Described,
    /// In which of its lists the pod was last.
    listing: u64,
    is_gone: bool,
}

#[derive(Debug, Default)]
struct Entry {
    /// By source.
    told: [Option<Told>; 2],
    /// When the last source said that it is gone.
    gone: Option<u64>,
}

/// The pods.
#[derive(Debug, Default)]
pub struct Directory {
    /// By UID.
    pods: BTreeMap<String, Entry>,
    /// Hash of a static pod → UID of its mirror pod.
    mirrors: HashMap<String, String>,
    /// Container id → UID.
    containers: HashMap<String, String>,
    /// Number of the newest list, by source.
    listings: [u64; 2],
    overflow: u64,
}

impl Directory {
    /// A source begins to list all its pods.
    pub fn begin_list(&mut self, source: Source) {
        self.listings[source as usize] += 1;
    }

    /// The list is complete: pods that the source knew and did not list are gone.
    pub fn end_list(&mut self, source: Source, now: u64) {
        let listing = self.listings[source as usize];
        for entry in self.pods.values_mut() {
            if let Some(told) = &mut entry.told[source as usize]
                && told.listing < listing
            {
                told.is_gone = true;
            }
            entry.settle(now);
        }
    }

    /// A source told of a pod.
    pub fn insert(&mut self, source: Source, described: Described, now: u64) {
        if !self.pods.contains_key(&described.uid) && !self.make_room(now) {
            self.overflow += 1;
            return;
        }
        if let Some(hash) = described.config_hash.as_ref().filter(|hash| **hash != described.uid) {
            self.mirrors.insert(hash.clone(), described.uid.clone());
        }
        let entry = self.pods.entry(described.uid.clone()).or_default();
        for id in entry.told[source as usize].take().iter().flat_map(|told| told.described.containers.keys())
        {
            self.containers.remove(id);
        }
        let told = entry.told.iter().flatten().map(|told| &told.described);
        for id in told.chain([&described]).flat_map(|told| told.containers.keys()) {
            self.containers.insert(id.clone(), described.uid.clone());
        }
        let listing = self.listings[source as usize];
        entry.told[source as usize] = Some(Told { described, listing, is_gone: false });
        entry.gone = None;
    }

    /// A source said that a pod is gone.
    pub fn remove(&mut self, source: Source, uid: &str, now: u64) {
        if let Some(entry) = self.pods.get_mut(uid) {
            if let Some(told) = &mut entry.told[source as usize] {
                told.is_gone = true;
            }
            entry.settle(now);
        }
    }

    /// Forgets pods that are gone for [`KEEP`].
    pub fn expire(&mut self, now: u64) {
        let is_over = |entry: &Entry| entry.gone.is_some_and(|gone| gone.saturating_add(KEEP) <= now);
        let over: Vec<String> =
            self.pods.iter().filter(|(_, entry)| is_over(entry)).map(|(uid, _)| uid.clone()).collect();
        for uid in over {
            self.forget(&uid);
        }
    }

    /// What is known of the pod with this UID, or hash of a static pod: from the API where that knows it.
    #[must_use]
    pub fn name(&self, uid: &str) -> Option<PodName> {
        let described = self.told(Source::Kubernetes, uid).or_else(|| self.told(Source::Cri, uid))?;
        Some(described.name.clone())
    }

    /// The labels of a pod, from the API where that knows it.
    #[must_use]
    pub fn labels(&self, uid: &str) -> Option<&BTreeMap<String, String>> {
        let described = self.told(Source::Kubernetes, uid).or_else(|| self.told(Source::Cri, uid))?;
        Some(&described.labels)
    }

    /// Whether a source has told of this pod.
    #[must_use]
    pub fn knows(&self, source: Source, uid: &str) -> bool {
        self.told(source, uid).is_some()
    }

    /// The name of a container; empty for a pod's sandbox.
    #[must_use]
    pub fn container(&self, id: &str) -> Option<&str> {
        let entry = self.pods.get(self.containers.get(id)?)?;
        entry.told.iter().flatten().find_map(|told| told.described.containers.get(id)).map(String::as_str)
    }

    /// UID of the pod of a container.
    #[must_use]
    pub fn pod_of_container(&self, id: &str) -> Option<&str> {
        self.containers.get(id).map(String::as_str)
    }

    /// Pods that a source tells of.
    #[must_use]
    pub fn count(&self, source: Source) -> usize {
        let told = self.pods.values().filter_map(|entry| entry.told[source as usize].as_ref());
        told.filter(|told| !told.is_gone).count()
    }

    /// How often a pod was not taken because there were too many.
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    fn told(&self, source: Source, uid: &str) -> Option<&Described> {
        let by_uid = |uid: &str| self.pods.get(uid)?.told[source as usize].as_ref();
        let told = by_uid(uid).or_else(|| by_uid(self.mirrors.get(uid)?))?;
        Some(&told.described)
    }

    /// Whether one more pod can be taken; one that is gone gives way.
    fn make_room(&mut self, now: u64) -> bool {
        if self.pods.len() < POD_LIMIT {
            return true;
        }
        self.expire(now);
        let gone = self.pods.iter().filter_map(|(uid, entry)| Some((entry.gone?, uid)));
        if let Some(uid) = gone.min().map(|(_, uid)| uid.clone()) {
            self.forget(&uid);
        }
        self.pods.len() < POD_LIMIT
    }

    fn forget(&mut self, uid: &str) {
        if let Some(entry) = self.pods.remove(uid) {
            for told in entry.told.into_iter().flatten() {
                for id in told.described.containers.keys() {
                    self.containers.remove(id);
                }
                if let Some(hash) = told.described.config_hash
                    && self.mirrors.get(&hash).is_some_and(|mirror| mirror == uid)
                {
                    self.mirrors.remove(&hash);
                }
            }
        }
    }
}

impl Entry {
    /// Notes when the last source said that the pod is gone.
    fn settle(&mut self, now: u64) {
        let is_gone = self.told.iter().flatten().all(|told| told.is_gone);
        self.gone = if is_gone { self.gone.or(Some(now)) } else { None };
    }
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;

//! Which pod a cgroup is, by name: the node's cgroups and what the sources tell. An edge; it never waits.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use tokio::sync::mpsc::error::TryRecvError;

use super::{
    Pod, PodName,
    cgroup::owner,
    directory::{Directory, Source},
    peers::PeerNames,
    source::{Feed, Reason, Resource, Update},
    table::CgroupTable,
};
use crate::{
    engine::{POD_LIMIT, Resolve, Resolved},
    source::live::boot_time,
};

/// Updates taken at once: tracing goes on after that.
const UPDATES: usize = 4096;
/// Between looks for pods that can be forgotten, nanoseconds.
const EXPIRE_EVERY: u64 = 60_000_000_000;

/// How a source is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has not told anything yet.
    Starting,
    /// What it tells is complete.
    Up,
    /// It cannot be read.
    Down,
}

/// How the sources are doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Of each resource that is read, whether what is known of it is complete.
    pub resources: Vec<(Resource, bool)>,
    /// Sources that have not answered yet, nor failed to.
    pub starting: Vec<Source>,
    /// Pods that each source tells of.
    pub pods: Vec<(Source, usize)>,
    /// What went wrong, and how often.
    pub failures: BTreeMap<(Resource, Reason), u64>,
    /// How often a pod or address was not taken because there were too many.
    pub overflow: u64,
}

/// Resolves cgroups of this node.
#[derive(Debug)]
pub struct Names {
    table: CgroupTable,
    directory: Directory,
    peers: PeerNames,
    feed: Option<Feed>,
    /// By resource; none when nobody is asked for it.
    states: [Option<State>; Resource::ALL.len()],
    failures: BTreeMap<(Resource, Reason), u64>,
    /// What was told of each pod, by the UID in its cgroups' paths.
    told: HashMap<String, Option<PodName>>,
    /// The directory has changed since then.
    has_changed: bool,
    expire: u64,
}

impl Names {
    /// Without sources yet: pods are known by their UIDs.
    #[must_use]
    pub fn new(table: CgroupTable) -> Self {
        Self {
            table,
            directory: Directory::default(),
            peers: PeerNames::default(),
            feed: None,
            states: [None; Resource::ALL.len()],
            failures: BTreeMap::new(),
            told: HashMap::new(),
            has_changed: false,
            expire: 0,
        }
    }

    /// Names pods by what the sources tell from now on.
    pub fn listen(&mut self, feed: Feed) {
        self.states =
            Resource::ALL.map(|resource| feed.resources[resource as usize].then_some(State::Starting));
        self.feed = Some(feed);
    }

    /// How the sources are doing.
    #[must_use]
    pub fn status(&self) -> Status {
        let asked = Resource::ALL.into_iter().filter_map(|resource| {
            self.states[resource as usize].map(|state| (resource, state == State::Up))
        });
        let resources: Vec<_> = asked.collect();
        let is_starting = |resource: &Resource| self.states[*resource as usize] == Some(State::Starting);
        let mut starting: Vec<_> =
            Resource::ALL.into_iter().filter(is_starting).map(Resource::source).collect();
        starting.dedup();
        let mut pods: Vec<_> = resources.iter().map(|(resource, _)| resource.source()).collect();
        pods.dedup();
        Status {
            pods: pods.into_iter().map(|source| (source, self.directory.count(source))).collect(),
            starting,
            resources,
            failures: self.failures.clone(),
            overflow: self.directory.overflow() + self.peers.overflow(),
        }
    }

    /// The labels of a pod, as far as a source told them.
    #[must_use]
    pub fn labels(&self, uid: &str) -> Option<&BTreeMap<String, String>> {
        self.directory.labels(uid)
    }

    /// The name of the container that a cgroup is of; empty for a pod's sandbox.
    pub fn container(&mut self, cgroup: u64) -> Option<&str> {
        let container = owner(self.table.path(cgroup)?).container?;
        self.directory.container(&container)
    }

    /// Takes what the sources told, as far as it is there.
    fn drain(&mut self) {
        let now = boot_time();
        for _ in 0..UPDATES {
            let Some(feed) = &mut self.feed else { break };
            match feed.updates.try_recv() {
                Ok(update) => self.take(update, now),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        if now >= self.expire {
            self.directory.expire(now);
            self.expire = now.saturating_add(EXPIRE_EVERY);
        }
    }

    fn take(&mut self, update: Update, now: u64) {
        match update {
            Update::Listing(resource) => self.listing(resource),
            Update::Pod(source, described) => {
                self.directory.insert(source, *described, now);
                self.has_changed = true;
            }
            Update::Gone(source, uid) => self.directory.remove(source, &uid, now),
            Update::Peers(resource, object, named) => self.peers.insert(resource, &object, named),
            Update::PeersGone(resource, object) => self.peers.remove(resource, &object),
            Update::Listed(resource) => self.listed(resource, now),
            Update::Up(resource) => {
                if self.states[resource as usize].replace(State::Up) != Some(State::Up) {
                    tracing::info!(
                        source = resource.source().name(),
                        resource = resource.name(),
                        "this source tells the names of pods and of those they call"
                    );
                }
            }
            Update::Failed { resource, reason, error, is_down } => {
                *self.failures.entry((resource, reason)).or_default() += 1;
                // Once until it works again: what fails, fails again and again.
                if is_down && self.states[resource as usize].replace(State::Down) != Some(State::Down) {
                    tracing::warn!(
                        source = resource.source().name(),
                        resource = resource.name(),
                        reason = reason.name(),
                        error,
                        "names do not come from this source until it answers"
                    );
                }
            }
        }
    }

    fn listing(&mut self, resource: Resource) {
        if Resource::OF_PODS.contains(&resource) {
            self.directory.begin_list(resource.source());
        } else {
            self.peers.begin_list(resource);
        }
    }

    fn listed(&mut self, resource: Resource, now: u64) {
        if Resource::OF_PODS.contains(&resource) {
            self.directory.end_list(resource.source(), now);
        } else {
            self.peers.end_list(resource);
        }
    }

    /// Whether a source that works does not know a pod that is there.
    fn is_missing(&self, uid: &str) -> bool {
        let works =
            |resource: Resource| matches!(self.states[resource as usize], Some(State::Starting | State::Up));
        Resource::OF_PODS
            .into_iter()
            .any(|resource| works(resource) && !self.directory.knows(resource.source(), uid))
    }
}

impl Resolve for Names {
    fn resolve(&mut self, cgroup: u64) -> Resolved {
        self.drain();
        let Some(path) = self.table.path(cgroup) else {
            let uid = format!("cgroup:{cgroup}");
            return Resolved { pod: Pod { uid, name: None }, known: false };
        };
        let (uid, is_pod) = uid(&self.directory, path);
        let name = if is_pod { self.directory.name(&uid) } else { None };
        if is_pod && (self.told.len() < POD_LIMIT || self.told.contains_key(&uid)) {
            self.told.insert(uid.clone(), name.clone());
            if let Some(feed) = &self.feed
                && self.is_missing(&uid)
            {
                feed.asked.notify_one();
            }
        }
        Resolved { pod: Pod { uid, name }, known: true }
    }

    fn peer(&self, address: IpAddr) -> Option<Arc<str>> {
        self.peers.name(address)
    }

    fn living(&mut self) -> Option<BTreeSet<String>> {
        let directory = &self.directory;
        let living: BTreeSet<String> = self.table.living().map(|path| uid(directory, path).0).collect();
        // Without even its root the tree could not be read.
        (!living.is_empty()).then_some(living)
    }

    fn forgotten(&mut self, uid: &str) {
        self.told.remove(uid);
    }

    fn is_awaited(&self, pod: &Pod) -> bool {
        self.told.contains_key(&pod.uid) && self.is_missing(&pod.uid)
    }

    fn renamed(&mut self) -> Vec<Pod> {
        self.drain();
        if !std::mem::take(&mut self.has_changed) {
            return Vec::new();
        }
        let mut renamed = Vec::new();
        for (uid, told) in &mut self.told {
            let name = self.directory.name(uid);
            // Who is forgotten keeps the name.
            if name.is_some() && name != *told {
                told.clone_from(&name);
                renamed.push(Pod { uid: uid.clone(), name });
            }
        }
        renamed
    }
}

/// The UID by which a pod is known, and whether it is one: the path of a cgroup that is no pod's stands for itself.
fn uid(directory: &Directory, path: &str) -> (String, bool) {
    let owner = owner(path);
    let of_container = || {
        let container = owner.container.as_deref()?;
        directory.pod_of_container(container).map(str::to_owned)
    };
    match owner.pod.or_else(of_container) {
        Some(uid) => (uid, true),
        None => (path.to_owned(), false),
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;

//! Where names come from: the container runtime and the Kubernetes API, on a thread of their own. An edge: what
//! they tell goes through a bounded channel, and who reads it never waits.

mod cri;
mod cri_api;
mod kubernetes;
mod objects;

use std::{
    io,
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{Notify, mpsc};

use super::{described::Described, directory::Source};

/// Updates that wait at once. A source waits when there are more.
const QUEUE: usize = 1024;

/// What is listed and watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Sandboxes and containers of the runtime.
    Sandboxes,
    /// Pods of this node.
    Pods,
    /// Services of the cluster.
    Services,
    /// Endpoint slices of the cluster: who is behind its services.
    EndpointSlices,
}

impl Resource {
    /// Every resource.
    pub const ALL: [Self; 4] = [Self::Sandboxes, Self::Pods, Self::Services, Self::EndpointSlices];
    /// Those that tell of this node's pods.
    pub const OF_PODS: [Self; 2] = [Self::Sandboxes, Self::Pods];

    /// Who tells of it.
    #[must_use]
    pub fn source(self) -> Source {
        match self {
            Self::Sandboxes => Source::Cri,
            Self::Pods | Self::Services | Self::EndpointSlices => Source::Kubernetes,
        }
    }

    /// Its name in labels and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sandboxes => "sandboxes",
            Self::Pods => "pods",
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices",
        }
    }
}

/// Why a resource could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No connection, or it broke.
    Connection,
    /// No answer in time.
    Timeout,
    /// The server does not let us (401, 403).
    Forbidden,
    /// The place in the watch is too old (410): everything is listed again.
    Gone,
    /// Any other error that the server states.
    Server,
    /// The answer was not understood.
    Malformed,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 6] =
        [Self::Connection, Self::Timeout, Self::Forbidden, Self::Gone, Self::Server, Self::Malformed];

    /// Its name in labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Forbidden => "forbidden",
            Self::Gone => "gone",
            Self::Server => "server",
            Self::Malformed => "malformed",
        }
    }
}

/// What a source tells.
#[derive(Debug)]
pub enum Update {
    /// A list of all objects begins.
    Listing(Resource),
    /// A pod is there, or has changed.
    Pod(Source, Box<Described>),
    /// The pod with this UID is gone.
    Gone(Source, String),
    /// A service or endpoint slice, as `namespace/name`, and the names of its addresses.
    Peers(Resource, String, Vec<(IpAddr, String)>),
    /// It is gone.
    PeersGone(Resource, String),
    /// The list is complete.
    Listed(Resource),
    /// The resource is being read.
    Up(Resource),
    /// Something went wrong, in words; it is tried again. What was read stays.
    Failed {
        /// With what.
        resource: Resource,
        /// Why.
        reason: Reason,
        /// In words.
        error: String,
        /// Whether nothing new can be known until it works again.
        is_down: bool,
    },
}

/// Which sources to ask.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Socket of the container runtime.
    pub cri: Option<PathBuf>,
    /// The API server, and the name of this node there.
    pub kubernetes: Option<(kube::Config, String)>,
    /// Whether the API server is asked for the names of those whom pods call, too.
    pub names_peers: bool,
}

impl Settings {
    /// Whether it is asked for.
    #[must_use]
    pub fn has(&self, resource: Resource) -> bool {
        match resource {
            Resource::Sandboxes => self.cri.is_some(),
            Resource::Pods => self.kubernetes.is_some(),
            Resource::Services | Resource::EndpointSlices => self.kubernetes.is_some() && self.names_peers,
        }
    }
}

/// What the sources tell.
#[derive(Debug)]
pub struct Feed {
    /// What is asked for, by resource.
    pub(super) resources: [bool; Resource::ALL.len()],
    pub(super) updates: mpsc::Receiver<Update>,
    /// Asks the runtime for a pod that nobody told of.
    pub(super) asked: Arc<Notify>,
}

/// Where sources tell.
type Sender = mpsc::Sender<Update>;

impl Feed {
    /// What each source says first of each resource, for people: how many objects it knows, or why not. Waits for that long at most.
    #[must_use]
    pub fn first_answers(mut self, patience: Duration) -> Vec<(Resource, Result<usize, String>)> {
        let asked = Resource::ALL.into_iter().filter(|resource| self.resources[*resource as usize]);
        let mut answers: Vec<_> =
            asked.map(|resource| (resource, Err(format!("no answer after {patience:?}")))).collect();
        let (mut open, mut told) = (answers.len(), [0; Resource::ALL.len()]);
        let deadline = Instant::now() + patience;
        while open > 0 && Instant::now() < deadline {
            let (resource, answer) = match self.updates.try_recv() {
                Ok(Update::Up(resource)) => (resource, Ok(told[resource as usize])),
                Ok(Update::Failed { resource, error, is_down: true, .. }) => (resource, Err(error)),
                Ok(Update::Pod(source, _)) => {
                    told[Resource::OF_PODS[source as usize] as usize] += 1;
                    continue;
                }
                Ok(Update::Peers(resource, ..)) => {
                    told[resource as usize] += 1;
                    continue;
                }
                Ok(_) => continue,
                Err(_) => {
                    thread::sleep(Duration::from_millis(10));
                    continue;
                }
            };
            open -= 1;
            answers.iter_mut().filter(|(of, _)| *of == resource).for_each(|(_, old)| old.clone_from(&answer));
        }
        answers
    }

    /// Starts the sources, if there are any; they end when the feed is dropped.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(settings: Settings) -> io::Result<Option<Self>> {
        let resources = Resource::ALL.map(|resource| settings.has(resource));
        if !resources.contains(&true) {
            return Ok(None);
        }
        let (sender, updates) = mpsc::channel(QUEUE);
        let asked = Arc::new(Notify::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let asks = Arc::clone(&asked);
        thread::Builder::new()
            .name("pods".to_owned())
            .spawn(move || runtime.block_on(run(settings, sender, asks)))?;
        Ok(Some(Self { resources, updates, asked }))
    }
}

async fn run(settings: Settings, updates: Sender, asked: Arc<Notify>) {
    let cri = settings.cri.map(|socket| tokio::spawn(cri::run(socket, updates.clone(), asked)));
    if let Some((config, node)) = settings.kubernetes {
        Box::pin(kubernetes::run(config, &node, settings.names_peers, updates)).await;
    }
    if let Some(cri) = cri {
        // It ends with the feed; nobody cancels it.
        let _ = cri.await;
    }
}

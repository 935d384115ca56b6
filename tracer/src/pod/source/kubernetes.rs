//! The Kubernetes API: the pods of this node, and the services and endpoint slices of the cluster, watched. kube's watcher lists, follows bookmarks and backs off; here is
//! what it leaves to others: a server that does not answer a list, and a watch whose start says 410.

use std::{fmt::Debug, pin::pin, time::Duration};

use futures_util::StreamExt as _;
use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Error, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Reason, Resource, Sender, Update, objects};
use crate::pod::directory::Source;

/// How long a page of a list may take. Watches may be silent for longer; the watcher limits those itself.
const LIST_PATIENCE: Duration = Duration::from_secs(30);
/// After that time a list counts as slow: pods are not held back for it any more.
const SLOW: Duration = Duration::from_secs(3);
/// How long to connect.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// After a failure of the watch that its server has not repeated for that long, the watch works: the watcher
/// tries again within 60 s, and says nothing when that succeeds and nothing changes.
const QUIET: Duration = Duration::from_secs(75);
/// Before everything is listed again; twice as long each time that it did not last, up to the longest.
const RELIST: Duration = Duration::from_secs(1);
const LONGEST_RELIST: Duration = Duration::from_secs(30);

/// Tells of the node's pods until nobody listens, and of those whom pods may call.
pub(super) async fn run(mut config: kube::Config, node: &str, names_peers: bool, updates: Sender) {
    config.connect_timeout = Some(CONNECT_PATIENCE);
    let client = match Client::try_from(config) {
        Ok(client) => client,
        Err(error) => {
            let failed = failed(Resource::Pods, Reason::Malformed, error.to_string(), true);
            // Nobody listens: nobody has to know.
            let _ = updates.send(failed).await;
            return;
        }
    };
    let (all, of_node) = (watcher::Config::default(), format!("spec.nodeName={node}"));
    let of_node = all.clone().fields(&of_node);
    let pods = watch::<Pod>(&client, &of_node, &updates);
    let peers = async {
        if names_peers {
            let services = watch::<Service>(&client, &all, &updates);
            tokio::join!(services, watch::<EndpointSlice>(&client, &all, &updates));
        }
    };
    tokio::join!(pods, peers);
}

async fn watch<K: Told>(client: &Client, selected: &watcher::Config, updates: &Sender) {
    let objects: Api<K> = Api::all(client.clone());
    let mut watch = Watch { of: K::RESOURCE, updates: updates.clone(), phase: Phase::Waiting, is_up: false };
    let mut pause = RELIST;
    loop {
        let begun = Instant::now();
        if watch.follow(&objects, selected).await.is_none() {
            return;
        }
        if begun.elapsed() > QUIET {
            pause = RELIST;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_RELIST);
    }
}

/// An object of which is told.
trait Told: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static {
    /// What it is.
    const RESOURCE: Resource;
    /// What it says, if it says something.
    fn told(self) -> Option<Update>;
    /// That it is gone.
    fn gone(self) -> Option<Update> {
        Some(Update::PeersGone(Self::RESOURCE, objects::name(self.meta())?))
    }
}

impl Told for Pod {
    const RESOURCE: Resource = Resource::Pods;

    fn told(self) -> Option<Update> {
        objects::pod(self).map(|pod| Update::Pod(Source::Kubernetes, Box::new(pod)))
    }

    fn gone(self) -> Option<Update> {
        self.metadata.uid.map(|uid| Update::Gone(Source::Kubernetes, uid))
    }
}

impl Told for Service {
    const RESOURCE: Resource = Resource::Services;

    fn told(self) -> Option<Update> {
        let (object, named) = objects::service(&self)?;
        Some(Update::Peers(Self::RESOURCE, object, named))
    }
}

impl Told for EndpointSlice {
    const RESOURCE: Resource = Resource::EndpointSlices;

    fn told(self) -> Option<Update> {
        let (object, named) = objects::endpoints(&self)?;
        Some(Update::Peers(Self::RESOURCE, object, named))
    }
}

/// What is waited for.
#[derive(Clone, Copy)]
enum Phase {
    /// The next part of a list, since then; whether it was told that this takes long.
    Listing(Instant, bool),
    /// A change, or another attempt.
    Waiting,
    /// Whether the watch works again after this failure.
    Recovering(Instant),
}

impl Phase {
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::Listing(since, false) => Some(since + SLOW),
            Self::Listing(since, true) => Some(since + LIST_PATIENCE),
            Self::Waiting => None,
            Self::Recovering(since) => Some(since + QUIET),
        }
    }
}

struct Watch {
    of: Resource,
    updates: Sender,
    phase: Phase,
    is_up: bool,
}

/// How a watch goes on; nothing when nobody listens any more.
enum Next {
    /// As it is.
    Same,
    /// From the beginning.
    Anew,
}

impl Watch {
    /// Follows one watch until it must begin anew; nothing when nobody listens any more.
    async fn follow<K: Told>(&mut self, objects: &Api<K>, selected: &watcher::Config) -> Option<()> {
        self.phase = Phase::Waiting;
        let mut events = pin!(watcher(objects.clone(), selected.clone()).default_backoff());
        loop {
            let deadline = self.phase.deadline();
            let never = Instant::now() + QUIET;
            let next = tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.take(event).await?,
                    Some(Err(error)) => self.fail(&error).await?,
                    None => Next::Anew,
                },
                () = sleep_until(deadline.unwrap_or(never)), if deadline.is_some() => self.late().await?,
                () = self.updates.closed() => return None,
            };
            if matches!(next, Next::Anew) {
                return Some(());
            }
        }
    }

    /// The deadline has passed.
    async fn late(&mut self) -> Option<Next> {
        match self.phase {
            Phase::Listing(since, was_told) => {
                let error = format!("no answer to a list after {:.0?}", since.elapsed());
                self.fail_with(Reason::Timeout, error, true).await?;
                self.phase = Phase::Listing(since, true);
                Some(if was_told { Next::Anew } else { Next::Same })
            }
            Phase::Recovering(_) => {
                self.phase = Phase::Waiting;
                self.up().await
            }
            Phase::Waiting => Some(Next::Same),
        }
    }

    async fn take<K: Told>(&mut self, event: Event<K>) -> Option<Next> {
        self.phase = match &event {
            Event::Init | Event::InitApply(_) => Phase::Listing(Instant::now(), false),
            Event::InitDone | Event::Apply(_) | Event::Delete(_) => Phase::Waiting,
        };
        let works = matches!(self.phase, Phase::Waiting);
        let update = match event {
            Event::Init => Some(Update::Listing(self.of)),
            Event::InitDone => Some(Update::Listed(self.of)),
            Event::Delete(object) => object.gone(),
            Event::InitApply(object) | Event::Apply(object) => object.told(),
        };
        if let Some(update) = update {
            self.send(update).await?;
        }
        if works { self.up().await } else { Some(Next::Same) }
    }

    async fn fail(&mut self, error: &Error) -> Option<Next> {
        let reason = reason(error);
        // A watch that broke is resumed; only when that fails, nothing new is known.
        let is_down = !matches!(error, Error::WatchFailed(_) | Error::WatchError(_));
        self.fail_with(reason, error.to_string(), is_down && reason != Reason::Gone).await?;
        // The watcher asks for the same version each time: what the server cannot tell from there on never comes.
        let is_stuck = reason != Reason::Gone
            && matches!(error, Error::WatchError(_))
            && matches!(self.phase, Phase::Recovering(_));
        let is_listing =
            matches!(self.phase, Phase::Listing(..)) || matches!(error, Error::InitialListFailed(_));
        self.phase = if is_listing { Phase::Waiting } else { Phase::Recovering(Instant::now()) };
        // The watcher lists again when the watch says so, and not when its start does: it would ask for ever.
        let is_stale = reason == Reason::Gone && matches!(error, Error::WatchStartFailed(_));
        Some(if is_stale || is_stuck { Next::Anew } else { Next::Same })
    }

    async fn fail_with(&mut self, reason: Reason, error: String, is_down: bool) -> Option<()> {
        self.is_up &= !is_down;
        self.send(failed(self.of, reason, error, is_down)).await
    }

    async fn up(&mut self) -> Option<Next> {
        if !self.is_up {
            self.is_up = true;
            self.send(Update::Up(self.of)).await?;
        }
        Some(Next::Same)
    }

    async fn send(&self, update: Update) -> Option<()> {
        self.updates.send(update).await.ok()
    }
}

fn failed(resource: Resource, reason: Reason, error: String, is_down: bool) -> Update {
    Update::Failed { resource, reason, error, is_down }
}

fn reason(error: &Error) -> Reason {
    match error {
        Error::InitialListFailed(error) | Error::WatchStartFailed(error) | Error::WatchFailed(error) => {
            match error {
                kube::Error::Api(status) => of_status(status.code),
                kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Reason::Malformed,
                _ => Reason::Connection,
            }
        }
        Error::WatchError(status) => of_status(status.code),
        Error::NoResourceVersion => Reason::Malformed,
    }
}

fn of_status(code: u16) -> Reason {
    match code {
        401 | 403 => Reason::Forbidden,
        408 | 504 => Reason::Timeout,
        410 => Reason::Gone,
        _ => Reason::Server,
    }
}

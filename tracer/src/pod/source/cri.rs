//! The container runtime: what it runs is listed when it says that something happened, when a pod is asked for that
//! nobody knows, and now and then.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc::error::SendError},
    time::{Instant, sleep, sleep_until, timeout},
};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use super::{
    Reason, Resource, Sender, Update,
    cri_api::{Container, ContainerEvent, Containers, Everything, PodSandbox, Sandboxes},
};
use crate::pod::{
    described::{CONFIG_HASH, Described},
    directory::Source,
    workload::Workload,
};

const LIST_SANDBOXES: &str = "/runtime.v1.RuntimeService/ListPodSandbox";
const LIST_CONTAINERS: &str = "/runtime.v1.RuntimeService/ListContainers";
const GET_EVENTS: &str = "/runtime.v1.RuntimeService/GetContainerEvents";
/// Labels that the kubelet adds for itself.
const KUBELET_LABELS: &str = "io.kubernetes.";

/// Between lists at least, whoever asks.
const REST: Duration = Duration::from_millis(100);
/// Between lists at most: that pods are gone is told by nobody where the runtime has no events.
const POLL: Duration = Duration::from_secs(10);
/// How long the runtime may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between attempts after a failure, doubling.
const BACKOFF: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(30)];
/// Bytes of a list, as the kubelet takes them.
const MESSAGE_LIMIT: usize = 16 << 20;

/// Why the source ends.
enum End {
    /// Nobody listens any more.
    Closed,
    /// The runtime does not answer as it should.
    Failed(Status),
}

impl From<SendError<Update>> for End {
    fn from(_: SendError<Update>) -> Self {
        Self::Closed
    }
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        Self::Failed(status)
    }
}

/// Tells of the runtime's pods until nobody listens.
pub(super) async fn run(socket: PathBuf, updates: Sender, asked: Arc<Notify>) {
    let mut wait = BACKOFF[0];
    loop {
        let started = Instant::now();
        let Err(end) = follow(&socket, &updates, &asked).await else { return };
        let End::Failed(status) = end else { return };
        let failed = Update::Failed {
            resource: Resource::Sandboxes,
            reason: reason(&status),
            error: format!("{}: {}", socket.display(), status.message()),
            is_down: true,
        };
        if updates.send(failed).await.is_err() {
            return;
        }
        if started.elapsed() > BACKOFF[1] {
            wait = BACKOFF[0];
        }
        sleep(wait).await;
        wait = (wait * 2).min(BACKOFF[1]);
    }
}

/// Lists until something fails.
async fn follow(socket: &Path, updates: &Sender, asked: &Notify) -> Result<(), End> {
    let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display()));
    let endpoint = endpoint.map_err(|error| Status::unavailable(error.to_string()))?;
    let channel = endpoint.connect_timeout(PATIENCE).connect_lazy();
    let mut client = Grpc::new(channel).max_decoding_message_size(MESSAGE_LIMIT);
    let happened = Arc::new(Notify::new());
    let events = tokio::spawn(forward_events(client.clone(), Arc::clone(&happened)));
    let _ends_with_this = AbortOnDrop(events.abort_handle());
    loop {
        let listed = Instant::now();
        list(&mut client, updates).await?;
        sleep_until(listed + REST).await;
        tokio::select! {
            () = asked.notified() => {}
            () = happened.notified() => {}
            () = sleep_until(listed + POLL) => {}
            () = updates.closed() => return Err(End::Closed),
        }
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Notifies of every event. Runtimes that have none, or do not send them, say so at once: the polls go on.
async fn forward_events(mut client: Grpc<Channel>, happened: Arc<Notify>) {
    let path = PathAndQuery::from_static(GET_EVENTS);
    let codec: ProstCodec<Everything, ContainerEvent> = ProstCodec::default();
    if client.ready().await.is_err() {
        return;
    }
    let Ok(response) = client.server_streaming(Request::new(Everything {}), path, codec).await else {
        return;
    };
    let mut events = response.into_inner();
    while let Ok(Some(_)) = events.message().await {
        happened.notify_one();
    }
}

async fn list(client: &mut Grpc<Channel>, updates: &Sender) -> Result<(), End> {
    let sandboxes: Sandboxes = ask(client, LIST_SANDBOXES).await?;
    let containers: Containers = ask(client, LIST_CONTAINERS).await?;
    updates.send(Update::Listing(Resource::Sandboxes)).await?;
    for pod in described(sandboxes.items, containers.containers) {
        updates.send(Update::Pod(Source::Cri, Box::new(pod))).await?;
    }
    updates.send(Update::Listed(Resource::Sandboxes)).await?;
    updates.send(Update::Up(Resource::Sandboxes)).await?;
    Ok(())
}

async fn ask<T: prost::Message + Default + 'static>(
    client: &mut Grpc<Channel>,
    method: &'static str,
) -> Result<T, Status> {
    let asked = async {
        client.ready().await.map_err(|error| Status::unavailable(words(&error)))?;
        let path = PathAndQuery::from_static(method);
        client.unary(Request::new(Everything {}), path, ProstCodec::<Everything, T>::default()).await
    };
    match timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("no answer after {PATIENCE:?}"))),
    }
}

/// An error with what caused it: tonic's own text is "transport error".
fn words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    words.join(": ")
}

fn reason(status: &Status) -> Reason {
    match status.code() {
        Code::DeadlineExceeded => Reason::Timeout,
        Code::Unavailable | Code::Cancelled => Reason::Connection,
        Code::PermissionDenied | Code::Unauthenticated => Reason::Forbidden,
        Code::Internal | Code::OutOfRange | Code::DataLoss => Reason::Malformed,
        _ => Reason::Server,
    }
}

/// The pods of these sandboxes: of several of one pod, the newest says its labels.
fn described(mut sandboxes: Vec<PodSandbox>, containers: Vec<Container>) -> Vec<Described> {
    sandboxes.sort_by_key(|sandbox| sandbox.metadata.as_ref().map(|metadata| metadata.attempt));
    let mut pods: BTreeMap<String, Described> = BTreeMap::new();
    let mut uids: BTreeMap<String, String> = BTreeMap::new();
    for sandbox in sandboxes {
        let Some((id, mut pod)) = describe(sandbox) else { continue };
        pod.add_container(&id, "");
        if let Some(older) = pods.get(&pod.uid) {
            older.containers.iter().for_each(|(id, name)| pod.add_container(id, name));
        }
        uids.insert(id, pod.uid.clone());
        pods.insert(pod.uid.clone(), pod);
    }
    for container in containers {
        if let Some(pod) = uids.get(&container.pod_sandbox_id).and_then(|uid| pods.get_mut(uid)) {
            pod.add_container(&container.id, &container.metadata.unwrap_or_default().name);
        }
    }
    pods.into_values().collect()
}

/// A sandbox's id and its pod.
fn describe(sandbox: PodSandbox) -> Option<(String, Described)> {
    let metadata = sandbox.metadata?;
    let pod = Described::new(&metadata.uid, &metadata.namespace, &metadata.name)?;
    let labels = sandbox.labels.into_iter().filter(|(name, _)| !name.starts_with(KUBELET_LABELS));
    let pod = pod.with_labels(labels).with_hash(sandbox.annotations.get(CONFIG_HASH).map(String::as_str));
    let workload = Workload::of_labels(&metadata.name, &pod.labels);
    Some((sandbox.id, pod.with_workload(workload)))
}

#[cfg(test)]
#[path = "cri_tests.rs"]
mod tests;

//! A Kubernetes API server that knows the pods and services it is told of: lists and watches, with versions, bookmarks and
//! 410, and everything that goes wrong with those of pods.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, Uri, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;

use super::objects::{Described, Exposed, NODE, kubeconfig};
use crate::pod::network::Namespace;

/// How the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Well,
    /// As it should, after this time.
    Slow(Duration),
    /// Never.
    Silent,
    /// With this status.
    Refusing(u16),
}

/// What goes wrong with the next watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The connection ends in the middle of an object.
    Torn,
    /// The watch says that its version is too old, and ends.
    Gone,
    /// They end, and those that begin where they ended get 410.
    GoneAtStart,
    /// They end, and those that begin where they ended say 500 and end.
    Unreadable,
}

/// The server. Dropping it ends it.
pub struct Api {
    state: Arc<Mutex<Cluster>>,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

/// An event of a watch: a line of its body, or the end of the connection.
type Event = Result<Bytes, std::io::Error>;

/// Objects of one resource, with their versions.
struct Collection {
    api: &'static str,
    kind: &'static str,
    /// One without content.
    empty: Value,
    objects: Vec<(u64, Value)>,
    watches: Vec<mpsc::Sender<Event>>,
}

struct Cluster {
    mood: Mood,
    version: u64,
    pods: Collection,
    services: Collection,
    slices: Collection,
    /// The oldest version after which there is a watch.
    oldest: u64,
    /// The oldest version after which a watch can tell what happened.
    readable: u64,
    /// How often pods were listed, and watches begun.
    counts: (u64, u64),
}

type Shared = State<Arc<Mutex<Cluster>>>;

fn lock(cluster: &Mutex<Cluster>) -> MutexGuard<'_, Cluster> {
    cluster.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Api {
    /// Listens in a network namespace, on its loopback.
    pub fn start(namespace: &Namespace, mood: Mood) -> Result<Self> {
        let listener = namespace.enter(|| TcpListener::bind("127.0.0.1:0").context("listen"))?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let cluster = Cluster {
            mood,
            version: 1000,
            pods: Collection::new("v1", "Pod", json!({ "spec": { "containers": null }, "status": {} })),
            services: Collection::new(
                "v1",
                "Service",
                json!({ "spec": {}, "status": { "loadBalancer": {} } }),
            ),
            slices: Collection::new(
                "discovery.k8s.io/v1",
                "EndpointSlice",
                json!({ "addressType": "", "endpoints": null, "ports": null }),
            ),
            oldest: 0,
            readable: 0,
            counts: (0, 0),
        };
        let state = Arc::new(Mutex::new(cluster));
        let router = Router::new()
            .route("/api/v1/pods", get(pods))
            .route("/api/v1/services", get(services))
            .route("/apis/discovery.k8s.io/v1/endpointslices", get(slices))
            .with_state(Arc::clone(&state));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        runtime.spawn(async { axum::serve(listener, router).await });
        Ok(Self { state, address, runtime: Some(runtime) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Writes a kubeconfig for it.
    pub fn kubeconfig(&self, dir: &Path) -> Result<PathBuf> {
        let path = dir.join("kubeconfig");
        let cluster = json!({ "server": format!("http://{}", self.address) });
        let text = kubeconfig("tracer", &cluster, &json!({}));
        fs::write(&path, text.to_string()).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// Answers otherwise from now on; watches that go on end.
    pub fn set(&self, mood: Mood) {
        let mut cluster = lock(&self.state);
        cluster.mood = mood;
        cluster.pods.watches.clear();
    }

    /// Has a pod from now on.
    pub fn add(&self, pod: &Described) {
        let mut cluster = lock(&self.state);
        let version = cluster.next();
        cluster.pods.add(version, pod.object(version));
    }

    /// Has a service from now on, with its address as the virtual one.
    pub fn add_service(&self, service: &Exposed) {
        let mut cluster = lock(&self.state);
        let version = cluster.next();
        cluster.services.add(version, service.object(version));
    }

    /// Has an endpoint of a service from now on: the pod at its address.
    pub fn add_endpoint(&self, service: &Exposed, pod: &Described) {
        let mut cluster = lock(&self.state);
        let version = cluster.next();
        cluster.slices.add(version, service.slice(pod, version));
    }

    /// Tells every watch how far it is.
    pub fn bookmark(&self) {
        let mut cluster = lock(&self.state);
        let version = cluster.next();
        let line = cluster.pods.bookmark(version);
        cluster.pods.tell(&line);
    }

    /// Breaks the watches.
    pub fn break_watches(&self, how: Break) {
        let mut cluster = lock(&self.state);
        match how {
            Break::Torn => {
                cluster.pods.tell("{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Pod\",\"meta");
                let torn = || Err(std::io::Error::other("torn"));
                cluster.pods.watches.retain(|watch| watch.try_send(torn()).is_ok());
            }
            Break::Gone => cluster.pods.tell(&event("ERROR", &status(410, "Expired"))),
            Break::GoneAtStart => {
                cluster.oldest = cluster.next();
            }
            Break::Unreadable => cluster.readable = cluster.next(),
        }
        cluster.pods.watches.clear();
    }

    /// How often pods were listed, and watches begun.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        lock(&self.state).counts
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

impl Cluster {
    fn next(&mut self) -> u64 {
        self.version += 1;
        self.version
    }
}

impl Collection {
    fn new(api: &'static str, kind: &'static str, empty: Value) -> Self {
        Self { api, kind, empty, objects: Vec::new(), watches: Vec::new() }
    }

    fn add(&mut self, version: u64, object: Value) {
        self.tell(&event("ADDED", &object));
        self.objects.push((version, object));
    }

    fn tell(&mut self, line: &str) {
        let line = Bytes::from(line.to_owned());
        self.watches.retain(|watch| watch.try_send(Ok(line.clone())).is_ok());
    }

    /// An object of which only the version says something.
    fn bookmark(&self, version: u64) -> String {
        let mut object = self.empty.clone();
        object["kind"] = self.kind.into();
        object["apiVersion"] = self.api.into();
        object["metadata"] = json!({ "resourceVersion": version.to_string() });
        event("BOOKMARK", &object)
    }

    /// The items of a list do not say what they are.
    fn list(&self, version: u64) -> Response {
        let item = |(_, object): &(u64, Value)| {
            let mut item = object.clone();
            if let Some(fields) = item.as_object_mut() {
                fields.retain(|name, _| name != "kind" && name != "apiVersion");
            }
            item
        };
        let items: Vec<Value> = self.objects.iter().map(item).collect();
        let metadata = json!({ "resourceVersion": version.to_string() });
        let kind = format!("{}List", self.kind);
        let list = json!({ "kind": kind, "apiVersion": self.api, "metadata": metadata, "items": items });
        answer(StatusCode::OK, list.to_string())
    }

    /// Everything after a version, and what comes.
    fn watch(&mut self, after: u64, version: u64) -> Response {
        let (sender, events) = mpsc::channel(64);
        for (_, object) in self.objects.iter().filter(|(version, _)| *version > after) {
            // The channel is new, and the objects are few.
            let _room = sender.try_send(Ok(event("ADDED", object).into()));
        }
        let _room = sender.try_send(Ok(self.bookmark(version).into()));
        self.watches.push(sender);
        stream(events)
    }
}

/// The answer to a watch.
fn stream(events: mpsc::Receiver<Event>) -> Response {
    ([(CONTENT_TYPE, "application/json")], Body::from_stream(ReceiverStream::new(events))).into_response()
}

async fn pods(State(cluster): Shared, uri: Uri) -> Response {
    if let Some(refusal) = wait(&cluster).await {
        return refusal;
    }
    // Everybody's pods on every node of a large cluster would be a burden to its API server.
    if value_of(&uri, "fieldSelector") != Some(&format!("spec.nodeName%3D{NODE}")) {
        return refusal(400);
    }
    let mut cluster = lock(&cluster);
    let version = cluster.version;
    let Some(after) = watched_after(&uri) else {
        cluster.counts.0 += 1;
        return cluster.pods.list(version);
    };
    cluster.counts.1 += 1;
    if after < cluster.oldest {
        return refusal(410);
    }
    if after < cluster.readable {
        let (sender, events) = mpsc::channel(1);
        let _room = sender.try_send(Ok(event("ERROR", &status(500, "InternalError")).into()));
        return stream(events);
    }
    cluster.pods.watch(after, version)
}

async fn services(State(cluster): Shared, uri: Uri) -> Response {
    told(&cluster, &uri, |cluster| &mut cluster.services).await
}

async fn slices(State(cluster): Shared, uri: Uri) -> Response {
    told(&cluster, &uri, |cluster| &mut cluster.slices).await
}

/// A collection of which nothing goes wrong but the mood.
async fn told(
    cluster: &Mutex<Cluster>,
    uri: &Uri,
    collection: impl Fn(&mut Cluster) -> &mut Collection,
) -> Response {
    if let Some(refusal) = wait(cluster).await {
        return refusal;
    }
    let mut cluster = lock(cluster);
    let version = cluster.version;
    match watched_after(uri) {
        Some(after) => collection(&mut cluster).watch(after, version),
        None => collection(&mut cluster).list(version),
    }
}

/// As the mood is: a refusal at once or the answer later.
async fn wait(cluster: &Mutex<Cluster>) -> Option<Response> {
    let mood = lock(cluster).mood;
    match mood {
        Mood::Well => None,
        Mood::Slow(time) => {
            tokio::time::sleep(time).await;
            None
        }
        Mood::Silent => std::future::pending().await,
        Mood::Refusing(code) => Some(refusal(code)),
    }
}

/// The version after which is watched; nothing when a list is asked for.
fn watched_after(uri: &Uri) -> Option<u64> {
    let is_watch = value_of(uri, "watch") == Some("true");
    let version = || value_of(uri, "resourceVersion").and_then(|version| version.parse().ok());
    is_watch.then(|| version().unwrap_or_default())
}

/// A value of the query, as it stands there.
fn value_of<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let mut pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// A line of a watch.
fn event(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({ "type": kind, "object": object }))
}

fn status(code: u16, reason: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "as asked for",
        "reason": reason, "code": code,
    })
}

fn refusal(code: u16) -> Response {
    let reason = match code {
        403 => "Forbidden",
        410 => "Expired",
        _ => "InternalError",
    };
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer(code, status(code.as_u16(), reason).to_string())
}

fn answer(code: StatusCode, text: String) -> Response {
    (code, [(CONTENT_TYPE, "application/json")], text).into_response()
}

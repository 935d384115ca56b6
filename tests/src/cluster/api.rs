//! A Kubernetes API server that knows the pods it is told of: lists and watches of `/api/v1/pods`, with versions,
//! bookmarks and 410, and everything that goes wrong with them.

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

use super::objects::{Described, NODE};
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

struct Cluster {
    mood: Mood,
    version: u64,
    pods: Vec<(u64, Described)>,
    watches: Vec<mpsc::Sender<Event>>,
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
            pods: Vec::new(),
            watches: Vec::new(),
            oldest: 0,
            readable: 0,
            counts: (0, 0),
        };
        let state = Arc::new(Mutex::new(cluster));
        let router = Router::new().route("/api/v1/pods", get(pods)).with_state(Arc::clone(&state));
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
        let text = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "lab", "cluster": { "server": format!("http://{}", self.address) } }],
            "users": [{ "name": "tracer", "user": {} }],
            "contexts": [{ "name": "lab", "context": { "cluster": "lab", "user": "tracer" } }],
            "current-context": "lab",
        });
        fs::write(&path, text.to_string()).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// Answers otherwise from now on; watches that go on end.
    pub fn set(&self, mood: Mood) {
        let mut cluster = lock(&self.state);
        cluster.mood = mood;
        cluster.watches.clear();
    }

    /// Has a pod from now on.
    pub fn add(&self, pod: Described) {
        let mut cluster = lock(&self.state);
        cluster.version += 1;
        let version = cluster.version;
        cluster.tell(&event("ADDED", &pod.object(version)));
        cluster.pods.push((version, pod));
    }

    /// Tells every watch how far it is.
    pub fn bookmark(&self) {
        let mut cluster = lock(&self.state);
        cluster.version += 1;
        let line = cluster.bookmark();
        cluster.tell(&line);
    }

    /// Breaks the watches.
    pub fn break_watches(&self, how: Break) {
        let mut cluster = lock(&self.state);
        match how {
            Break::Torn => {
                cluster.tell("{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Pod\",\"meta");
                let torn = || Err(std::io::Error::other("torn"));
                cluster.watches.retain(|watch| watch.try_send(torn()).is_ok());
            }
            Break::Gone => cluster.tell(&event("ERROR", &status(410, "Expired"))),
            Break::GoneAtStart => {
                cluster.version += 1;
                cluster.oldest = cluster.version;
            }
            Break::Unreadable => {
                cluster.version += 1;
                cluster.readable = cluster.version;
            }
        }
        cluster.watches.clear();
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
    fn tell(&mut self, line: &str) {
        let line = Bytes::from(line.to_owned());
        self.watches.retain(|watch| watch.try_send(Ok(line.clone())).is_ok());
    }

    fn bookmark(&self) -> String {
        let metadata = json!({ "resourceVersion": self.version.to_string() });
        let pod = json!({
            "kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": { "containers": null }, "status": {},
        });
        event("BOOKMARK", &pod)
    }

    fn list(&mut self) -> Response {
        self.counts.0 += 1;
        let items: Vec<Value> = self.pods.iter().map(|(version, pod)| pod.item(*version)).collect();
        let metadata = json!({ "resourceVersion": self.version.to_string() });
        let list = json!({ "kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items });
        answer(StatusCode::OK, list.to_string())
    }

    /// Everything after a version, and what comes.
    fn watch(&mut self, after: u64) -> Response {
        self.counts.1 += 1;
        if after < self.oldest {
            return refusal(410);
        }
        let (sender, events) = mpsc::channel(64);
        if after < self.readable {
            let _room = sender.try_send(Ok(event("ERROR", &status(500, "InternalError")).into()));
            return stream(events);
        }
        for (version, pod) in self.pods.iter().filter(|(version, _)| *version > after) {
            // The channel is new, and the pods are few.
            let _room = sender.try_send(Ok(event("ADDED", &pod.object(*version)).into()));
        }
        let _room = sender.try_send(Ok(self.bookmark().into()));
        self.watches.push(sender);
        stream(events)
    }
}

/// The answer to a watch.
fn stream(events: mpsc::Receiver<Event>) -> Response {
    ([(CONTENT_TYPE, "application/json")], Body::from_stream(ReceiverStream::new(events))).into_response()
}

async fn pods(State(cluster): Shared, uri: Uri) -> Response {
    let mood = lock(&cluster).mood;
    match mood {
        Mood::Well => {}
        Mood::Slow(time) => tokio::time::sleep(time).await,
        Mood::Silent => std::future::pending().await,
        Mood::Refusing(code) => return refusal(code),
    }
    // Everybody's pods on every node of a large cluster would be a burden to its API server.
    if value_of(&uri, "fieldSelector") != Some(&format!("spec.nodeName%3D{NODE}")) {
        return refusal(400);
    }
    let mut cluster = lock(&cluster);
    if value_of(&uri, "watch") != Some("true") {
        return cluster.list();
    }
    let after = value_of(&uri, "resourceVersion").and_then(|version| version.parse().ok());
    cluster.watch(after.unwrap_or_default())
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

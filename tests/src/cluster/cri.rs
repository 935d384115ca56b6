//! A container runtime that knows the pods it is told of: the calls of `runtime.v1.RuntimeService` that list, and its
//! events.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as Task, Poll};

use anyhow::{Context, Result};
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::codegen::tokio_stream::{
    self as stream,
    wrappers::{ReceiverStream, UnixListenerStream},
};
use tonic::codegen::{Bytes, Service, http};
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};

use super::objects::Described;
use super::protobuf::Message;
use crate::role::grpc::Plain;

/// How the runtime answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should, with events.
    Well,
    /// As it should, but has no events.
    WithoutEvents,
    /// Never.
    Silent,
}

/// The runtime. Dropping it ends it.
pub struct Cri {
    state: Arc<State>,
    runtime: Option<Runtime>,
}

struct State {
    mood: Mutex<Mood>,
    pods: Mutex<Vec<Described>>,
    listeners: Mutex<Vec<mpsc::Sender<Result<Bytes, Status>>>>,
}

impl State {
    fn listeners(&self) -> MutexGuard<'_, Vec<mpsc::Sender<Result<Bytes, Status>>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pods(&self) -> MutexGuard<'_, Vec<Described>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cri {
    /// Listens on a socket.
    pub fn start(socket: &Path, mood: Mood) -> Result<Self> {
        let state =
            Arc::new(State { mood: Mutex::new(mood), pods: Mutex::default(), listeners: Mutex::default() });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(socket).with_context(|| format!("listen on {}", socket.display()))?
        };
        let calls = Calls(Arc::clone(&state));
        let served =
            tonic::transport::Server::builder().serve_with_incoming(calls, UnixListenerStream::new(listener));
        runtime.spawn(served);
        Ok(Self { state, runtime: Some(runtime) })
    }

    /// Runs a pod from now on.
    pub fn add(&self, pod: Described) {
        self.state.pods().push(pod);
        let started = Message::default().bytes(1, "container").number(2, 1);
        let started = Bytes::from(started);
        self.state.listeners().retain(|listener| listener.try_send(Ok(started.clone())).is_ok());
    }

    /// Answers otherwise from now on.
    pub fn set(&self, mood: Mood) {
        *self.state.mood() = mood;
    }
}

impl Drop for Cri {
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

#[derive(Clone)]
struct Calls(Arc<State>);

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

impl Service<http::Request<Body>> for Calls {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _task: &mut Task<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let state = Arc::clone(&self.0);
        Box::pin(async move {
            let mood = *state.mood();
            if mood == Mood::Silent {
                pending::<()>().await;
            }
            let mut grpc = Grpc::new(Plain);
            let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            let known = request.uri().path().starts_with("/runtime.v1.RuntimeService/");
            Ok(match method.as_str() {
                "ListPodSandbox" if known => grpc.unary(List(sandboxes(&state)), request).await,
                "ListContainers" if known => grpc.unary(List(containers(&state)), request).await,
                "GetContainerEvents" if known && mood == Mood::Well => {
                    grpc.server_streaming(Events(state), request).await
                }
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// A `ListPodSandboxResponse`, with fields that the tracer does not read.
fn sandboxes(state: &State) -> Message {
    state.pods().iter().fold(Message::default(), |list, pod| {
        let metadata =
            Message::default().bytes(1, pod.name()).bytes(2, &pod.uid).bytes(3, &pod.namespace).number(4, 0);
        let sandbox = Message::default()
            .bytes(1, format!("sandbox-{}", pod.uid))
            .bytes(2, metadata)
            .number(3, 0)
            .number(4, 1_767_225_600_000_000_000);
        let sandbox =
            pod.labels().iter().fold(sandbox, |sandbox, (name, value)| sandbox.entry(5, name, value));
        let sandbox = sandbox
            .entry(5, "io.kubernetes.pod.name", &pod.name())
            .entry(6, "kubernetes.io/config.source", "api")
            .bytes(7, "runc");
        list.bytes(1, sandbox)
    })
}

/// A `ListContainersResponse`.
fn containers(state: &State) -> Message {
    state.pods().iter().fold(Message::default(), |list, pod| {
        let container = Message::default()
            .bytes(1, &pod.container)
            .bytes(2, format!("sandbox-{}", pod.uid))
            .bytes(3, Message::default().bytes(1, "app").number(2, 0))
            .bytes(5, "sha256:0")
            .number(6, 1);
        list.bytes(1, container)
    })
}

struct List(Message);

impl UnaryService<Bytes> for List {
    type Response = Bytes;
    type Future = Answer<Bytes>;

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        let list = self.0.clone();
        Box::pin(async move { Ok(Response::new(list.into())) })
    }
}

struct Events(Arc<State>);

impl ServerStreamingService<Bytes> for Events {
    type Response = Bytes;
    type ResponseStream = Pin<Box<dyn stream::Stream<Item = Result<Bytes, Status>> + Send>>;
    type Future = Answer<Self::ResponseStream>;

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        let (sender, events) = mpsc::channel(16);
        self.0.listeners().push(sender);
        let events: Self::ResponseStream = Box::pin(ReceiverStream::new(events));
        Box::pin(async { Ok(Response::new(events)) })
    }
}

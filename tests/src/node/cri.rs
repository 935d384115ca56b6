//! The container runtime's socket: calls of `runtime.v1.RuntimeService`, as the kubelet makes them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, client::Grpc};

use super::answer::Fields;
use crate::cluster::protobuf::Message;
use crate::role::grpc::Plain;

/// Longer than the runtime takes to start a sandbox in an emulated machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// The state of a container that has ended.
const EXITED: u64 = 2;

/// A container runtime.
pub(super) struct Runtime {
    tokio: tokio::runtime::Runtime,
    channel: Channel,
}

/// What the runtime says of a container.
pub(super) struct ContainerStatus {
    /// The exit code, once it has ended.
    pub(super) exited: Option<u64>,
    /// What the runtime says besides, as JSON: the process and the OCI configuration.
    pub(super) info: String,
}

impl Runtime {
    /// Connects to a socket.
    pub(super) fn connect(socket: &Path) -> Result<Self> {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display()))?.timeout(PATIENCE);
        let channel = tokio.block_on(endpoint.connect());
        let channel = channel.with_context(|| format!("connect to {}", socket.display()))?;
        Ok(Self { tokio, channel })
    }

    /// Name and version.
    pub(super) fn version(&self) -> Result<String> {
        let answer = self.call("Version", Message::default())?;
        Ok(format!("{} {}", answer.text(2), answer.text(3)))
    }

    /// Runs a sandbox; its id.
    pub(super) fn run_sandbox(&self, config: &Message) -> Result<String> {
        Ok(self.call("RunPodSandbox", Message::default().bytes(1, config))?.text(1))
    }

    /// The address of a sandbox.
    pub(super) fn address(&self, sandbox: &str) -> Result<String> {
        let answer = self.call("PodSandboxStatus", Message::default().bytes(1, sandbox))?;
        Ok(answer.message(1)?.message(5)?.text(1))
    }

    /// Makes a container in a sandbox and starts it; its id.
    pub(super) fn start_container(
        &self,
        sandbox: &str,
        config: &Message,
        sandbox_config: &Message,
    ) -> Result<String> {
        let request = Message::default().bytes(1, sandbox).bytes(2, config).bytes(3, sandbox_config);
        let id = self.call("CreateContainer", request)?.text(1);
        self.call("StartContainer", Message::default().bytes(1, &id))?;
        Ok(id)
    }

    /// What became of a container.
    pub(super) fn container(&self, id: &str) -> Result<ContainerStatus> {
        let answer = self.call("ContainerStatus", Message::default().bytes(1, id).number(2, 1))?;
        let status = answer.message(1)?;
        let exited = (status.number(3) == EXITED).then(|| status.number(7));
        Ok(ContainerStatus { exited, info: answer.entry(2, "info")? })
    }

    /// Asks a container to end, and ends it after `seconds`.
    pub(super) fn stop_container(&self, id: &str, seconds: u64) -> Result<()> {
        self.call("StopContainer", Message::default().bytes(1, id).number(2, seconds)).map(drop)
    }

    /// Ends a sandbox and all that is in it, and removes it.
    pub(super) fn remove_sandbox(&self, sandbox: &str) -> Result<()> {
        self.call("StopPodSandbox", Message::default().bytes(1, sandbox))?;
        self.call("RemovePodSandbox", Message::default().bytes(1, sandbox)).map(drop)
    }

    fn call(&self, method: &str, message: Message) -> Result<Fields> {
        let path = PathAndQuery::try_from(format!("/runtime.v1.RuntimeService/{method}"))?;
        let mut client = Grpc::new(self.channel.clone());
        let answer = self.tokio.block_on(async {
            client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            client.unary(Request::new(message.into()), path, Plain).await
        });
        let answer = answer.with_context(|| format!("{method} of the container runtime"))?;
        Fields::read(&answer.into_inner()).with_context(|| format!("the answer to {method}"))
    }
}

//! Container runtimes: the trait [`Runtime`], shaped like Kubernetes' Container Runtime Interface, and
//! [`memory::MemoryRuntime`], which runs containers in this process. With the feature `docker` there is
//! `docker::DockerRuntime`, whose containers are those of a Docker engine.
//!
//! A *sandbox* is the network identity of one pod (what the pause container is elsewhere); *containers* run in it.

mod address;
mod container;
#[cfg(feature = "docker")]
pub mod docker;
mod error;
mod event;
mod files;
mod host_path;
mod image;
mod layer;
mod limits;
pub mod memory;
mod sandbox;
mod stats;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::api::{ByteStream, ExecOptions, ExecSession, LogOptions, Output};

pub use address::PodRange;
pub use container::{
    ContainerConfig, ContainerId, ContainerState, ContainerStatus, Device, Exit, Medium, Mount, MountSource,
};
pub use error::RuntimeError;
pub use event::{EventKind, RuntimeEvent};
pub use files::{File, FileTree};
pub use host_path::PathKind;
pub use image::{Credential, Image};
pub use layer::Layer;
pub use limits::Limits;
pub use sandbox::{Dns, PortMapping, SandboxConfig, SandboxId, SandboxStatus};
pub use stats::{ContainerStats, DiskUsage, Filesystem, MachineStats, PodDisk};

/// The result of a runtime's operation.
pub type Result<T, E = RuntimeError> = std::result::Result<T, E>;

/// A connection to a port of a pod.
pub type PodStream = Pin<Box<dyn ByteStream>>;

/// What a runtime is: shown in a node's `status.nodeInfo` and in container IDs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// The scheme of container IDs: `memory`, `docker`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of the kernel that containers run on.
    pub kernel_version: String,
    /// The operating system of the node, for people to read.
    pub os_image: String,
}

/// What a program that ran to its end has left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// The exit code.
    pub code: i32,
    /// Standard output and error output, as they came.
    pub output: Vec<u8>,
}

/// Runs the sandboxes and containers of one node.
///
/// Operations are idempotent where the wanted state may hold already: stopping what is stopped and removing what is
/// gone succeed. All may be called concurrently; operations on one container are the caller's to order.
///
/// # Cancel safety
/// Dropping a future may leave its operation done or not done, never half done: [`Runtime::containers`] tells.
#[async_trait]
pub trait Runtime: Debug + Send + Sync + 'static {
    /// Name and version.
    fn info(&self) -> RuntimeInfo;

    /// What happens from now on, so that nobody needs to poll. A reader that falls behind gets
    /// [`EventKind::Lost`] and must look at everything again.
    fn events(&self) -> BoxStream<'static, RuntimeEvent>;

    /// Makes and starts the sandbox of a pod.
    async fn run_sandbox(&self, config: &SandboxConfig) -> Result<SandboxStatus>;

    /// Stops a sandbox: kills what still runs in it and releases its network.
    async fn stop_sandbox(&self, id: &SandboxId) -> Result<()>;

    /// Removes a sandbox and its containers, running or not.
    async fn remove_sandbox(&self, id: &SandboxId) -> Result<()>;

    /// A sandbox's state.
    async fn sandbox_status(&self, id: &SandboxId) -> Result<SandboxStatus>;

    /// All sandboxes, also stopped ones, oldest first.
    async fn sandboxes(&self) -> Result<Vec<SandboxStatus>>;

    /// All containers of a sandbox, also those that have exited, oldest first.
    async fn containers(&self, sandbox: &SandboxId) -> Result<Vec<ContainerStatus>>;

    /// Makes a container in a sandbox. Its image must be present.
    async fn create_container(&self, sandbox: &SandboxId, config: &ContainerConfig) -> Result<ContainerId>;

    /// Starts a container that was made and never started.
    async fn start_container(&self, id: &ContainerId) -> Result<()>;

    /// Ends a container: sends its stop signal, and kills it when `timeout` has passed. Returns when it has ended.
    async fn stop_container(&self, id: &ContainerId, timeout: Duration) -> Result<()>;

    /// Removes a container with its logs.
    async fn remove_container(&self, id: &ContainerId) -> Result<()>;

    /// A container's state.
    async fn container_status(&self, id: &ContainerId) -> Result<ContainerStatus>;

    /// Changes what a container may use, while it runs.
    async fn update_resources(&self, id: &ContainerId, limits: Limits) -> Result<()>;

    /// Brings the files of a volume that containers of a sandbox mount up to date with `files`. For runtimes whose
    /// containers see a copy of them; those that share the tree itself have nothing to do.
    ///
    /// The agent calls it when it has taken over a pod, and when the content may have changed.
    async fn refresh_files(&self, _sandbox: &SandboxId, _volume: &str, _files: &FileTree) -> Result<()> {
        Ok(())
    }

    /// What there is at a path of the node; `None` where there is nothing.
    async fn host_path(&self, path: &str) -> Result<Option<PathKind>>;

    /// Makes a directory (and those above it), or an empty file, at a path of the node where there is nothing.
    async fn make_host_path(&self, path: &str, kind: PathKind) -> Result<()>;

    /// The regular files in a directory of the node, by name; `None` where there is no such directory.
    async fn read_host_directory(&self, path: &str) -> Result<Option<BTreeMap<String, Bytes>>>;

    /// Removes what the pod has written to its directories ([`MountSource::Directory`]): it has ended for good. Its
    /// containers and their logs stay.
    async fn clear_directories(&self, sandbox: &SandboxId) -> Result<()>;

    /// What a running container uses.
    ///
    /// # Errors
    /// [`RuntimeError::State`] where it does not run.
    async fn stats(&self, id: &ContainerId) -> Result<ContainerStats>;

    /// What a pod keeps on the disks of its node. May take a while: directories are walked through.
    async fn pod_disk(&self, sandbox: &SandboxId) -> Result<PodDisk>;

    /// What the machine has, and how much of it is free.
    async fn machine(&self) -> Result<MachineStats>;

    /// The image of that name, where it is present.
    async fn image(&self, name: &str) -> Result<Option<Image>>;

    /// Fetches an image, with the first credential that fits.
    async fn pull_image(&self, name: &str, credentials: &[Credential]) -> Result<Image>;

    /// All images that are present.
    async fn images(&self) -> Result<Vec<Image>>;

    /// Removes an image: of that name, or (`sha256:…`) of that ID, under all its names.
    ///
    /// # Errors
    /// [`RuntimeError::State`] where it is named by its ID and a container uses it.
    async fn remove_image(&self, name: &str) -> Result<()>;

    /// What a container has written. `options.container` and `options.previous` are the caller's to resolve.
    async fn logs(
        &self,
        id: &ContainerId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, std::result::Result<Bytes, RuntimeError>>>;

    /// Runs a program in a running container.
    async fn exec(&self, id: &ContainerId, options: &ExecOptions) -> Result<ExecSession>;

    /// Attaches to a running container's main process.
    async fn attach(&self, id: &ContainerId, options: &ExecOptions) -> Result<ExecSession>;

    /// Connects to a TCP port of a sandbox, as from inside its network.
    async fn dial(&self, id: &SandboxId, port: u16) -> Result<PodStream>;

    /// Connects to a TCP port of a sandbox's address, as from its node, for probes: what listens on the loopback within
    /// alone is not reached.
    async fn reach(&self, id: &SandboxId, port: u16) -> Result<PodStream> {
        self.dial(id, port).await
    }

    /// Runs a program to its end, for probes and hooks.
    ///
    /// # Errors
    /// [`RuntimeError::Exec`] where it cannot be run, [`RuntimeError::Timeout`] where it does not end in time.
    async fn exec_sync(&self, id: &ContainerId, command: &[String], timeout: Option<Duration>) -> Result<ExecOutput> {
        let options = ExecOptions { command: command.to_vec(), stdout: true, stderr: true, ..ExecOptions::default() };
        let run = async {
            let mut session = self.exec(id, &options).await?;
            drop(session.stdin);
            let mut output = Vec::new();
            while let Some((Output::Stdout | Output::Stderr, bytes)) = session.output.recv().await {
                output.extend_from_slice(&bytes);
            }
            match session.exit.await {
                Ok(Ok(code)) => Ok(ExecOutput { code, output }),
                Ok(Err(error)) => Err(RuntimeError::Exec(error.message().to_owned())),
                Err(_) => Err(RuntimeError::Exec("the container has ended".to_owned())),
            }
        };
        match timeout {
            None => run.await,
            Some(limit) => tokio::time::timeout(limit, run)
                .await
                .unwrap_or_else(|_| Err(RuntimeError::Timeout { command: command.join(" "), limit })),
        }
    }
}

const _: Option<&dyn Runtime> = None; // must stay usable as a trait object

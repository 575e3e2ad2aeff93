//! [`Runtime`] for [`DockerRuntime`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::sync::broadcast::error::RecvError;

use super::error::failed;
use super::sandbox::AT_ONCE;
use super::{DockerRuntime, blocking, resources, volume};
use crate::api::{ExecOptions, ExecSession, LogOptions};
use crate::runtime::{
    ContainerConfig, ContainerId, ContainerStats, ContainerStatus, Credential, EventKind, FileTree, Image, Limits,
    MachineStats, Medium, PathKind, PodDisk, PodStream, Result, Runtime, RuntimeError, RuntimeEvent, RuntimeInfo,
    SandboxConfig, SandboxId, SandboxStatus,
};

/// `None` where what was asked for has gone away meanwhile.
fn still_there<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if error.is_not_found() => Ok(None),
        other => other.map(Some),
    }
}

#[async_trait]
impl Runtime for DockerRuntime {
    fn info(&self) -> RuntimeInfo {
        self.engine().info().clone()
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let own = (self.cluster().config().cluster.clone(), self.0.node.clone());
        stream::unfold((self.engine().events(), own), |(mut events, own)| async {
            loop {
                match events.recv().await {
                    Ok(tagged) if tagged.owner.as_ref().is_none_or(|owner| *owner == own) => {
                        return Some((tagged.event.clone(), (events, own)));
                    }
                    Ok(_) => {}
                    Err(RecvError::Closed) => return None,
                    Err(RecvError::Lagged(_)) => {
                        let (pod, sandbox) = (String::new(), SandboxId::new(""));
                        return Some((RuntimeEvent { pod, sandbox, kind: EventKind::Lost }, (events, own)));
                    }
                }
            }
        })
        .boxed()
    }

    async fn run_sandbox(&self, config: &SandboxConfig) -> Result<SandboxStatus> {
        // In a task of its own: it is made as a whole, even where nobody waits for it any more.
        let (runtime, config) = (self.clone(), config.clone());
        let making = self.cluster().making()?;
        let made = tokio::spawn(async move {
            let made = runtime.make_sandbox(&config).await;
            drop(making);
            made
        });
        let made = made.await;
        made.unwrap_or_else(|error| Err(RuntimeError::State(format!("a task has ended before its time: {error}"))))
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<()> {
        self.end_sandbox(id).await
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<()> {
        self.drop_sandbox(id).await
    }

    async fn sandbox_status(&self, id: &SandboxId) -> Result<SandboxStatus> {
        self.find_sandbox(id).await
    }

    async fn sandboxes(&self) -> Result<Vec<SandboxStatus>> {
        self.all_sandboxes().await
    }

    async fn containers(&self, sandbox: &SandboxId) -> Result<Vec<ContainerStatus>> {
        let ids = self.container_ids(sandbox).await?;
        let look = |id: String| async move { still_there(self.status_of(&ContainerId::new(id)).await) };
        let found: Vec<_> = stream::iter(ids).map(look).buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn create_container(&self, sandbox: &SandboxId, config: &ContainerConfig) -> Result<ContainerId> {
        let _making = self.cluster().making()?;
        self.make_container(sandbox, config).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<()> {
        self.begin_container(id).await
    }

    async fn stop_container(&self, id: &ContainerId, timeout: Duration) -> Result<()> {
        self.end_container(id, timeout).await
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<()> {
        self.drop_container(id).await
    }

    async fn container_status(&self, id: &ContainerId) -> Result<ContainerStatus> {
        self.status_of(id).await
    }

    async fn update_resources(&self, id: &ContainerId, limits: Limits) -> Result<()> {
        self.inspect(id).await?;
        let updated = self.docker().update_container(id.as_str(), resources::update(limits)).await;
        updated.map_err(|error| failed(format!("update container {id}"), error))
    }

    async fn refresh_files(&self, sandbox: &SandboxId, volume: &str, files: &FileTree) -> Result<()> {
        let status = self.find_sandbox(sandbox).await?;
        let directory = self.pod_files(&status.uid).volume(volume, Medium::Disk);
        let (files, now) = (files.files(), self.now());
        // A volume that no container mounts is not written.
        blocking(move || if directory.exists() { volume::rewrite(&directory, &files, now) } else { Ok(()) }).await
    }

    async fn host_path(&self, path: &str) -> Result<Option<PathKind>> {
        let path = PathBuf::from(path);
        blocking(move || volume::kind(&path)).await
    }

    async fn read_host_directory(&self, path: &str) -> Result<Option<BTreeMap<String, Bytes>>> {
        let path = PathBuf::from(path);
        blocking(move || volume::read_directory(&path)).await
    }

    async fn make_host_path(&self, path: &str, kind: PathKind) -> Result<()> {
        let path = PathBuf::from(path);
        blocking(move || volume::make(&path, kind)).await
    }

    async fn stats(&self, id: &ContainerId) -> Result<ContainerStats> {
        self.measure(id).await
    }

    async fn clear_directories(&self, sandbox: &SandboxId) -> Result<()> {
        self.empty_directories(sandbox).await
    }

    async fn pod_disk(&self, sandbox: &SandboxId) -> Result<PodDisk> {
        self.measure_disk(sandbox).await
    }

    async fn machine(&self) -> Result<MachineStats> {
        self.measure_machine().await
    }

    async fn image(&self, name: &str) -> Result<Option<Image>> {
        self.find_image(name).await
    }

    async fn pull_image(&self, name: &str, credentials: &[Credential]) -> Result<Image> {
        self.fetch_image(name, credentials).await
    }

    async fn images(&self) -> Result<Vec<Image>> {
        self.all_images().await
    }

    async fn remove_image(&self, name: &str) -> Result<()> {
        self.drop_image(name).await
    }

    async fn logs(&self, id: &ContainerId, options: &LogOptions) -> Result<BoxStream<'static, Result<Bytes>>> {
        self.read_log(id, options, options.follow).await
    }

    async fn exec(&self, id: &ContainerId, options: &ExecOptions) -> Result<ExecSession> {
        self.run_beside(id, options).await
    }

    async fn attach(&self, id: &ContainerId, options: &ExecOptions) -> Result<ExecSession> {
        self.attach_to(id, options).await
    }

    async fn dial(&self, id: &SandboxId, port: u16) -> Result<PodStream> {
        self.connect(id, port).await
    }

    async fn reach(&self, id: &SandboxId, port: u16) -> Result<PodStream> {
        self.connect_to_address(id, port).await
    }
}

//! [`Layer`]: a runtime that changes a part of what another does.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::{
    ContainerConfig, ContainerId, ContainerStats, ContainerStatus, Credential, ExecOutput, FileTree, Image, Limits,
    MachineStats, PathKind, PodDisk, PodStream, Result, Runtime, RuntimeEvent, RuntimeInfo, SandboxConfig, SandboxId,
    SandboxStatus,
};
use crate::api::{ExecOptions, ExecSession, LogOptions};

/// Makes the trait, whose methods ask the runtime below, and the runtime that every layer is.
macro_rules! layer {
    ($($name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        /// A runtime over another: what a layer does not define is done by the one below. For counting, delaying and
        /// failing what containers do.
        ///
        /// ```
        /// use orchestrion::runtime::memory::MemoryRuntime;
        /// use orchestrion::runtime::{Credential, Image, Layer, Result, Runtime, RuntimeError};
        ///
        /// /// No registry can be reached.
        /// #[derive(Debug)]
        /// struct Offline(MemoryRuntime);
        ///
        /// #[async_trait::async_trait]
        /// impl Layer for Offline {
        ///     fn below(&self) -> &dyn Runtime {
        ///         &self.0
        ///     }
        ///
        ///     async fn pull_image(&self, name: &str, _: &[Credential]) -> Result<Image> {
        ///         Err(RuntimeError::Pull { image: name.to_owned(), message: "no route to host".to_owned() })
        ///     }
        /// }
        /// ```
        ///
        /// # Errors
        /// Those of [`Runtime`].
        ///
        /// # Cancel safety
        /// That of [`Runtime`].
        #[async_trait]
        #[allow(clippy::missing_errors_doc, reason = "said once, on the trait")]
        pub trait Layer: Debug + Send + Sync + 'static {
            /// The runtime below.
            fn below(&self) -> &dyn Runtime;

            /// As [`Runtime::info`].
            fn info(&self) -> RuntimeInfo {
                self.below().info()
            }

            /// As [`Runtime::events`].
            fn events(&self) -> BoxStream<'static, RuntimeEvent> {
                self.below().events()
            }

            $(
                #[doc = concat!("As [`Runtime::", stringify!($name), "`].")]
                async fn $name(&self, $($argument: $type),*) -> Result<$output> {
                    self.below().$name($($argument),*).await
                }
            )*
        }

        #[async_trait]
        impl<L: Layer> Runtime for L {
            fn info(&self) -> RuntimeInfo {
                Layer::info(self)
            }

            fn events(&self) -> BoxStream<'static, RuntimeEvent> {
                Layer::events(self)
            }

            $(
                async fn $name(&self, $($argument: $type),*) -> Result<$output> {
                    Layer::$name(self, $($argument),*).await
                }
            )*
        }
    };
}

layer! {
    run_sandbox(config: &SandboxConfig) -> SandboxStatus;
    stop_sandbox(id: &SandboxId) -> ();
    remove_sandbox(id: &SandboxId) -> ();
    sandbox_status(id: &SandboxId) -> SandboxStatus;
    sandboxes() -> Vec<SandboxStatus>;
    containers(sandbox: &SandboxId) -> Vec<ContainerStatus>;
    create_container(sandbox: &SandboxId, config: &ContainerConfig) -> ContainerId;
    start_container(id: &ContainerId) -> ();
    stop_container(id: &ContainerId, timeout: Duration) -> ();
    remove_container(id: &ContainerId) -> ();
    container_status(id: &ContainerId) -> ContainerStatus;
    update_resources(id: &ContainerId, limits: Limits) -> ();
    refresh_files(sandbox: &SandboxId, volume: &str, files: &FileTree) -> ();
    host_path(path: &str) -> Option<PathKind>;
    make_host_path(path: &str, kind: PathKind) -> ();
    read_host_directory(path: &str) -> Option<BTreeMap<String, Bytes>>;
    clear_directories(sandbox: &SandboxId) -> ();
    stats(id: &ContainerId) -> ContainerStats;
    pod_disk(sandbox: &SandboxId) -> PodDisk;
    machine() -> MachineStats;
    image(name: &str) -> Option<Image>;
    pull_image(name: &str, credentials: &[Credential]) -> Image;
    images() -> Vec<Image>;
    remove_image(name: &str) -> ();
    logs(id: &ContainerId, options: &LogOptions) -> BoxStream<'static, Result<Bytes>>;
    exec(id: &ContainerId, options: &ExecOptions) -> ExecSession;
    attach(id: &ContainerId, options: &ExecOptions) -> ExecSession;
    dial(id: &SandboxId, port: u16) -> PodStream;
    reach(id: &SandboxId, port: u16) -> PodStream;
    exec_sync(id: &ContainerId, command: &[String], timeout: Option<Duration>) -> ExecOutput;
}

//! Containers: what they are made from and how they are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerPort, ResourceRequirements, SecurityContext};

use super::Limits;
use super::files::FileTree;

/// Identifies a container in its runtime.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(Arc<str>);

impl ContainerId {
    /// The container of that ID.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The ID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the content of an empty directory is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Medium {
    /// On the node's disk.
    #[default]
    Disk,
    /// In memory.
    Memory,
}

/// Where mounted files come from.
#[derive(Clone, Debug)]
pub enum MountSource {
    /// Files that the node agent keeps. Later changes show in the container, at the latest when the agent has said so
    /// ([`Runtime::refresh_files`](super::Runtime::refresh_files)).
    Files(FileTree),
    /// A directory that is empty at first, for the pod's containers to share and to write to, gone with the pod's
    /// last sandbox. Runtimes without real files keep it in the tree.
    Directory(FileTree, Medium),
    /// A path of the node.
    Host(String),
}

/// A directory or file mounted into a container.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The name of the volume in the pod.
    pub volume: String,
    /// Where it appears in the container.
    pub path: String,
    /// What appears there.
    pub source: MountSource,
    /// The part of the source that appears; all of it where empty.
    pub sub_path: String,
    /// Whether writing is refused.
    pub read_only: bool,
    /// Whether mounts made later on one side show on the other: `None`, `HostToContainer`, `Bidirectional`; as `None`
    /// where empty.
    pub propagation: String,
}

/// A block device of the node, as a container sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Where it appears in the container.
    pub path: String,
    /// Where it is on the node.
    pub source: String,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// What a container is made from.
#[derive(Clone, Debug, Default)]
pub struct ContainerConfig {
    /// Its name in the pod.
    pub name: String,
    /// How many containers of this name the pod had before.
    pub attempt: u32,
    /// The image, as the pod names it.
    pub image: String,
    /// The program instead of the image's own.
    pub command: Vec<String>,
    /// The arguments instead of the image's own.
    pub args: Vec<String>,
    /// The working directory; the image's where empty.
    pub working_dir: String,
    /// The environment, later entries over earlier ones.
    pub env: Vec<(String, String)>,
    /// Mounted files.
    pub mounts: Vec<Mount>,
    /// Block devices.
    pub devices: Vec<Device>,
    /// The ports that it declares.
    pub ports: Vec<ContainerPort>,
    /// What it may use.
    pub resources: ResourceRequirements,
    /// As whom and with which rights it runs; what only the pod says about it is filled in.
    pub security: SecurityContext,
    /// Groups that it belongs to besides its main one.
    pub groups: Vec<i64>,
    /// The group that owns the files of its volumes (`fsGroup`).
    pub file_group: Option<i64>,
    /// How early the kernel ends it when memory runs out: from -1000 (never) to 1000 (first).
    pub oom_score: i32,
    /// Whether there is a terminal.
    pub tty: bool,
    /// Whether input can be attached.
    pub stdin: bool,
    /// Whether input ends when the first that was attached leaves.
    pub stdin_once: bool,
    /// The file whose content becomes the message of its end.
    pub termination_message_path: String,
    /// Whether the end of the log stands in for that file, where it is empty and the program failed.
    pub message_from_log: bool,
    /// The signal that asks it to end; the image's own, or SIGTERM, where empty.
    pub stop_signal: String,
    /// Facts for whoever finds the container again.
    pub labels: Arc<BTreeMap<String, String>>,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code; 128 + N where signal N killed it.
    pub code: i32,
    /// One word: `Completed`, `Error`, `OOMKilled`, `StartError`, `ContainerCannotRun`.
    pub reason: String,
    /// What it left in its termination message file, or why it did not start.
    pub message: String,
    /// When its program began; `None` where it never did.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// Where in its life a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Its program runs.
    Running {
        /// Since when.
        started_at: Timestamp,
    },
    /// Its program has ended.
    Exited(Exit),
}

/// A container as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerStatus {
    /// Its ID.
    pub id: ContainerId,
    /// Its name in the pod.
    pub name: String,
    /// How many containers of this name the pod had before.
    pub attempt: u32,
    /// The image, as it was asked for.
    pub image: String,
    /// The image's digest reference.
    pub image_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where in its life it is.
    pub state: ContainerState,
    /// The labels that it was made with.
    pub labels: Arc<BTreeMap<String, String>>,
    /// What it may use now.
    pub limits: Limits,
}

impl ContainerStatus {
    /// Whether its program runs.
    pub fn is_running(&self) -> bool {
        matches!(self.state, ContainerState::Running { .. })
    }

    /// How it ended, where it has.
    pub fn exit(&self) -> Option<&Exit> {
        match &self.state {
            ContainerState::Exited(exit) => Some(exit),
            _ => None,
        }
    }
}

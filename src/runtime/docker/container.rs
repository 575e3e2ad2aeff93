//! Containers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, Mount as DockerMount};
use bollard::query_parameters::StopContainerOptionsBuilder;
use futures::StreamExt;
use jiff::Timestamp;

use super::error::{failed, is_missing, message, unless_done, unless_under_way};
use super::label::{self, Labels};
use super::pod_files::{PodFiles, make_directory};
use super::sandbox::by_force;
use super::{DockerRuntime, blocking, body, not_found, resources, volume};
use crate::api::LogOptions;
use crate::runtime::{
    ContainerConfig, ContainerId, ContainerState, ContainerStatus, Exit, Medium, Mount, MountSource, Result,
    RuntimeError, SandboxId,
};

/// How much of a termination message file counts.
const MESSAGE_BYTES: usize = 4096;
/// How much of a log stands in for it.
const MESSAGE_LINES: u64 = 80;
const MESSAGE_LOG_BYTES: usize = 2048;

/// How what the kernel kills for want of memory ends.
const KILLED: i32 = 137;
const OUT_OF_MEMORY: &str = "OOMKilled";

/// How much longer than a container's own grace period the engine may take to end it.
const PATIENCE: Duration = Duration::from_secs(60);

impl DockerRuntime {
    /// What the engine tells of a container, where it is one of this runtime's.
    pub(super) async fn inspect(&self, id: &ContainerId) -> Result<(ContainerInspectResponse, Labels)> {
        let found = match self.docker().inspect_container(id.as_str(), None).await {
            Err(error) if is_missing(&error) => return Err(not_found("container", id.as_str())),
            other => other.map_err(|error| failed(format!("look at container {id}"), error))?,
        };
        let labels = found.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
        let own = self.labels(label::CONTAINER);
        let is_own = own.iter().all(|(name, value)| labels.get(name) == Some(value));
        if is_own { Ok((found, labels)) } else { Err(not_found("container", id.as_str())) }
    }

    pub(super) async fn make_container(&self, sandbox: &SandboxId, config: &ContainerConfig) -> Result<ContainerId> {
        let pause = match self.docker().inspect_container(sandbox.as_str(), None).await {
            Err(error) if is_missing(&error) => return Err(not_found("sandbox", sandbox.as_str())),
            other => other.map_err(|error| failed(format!("look at sandbox {sandbox}"), error))?,
        };
        let host = pause.host_config.unwrap_or_default();
        let pause_labels = pause.config.and_then(|config| config.labels).unwrap_or_default();
        if !self.labels(label::SANDBOX).iter().all(|(name, value)| pause_labels.get(name) == Some(value)) {
            return Err(not_found("sandbox", sandbox.as_str()));
        }
        if pause.state.and_then(|state| state.running) != Some(true) {
            return Err(RuntimeError::State(format!("sandbox container {:?} is not running", sandbox.as_str())));
        }
        let of_pod = |name| label::text(&pause_labels, name);
        let (image, reference) = self.present(&config.image).await?;
        let shared = body::Shared {
            sandbox: sandbox.as_str().to_owned(),
            share_processes: label::text(&pause_labels, label::SHARE_PROCESSES) == "true",
            host_processes: host.pid_mode.as_deref() == Some("host"),
            host_ipc: host.ipc_mode.as_deref() == Some("host"),
            oom_floor: host.oom_score_adj.unwrap_or(0),
        };
        let now = self.now();
        let (files, prepared) = (self.pod_files(of_pod(label::POD_UID)), config.clone());
        let (mounts, message) = blocking(move || prepare(&files, &prepared, now)).await?;

        let mut labels = self.labels(label::CONTAINER);
        labels.extend(config.labels.iter().map(|(name, value)| (name.clone(), value.clone())));
        labels.extend(label::labels([
            (label::POD_NAME, of_pod(label::POD_NAME)),
            (label::POD_NAMESPACE, of_pod(label::POD_NAMESPACE)),
            (label::POD_UID, of_pod(label::POD_UID)),
            (label::SANDBOX_ID, sandbox.as_str()),
            (label::CONTAINER_NAME, &config.name),
            (label::ATTEMPT, &config.attempt.to_string()),
            (label::CREATED, &now.to_string()),
            (label::IMAGE, &config.image),
            (label::IMAGE_ID, &reference),
            (label::MESSAGE, &message.map(|path| path.display().to_string()).unwrap_or_default()),
            (label::MESSAGE_FROM_LOG, if config.message_from_log { "true" } else { "" }),
        ]));
        let body = body::container(config, &image, &shared, mounts, labels)?;
        let (cluster, node) = (&self.cluster().config().cluster, &self.0.node);
        let (pod, namespace) = (of_pod(label::POD_NAME), of_pod(label::POD_NAMESPACE));
        let name = format!("{cluster}_{}_{pod}_{namespace}_{node}", config.name);
        self.create(&name, config.attempt, body).await.map(ContainerId::new)
    }

    pub(super) async fn begin_container(&self, id: &ContainerId) -> Result<()> {
        let status = self.status_of(id).await?;
        if status.state != ContainerState::Created {
            return Err(RuntimeError::State(format!("container {id} was started before")));
        }
        match self.docker().start_container(id.as_str(), None).await {
            Err(error) if is_missing(&error) && self.inspect(id).await.is_err_and(|error| error.is_not_found()) => {
                Err(not_found("container", id.as_str()))
            }
            other => other.map_err(|error| RuntimeError::Start(message(error))),
        }
    }

    pub(super) async fn end_container(&self, id: &ContainerId, timeout: Duration) -> Result<()> {
        match self.inspect(id).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        }
        // The engine counts in whole seconds.
        let seconds = i32::try_from(timeout.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        let docker = self.engine().patient(timeout.saturating_add(PATIENCE));
        unless_done(docker.stop_container(id.as_str(), Some(options)).await, "stop a container")
    }

    pub(super) async fn drop_container(&self, id: &ContainerId) -> Result<()> {
        let labels = match self.inspect(id).await {
            Ok((_, labels)) => labels,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        unless_under_way(self.docker().remove_container(id.as_str(), by_force()).await, "remove a container")?;
        self.tables().ended.remove(id);
        self.engine().starved().forget(id);
        let path = label::text(&labels, label::MESSAGE);
        if !path.is_empty() {
            let _ = fs::remove_file(path); // goes with the pod, at the latest
        }
        Ok(())
    }

    pub(super) async fn status_of(&self, id: &ContainerId) -> Result<ContainerStatus> {
        let mut status = self.look_at(id).await?;
        if let ContainerState::Exited(exit) = &mut status.state
            && exit.code == KILLED
            && self.engine().starved().contains(id)
        {
            exit.reason = OUT_OF_MEMORY.to_owned();
        }
        Ok(status)
    }

    async fn look_at(&self, id: &ContainerId) -> Result<ContainerStatus> {
        if let Some(ended) = self.tables().ended.get(id) {
            return Ok(ended.clone());
        }
        let (found, labels) = self.inspect(id).await?;
        let text = |name| label::text(&labels, name).to_owned();
        let mut status = ContainerStatus {
            id: id.clone(),
            name: text(label::CONTAINER_NAME),
            attempt: label::attempt(&labels),
            image: text(label::IMAGE),
            image_id: text(label::IMAGE_ID),
            created_at: label::created(&labels),
            state: state(&found, label::created(&labels)),
            labels: Arc::new(label::given(&labels)),
            limits: found.host_config.as_ref().map(resources::read).unwrap_or_default(),
        };
        if let ContainerState::Exited(exit) = &mut status.state {
            if exit.message.is_empty() {
                exit.message = self.termination_message(id, &labels, exit.code).await;
            }
            self.tables().ended.insert(id.clone(), status.clone());
        }
        Ok(status)
    }

    async fn termination_message(&self, id: &ContainerId, labels: &Labels, code: i32) -> String {
        let path = PathBuf::from(label::text(labels, label::MESSAGE));
        let told = blocking(move || Ok(fs::read(path).unwrap_or_default())).await.unwrap_or_default();
        if !told.is_empty() {
            return String::from_utf8_lossy(&told[..told.len().min(MESSAGE_BYTES)]).into_owned();
        }
        if code == 0 || label::text(labels, label::MESSAGE_FROM_LOG).is_empty() {
            return String::new();
        }
        let options = LogOptions { tail_lines: Some(MESSAGE_LINES), ..LogOptions::default() };
        let mut log = Vec::new();
        if let Ok(mut stream) = self.read_log(id, &options, false).await {
            while let Some(Ok(bytes)) = stream.next().await {
                log.extend_from_slice(&bytes);
            }
        }
        String::from_utf8_lossy(&log[log.len().saturating_sub(MESSAGE_LOG_BYTES)..]).into_owned()
    }
}

/// A time as the engine tells it; `None` for the one that stands for none.
fn time(text: Option<&String>) -> Option<Timestamp> {
    text.and_then(|text| text.parse::<Timestamp>().ok()).filter(|time| time.as_second() > 0)
}

/// Where in its life a container is.
fn state(found: &ContainerInspectResponse, created_at: Timestamp) -> ContainerState {
    let Some(state) = &found.state else { return ContainerState::Created };
    let (started_at, finished_at) = (time(state.started_at.as_ref()), time(state.finished_at.as_ref()));
    let code = state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(0);
    let error = state.error.as_deref().unwrap_or_default();
    match state.status {
        // The engine leaves what did not start as it was made, with the error and a code.
        Some(ContainerStateStatusEnum::CREATED) if code != 0 || !error.is_empty() => ContainerState::Exited(Exit {
            code: 128,
            reason: "StartError".to_owned(),
            message: error.to_owned(),
            started_at: None,
            finished_at: created_at,
        }),
        Some(ContainerStateStatusEnum::CREATED) => ContainerState::Created,
        Some(
            ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED | ContainerStateStatusEnum::RESTARTING,
        ) => ContainerState::Running { started_at: started_at.unwrap_or(created_at) },
        _ => {
            let reason = match () {
                () if state.oom_killed == Some(true) => OUT_OF_MEMORY,
                () if code == 0 => "Completed",
                () => "Error",
            };
            ContainerState::Exited(Exit {
                code,
                reason: reason.to_owned(),
                message: String::new(),
                started_at,
                // The engine looks at its clock for the beginning when a short program has ended already.
                finished_at: finished_at.max(started_at).unwrap_or(created_at),
            })
        }
    }
}

/// Writes a container's files: what it mounts, and the file of its termination message.
fn prepare(files: &PodFiles, config: &ContainerConfig, now: Timestamp) -> Result<(Vec<DockerMount>, Option<PathBuf>)> {
    let group = config.file_group.and_then(|group| u32::try_from(group).ok());
    let mut mounts = Vec::new();
    for mount in &config.mounts {
        let source = source(files, mount, group, now).map_err(|error| match error {
            error if mount.sub_path.is_empty() => error,
            error => {
                tracing::warn!(%error, volume = mount.volume, "part of a volume not mounted");
                RuntimeError::SubPath { volume: mount.volume.clone(), container: config.name.clone() }
            }
        })?;
        mounts.push(body::mount(&source, &mount.path, mount.read_only, &mount.propagation));
    }
    let is_free = |path: &str| config.mounts.iter().all(|mount| mount.path.trim_end_matches('/') != path);
    for (path, source) in [("/etc/hosts", files.hosts()), ("/etc/resolv.conf", files.resolv_conf())] {
        if is_free(path) {
            let read_only = config.security.read_only_root_filesystem == Some(true);
            mounts.push(body::mount(&source, path, read_only, ""));
        }
    }
    let mut message = None;
    if !config.termination_message_path.is_empty() && is_free(&config.termination_message_path) {
        let path = files.message(&config.name, config.attempt)?;
        mounts.push(body::mount(&path, &config.termination_message_path, false, ""));
        message = Some(path);
    }
    Ok((mounts, message))
}

/// Where on the node a mount's files are.
fn source(files: &PodFiles, mount: &Mount, group: Option<u32>, now: Timestamp) -> Result<PathBuf> {
    match &mount.source {
        MountSource::Files(tree) => {
            let directory = files.volume(&mount.volume, Medium::Disk);
            volume::write(&directory, &tree.files(), group, now)?;
            volume::part(&directory, &mount.sub_path)
        }
        MountSource::Directory(_, medium) => {
            let directory = files.volume(&mount.volume, *medium);
            volume::make_shared(&directory, group)?;
            volume::part(&directory, &mount.sub_path)
        }
        MountSource::Host(path) => {
            let path = Path::new(path);
            if !path.exists() {
                make_directory(path)?;
            }
            volume::part(path, &mount.sub_path)
        }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerState as Told;

    use super::*;

    fn seen(state: Told) -> ContainerState {
        let created_at = Timestamp::from_second(10).unwrap();
        super::state(&ContainerInspectResponse { state: Some(state), ..Default::default() }, created_at)
    }

    #[test]
    fn how_a_container_ended_is_told_in_one_word() {
        let ended = |code, oom_killed| {
            let state = seen(Told {
                status: Some(ContainerStateStatusEnum::EXITED),
                exit_code: Some(code),
                oom_killed: Some(oom_killed),
                started_at: Some("2026-01-01T00:00:00.5Z".into()),
                finished_at: Some("2026-01-01T00:00:02Z".into()),
                ..Told::default()
            });
            let ContainerState::Exited(exit) = state else { panic!("it has ended") };
            assert!(exit.started_at.unwrap() < exit.finished_at);
            (exit.code, exit.reason)
        };
        assert_eq!(ended(0, false), (0, "Completed".into()));
        assert_eq!(ended(137, true), (137, "OOMKilled".into()));
        assert_eq!(ended(137, false), (137, "Error".into()));
    }

    #[test]
    fn a_container_that_did_not_start_has_ended() {
        let none = Some("0001-01-01T00:00:00Z".to_owned());
        let made = Told {
            status: Some(ContainerStateStatusEnum::CREATED),
            started_at: none.clone(),
            finished_at: none,
            ..Told::default()
        };
        assert_eq!(seen(made.clone()), ContainerState::Created);
        let failed = seen(Told { exit_code: Some(127), error: Some("no such program".into()), ..made });
        let ContainerState::Exited(exit) = failed else { panic!("it has ended") };
        assert_eq!((exit.code, exit.reason.as_str(), exit.message.as_str()), (128, "StartError", "no such program"));
        assert_eq!((exit.started_at, exit.finished_at.as_second()), (None, 10));
    }
}

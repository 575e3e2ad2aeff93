//! Starting a container, from its image to its post-start hook.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::{Container, Pod, SecurityContext};

use super::plan::full_name;
use super::state::container;
use super::termination::{Killing, kill};
use crate::client::EventType;
use crate::node::env::{ConfigError, Sources, environment, expand};
use crate::node::machine::Machine;
use crate::node::oom::oom_score;
use crate::node::restart::Backoff;
use crate::node::volume::Volumes;
use crate::node::{hooks, images, static_pod};
use crate::runtime::{ContainerConfig, ContainerId, ContainerStatus, Image, RuntimeError, SandboxStatus};

/// What the start of a container needs.
pub(super) struct Start {
    pub(super) machine: Arc<Machine>,
    pub(super) pod: Arc<Pod>,
    pub(super) sandbox: SandboxStatus,
    pub(super) name: String,
    /// How many instances there were before.
    pub(super) attempt: u32,
    pub(super) volumes: Arc<Volumes>,
    pub(super) pulls: Arc<Mutex<Backoff>>,
}

/// Why a container does not run. An instance that was made and then failed is known to the runtime as well.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Start {
    fn tell(&self, kind: EventType, reason: &str, message: impl Into<String>) {
        self.machine.container_event(&self.pod, &self.name, kind, reason, message);
    }

    fn failed(&self, reason: &'static str, message: String) -> Failed {
        self.tell(EventType::Warning, "Failed", format!("Error: {message}"));
        Failed { reason, message }
    }

    /// Starts the container; returns when its post-start hook is through.
    pub(super) async fn run(self) -> Result<(), Failed> {
        let spec = self.pod.spec.as_ref();
        let Some((_, container)) = spec.and_then(|spec| container(spec, &self.name)) else {
            return Err(self.failed("CreateContainerConfigError", format!("no container {:?}", self.name)));
        };
        let image = match images::ensure(&self.machine, &self.pod, &container, &self.pulls).await {
            Ok(image) => image,
            Err(missing) => {
                self.tell(EventType::Warning, "Failed", format!("Error: {}", missing.reason));
                return Err(Failed { reason: missing.reason, message: missing.message });
            }
        };
        let config = match self.config(&container, &image).await {
            Ok(config) => config,
            Err(error) => return Err(self.failed("CreateContainerConfigError", error.0)),
        };
        let runtime = &self.machine.runtime;
        let id = match runtime.create_container(&self.sandbox.id, &config).await {
            Ok(id) => id,
            Err(error @ RuntimeError::SubPath { .. }) => {
                return Err(self.failed("CreateContainerConfigError", error.to_string()));
            }
            Err(error) => return Err(self.failed("CreateContainerError", error.to_string())),
        };
        self.tell(EventType::Normal, "Created", "Container created");
        if let Err(error) = runtime.start_container(&id).await {
            return Err(self.failed("RunContainerError", error.to_string()));
        }
        self.tell(EventType::Normal, "Started", "Container started");
        self.remove_old_instances(&id).await;
        let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
        let Some(hook) = hook else { return Ok(()) };
        // Boxed: few have one.
        if let Err(why) = Box::pin(hooks::run(&self.machine, &self.sandbox, &container, &id, hook)).await {
            tracing::debug!(container = self.name, why, "post-start hook failed");
            self.tell(EventType::Warning, "FailedPostStartHook", "PostStartHook failed");
            let killing = Killing {
                machine: Arc::clone(&self.machine),
                pod: Arc::clone(&self.pod),
                sandbox: self.sandbox.clone(),
                container: self.name.clone(),
                id,
                grace: super::plan::grace_period(&self.pod),
                message: "FailedPostStartHook".to_owned(),
            };
            Box::pin(kill(killing)).await;
            return Err(Failed { reason: "PostStartHookError", message: "PostStartHookError".to_owned() });
        }
        Ok(())
    }

    /// Keeps the instance before this one, for its logs. (This one may have ended already.)
    async fn remove_old_instances(&self, this: &ContainerId) {
        let Ok(all) = self.machine.runtime.containers(&self.sandbox.id).await else { return };
        let is_old = |one: &ContainerStatus| one.name == self.name && one.id != *this && !one.is_running();
        let mut old: Vec<_> = all.into_iter().filter(is_old).collect();
        old.pop();
        for instance in old {
            if let Err(error) = self.machine.runtime.remove_container(&instance.id).await {
                tracing::debug!(%error, "dead container not removed");
            }
        }
    }

    async fn config(&self, container: &Container, image: &Image) -> Result<ContainerConfig, ConfigError> {
        let facts = self.machine.facts(&self.pod, Some(&self.sandbox));
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let mut sources = Sources::new(&self.machine.client, namespace);
        // A static pod does not wait for an API that may never answer.
        if !static_pod::is_static(&self.pod) {
            self.machine.services.synced().await;
        }
        let services = self.machine.services.variables(&self.pod);
        let env = environment(container, &facts, services, &mut sources).await?;
        let expanded = |words: &Option<Vec<String>>| {
            let value = |name: &str| env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            words.iter().flatten().map(|word| expand(word, value)).collect()
        };
        let security = security(&self.pod, container, image)?;
        let mounts = self.volumes.mounts(container, &env)?;
        let of_pod = self.pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
        let groups = of_pod
            .map(|security| security.supplemental_groups.iter().flatten().copied().chain(security.fs_group).collect());
        let groups = groups.unwrap_or_default();
        let stop_signal = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.clone());
        Ok(ContainerConfig {
            name: container.name.clone(),
            attempt: self.attempt,
            image: container.image.clone().unwrap_or_default(),
            command: expanded(&container.command),
            args: expanded(&container.args),
            working_dir: container.working_dir.clone().unwrap_or_default(),
            devices: self.volumes.devices(container)?,
            mounts,
            ports: container.ports.clone().unwrap_or_default(),
            resources: container.resources.clone().unwrap_or_default(),
            security,
            tty: container.tty == Some(true),
            stdin: container.stdin == Some(true),
            stdin_once: container.stdin_once == Some(true),
            termination_message_path: container.termination_message_path.clone().unwrap_or_default(),
            message_from_log: container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError"),
            stop_signal: stop_signal.unwrap_or_default(),
            groups,
            file_group: of_pod.and_then(|security| security.fs_group),
            oom_score: oom_score(&self.pod, container, &self.machine.config),
            labels: Arc::new(labels(&self.pod, container)),
            env,
        })
    }
}

/// The labels by which a container is found again.
fn labels(pod: &Pod, container: &Container) -> BTreeMap<String, String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        ("io.kubernetes.container.name", container.name.clone()),
        ("io.kubernetes.pod.name", text(&pod.metadata.name)),
        ("io.kubernetes.pod.namespace", text(&pod.metadata.namespace)),
        ("io.kubernetes.pod.uid", text(&pod.metadata.uid)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The container's security context over the pod's.
fn security(pod: &Pod, container: &Container, image: &Image) -> Result<SecurityContext, ConfigError> {
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.clone()).unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let security = SecurityContext {
        run_as_user: own.run_as_user.or(of_pod.run_as_user),
        run_as_group: own.run_as_group.or(of_pod.run_as_group),
        run_as_non_root: own.run_as_non_root.or(of_pod.run_as_non_root),
        seccomp_profile: own.seccomp_profile.or(of_pod.seccomp_profile),
        app_armor_profile: own.app_armor_profile.or(of_pod.app_armor_profile),
        ..own
    };
    if security.run_as_non_root == Some(true) {
        let which = format!("(pod: \"{}\", container: {})", full_name(pod), container.name);
        let user = image.user.split(':').next().unwrap_or_default();
        let refusal = match (security.run_as_user, user.parse::<i64>()) {
            (Some(0), _) => Some(format!("container's runAsUser breaks non-root policy {which}")),
            (Some(_), _) => None,
            (None, _) if user.is_empty() => {
                Some(format!("container has runAsNonRoot and image will run as root {which}"))
            }
            (None, Ok(0)) => Some(format!("container has runAsNonRoot and image will run as root {which}")),
            (None, Ok(_)) => None,
            (None, Err(_)) => Some(format!(
                "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root {which}"
            )),
        };
        if let Some(refusal) = refusal {
            return Err(ConfigError(refusal));
        }
    }
    Ok(security)
}

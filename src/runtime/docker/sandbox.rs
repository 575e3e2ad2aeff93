//! Sandboxes: pause containers.

use std::net::{IpAddr, Ipv4Addr};

use bollard::models::{ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::error::{failed, is_missing, message, status, unless_done, unless_under_way};
use super::label::{self, Labels};
use super::{DockerRuntime, blocking, body, not_found, pause};
use crate::runtime::address::Address;
use crate::runtime::{ContainerId, Result, RuntimeError, SandboxConfig, SandboxId, SandboxStatus};

/// How many requests about containers of one sandbox are under way at once.
pub(super) const AT_ONCE: usize = 8;

/// How many addresses are tried that somebody else on the network turns out to have.
const ADDRESSES: usize = 16;

/// Removes whatever there is, and its anonymous volumes.
pub(super) fn by_force() -> Option<bollard::query_parameters::RemoveContainerOptions> {
    Some(RemoveContainerOptionsBuilder::default().force(true).v(true).build())
}

impl DockerRuntime {
    /// What the engine has with all these labels, also what does not run.
    pub(super) async fn list(&self, labels: &Labels) -> Result<Vec<ContainerSummary>> {
        let options = ListContainersOptionsBuilder::default().all(true).filters(&label::filter(labels)).build();
        let found = self.docker().list_containers(Some(options)).await;
        found.map_err(|error| failed("list containers", error))
    }

    /// The containers of a sandbox, by ID.
    pub(super) async fn container_ids(&self, sandbox: &SandboxId) -> Result<Vec<String>> {
        let mut labels = self.labels(label::CONTAINER);
        labels.insert(label::SANDBOX_ID.to_owned(), sandbox.as_str().to_owned());
        let mut found = self.list(&labels).await?;
        found.sort_by_cached_key(|one| one.labels.as_ref().map(label::created));
        Ok(found.into_iter().filter_map(|one| one.id).collect())
    }

    pub(super) async fn all_sandboxes(&self) -> Result<Vec<SandboxStatus>> {
        let found = self.list(&self.labels(label::SANDBOX)).await?;
        let mut all: Vec<_> = found.into_iter().filter_map(sandbox_status).collect();
        all.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(all)
    }

    /// A sandbox's state, and its labels.
    pub(super) async fn find_sandbox(&self, id: &SandboxId) -> Result<SandboxStatus> {
        let mut filters = label::filter(&self.labels(label::SANDBOX));
        filters.insert("id".to_owned(), vec![id.as_str().to_owned()]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.docker().list_containers(Some(options)).await;
        let found = found.map_err(|error| failed(format!("look at sandbox {id}"), error))?;
        let found = found.into_iter().find(|one| one.id.as_deref() == Some(id.as_str()));
        found.and_then(sandbox_status).ok_or_else(|| not_found("sandbox", id.as_str()))
    }

    /// Marks the addresses of pods that were there before this runtime as taken.
    async fn find_addresses(&self) -> Result<()> {
        let found = self.0.found.get_or_try_init(|| async {
            for sandbox in self.all_sandboxes().await?.into_iter().filter(|sandbox| sandbox.ready) {
                let addresses = sandbox.ips.iter().filter_map(|ip| match ip {
                    IpAddr::V4(ip) => self.0.pods.take_this(*ip),
                    IpAddr::V6(_) => None,
                });
                if let Some(address) = addresses.into_iter().next() {
                    self.tables().addresses.insert(sandbox.id, address);
                }
            }
            Ok(())
        });
        found.await.map(drop)
    }

    fn take_address(&self) -> Result<Address> {
        let pods = &self.0.pods;
        pods.take().ok_or_else(|| {
            RuntimeError::Network(format!(
                "failed to allocate for range 0: no IP addresses available in range set: {}",
                pods.cidr()
            ))
        })
    }

    pub(super) async fn make_sandbox(&self, config: &SandboxConfig) -> Result<SandboxStatus> {
        self.find_addresses().await?;
        let mut refused = Vec::new(); // kept until one is found, so that none is tried twice
        loop {
            let address = match config.host_network {
                Some(_) => None,
                None => Some(self.take_address()?),
            };
            match self.try_sandbox(config, address.as_ref().map(|address| address.ip)).await {
                Ok(status) => {
                    if let Some(address) = address {
                        self.tables().addresses.insert(status.id.clone(), address);
                    }
                    return Ok(status);
                }
                Err(RuntimeError::Network(why)) if is_address_in_use(&why) && refused.len() < ADDRESSES => {
                    refused.extend(address);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_sandbox(&self, config: &SandboxConfig, address: Option<Ipv4Addr>) -> Result<SandboxStatus> {
        let own = self.cluster().config();
        let ip = config.host_network.or(address.map(IpAddr::V4)).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let (files, written) = (self.pod_files(&config.uid), config.clone());
        blocking(move || files.write(&written, ip)).await?;

        let created_at = self.now();
        let mut labels = self.labels(label::SANDBOX);
        labels.extend(config.labels.clone());
        labels.extend(label::labels([
            (label::POD_NAME, &config.name),
            (label::POD_NAMESPACE, &config.namespace),
            (label::POD_UID, &config.uid),
            (label::ATTEMPT, &config.attempt.to_string()),
            (label::CREATED, &created_at.to_string()),
            (label::ADDRESS, &ip.to_string()),
            (label::SHARE_PROCESSES, if config.share_processes { "true" } else { "" }),
        ]));
        let image = match &own.pause_image {
            Some(image) => image.clone(),
            None => pause::ensure(self.docker()).await?,
        };
        let owns_image = own.pause_image.is_none();
        let name = format!("{}_POD_{}_{}_{}", own.cluster, config.name, config.namespace, self.0.node);
        let make = |score| {
            let labels = labels.clone();
            let body =
                body::sandbox(config, &image, owns_image, &self.cluster().network().name, address, score, labels);
            self.make_pause(&name, config, body)
        };
        let score = self.engine().pause_score();
        let id = match make(score).await {
            // The engine does not say which of its rights is lacking: it is tried without the one that may.
            Err(RuntimeError::Network(why)) if score < 0 && !is_address_in_use(&why) => {
                let id = make(0).await.map_err(|_| RuntimeError::Network(why))?;
                self.engine().note_unprivileged();
                id
            }
            other => other?,
        };
        Ok(SandboxStatus {
            id: SandboxId::new(id),
            name: config.name.clone(),
            namespace: config.namespace.clone(),
            uid: config.uid.clone(),
            attempt: config.attempt,
            ready: true,
            created_at,
            ips: vec![ip],
        })
    }

    /// Makes and starts a pause container; leaves nothing where that fails.
    async fn make_pause(&self, name: &str, config: &SandboxConfig, body: ContainerCreateBody) -> Result<String> {
        let id = self.create(name, config.attempt, body).await?;
        let Err(error) = self.docker().start_container(&id, None).await else { return Ok(id) };
        if let Err(error) = self.docker().remove_container(&id, by_force()).await {
            tracing::warn!(%error, sandbox = id, "a sandbox that did not start was not removed");
        }
        let why = message(error);
        Err(RuntimeError::Network(format!("failed to start sandbox container for pod {:?}: {why}", config.name)))
    }

    /// Makes a container. Names are for people: where one is taken, a number makes the difference.
    pub(super) async fn create(&self, name: &str, attempt: u32, body: ContainerCreateBody) -> Result<String> {
        let mut more = 0;
        loop {
            let name = if more == 0 { format!("{name}_{attempt}") } else { format!("{name}_{attempt}_{more}") };
            let options = CreateContainerOptionsBuilder::default().name(&name).build();
            match self.docker().create_container(Some(options), body.clone()).await {
                Ok(made) => return Ok(made.id),
                Err(error) => {
                    let taken = status(&error) == Some(409);
                    let why = message(error);
                    if !taken || !why.contains("is already in use by container") {
                        return Err(RuntimeError::Create(why));
                    }
                    more += 1;
                }
            }
        }
    }

    pub(super) async fn end_sandbox(&self, id: &SandboxId) -> Result<()> {
        match self.find_sandbox(id).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        }
        let kill = |container: String| async move {
            let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
            match self.docker().kill_container(&container, Some(options)).await {
                // It does not run.
                Err(error) if status(&error) == Some(409) => Ok(()),
                other => unless_done(other, "kill a container"),
            }
        };
        let containers = self.container_ids(id).await?;
        stream::iter(containers).map(kill).buffer_unordered(AT_ONCE).try_for_each(|()| async { Ok(()) }).await?;
        // The pause program ends at once when it is asked to.
        let options = StopContainerOptionsBuilder::default().t(2).build();
        unless_done(self.docker().stop_container(id.as_str(), Some(options)).await, "stop a sandbox")?;
        self.tables().addresses.remove(id);
        Ok(())
    }

    pub(super) async fn drop_sandbox(&self, id: &SandboxId) -> Result<()> {
        let found = match self.find_sandbox(id).await {
            Err(error) if error.is_not_found() => None,
            other => Some(other?),
        };
        // One that was being made meanwhile is found by the next look.
        loop {
            let containers = self.container_ids(id).await?;
            if containers.is_empty() {
                break;
            }
            let remove = |container: String| async move {
                let removed = self.docker().remove_container(&container, by_force()).await;
                self.tables().ended.remove(&ContainerId::new(container));
                unless_under_way(removed, "remove a container")
            };
            stream::iter(containers).map(remove).buffer_unordered(AT_ONCE).try_for_each(|()| async { Ok(()) }).await?;
        }
        let Some(sandbox) = found else { return Ok(()) };
        unless_under_way(self.docker().remove_container(id.as_str(), by_force()).await, "remove a sandbox")?;
        self.tables().addresses.remove(id);
        // The pod's files go with its last sandbox.
        if self.all_sandboxes().await?.iter().all(|other| other.uid != sandbox.uid || other.id == *id) {
            let files = self.pod_files(&sandbox.uid);
            if let Err(error) = blocking(move || files.remove()).await {
                tracing::warn!(%error, pod = sandbox.name, "files of a pod not removed");
            }
        }
        Ok(())
    }

    /// The image's ID and digest reference.
    pub(super) async fn present(&self, image: &str) -> Result<(String, String)> {
        match self.docker().inspect_image(image).await {
            Ok(found) => {
                let id = found.id.unwrap_or_default();
                let digest = found.repo_digests.into_iter().flatten().next();
                let reference = digest.and_then(|name| crate::runtime::image::qualified(&name));
                Ok((id.clone(), reference.unwrap_or(id)))
            }
            Err(error) if is_missing(&error) => {
                Err(RuntimeError::Create(format!("failed to create container: image {image:?}: not found")))
            }
            Err(error) => Err(failed(format!("look at image {image}"), error)),
        }
    }
}

fn is_address_in_use(why: &str) -> bool {
    why.contains("Address already in use")
}

/// A sandbox from what a list tells about its pause container.
fn sandbox_status(found: ContainerSummary) -> Option<SandboxStatus> {
    let (id, labels) = (found.id?, found.labels?);
    let text = |name| label::text(&labels, name).to_owned();
    Some(SandboxStatus {
        id: SandboxId::new(id),
        name: text(label::POD_NAME),
        namespace: text(label::POD_NAMESPACE),
        uid: text(label::POD_UID),
        attempt: label::attempt(&labels),
        ready: found.state == Some(ContainerSummaryStateEnum::RUNNING),
        created_at: label::created(&labels),
        ips: text(label::ADDRESS).parse().into_iter().collect(),
    })
}

//! [`Runtime`] for [`MemoryRuntime`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::container::Container;
use super::context::Place;
use super::{MemoryRuntime, Sandbox, Tables};
use crate::api::{ExecOptions, ExecSession, LogOptions};
use crate::random::Random;
use crate::runtime::image::qualified;
use crate::runtime::{
    ContainerConfig, ContainerId, ContainerStats, ContainerStatus, Credential, DiskUsage, EventKind, File, Image,
    Limits, MachineStats, Medium, PathKind, PodDisk, PodStream, Result, Runtime, RuntimeError, RuntimeEvent,
    RuntimeInfo, SandboxConfig, SandboxId, SandboxStatus,
};

/// A digest that depends on the image's name alone.
fn digest(name: &str) -> String {
    format!("sha256:{}", Random::seeded(0).fork(name).hex_id())
}

fn not_found(what: &'static str, id: &str) -> RuntimeError {
    RuntimeError::NotFound { what, id: id.to_owned() }
}

impl Tables {
    /// The directories of a pod that began empty, by the names of their volumes.
    fn volumes<'a>(&'a self, sandbox: &'a Sandbox) -> BTreeMap<&'a str, (Medium, DiskUsage)> {
        let containers = sandbox.containers.iter().filter_map(|id| self.containers.get(id));
        let directories = containers.flat_map(|container| container.directories());
        directories.map(|(volume, tree, medium)| (volume, (medium, tree.usage()))).collect()
    }

    /// What of it lies on the disk.
    pub(super) fn directories<'a>(&'a self, sandbox: &'a Sandbox) -> impl Iterator<Item = DiskUsage> + 'a {
        self.volumes(sandbox).into_values().filter(|(medium, _)| *medium == Medium::Disk).map(|(_, usage)| usage)
    }

    fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }
}

impl MemoryRuntime {
    fn container(&self, id: &ContainerId) -> Result<Arc<Container>> {
        self.tables().containers.get(id).cloned().ok_or_else(|| not_found("container", id.as_str()))
    }

    fn emit(&self, pod: &str, sandbox: &SandboxId, kind: EventKind) {
        // Nobody may listen.
        self.0.events.send(&RuntimeEvent { pod: pod.to_owned(), sandbox: sandbox.clone(), kind });
    }
}

/// Where programs are looked for.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[async_trait]
impl Runtime for MemoryRuntime {
    fn info(&self) -> RuntimeInfo {
        let text = str::to_owned;
        RuntimeInfo {
            name: text("memory"),
            version: text(env!("CARGO_PKG_VERSION")),
            kernel_version: text("6.8.0"), // that of a simulated machine
            os_image: text("orchestrion"),
        }
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        self.0.events.listen()
    }

    async fn run_sandbox(&self, config: &SandboxConfig) -> Result<SandboxStatus> {
        let world = &self.0.config;
        let address = match config.host_network {
            Some(_) => None,
            None => Some(world.network.pods().take().ok_or_else(|| {
                RuntimeError::Network(format!(
                    "failed to allocate for range 0: no IP addresses available in range set: {}",
                    world.network.pods().cidr()
                ))
            })?),
        };
        let ip = config.host_network.or(address.as_ref().map(|address| address.ip.into()));
        let ip = ip.ok_or_else(|| RuntimeError::Network("the sandbox has no address".to_owned()))?;
        let id = SandboxId::new(world.random.hex_id());
        let status = SandboxStatus {
            id: id.clone(),
            name: config.name.clone(),
            namespace: config.namespace.clone(),
            uid: config.uid.clone(),
            attempt: config.attempt,
            ready: true,
            created_at: world.clock.now(),
            ips: vec![ip],
        };
        let config = Arc::new(config.clone());
        let place = Place {
            sandbox: Arc::clone(&config),
            node: world.node.as_str().into(),
            ip,
            network: world.network.clone(),
            clock: world.clock,
            random: world.random.clone(),
            sessions: Mutex::default(),
        };
        let mut tables = self.tables();
        let number = tables.number();
        let sandbox = Sandbox {
            config,
            status: status.clone(),
            number,
            place: Some(Arc::new(place)),
            address,
            containers: Vec::new(),
        };
        tables.sandboxes.insert(id, sandbox);
        Ok(status)
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<()> {
        let (containers, place, address, pod) = {
            let mut tables = self.tables();
            let Some(sandbox) = tables.sandboxes.get_mut(id) else { return Ok(()) };
            if !std::mem::replace(&mut sandbox.status.ready, false) {
                return Ok(());
            }
            let (place, address, pod) = (sandbox.place.take(), sandbox.address.take(), sandbox.config.uid.clone());
            let ids = sandbox.containers.clone();
            let containers: Vec<_> = ids.iter().filter_map(|id| tables.containers.get(id).cloned()).collect();
            (containers, place, address, pod)
        };
        for container in containers {
            container.finish(137, "Error", String::new());
        }
        drop((place, address)); // only now may another pod have the address
        self.emit(&pod, id, EventKind::SandboxStopped);
        Ok(())
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<()> {
        self.stop_sandbox(id).await?;
        let mut tables = self.tables();
        if let Some(sandbox) = tables.sandboxes.remove(id) {
            let now = self.0.config.clock.now();
            for id in &sandbox.containers {
                tables.containers.remove(id).inspect(|container| self.0.machine.outlive(container, now));
            }
        }
        Ok(())
    }

    async fn sandbox_status(&self, id: &SandboxId) -> Result<SandboxStatus> {
        let tables = self.tables();
        let sandbox = tables.sandboxes.get(id).map(|sandbox| sandbox.status.clone());
        sandbox.ok_or_else(|| not_found("sandbox", id.as_str()))
    }

    async fn sandboxes(&self) -> Result<Vec<SandboxStatus>> {
        let tables = self.tables();
        let mut sandboxes: Vec<_> = tables.sandboxes.values().collect();
        sandboxes.sort_by_key(|sandbox| sandbox.number);
        Ok(sandboxes.into_iter().map(|sandbox| sandbox.status.clone()).collect())
    }

    async fn containers(&self, sandbox: &SandboxId) -> Result<Vec<ContainerStatus>> {
        let tables = self.tables();
        let ids = &tables.sandboxes.get(sandbox).ok_or_else(|| not_found("sandbox", sandbox.as_str()))?.containers;
        Ok(ids.iter().filter_map(|id| tables.containers.get(id)).map(|container| container.status()).collect())
    }

    async fn create_container(&self, sandbox: &SandboxId, config: &ContainerConfig) -> Result<ContainerId> {
        let world = &self.0.config;
        let id = ContainerId::new(world.random.hex_id());
        let mut tables = self.tables();
        let name = qualified(&config.image).ok_or_else(|| RuntimeError::ImageName(config.image.clone()))?;
        let present = tables.images.get(&name).cloned();
        let present = present.ok_or_else(|| RuntimeError::Create(format!("image {name:?}: not found")))?;
        let image = world.registry.find(&config.image);
        let image = image.ok_or_else(|| RuntimeError::Create(format!("image {name:?}: not found")))?;
        let owner = tables.sandboxes.get_mut(sandbox).ok_or_else(|| not_found("sandbox", sandbox.as_str()))?;
        let Some(place) = owner.place.clone() else {
            return Err(RuntimeError::State(format!("sandbox {:?} is not running", sandbox.as_str())));
        };
        owner.containers.push(id.clone());
        let (mut config, events) = (config.clone(), self.0.events.clone());
        // As container runtimes have it, under what the pod sets.
        let given = [("PATH", SEARCH_PATH.to_owned()), ("HOSTNAME", owner.config.hostname.clone())];
        let given = given.map(|(name, value)| (name.to_owned(), value));
        let own = std::mem::take(&mut config.env);
        config.env = Vec::with_capacity(given.len() + own.len()); // no more than is needed: there are many containers
        config.env.extend(given.into_iter().filter(|(_, value)| !value.is_empty()).chain(own));
        let container =
            Container::new(id.clone(), sandbox.clone(), place, config, image, &present, &self.0.host, events);
        tables.containers.insert(id.clone(), Arc::new(container));
        Ok(id)
    }

    async fn start_container(&self, id: &ContainerId) -> Result<()> {
        let container = self.container(id)?;
        if !container.image.start_latency.is_zero() {
            self.0.config.clock.sleep(container.image.start_latency).await;
        }
        container.start().await
    }

    async fn stop_container(&self, id: &ContainerId, timeout: Duration) -> Result<()> {
        match self.container(id) {
            Ok(container) => container.stop(timeout).await,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<()> {
        let mut tables = self.tables();
        if let Some(container) = tables.containers.remove(id) {
            if let Some(sandbox) = tables.sandboxes.get_mut(&container.sandbox) {
                sandbox.containers.retain(|other| other != id);
            }
            drop(tables);
            container.finish(137, "Error", String::new());
            self.0.machine.outlive(&container, self.0.config.clock.now());
        }
        Ok(())
    }

    async fn container_status(&self, id: &ContainerId) -> Result<ContainerStatus> {
        Ok(self.container(id)?.status())
    }

    async fn update_resources(&self, id: &ContainerId, limits: Limits) -> Result<()> {
        *self.container(id)?.limits() = limits;
        Ok(())
    }

    async fn host_path(&self, path: &str) -> Result<Option<PathKind>> {
        let host = &self.0.host;
        Ok(match () {
            () if host.read(path).is_some() => Some(PathKind::File),
            () if host.is_directory(path) => Some(PathKind::Directory),
            () => None,
        })
    }

    async fn make_host_path(&self, path: &str, kind: PathKind) -> Result<()> {
        let host = &self.0.host;
        match path.trim_end_matches('/').rsplit_once('/') {
            _ if kind == PathKind::Directory => host.make_directory(path),
            Some((above, _)) if !host.is_directory(above) => {
                return Err(RuntimeError::File { path: path.to_owned(), source: std::io::ErrorKind::NotFound.into() });
            }
            _ => host.write(path, File::new(Bytes::new())),
        }
        Ok(())
    }

    async fn read_host_directory(&self, path: &str) -> Result<Option<BTreeMap<String, Bytes>>> {
        let host = &self.0.host;
        Ok(host.list(path).map(|names| {
            let read = |name: String| Some((name.clone(), host.read(&format!("{path}/{name}"))?.content));
            names.into_iter().filter_map(read).collect()
        }))
    }

    async fn stats(&self, id: &ContainerId) -> Result<ContainerStats> {
        let container = self.container(id)?;
        if container.started_at().is_none() {
            return Err(RuntimeError::State(format!("container {:?} is not running", id.as_str())));
        }
        let at = self.0.config.clock.now();
        let (load, cpu_nanos) = container.used(at);
        Ok(ContainerStats {
            at,
            cpu_nanos,
            memory_bytes: load.memory_bytes,
            memory_total_bytes: load.memory_bytes,
            processes: load.processes,
        })
    }

    async fn clear_directories(&self, sandbox: &SandboxId) -> Result<()> {
        let tables = self.tables();
        let found = tables.sandboxes.get(sandbox).into_iter().flat_map(|sandbox| &sandbox.containers);
        for container in found.filter_map(|id| tables.containers.get(id)) {
            container.directories().for_each(|(_, tree, _)| tree.replace(BTreeMap::new()));
        }
        Ok(())
    }

    async fn pod_disk(&self, sandbox: &SandboxId) -> Result<PodDisk> {
        let tables = self.tables();
        let found = tables.sandboxes.get(sandbox).ok_or_else(|| not_found("sandbox", sandbox.as_str()))?;
        let containers = found.containers.iter().filter_map(|id| tables.containers.get(id));
        let containers = containers.map(|container| {
            let (written, log) = container.disk();
            (container.id.clone(), written, log)
        });
        let volumes = tables.volumes(found).into_iter().map(|(name, (_, usage))| (name.to_owned(), usage)).collect();
        Ok(PodDisk { containers: containers.collect(), volumes })
    }

    async fn machine(&self) -> Result<MachineStats> {
        Ok(self.measure())
    }

    async fn image(&self, name: &str) -> Result<Option<Image>> {
        let full = qualified(name).ok_or_else(|| RuntimeError::ImageName(name.to_owned()))?;
        Ok(self.tables().images.get(&full).cloned())
    }

    async fn pull_image(&self, name: &str, _credentials: &[Credential]) -> Result<Image> {
        let full = qualified(name).ok_or_else(|| RuntimeError::ImageName(name.to_owned()))?;
        let failed = |why: &str| RuntimeError::Pull {
            image: name.to_owned(),
            message: format!(
                "failed to pull and unpack image {full:?}: failed to resolve reference {full:?}: {full}: {why}"
            ),
        };
        let Some(found) = self.0.config.registry.find(name) else { return Err(failed("not found")) };
        if !found.pull_latency.is_zero() {
            self.0.config.clock.sleep(found.pull_latency).await;
        }
        if let Some(why) = &found.pull_failure {
            return Err(failed(why));
        }
        let repository = full.split('@').next().unwrap_or_default();
        let tag = repository.rfind(':').filter(|at| !repository[*at..].contains('/'));
        let repository = tag.map_or(repository, |at| &repository[..at]);
        let known = self.tables().images.get(&full).map(|image| image.id.clone());
        let id = known.unwrap_or_else(|| digest(&full));
        let image = Image {
            names: vec![full.clone(), format!("{repository}@{id}")],
            id,
            size: found.size,
            user: found.user,
            pinned: false,
        };
        self.tables().images.insert(full, image.clone());
        Ok(image)
    }

    async fn images(&self) -> Result<Vec<Image>> {
        Ok(self.tables().images.values().cloned().collect())
    }

    async fn remove_image(&self, name: &str) -> Result<()> {
        let mut tables = self.tables();
        if name.starts_with("sha256:") {
            let is_it = |image: &Image| image.id == name;
            let names: BTreeSet<&String> =
                tables.images.values().filter(|image| is_it(image)).flat_map(|image| &image.names).collect();
            if tables.containers.values().any(|container| names.contains(&container.status().image_id)) {
                return Err(RuntimeError::State(format!("image {name} is used by a container")));
            }
            tables.images.retain(|_, image| !is_it(image));
        } else if let Some(full) = qualified(name) {
            tables.images.remove(&full);
        }
        Ok(())
    }

    async fn logs(&self, id: &ContainerId, options: &LogOptions) -> Result<BoxStream<'static, Result<Bytes>>> {
        Ok(self.container(id)?.log.read(options))
    }

    async fn exec(&self, id: &ContainerId, options: &ExecOptions) -> Result<ExecSession> {
        self.container(id)?.exec(options)
    }

    async fn attach(&self, id: &ContainerId, options: &ExecOptions) -> Result<ExecSession> {
        self.container(id)?.attach(options)
    }

    async fn dial(&self, id: &SandboxId, port: u16) -> Result<PodStream> {
        let ip = {
            let tables = self.tables();
            let sandbox = tables.sandboxes.get(id).filter(|sandbox| sandbox.status.ready);
            sandbox.and_then(|sandbox| sandbox.status.ips.first().copied())
        };
        let ip = ip.ok_or_else(|| not_found("sandbox", id.as_str()))?;
        let stream = self.0.config.network.connect(ip, port).await;
        stream.map_err(|source| RuntimeError::Dial { address: format!("{ip}:{port}"), source })
    }
}

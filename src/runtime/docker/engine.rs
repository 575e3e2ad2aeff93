//! The connection to a Docker engine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use super::body::PAUSE_SCORE;
use super::error::message;
use super::event::{self, Starved, Tagged};
use crate::clock::Clock;
use crate::runtime::{Result, RuntimeError, RuntimeInfo};

/// Where the engine listens, unless told otherwise.
pub const SOCKET: &str = "/var/run/docker.sock";

/// How long the engine may take to answer. What takes longer by nature (pulling, stopping) has its own limits.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Events that a reader may be behind before it has lost some.
const EVENTS: usize = 4096;

/// A connection to a Docker engine, and what happens there. The runtimes of any number of nodes share one; clones are
/// the same connection.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    docker: Docker,
    info: RuntimeInfo,
    /// Processors, and bytes of memory.
    machine: (u32, u64),
    /// Where it keeps images and containers.
    root: PathBuf,
    clock: Clock,
    events: broadcast::Sender<Arc<Tagged>>,
    starved: Arc<Starved>,
    /// Whether the engine may not spare anything when memory runs out.
    unprivileged: AtomicBool,
    _reader: AbortOnDropHandle<()>,
}

/// Where an engine keeps images and containers that says nothing else.
const ROOT: &str = "/var/lib/docker";

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine(docker {})", self.0.info.version)
    }
}

impl Engine {
    /// Connects to the engine that listens on the Unix socket at `path` ([`SOCKET`], by default), and asks what it is.
    /// Within a tokio runtime.
    ///
    /// # Errors
    /// Where no engine answers there.
    pub async fn connect(path: &str, clock: Clock) -> Result<Self> {
        let unreachable =
            |error| RuntimeError::Engine { operation: format!("connect to Docker at {path}"), message: message(error) };
        let docker = Docker::connect_with_unix(path, TIMEOUT.as_secs(), API_DEFAULT_VERSION).map_err(unreachable)?;
        // Older engines refuse versions of the API that they do not know.
        let docker = docker.negotiate_version().await.map_err(unreachable)?;
        let info = docker.info().await.map_err(unreachable)?;
        let events = broadcast::Sender::new(EVENTS);
        let starved = Arc::<Starved>::default();
        let reading = event::read(docker.clone(), info.system_time, events.clone(), Arc::clone(&starved), clock);
        let reader = tokio::spawn(reading);
        let cpus = info.ncpu.and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
        let memory = info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
        Ok(Self(Arc::new(Inner {
            docker,
            machine: (cpus, memory),
            root: info.docker_root_dir.map_or_else(|| PathBuf::from(ROOT), PathBuf::from),
            clock,
            info: RuntimeInfo {
                name: "docker".to_owned(),
                version: info.server_version.unwrap_or_default(),
                kernel_version: info.kernel_version.unwrap_or_default(),
                os_image: info.operating_system.unwrap_or_default(),
            },
            events,
            starved,
            unprivileged: AtomicBool::new(false),
            _reader: AbortOnDropHandle::new(reader),
        })))
    }

    pub(super) fn machine(&self) -> (u32, u64) {
        self.0.machine
    }

    /// Where it keeps images and containers.
    pub(super) fn root(&self) -> &Path {
        &self.0.root
    }

    /// The time.
    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(super) fn docker(&self) -> &Docker {
        &self.0.docker
    }

    /// For what takes as long as it takes.
    pub(super) fn patient(&self, limit: Duration) -> Docker {
        self.0.docker.clone().with_timeout(limit)
    }

    /// The `oom_score_adj` of pause containers: the least that the engine may give. One that is nested, or runs without
    /// all of root's rights, may give none below its own.
    pub(super) fn pause_score(&self) -> i64 {
        if self.0.unprivileged.load(Ordering::Relaxed) { 0 } else { PAUSE_SCORE }
    }

    /// Notes that the engine may give none below its own.
    pub(super) fn note_unprivileged(&self) {
        self.0.unprivileged.store(true, Ordering::Relaxed);
    }

    pub(super) fn info(&self) -> &RuntimeInfo {
        &self.0.info
    }

    /// The containers in which memory has run out.
    pub(super) fn starved(&self) -> &Starved {
        &self.0.starved
    }

    pub(super) fn events(&self) -> broadcast::Receiver<Arc<Tagged>> {
        self.0.events.subscribe()
    }
}

//! [`DockerRuntime`] passes the kit of all runtimes, and more that only real containers show.

use std::sync::atomic::{AtomicU32, Ordering};

use orchestrion::clock::Clock;
use orchestrion::runtime::docker::{DockerCluster, DockerConfig, DockerRuntime, Engine};
use orchestrion::runtime::{Runtime, testkit};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A variable that `tests/docker/run` sets.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run these tests with tests/docker/run"))
}

/// The part of an engine that a cluster of one test's own has, of which nothing is left when the test has ended well.
pub(crate) struct Bench {
    pub(crate) docker: DockerCluster,
    nodes: AtomicU32,
    _engine: Access,
}

/// The engine is everybody's, unless a test kills it.
static ENGINE: RwLock<()> = RwLock::const_new(());

/// For tests that are not asynchronous: the engine stays while this is held.
pub(crate) fn shared_engine() -> RwLockReadGuard<'static, ()> {
    ENGINE.blocking_read()
}

enum Access {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

impl Bench {
    pub(crate) async fn new(cluster: &str) -> Self {
        Self::with(cluster, Access::Shared { _guard: ENGINE.read().await }).await
    }

    /// With nobody else on the engine.
    pub(crate) async fn alone(cluster: &str) -> Self {
        Self::with(cluster, Access::Alone { _guard: ENGINE.write().await }).await
    }

    async fn with(cluster: &str, engine_access: Access) -> Self {
        let engine = Engine::connect(&variable("DOCKER_HOST"), Clock::system()).await.expect("an engine");
        let open = || DockerCluster::open(&engine, DockerConfig::new(cluster));
        open().await.expect("a network").remove().await.expect("nothing left of an earlier run");
        Self { docker: open().await.expect("a network"), nodes: AtomicU32::new(0), _engine: engine_access }
    }

    /// The runtime of one more node.
    pub(crate) fn node(&self) -> DockerRuntime {
        self.named(self.nodes.fetch_add(1, Ordering::Relaxed))
    }

    /// The runtime of a certain node.
    pub(crate) fn named(&self, index: u32) -> DockerRuntime {
        self.docker.runtime(&format!("node-{index}"), self.docker.pods(index).expect("addresses"))
    }

    pub(crate) async fn remove(self) {
        self.docker.remove().await.expect("removed");
    }
}

#[tokio::test]
async fn the_kit_of_all_runtimes_is_passed() {
    let bench = Bench::new("kit").await;
    let make = || Box::new(bench.node()) as Box<dyn Runtime>;
    testkit::all(make, &variable("TEST_IMAGE")).await;
    bench.remove().await;
}

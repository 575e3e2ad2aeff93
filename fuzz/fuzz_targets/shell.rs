//! The simulated containers' shell: every script is read, or refused with the shell's code for that.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orchestrion::clock::Clock;
use orchestrion::random::Random;
use orchestrion::runtime::memory::{MemoryConfig, MemoryRuntime, Network, Registry, SimulatedNetwork};
use orchestrion::runtime::{ContainerConfig, ContainerId, Runtime as _, SandboxConfig};
use tokio::runtime::Runtime;

struct Container {
    tokio: Runtime,
    runtime: MemoryRuntime,
    id: ContainerId,
}

thread_local! {
    static CONTAINER: Container = {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let runtime = MemoryRuntime::new(MemoryConfig {
            node: "node".into(),
            network: Network::simulated([10, 0, 0, 0].into(), SimulatedNetwork::default()),
            registry: Registry::default(),
            clock: Clock::system(),
            random: Random::seeded(1),
        });
        let id = tokio.block_on(async {
            let config = SandboxConfig { name: "a".into(), namespace: "b".into(), uid: "c".into(), ..Default::default() };
            let sandbox = runtime.run_sandbox(&config).await.expect("a sandbox");
            runtime.pull_image("busybox", &[]).await.expect("an image");
            let command = ["sh", "-c", "sleep 1000000000"].map(str::to_owned).into();
            let config = ContainerConfig { name: "d".into(), image: "busybox".into(), command, ..Default::default() };
            let id = runtime.create_container(&sandbox.id, &config).await.expect("a container");
            runtime.start_container(&id).await.expect("a start");
            id
        });
        Container { tokio, runtime, id }
    };
}

fuzz_target!(|script: &str| {
    CONTAINER.with(|Container { tokio, runtime, id }| {
        let command = ["sh", "-nc", script].map(str::to_owned);
        let done = tokio.block_on(runtime.exec_sync(id, &command, None)).expect("the shell is there");
        assert!(matches!(done.code, 0 | 2), "{done:?}");
    });
});

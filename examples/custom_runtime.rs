//! A runtime of one's own: it wraps the one in memory and counts what starts. Its images are functions.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use orchestrion::api::LogOptions;
use orchestrion::cluster::Cluster;
use orchestrion::runtime::memory::{ContainerContext, MemoryRuntime, Registry, Script, SimulatedImage};
use orchestrion::runtime::{ContainerId, Layer, Result, Runtime};

/// How often each image was started, on all nodes.
type Starts = Arc<Mutex<BTreeMap<String, usize>>>;

/// Counts starts, and leaves everything else to the runtime within.
#[derive(Debug)]
struct Counting {
    inner: MemoryRuntime,
    node: String,
    starts: Starts,
}

#[async_trait]
impl Layer for Counting {
    fn below(&self) -> &dyn Runtime {
        &self.inner
    }

    async fn start_container(&self, id: &ContainerId) -> Result<()> {
        let container = self.inner.container_status(id).await?;
        println!("{}: starts {} ({}), attempt {}", self.node, container.name, container.image, container.attempt);
        *self.starts.lock().unwrap_or_else(PoisonError::into_inner).entry(container.image).or_default() += 1;
        self.inner.start_container(id).await
    }
}

/// A program: what it returns is the container's exit code.
async fn greeter(context: ContainerContext) -> i32 {
    let whom = context.var("WHOM").unwrap_or("nobody");
    context.print(format_args!("hello {whom}, from {} on {}", context.pod(), context.node()));
    0
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn Error>> {
    let starts = Starts::default();
    let counted = Arc::clone(&starts);
    let registry = Registry::default();
    registry.add_function("example.org/greeter", greeter);

    let cluster = Cluster::builder()
        .nodes(2)
        .images(registry)
        .image("example.org/flaky", SimulatedImage::new(Script::new().failing(1, 7).print("well then").exit(0)))
        .runtime(move |seat| {
            let (inner, starts) = (seat.memory_runtime(), Arc::clone(&counted));
            Arc::new(Counting { inner, node: seat.name.clone(), starts })
        })
        .start()
        .await?;
    cluster.apply(MANIFEST).await?;

    let pods = cluster.client().api::<Pod>("default");
    for name in ["greeter", "flaky"] {
        let succeeded = |pod: Option<&Pod>| phase(pod) == Some("Succeeded");
        pods.wait(name, Duration::from_secs(60), succeeded).await?;
        let log = pods.logs(name, &LogOptions::default()).await?;
        println!("{name} says: {}", log.trim_end());
    }
    cluster.stop().await;
    println!("{:?}", starts.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(())
}

fn phase(pod: Option<&Pod>) -> Option<&str> {
    pod?.status.as_ref()?.phase.as_deref()
}

const MANIFEST: &str = "
apiVersion: v1
kind: Pod
metadata: { name: greeter }
spec:
  restartPolicy: OnFailure
  containers: [{ name: main, image: example.org/greeter, env: [{ name: WHOM, value: world }] }]
---
apiVersion: v1
kind: Pod
metadata: { name: flaky }
spec:
  restartPolicy: OnFailure
  containers: [{ name: main, image: example.org/flaky }]
";

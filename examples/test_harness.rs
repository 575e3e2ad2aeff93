//! What a test of a controller looks like: a cluster under virtual time, with a seed, a fault and a lost node.
//!
//! In a crate's own tests, with tokio's feature `test-util`, it is this:
//!
//! ```ignore
//! #[tokio::test(start_paused = true)]
//! async fn a_workload_outlives_faults_and_its_node() {
//!     let story = a_workload_outlives_faults_and_its_node(42).await.unwrap();
//!     assert_eq!(story, a_workload_outlives_faults_and_its_node(42).await.unwrap());
//! }
//! ```

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use orchestrion::api::{ApiError, ListOptions, Reason};
use orchestrion::client::{Client, Fault, Intercept};
use orchestrion::cluster::Cluster;

/// How many times the server fails to create a pod.
const FAULTS: usize = 3;

/// The test, as it would stand in a test module. It gives the pods before and after, so that runs can be compared.
async fn a_workload_outlives_faults_and_its_node(seed: u64) -> Result<[Vec<String>; 2], Box<dyn Error>> {
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    let cluster = Cluster::builder()
        .simulated(seed)
        .nodes(3)
        .interpose(move |backend| {
            Arc::new(Intercept::new(backend, move |verb, target| {
                let creates_pod = verb == "create" && target.kind.kind == "Pod" && target.subresource.is_empty();
                if creates_pod && count.fetch_add(1, Ordering::Relaxed) < FAULTS {
                    return Fault::Refuse(ApiError::new(Reason::ServiceUnavailable, "the server is busy"));
                }
                Fault::None
            }))
        })
        .start()
        .await?;

    cluster.apply(include_str!("../tests/fixtures/myapp.yaml")).await?;
    cluster.rolled_out("default", "myapp").await?;
    assert!(refused.load(Ordering::Relaxed) > FAULTS, "the controller tried again");
    let before = placed(cluster.client()).await?;

    // A power failure: nobody is told. The node is found lost after a while, and its pods are replaced.
    cluster.crash_node("node-1");
    tokio::time::sleep(Duration::from_secs(600)).await;
    cluster.rolled_out("default", "myapp").await?;
    let after = placed(cluster.client()).await?;
    assert_eq!(after.len(), 3);
    assert!(!after.iter().any(|pod| pod.ends_with("node-1")), "{after:?}");

    cluster.stop().await;
    Ok([before, after])
}

/// The pods that are to stay, and where they are.
async fn placed(client: &Client) -> Result<Vec<String>, ApiError> {
    let pods = client.api::<Pod>("default").list(&ListOptions::default()).await?.items;
    let staying = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let place = |pod: &Arc<Pod>| {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        format!("{} on {}", pod.metadata.name.as_deref().unwrap_or_default(), node.unwrap_or("no node"))
    };
    Ok(staying.map(place).collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    // What `#[tokio::test(start_paused = true)]` makes: one thread, and a clock that moves when all wait.
    let run = |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
        runtime.block_on(a_workload_outlives_faults_and_its_node(seed))
    };
    #[allow(clippy::disallowed_methods, reason = "real time, to show how little passes")]
    let begin = Instant::now();
    let story = run(42)?;
    println!("ten minutes passed in {:.0} ms", begin.elapsed().as_secs_f64() * 1e3);
    println!("before node-1 was lost: {:#?}", story[0]);
    println!("ten minutes later: {:#?}", story[1]);

    assert_eq!(story, run(42)?, "the same seed tells the same story");
    assert_ne!(story, run(43)?, "another seed tells another");
    println!("the same seed gave the same names and places, another seed others");
    Ok(())
}

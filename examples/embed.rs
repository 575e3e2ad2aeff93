//! Container orchestration inside a program: a manifest in, running pods out.

use k8s_openapi::api::core::v1::Pod;
use orchestrion::api::ListOptions;
use orchestrion::cluster::Cluster;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::builder().nodes(3).start().await?;
    cluster.apply(include_str!("../tests/fixtures/myapp.yaml")).await?;
    cluster.rolled_out("default", "myapp").await?;
    for pod in cluster.client().api::<Pod>("default").list(&ListOptions::default()).await?.items {
        let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).unwrap_or_default();
        println!("{} runs at {ip}", pod.metadata.name.as_deref().unwrap_or_default());
    }
    cluster.stop().await;
    Ok(())
}

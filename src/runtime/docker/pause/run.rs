//! Runs a program of the pause image to its end.

use std::fs;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::WaitContainerOptions;
use futures::StreamExt;

use super::REQUEST;
use crate::runtime::docker::cluster::DockerCluster;
use crate::runtime::docker::error::{failed, message};
use crate::runtime::docker::pod_files::{file_error, make_directory};
use crate::runtime::docker::sandbox::by_force;
use crate::runtime::docker::{blocking, body, label};
use crate::runtime::{Result, RuntimeError};

/// Has `program` do what `request` says, in the namespaces of `host` and with one right. `name` tells the request from others
/// that are under way.
///
/// # Errors
/// Where the program cannot be run. What came of the request it does not tell.
pub(in crate::runtime::docker) async fn run(
    cluster: &DockerCluster,
    program: &str,
    right: &str,
    name: &str,
    request: Vec<u8>,
    host: HostConfig,
) -> Result<()> {
    let _making = cluster.making()?;
    let docker = cluster.engine().docker();
    let image = super::ensure(docker).await?;
    let (directory, path) = (cluster.directory(), cluster.directory().join(name));
    let file = path.clone();
    blocking(move || {
        make_directory(&directory)?;
        fs::write(&file, request).map_err(file_error(&file))
    })
    .await?;
    let body = ContainerCreateBody {
        image: Some(image),
        entrypoint: Some(vec![program.to_owned()]),
        labels: Some(label::labels([(label::CLUSTER, &cluster.config().cluster)])),
        host_config: Some(HostConfig {
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(vec![right.to_owned()]),
            mounts: Some(vec![body::mount(&path, REQUEST, true, "")]),
            readonly_rootfs: Some(true),
            ..host
        }),
        ..ContainerCreateBody::default()
    };
    let operation = format!("run {program}");
    let made = docker.create_container(None, body).await.map_err(|error| failed(&operation, error))?;
    let end = async {
        docker.start_container(&made.id, None).await?;
        let mut end = std::pin::pin!(docker.wait_container(&made.id, None::<WaitContainerOptions>));
        end.next().await.transpose().map(drop)
    };
    let end = end.await.map_err(|error| RuntimeError::State(format!("failed to {operation}: {}", message(error))));
    let removed = docker.remove_container(&made.id, by_force()).await;
    let _ = fs::remove_file(&path); // what is left goes with the cluster
    end.and(removed.map_err(|error| failed(operation, error)))
}

//! Connections to ports of pods.
//!
//! What listens on a pod's address is reached from here. What listens on its loopback alone is not: there a program of
//! the pause image connects from within the pod's network, and its input and output are the connection.

use std::io;
use std::net::Ipv4Addr;

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::AttachContainerOptionsBuilder;
use bytes::Bytes;
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;

use super::cluster::DockerCluster;
use super::error::failed;
use super::pod_files::file_error;
use super::sandbox::by_force;
use super::{DockerRuntime, blocking, body, label, pause};
use crate::runtime::{PodStream, Result, RuntimeError, SandboxId};

/// Bytes that wait on each side of a connection from within.
const WINDOW: usize = 64 << 10;

impl DockerRuntime {
    pub(super) async fn connect(&self, id: &SandboxId, port: u16) -> Result<PodStream> {
        match self.connect_to_address(id, port).await {
            Err(RuntimeError::Dial { address, source }) => match from_within(self.cluster(), id, port).await? {
                Some(stream) => Ok(Box::pin(stream)),
                None => Err(RuntimeError::Dial { address, source }),
            },
            other => other,
        }
    }

    /// What listens on the pod's address.
    pub(super) async fn connect_to_address(&self, id: &SandboxId, port: u16) -> Result<PodStream> {
        let sandbox = self.find_sandbox(id).await?;
        let ip = sandbox.ips.first().copied().filter(|_| sandbox.ready);
        let ip =
            ip.ok_or_else(|| RuntimeError::State(format!("sandbox container {:?} is not running", id.as_str())))?;
        let stream = TcpStream::connect((ip, port)).await;
        match stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
            Ok(stream) => Ok(Box::pin(stream)),
            Err(source) => Err(RuntimeError::Dial { address: format!("{ip}:{port}"), source }),
        }
    }
}

/// Connects to a port of the pod's loopback; `None` where nobody listens there.
async fn from_within(cluster: &DockerCluster, sandbox: &SandboxId, port: u16) -> Result<Option<DuplexStream>> {
    let _making = cluster.making()?;
    let docker = cluster.engine().docker();
    let path = cluster.directory().join(format!("dial-{}", cluster.next_connection()));
    let (file, request) = (path.clone(), address(port));
    blocking(move || std::fs::write(&file, request).map_err(file_error(&file))).await?;
    let body = ContainerCreateBody {
        image: Some(pause::ensure(docker).await?),
        entrypoint: Some(vec![pause::CARRY_PROGRAM.to_owned()]),
        labels: Some(label::labels([(label::CLUSTER, &cluster.config().cluster)])),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        host_config: Some(HostConfig {
            network_mode: Some(format!("container:{sandbox}")),
            cap_drop: Some(vec!["ALL".to_owned()]),
            mounts: Some(vec![body::mount(&path, pause::REQUEST, true, "")]),
            readonly_rootfs: Some(true),
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let operation = "connect from within a pod";
    let made = docker.create_container(None, body).await.map_err(|error| failed(operation, error))?;
    let begun = async {
        let options = AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).build();
        let mut attached = docker.attach_container(&made.id, Some(options)).await?;
        docker.start_container(&made.id, None).await?;
        // The first byte says that it is connected.
        match attached.output.next().await.transpose()? {
            Some(LogOutput::StdOut { message }) => Ok(Some((attached, message.slice(1.min(message.len())..)))),
            _ => Ok(None),
        }
    };
    let begun: std::result::Result<_, bollard::errors::Error> = begun.await;
    match begun {
        Ok(Some((attached, first))) => {
            let (ours, theirs) = tokio::io::duplex(WINDOW);
            let (cluster, id) = (cluster.clone(), made.id);
            tokio::spawn(async move {
                carry(attached, first, theirs).await;
                remove(&cluster, &id, &path).await;
            });
            Ok(Some(ours))
        }
        other => {
            remove(cluster, &made.id, &path).await;
            other.map(|_| None).map_err(|error| failed(operation, error))
        }
    }
}

/// The loopback's address with a port, as the kernel takes it (`sockaddr_in`).
fn address(port: u16) -> Vec<u8> {
    const INET: u16 = 2;
    [&INET.to_ne_bytes()[..], &port.to_be_bytes(), &Ipv4Addr::LOCALHOST.octets(), &[0; 8]].concat()
}

/// Carries bytes until both sides have ended, or the one here has gone.
async fn carry(attached: AttachContainerResults, first: Bytes, stream: DuplexStream) {
    let AttachContainerResults { mut output, mut input } = attached;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let there = async move {
        let mut piece = vec![0; 16 << 10];
        loop {
            match reader.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(length) => {
                    input.write_all(&piece[..length]).await?;
                    input.flush().await?;
                }
            }
        }
        input.shutdown().await
    };
    let back = async move {
        writer.write_all(&first).await?;
        while let Some(Ok(piece)) = output.next().await {
            if let LogOutput::StdOut { message } = piece {
                writer.write_all(&message).await?;
            }
        }
        writer.shutdown().await
    };
    let mut there = std::pin::pin!(there);
    let ended: io::Result<()> = tokio::select! {
        ended = back => ended,
        ended = async {
            let sent: io::Result<()> = (&mut there).await;
            match sent {
                // The other side may still have something to say.
                Ok(()) => std::future::pending().await,
                Err(error) => Err(error),
            }
        } => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection into a pod has broken off");
    }
}

async fn remove(cluster: &DockerCluster, id: &str, request: &std::path::Path) {
    if let Err(error) = cluster.engine().docker().remove_container(id, by_force()).await {
        tracing::debug!(%error, "a connection into a pod was not removed");
    }
    let _ = std::fs::remove_file(request); // what is left goes with the cluster
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_stands_in_an_address_as_on_the_wire() {
        assert_eq!(address(0x1234)[2..8], [0x12, 0x34, 127, 0, 0, 1]);
        assert_eq!(address(80).len(), 16);
    }
}

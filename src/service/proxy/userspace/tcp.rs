//! TCP: each connection is carried to one endpoint.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::Shared;
use crate::clock::Clock;

/// How long an endpoint may take to accept before the next is tried.
const CONNECT: Duration = Duration::from_secs(5);

/// How long to wait after the process ran out of descriptors.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// The open connections of a proxy. Dropping them closes them.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<JoinSet<()>>);

impl Connections {
    fn carry(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(connection);
    }
}

pub(super) async fn listen(
    address: SocketAddr,
    balancer: Shared,
    clock: Clock,
    connections: Arc<Connections>,
) -> io::Result<AbortHandle> {
    let listener = TcpListener::bind(address).await?;
    let accept = async move {
        loop {
            match listener.accept().await {
                Ok((stream, client)) => connections.carry(carry(stream, client, Arc::clone(&balancer), clock)),
                Err(error) => {
                    tracing::warn!(%address, %error, "cannot accept");
                    clock.sleep(EXHAUSTED).await;
                }
            }
        }
    };
    Ok(tokio::spawn(accept).abort_handle())
}

async fn carry(mut client: TcpStream, from: SocketAddr, balancer: Shared, clock: Clock) {
    let order = balancer.lock().unwrap_or_else(PoisonError::into_inner).choose(from.ip(), clock.elapsed());
    let first = order.first().copied();
    for endpoint in order {
        let Ok(Ok(mut server)) = tokio::time::timeout(CONNECT, TcpStream::connect(endpoint)).await else {
            continue;
        };
        if Some(endpoint) != first {
            let mut balancer = balancer.lock().unwrap_or_else(PoisonError::into_inner);
            balancer.served(from.ip(), endpoint, clock.elapsed());
        }
        // Small answers must not wait for large packets.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        // Either side may break off: that is theirs to notice.
        let _ = copy_bidirectional(&mut client, &mut server).await;
        return;
    }
    // No endpoint took it: a reset says so plainly, where an orderly end would look like an empty answer.
    let _ = client.set_zero_linger();
}

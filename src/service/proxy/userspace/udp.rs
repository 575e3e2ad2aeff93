//! UDP: each client's datagrams go to one endpoint while it keeps talking.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::{AbortHandle, JoinSet};

use super::Shared;
use crate::clock::Clock;

/// A client that has been silent for so long is forgotten.
const IDLE: Duration = Duration::from_secs(60);

/// The largest datagram.
const DATAGRAM: usize = 65_535;

/// How many clients are served at a time; more are dropped, as a full connection table drops them.
const SESSIONS: usize = 4_096;

pub(super) async fn listen(address: SocketAddr, balancer: Shared, clock: Clock) -> io::Result<AbortHandle> {
    let socket = Arc::new(UdpSocket::bind(address).await?);
    Ok(tokio::spawn(serve(socket, balancer, clock)).abort_handle())
}

async fn serve(frontend: Arc<UdpSocket>, balancer: Shared, clock: Clock) {
    let mut sessions: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
    let mut replies: JoinSet<SocketAddr> = JoinSet::new();
    let mut datagram = vec![0; DATAGRAM];
    loop {
        let (length, client) = tokio::select! {
            Some(ended) = replies.join_next() => {
                if let Ok(client) = ended {
                    sessions.remove(&client);
                }
                continue;
            }
            received = frontend.recv_from(&mut datagram) => match received {
                Ok(received) => received,
                // The kernel reports here what became of an earlier datagram.
                Err(_) => continue,
            },
        };
        let session = match sessions.get(&client) {
            Some(session) => Arc::clone(session),
            None if sessions.len() >= SESSIONS => continue,
            None => {
                let chosen =
                    balancer.lock().unwrap_or_else(PoisonError::into_inner).choose(client.ip(), clock.elapsed());
                let Some(endpoint) = chosen.first().copied() else { continue };
                let Ok(session) = connect(endpoint).await else { continue };
                let session = Arc::new(session);
                replies.spawn(reply(Arc::clone(&frontend), Arc::clone(&session), client));
                sessions.insert(client, Arc::clone(&session));
                session
            }
        };
        // A datagram that cannot be sent is lost, as datagrams are.
        let _ = session.send(&datagram[..length]).await;
    }
}

async fn connect(endpoint: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr =
        if endpoint.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(endpoint).await?;
    Ok(socket)
}

/// Carries answers back until there are none for a while or the endpoint is gone.
async fn reply(frontend: Arc<UdpSocket>, session: Arc<UdpSocket>, client: SocketAddr) -> SocketAddr {
    let mut datagram = vec![0; DATAGRAM];
    while let Ok(Ok(length)) = tokio::time::timeout(IDLE, session.recv(&mut datagram)).await {
        let _ = frontend.send_to(&datagram[..length], client).await;
    }
    client
}

//! [`DnsServer`]: answers questions about a [`Zone`] over UDP and TCP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::records::Zone;

/// How many TCP connections are served at a time.
const CONNECTIONS: usize = 64;
/// How long a TCP connection may be silent.
const IDLE: Duration = Duration::from_secs(10);

/// A DNS server on loopback. Ends when dropped.
#[derive(Debug)]
pub struct DnsServer {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl DnsServer {
    /// Answers for `zone` at `ip`, on the first of `ports` that can be had for UDP and TCP both. (Port 53 is
    /// where resolvers look, and needs a privilege.)
    ///
    /// # Errors
    /// Where none of the ports can be had: the reason for the last.
    pub async fn start(zone: Zone, ip: Ipv4Addr, ports: &[u16]) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::InvalidInput);
        for port in ports {
            let address = SocketAddr::from((ip, *port));
            let bound = async { Ok((UdpSocket::bind(address).await?, TcpListener::bind(address).await?)) };
            match bound.await {
                Ok((udp, tcp)) => {
                    let zone = Arc::new(zone);
                    let mut tasks = JoinSet::new();
                    tasks.spawn(serve_udp(udp, Arc::clone(&zone)));
                    tasks.spawn(serve_tcp(tcp, zone));
                    return Ok(Self { address, _tasks: tasks });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve_udp(socket: UdpSocket, zone: Arc<Zone>) {
    let mut datagram = vec![0; usize::from(u16::MAX)];
    loop {
        // An error here tells what became of an earlier answer.
        let Ok((length, client)) = socket.recv_from(&mut datagram).await else { continue };
        if let Some(answer) = zone.respond(&datagram[..length], true) {
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, zone: Arc<Zone>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let zone = Arc::clone(&zone);
        connections.spawn(async move {
            // A client that breaks off or says nothing has only itself to answer to.
            let _ = converse(stream, &zone).await;
            drop(permit);
        });
    }
}

async fn converse(mut stream: TcpStream, zone: &Zone) -> io::Result<()> {
    loop {
        let mut length = [0; 2];
        tokio::time::timeout(IDLE, stream.read_exact(&mut length)).await??;
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        tokio::time::timeout(IDLE, stream.read_exact(&mut question)).await??;
        let Some(answer) = zone.respond(&question, false) else { return Ok(()) };
        let Ok(length) = u16::try_from(answer.len()) else { return Ok(()) };
        stream.write_all(&length.to_be_bytes()).await?;
        stream.write_all(&answer).await?;
    }
}

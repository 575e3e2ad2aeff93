//! The network of pods: real sockets on loopback addresses, or none at all.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::runtime::{PodRange, PodStream};

/// Connections that wait to be accepted before a further one must wait.
const BACKLOG: usize = 128;
/// Bytes in flight on a simulated connection.
const WINDOW: usize = 64 << 10;

/// How the pods of a runtime reach each other.
#[derive(Clone, Debug)]
pub enum Network {
    /// Every pod has an address of 127.0.0.0/8 and real sockets. Needs no privileges (ports below 1024 need what
    /// they always need); nothing outside this machine reaches them.
    Loopback(PodRange),
    /// Every pod has an address that exists only here, and connections are pairs of buffers: for virtual time.
    Simulated(PodRange, SimulatedNetwork),
}

impl Network {
    /// Pods on the 256 loopback addresses from `first` on.
    pub fn loopback(first: Ipv4Addr) -> Self {
        Self::Loopback(PodRange::new(first))
    }

    /// Pods on 256 addresses from `first` on; nodes that share `network` reach each other's pods.
    pub fn simulated(first: Ipv4Addr, network: SimulatedNetwork) -> Self {
        Self::Simulated(PodRange::new(first), network)
    }

    /// The addresses of its pods.
    pub fn pods(&self) -> &PodRange {
        match self {
            Self::Loopback(pods) | Self::Simulated(pods, _) => pods,
        }
    }

    /// Listens on a TCP port of an address.
    ///
    /// # Errors
    /// As sockets do: the port is taken, or needs a privilege.
    pub async fn listen(&self, ip: IpAddr, port: u16) -> io::Result<Listener> {
        Ok(match self {
            Self::Loopback(_) => Listener(Kind::Socket(TcpListener::bind((ip, port)).await?)),
            Self::Simulated(_, network) => network.listen(ip, port)?,
        })
    }

    /// Connects to a TCP port of an address.
    ///
    /// # Errors
    /// As sockets do: nobody listens there.
    pub async fn connect(&self, ip: IpAddr, port: u16) -> io::Result<PodStream> {
        Ok(match self {
            Self::Loopback(_) => {
                let stream = TcpStream::connect((ip, port)).await?;
                stream.set_nodelay(true)?;
                Box::pin(stream)
            }
            Self::Simulated(_, network) => network.connect(ip, port).await?,
        })
    }
}

/// Never walked through.
type Listeners = HashMap<(IpAddr, u16), mpsc::Sender<PodStream>>;

/// A network in memory, shared by the nodes of a cluster. Clones are the same network.
#[derive(Clone, Debug, Default)]
pub struct SimulatedNetwork(Arc<Mutex<Listeners>>);

impl SimulatedNetwork {
    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens on a port of an address.
    ///
    /// # Errors
    /// `AddrInUse` where somebody does already.
    pub fn listen(&self, ip: IpAddr, port: u16) -> io::Result<Listener> {
        let mut listeners = self.listeners();
        if listeners.get(&(ip, port)).is_some_and(|listener| !listener.is_closed()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, receiver) = mpsc::channel(BACKLOG);
        listeners.insert((ip, port), sender);
        Ok(Listener(Kind::Simulated { incoming: receiver, at: (ip, port), network: self.clone() }))
    }

    /// Connects to a port of an address.
    ///
    /// # Errors
    /// `ConnectionRefused` where nobody listens.
    pub async fn connect(&self, ip: IpAddr, port: u16) -> io::Result<PodStream> {
        let listener = self.listeners().get(&(ip, port)).cloned().ok_or(io::ErrorKind::ConnectionRefused)?;
        let (near, far) = tokio::io::duplex(WINDOW);
        listener.send(Box::pin(far)).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(Box::pin(near))
    }
}

/// Accepts connections to a port of a pod. Dropping it closes the port.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Socket(TcpListener),
    Simulated { incoming: mpsc::Receiver<PodStream>, at: (IpAddr, u16), network: SimulatedNetwork },
}

impl Listener {
    /// The next connection.
    ///
    /// # Errors
    /// As sockets do; the listener remains usable.
    ///
    /// # Cancel safety
    /// No connection is lost.
    pub async fn accept(&mut self) -> io::Result<PodStream> {
        match &mut self.0 {
            Kind::Socket(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::pin(stream))
            }
            Kind::Simulated { incoming, .. } => incoming.recv().await.ok_or_else(|| io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Kind::Simulated { incoming, at, network } = &mut self.0 {
            incoming.close();
            let mut listeners = network.listeners();
            if listeners.get(at).is_some_and(mpsc::Sender::is_closed) {
                listeners.remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_address_rests_before_it_is_taken_again() {
        let range = PodRange::new(Ipv4Addr::new(10, 244, 3, 0));
        let first = range.take().unwrap();
        assert_eq!(first.ip.to_string(), "10.244.3.2");
        drop(first);
        let second = range.take().unwrap();
        assert_eq!(second.ip.to_string(), "10.244.3.3");
        let rest: Vec<_> = std::iter::from_fn(|| range.take()).collect();
        assert_eq!(rest.len(), 252);
        drop(second);
        assert_eq!(range.take().unwrap().ip.to_string(), "10.244.3.3");
    }

    #[tokio::test]
    async fn a_simulated_port_is_closed_with_its_listener() {
        let network = SimulatedNetwork::default();
        let ip = Ipv4Addr::new(10, 244, 0, 2).into();
        let listener = network.listen(ip, 80).unwrap();
        assert_eq!(network.listen(ip, 80).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        assert!(network.connect(ip, 80).await.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused));
    }
}

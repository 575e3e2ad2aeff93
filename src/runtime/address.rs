//! The addresses of a node's pods.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

/// The addresses of one node's pods, of which each pod takes one.
#[derive(Clone, Debug)]
pub struct PodRange {
    first: Ipv4Addr,
    prefix: u8,
    used: Arc<Mutex<Used>>,
}

#[derive(Debug, Default)]
struct Used {
    last: u32,
    taken: BTreeSet<u32>,
}

impl PodRange {
    /// The /24 that begins at `first`.
    pub fn new(first: Ipv4Addr) -> Self {
        Self::with_prefix(first, 24)
    }

    /// The range of that many leading bits (at least 8, at most 30) that begins at `first`.
    pub fn with_prefix(first: Ipv4Addr, prefix: u8) -> Self {
        Self { first, prefix: prefix.clamp(8, 30), used: Arc::default() }
    }

    /// `10.244.1.0/24`
    pub fn cidr(&self) -> String {
        format!("{}/{}", self.first, self.prefix)
    }

    /// Takes the next free address, so that a released one rests as long as possible.
    pub(super) fn take(&self) -> Option<Address> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        // The first address is the network, the second the node's end of it, the last the broadcast address.
        let pods = (1_u32 << (32 - self.prefix)) - 3;
        let after = (0..pods).map(|step| 2 + (used.last.max(1) - 1 + step) % pods);
        let host = after.into_iter().find(|host| !used.taken.contains(host))?;
        used.taken.insert(host);
        used.last = host;
        Some(self.address(host))
    }

    /// Takes a certain address, for a pod that has it already. `None` where it lies outside, or is taken.
    #[cfg(feature = "docker")]
    pub(super) fn take_this(&self, ip: Ipv4Addr) -> Option<Address> {
        let host = u32::from(ip).checked_sub(u32::from(self.first)).filter(|host| *host < 1 << (32 - self.prefix))?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.last = used.last.max(host);
        used.taken.insert(host).then(|| self.address(host))
    }

    fn address(&self, host: u32) -> Address {
        Address { ip: Ipv4Addr::from(u32::from(self.first) + host), host, range: self.clone() }
    }
}

/// An address in use; dropping it releases it.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) ip: Ipv4Addr,
    host: u32,
    range: PodRange,
}

impl Drop for Address {
    fn drop(&mut self) {
        self.range.used.lock().unwrap_or_else(PoisonError::into_inner).taken.remove(&self.host);
    }
}

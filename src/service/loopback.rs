//! Addresses for clusters on loopback: each gets a `127.x.0.0/16` of its own.
//!
//! On Linux every address of `127.0.0.0/8` is the machine's own, for any user. Within its block a cluster puts
//! Services, pods and nodes apart, so that real sockets carry its traffic without root, iptables or Docker.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;

/// The port of the socket that marks a block as taken.
const CLAIM_PORT: u16 = 47_111;

/// Nodes take a /24 of the pods' addresses, as upstream's default has it.
const NODE_PREFIX: u8 = 24;

/// The first and the last block that clusters use: the lower half is left to the machine and to others.
const BLOCKS: std::ops::RangeInclusive<u8> = 128..=254;

/// A range of IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    base: u32,
    prefix: u8,
}

impl Subnet {
    /// The subnet of that many leading bits that contains `address`; at most 32.
    pub const fn new(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = if prefix > 32 { 32 } else { prefix };
        let mask = if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) };
        Self { base: u32::from_be_bytes(address.octets()) & mask, prefix }
    }

    /// How many addresses it has.
    pub const fn size(self) -> u32 {
        if self.prefix == 0 { u32::MAX } else { 1 << (32 - self.prefix) }
    }

    /// The address at `offset`, where it lies within.
    pub fn nth(self, offset: u32) -> Option<Ipv4Addr> {
        (offset < self.size()).then(|| Ipv4Addr::from(self.base + offset))
    }

    /// The offset of `address`, where it lies within.
    pub fn offset(self, address: Ipv4Addr) -> Option<u32> {
        u32::from(address).checked_sub(self.base).filter(|offset| *offset < self.size())
    }

    /// Whether `address` lies within.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        self.offset(address).is_some()
    }

    /// The `index`-th subnet of that many leading bits within this one.
    pub fn subnet(self, prefix: u8, index: u32) -> Option<Self> {
        let size = 1_u32.checked_shl(u32::from(32_u8.checked_sub(prefix)?))?;
        self.nth(index.checked_mul(size)?).map(|base| Self::new(base, prefix))
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

/// Where a cluster's Services, nodes and pods live.
#[derive(Clone, Debug)]
pub struct AddressPlan {
    /// ClusterIPs.
    pub services: Subnet,
    /// Nodes.
    pub nodes: Subnet,
    /// Pods; each node takes a part of it.
    pub pods: Subnet,
    /// How many leading bits the part of a node has: 24, unless [`AddressPlan::with_pods_per_node`] asks for more room.
    pub node_prefix: u8,
    /// Whether these are addresses of this machine, with real sockets behind them: on loopback, or on a bridge.
    pub loopback: bool,
    /// Keeps the block claimed.
    _claim: Option<Arc<UdpSocket>>,
}

impl AddressPlan {
    /// A block of loopback addresses that no other cluster on this machine uses, in whatever process. It is
    /// free again when the last clone is dropped or the process ends.
    ///
    /// # Errors
    /// Where every block is taken, or the machine does not give out loopback addresses.
    pub fn loopback() -> io::Result<Self> {
        let mut last = None;
        for block in BLOCKS {
            // The kernel knows who has it: no lock file to go stale.
            match UdpSocket::bind((Ipv4Addr::new(127, block, 255, 254), CLAIM_PORT)) {
                Ok(claim) => {
                    let block = Subnet::new(Ipv4Addr::new(127, block, 0, 0), 16);
                    return Ok(Self { loopback: true, _claim: Some(Arc::new(claim)), ..Self::within(block) });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
    }

    /// Addresses that look like a usual cluster's and that nothing listens on, for clusters under virtual time.
    pub fn simulated() -> Self {
        Self {
            services: Subnet::new(Ipv4Addr::new(10, 96, 0, 0), 12),
            nodes: Subnet::new(Ipv4Addr::new(172, 16, 0, 0), 12),
            pods: Subnet::new(Ipv4Addr::new(10, 128, 0, 0), 9),
            node_prefix: NODE_PREFIX,
            loopback: false,
            _claim: None,
        }
    }

    /// Addresses of a block of sixteen bits that belongs to this machine: those of a bridge that pods are on, say. It is
    /// divided like one on loopback.
    pub fn bridge(first: Ipv4Addr) -> Self {
        Self::within(Subnet::new(first, 16))
    }

    /// A sixteen-bit block divided: Services at its beginning, nodes at its end, pods between.
    fn within(block: Subnet) -> Self {
        let part = |offset: u8, prefix| {
            let [a, b, _, _] = Ipv4Addr::from(block.base).octets();
            Subnet::new(Ipv4Addr::new(a, b, offset, 0), prefix)
        };
        Self {
            services: part(0, 20),
            nodes: part(240, 21),
            pods: part(0, 16),
            node_prefix: NODE_PREFIX,
            loopback: true,
            _claim: None,
        }
    }

    /// The same plan with room for so many pods on each node (and for the fewer nodes, where they need more than 253
    /// addresses).
    #[must_use]
    pub fn with_pods_per_node(mut self, pods: u32) -> Self {
        while Subnet::new(Ipv4Addr::UNSPECIFIED, self.node_prefix).size() - 3 < pods
            && self.node_prefix > self.pods.prefix
        {
            self.node_prefix -= 1;
        }
        self
    }

    /// The address of the `index`-th node.
    pub fn node(&self, index: u32) -> Option<Ipv4Addr> {
        self.nodes.nth(index.checked_add(1)?)
    }

    /// The pod range of the `index`-th node.
    pub fn node_pods(&self, index: u32) -> Option<Subnet> {
        // On loopback the Services' /20 comes first and the nodes' range begins at .240.
        let (first, end): (u32, u32) = if self.loopback { (16 << 8, 240 << 8) } else { (0, self.pods.size()) };
        let size = Subnet::new(Ipv4Addr::UNSPECIFIED, self.node_prefix).size();
        let offset = index.checked_mul(size)?.checked_add(first.next_multiple_of(size))?;
        let last = offset.checked_add(size)?;
        (last <= end).then(|| self.pods.nth(offset)).flatten().map(|base| Subnet::new(base, self.node_prefix))
    }

    /// The ClusterIP of the `kubernetes` Service.
    pub fn kubernetes(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.services.base + 1)
    }

    /// The ClusterIP of cluster DNS.
    pub fn dns(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.services.base + 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clusters_get_different_blocks() {
        let (a, b) = (AddressPlan::loopback().unwrap(), AddressPlan::loopback().unwrap());
        assert_ne!(a.kubernetes(), b.kubernetes());
    }

    #[test]
    fn services_nodes_and_pods_do_not_overlap() {
        let plan = AddressPlan::within(Subnet::new(Ipv4Addr::new(127, 20, 0, 0), 16));
        let first = plan.node_pods(0).unwrap();
        assert_eq!(first.to_string(), "127.20.16.0/24");
        assert!(!plan.services.contains(first.nth(0).unwrap()));
        assert!(plan.node_pods(223).is_some());
        assert!(plan.node_pods(224).is_none(), "the nodes' own range begins there");
        assert_eq!(plan.node(0).unwrap().to_string(), "127.20.240.1");
    }

    #[test]
    fn nodes_with_many_pods_take_larger_ranges() {
        let block = || AddressPlan::within(Subnet::new(Ipv4Addr::new(127, 20, 0, 0), 16));
        assert_eq!(block().with_pods_per_node(253).node_pods(1).unwrap().to_string(), "127.20.17.0/24");
        let wide = block().with_pods_per_node(328);
        assert_eq!(wide.node_pods(0).unwrap().to_string(), "127.20.16.0/23");
        assert_eq!(wide.node_pods(111).unwrap().to_string(), "127.20.238.0/23");
        assert!(wide.node_pods(112).is_none());
        let plan = AddressPlan::simulated().with_pods_per_node(328);
        assert_eq!(plan.node_pods(6_099).unwrap().to_string(), "10.175.166.0/23");
    }
}

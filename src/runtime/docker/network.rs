//! The network of a cluster's pods: a bridge of the engine's, divided among the nodes.
//!
//! One bridge carries all nodes of a cluster: between bridges the engine lets nothing pass, and pods must reach each
//! other. Each node takes a part of its addresses and gives them to its pods itself, so that a pod's address tells its
//! node as it does on any cluster.

use std::net::Ipv4Addr;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest, NetworkDisconnectRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;

use super::engine::Engine;
use super::error::{failed, is_missing, message, status, unless_done};
use super::label;
use crate::runtime::{PodRange, Result, RuntimeError};

/// The networks that are tried in turn: `10.x.0.0/16`.
const BLOCKS: std::ops::RangeInclusive<u8> = 200..=254;
const PREFIX: u8 = 16;
/// Of which a node has this much.
const NODE_PREFIX: u8 = 24;
/// The parts of that size that pods have.
const PODS: std::ops::Range<u32> = 16..240;
/// The bridge's own address, where it is in nobody's way.
const GATEWAY: [u8; 2] = [255, 254];

/// How often, and after which pause, a network is tried again that the engine still takes containers from.
const RETRY: (usize, Duration) = (300, Duration::from_millis(200));

/// The network of one cluster's pods. It is divided as clusters on loopback divide their addresses: Services have the
/// first /20, nodes the /21 that begins at .240.0, pods what lies between. The engine gives out none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodNetwork {
    pub(super) name: String,
    first: Ipv4Addr,
    prefix: u8,
}

impl PodNetwork {
    /// The cluster's network on that engine: the one that it has, or a new one, on addresses that neither another
    /// network of the engine nor a route of this machine has.
    ///
    /// # Errors
    /// Where no addresses are free, or the engine does not make the network.
    pub(super) async fn of(engine: &Engine, cluster: &str) -> Result<Self> {
        let name = format!("orchestrion-{cluster}");
        if let Some(found) = find(engine, &name).await? {
            return Ok(found);
        }
        let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
        let mut refusal = "no addresses are free".to_owned();
        for block in BLOCKS {
            let first = Ipv4Addr::new(10, block, 0, 0);
            if is_routed(&routes, first) {
                continue;
            }
            let gateway = Ipv4Addr::new(10, block, GATEWAY[0], GATEWAY[1]);
            let config = IpamConfig {
                subnet: Some(format!("{first}/{PREFIX}")),
                gateway: Some(gateway.to_string()),
                ..IpamConfig::default()
            };
            let request = NetworkCreateRequest {
                name: name.clone(),
                driver: Some("bridge".to_owned()),
                ipam: Some(Ipam { config: Some(vec![config]), ..Ipam::default() }),
                labels: Some(label::labels([(label::CLUSTER, cluster)])),
                ..NetworkCreateRequest::default()
            };
            match engine.docker().create_network(request).await {
                Ok(_) => return Ok(Self { name, first, prefix: PREFIX }),
                // Somebody else was faster.
                Err(error) if status(&error) == Some(409) => {
                    if let Some(found) = find(engine, &name).await? {
                        return Ok(found);
                    }
                    refusal = message(error);
                }
                // Taken by another network: the next.
                Err(error) if matches!(status(&error), Some(400 | 403)) => refusal = message(error),
                Err(error) => return Err(failed(format!("make the network {name}"), error)),
            }
        }
        Err(RuntimeError::Network(format!("failed to make the network {name}: {refusal}")))
    }

    /// Its first address, and how many leading bits all of its addresses have in common.
    pub(super) fn addresses(&self) -> (Ipv4Addr, u8) {
        (self.first, self.prefix)
    }

    /// The pods of the `index`-th node; `None` where there is no room for so many nodes.
    pub(super) fn pods(&self, index: u32) -> Option<PodRange> {
        let part = index.checked_add(PODS.start).filter(|part| PODS.contains(part))?;
        Some(PodRange::with_prefix(self.at(part), NODE_PREFIX))
    }

    /// The addresses that are the machine's own: those of Services and of nodes.
    pub(super) fn own_parts(&self) -> [(Ipv4Addr, u8); 2] {
        [(self.at(0), 20), (self.at(PODS.end), 21)]
    }

    fn at(&self, part: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.first) + (part << (32 - NODE_PREFIX)))
    }

    /// The name of the bridge among the machine's network interfaces.
    pub(super) async fn interface(&self, engine: &Engine) -> Result<String> {
        let found = engine.docker().inspect_network(&self.name, None).await;
        let found = found.map_err(|error| failed(format!("look at the network {}", self.name), error))?;
        let given = found.options.and_then(|mut options| options.remove("com.docker.network.bridge.name"));
        let id = found.id.unwrap_or_default();
        Ok(given.unwrap_or_else(|| format!("br-{}", &id[..id.len().min(12)])))
    }
}

/// Removes a network whose containers are gone. The engine lists a container no more before it has taken it from its
/// network, which is waited for; what it has forgotten to take is taken by force.
pub(super) async fn remove(engine: &Engine, id: &str) -> Result<()> {
    let mut tries = 0..RETRY.0;
    loop {
        let refusal = match engine.docker().remove_network(id).await {
            Err(Error::DockerResponseServerError { status_code: 403, message })
                if message.contains("active endpoints") =>
            {
                message
            }
            other => return unless_done(other, "remove a network"),
        };
        let attached = release(engine, id).await?;
        if tries.next().is_none() {
            let attached = if attached.is_empty() { "nobody that it knows".to_owned() } else { attached.join(", ") };
            let message = format!("{refusal} (attached: {attached})");
            return Err(RuntimeError::Engine { operation: "remove a network".to_owned(), message });
        }
        engine.clock().sleep(RETRY.1).await;
    }
}

/// Takes the containers from a network that the engine has no more. Says who was attached to it.
async fn release(engine: &Engine, id: &str) -> Result<Vec<String>> {
    let docker = engine.docker();
    let found = docker.inspect_network(id, None).await.map_err(|error| failed("look at a network", error))?;
    let mut attached = Vec::new();
    for (container, endpoint) in found.containers.into_iter().flatten() {
        // By the container, where the engine still knows which it was.
        let known = !container.starts_with("ep-")
            && !matches!(docker.inspect_container(&container, None).await, Err(error) if is_missing(&error));
        let name = endpoint.name.unwrap_or_default();
        attached.push(format!("{name} ({container}, {})", if known { "a container" } else { "of no container" }));
        if !known {
            let request = NetworkDisconnectRequest { container: name, force: Some(true) };
            unless_done(docker.disconnect_network(id, request).await, "clear a network")?;
        }
    }
    Ok(attached)
}

/// The network of that name, where the engine has it.
async fn find(engine: &Engine, name: &str) -> Result<Option<PodNetwork>> {
    let filters = [("name".to_owned(), vec![name.to_owned()])].into();
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let found = engine.docker().list_networks(Some(options)).await;
    let found = found.map_err(|error| failed("list networks", error))?;
    let Some(network) = found.into_iter().find(|network| network.name.as_deref() == Some(name)) else {
        return Ok(None);
    };
    let config = network.ipam.and_then(|ipam| ipam.config).into_iter().flatten().next();
    let subnet = config.and_then(|config| config.subnet).unwrap_or_default();
    let parsed = subnet.split_once('/').and_then(|(first, prefix)| Some((first.parse().ok()?, prefix.parse().ok()?)));
    match parsed {
        Some((first, prefix @ PREFIX)) => Ok(Some(PodNetwork { name: name.to_owned(), first, prefix })),
        _ => Err(RuntimeError::Network(format!("the network {name} has no usable range of addresses: {subnet:?}"))),
    }
}

/// Whether the machine sends traffic for addresses of the block somewhere, its default route aside.
fn is_routed(routes: &str, first: Ipv4Addr) -> bool {
    let block_mask = u32::MAX << (32 - PREFIX);
    routes.lines().skip(1).any(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        // The kernel writes addresses as the bytes lie in memory.
        let address =
            |at: usize| columns.get(at).and_then(|hex| u32::from_str_radix(hex, 16).ok()).map(u32::swap_bytes);
        match (address(1), address(7)) {
            (Some(destination), Some(mask)) if mask != 0 => {
                let common = mask & block_mask;
                u32::from(first) & common == destination & common
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_the_machine_routes_are_left_alone() {
        let routes = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
tun0\t0000C80A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
tun1\t0005C90A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";
        assert!(is_routed(routes, [10, 200, 0, 0].into()));
        assert!(is_routed(routes, [10, 201, 0, 0].into()), "a part of it is");
        assert!(!is_routed(routes, [10, 202, 0, 0].into()), "the default route is for what nobody else has");
    }

    #[test]
    fn nodes_have_parts_of_the_network_as_long_as_there_are_some() {
        let network = PodNetwork { name: "n".into(), first: [10, 200, 0, 0].into(), prefix: 16 };
        assert_eq!(network.pods(0).unwrap().cidr(), "10.200.16.0/24");
        assert_eq!(network.pods(223).unwrap().cidr(), "10.200.239.0/24");
        assert!(network.pods(224).is_none());
        assert!(network.pods(u32::MAX).is_none());
        assert_eq!(network.own_parts(), [([10, 200, 0, 0].into(), 20), ([10, 200, 240, 0].into(), 21)]);
    }
}

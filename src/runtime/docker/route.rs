//! Makes the addresses of a cluster's Services and nodes this machine's own.
//!
//! They lie on the bridge that the pods are on, but belong to no pod. With a route of type `local` over that bridge the
//! kernel takes all of them for its own: any process can listen on them, and answers are given to pods that ask who has
//! them. Setting a route takes a right that this process need not have and the engine does: a container on the
//! machine's network sends the one message to the kernel. The routes are gone with the bridge.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;

use bollard::models::HostConfig;

use super::cluster::DockerCluster;
use super::pause;
use super::pod_files::file_error;
use crate::runtime::{Result, RuntimeError};

/// A part of the network: the first address from its beginning, and the number of leading bits.
type Part = (Ipv4Addr, u8);

/// Makes sure that the addresses are the machine's own.
///
/// # Errors
/// Where the engine's bridges are not this machine's (it runs in a virtual machine), or the routes cannot be set.
pub(super) async fn ensure(cluster: &DockerCluster) -> Result<()> {
    let parts = cluster.network().own_parts();
    if parts.iter().all(|(first, _)| is_own(*first)) {
        return Ok(());
    }
    let name = &cluster.network().name;
    let error = |why: String| RuntimeError::Network(format!("failed to set routes for the network {name}: {why}"));
    let interface = cluster.network().interface(cluster.engine()).await?;
    let index = Path::new("/sys/class/net").join(&interface).join("ifindex");
    let index = std::fs::read_to_string(&index).map_err(file_error(&index))?;
    let index: u32 = index.trim().parse().map_err(|_| error(format!("{interface} has no number")))?;

    let request: Vec<u8> = parts.iter().flat_map(|part| new_local_route(*part, index)).collect();
    let host = HostConfig { network_mode: Some("host".to_owned()), ..HostConfig::default() };
    pause::run(cluster, pause::ROUTE, "NET_ADMIN", "route", request, host).await?;
    if parts.iter().all(|(first, _)| is_own(*first)) {
        return Ok(());
    }
    Err(error("the kernel did not take them".to_owned()))
}

/// Whether this machine has an address.
fn is_own(address: Ipv4Addr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// The request (`rtnetlink(7)`) for a route by which the machine has all addresses of `part`, over an interface.
fn new_local_route((first, prefix): Part, interface: u32) -> Vec<u8> {
    const NEW_ROUTE: u16 = 24;
    const REQUEST_CREATE_REPLACE: u16 = 0x1 | 0x400 | 0x100;
    const INET: u8 = 2;
    const TABLE_LOCAL: u8 = 255;
    const PROTOCOL_STATIC: u8 = 4;
    const SCOPE_HOST: u8 = 254;
    const TYPE_LOCAL: u8 = 2;
    const DESTINATION: u16 = 1;
    const OUTPUT_INTERFACE: u16 = 4;

    let attribute = |kind: u16, value: [u8; 4]| [&8_u16.to_ne_bytes()[..], &kind.to_ne_bytes(), &value].concat();
    let route = [INET, prefix, 0, 0, TABLE_LOCAL, PROTOCOL_STATIC, SCOPE_HOST, TYPE_LOCAL, 0, 0, 0, 0];
    let payload =
        [&route[..], &attribute(DESTINATION, first.octets()), &attribute(OUTPUT_INTERFACE, interface.to_ne_bytes())]
            .concat();
    let length = u32::try_from(16 + payload.len()).unwrap_or(u32::MAX);
    let header = [
        &length.to_ne_bytes()[..],
        &NEW_ROUTE.to_ne_bytes(),
        &REQUEST_CREATE_REPLACE.to_ne_bytes(),
        &0_u32.to_ne_bytes(), // no number: answers are not read
        &0_u32.to_ne_bytes(), // to the kernel
    ]
    .concat();
    [header, payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_how_long_it_is() {
        let request = new_local_route(([10, 200, 0, 0].into(), 20), 7);
        assert_eq!(request.len(), 44);
        assert_eq!(u32::from_ne_bytes(request[..4].try_into().unwrap()), 44);
        assert_eq!(request[32..36], [10, 200, 0, 0]);
        assert_eq!(u32::from_ne_bytes(request[40..].try_into().unwrap()), 7);
    }
}

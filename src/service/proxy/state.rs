//! Which addresses a Service has, and which endpoints stand behind each: a pure function of the objects.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

/// An address that the proxy answers on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frontend {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Address and port.
    pub address: SocketAddr,
}

/// A frontend and what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where clients connect to.
    pub frontend: Frontend,
    /// Where they are sent; in a stable order.
    pub endpoints: Vec<SocketAddr>,
    /// Clients of one address go to one endpoint while they come back within so long.
    pub affinity: Option<Duration>,
}

/// The routes of a Service: one per port for its cluster IP and, where it has node ports, for each node.
///
/// Endpoints are the ready ones; where none is, those that still serve while they terminate.
pub fn routes(service: &Service, slices: &[impl AsRef<EndpointSlice>], nodes: &[IpAddr]) -> Vec<Route> {
    let Some(spec) = &service.spec else { return Vec::new() };
    if spec.type_.as_deref() == Some("ExternalName") {
        return Vec::new();
    }
    let cluster_ips: Vec<IpAddr> = spec.cluster_ips.iter().flatten().filter_map(|ip| ip.parse().ok()).collect();
    let mut routes = Vec::new();
    for port in spec.ports.iter().flatten() {
        let Some(protocol) = protocol_of(port) else { continue };
        let endpoints = endpoints_of(port, slices);
        let mut add = |ip: &IpAddr, number: i32| {
            if let Some(number) = u16::try_from(number).ok().filter(|number| *number != 0) {
                routes.push(Route {
                    frontend: Frontend { protocol, address: SocketAddr::new(*ip, number) },
                    endpoints: endpoints.clone(),
                    affinity: affinity_of(spec),
                });
            }
        };
        for ip in &cluster_ips {
            add(ip, port.port);
        }
        for ip in nodes {
            add(ip, port.node_port.unwrap_or_default());
        }
    }
    routes
}

fn protocol_of(port: &ServicePort) -> Option<Protocol> {
    match port.protocol.as_deref() {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some(_) => None,
    }
}

fn affinity_of(spec: &ServiceSpec) -> Option<Duration> {
    let by_client = spec.session_affinity.as_deref() == Some("ClientIP");
    let seconds = || {
        let config = spec.session_affinity_config.as_ref()?.client_ip.as_ref()?;
        u64::try_from(config.timeout_seconds?).ok()
    };
    by_client.then(|| Duration::from_secs(seconds().unwrap_or(10_800)))
}

fn endpoints_of(port: &ServicePort, slices: &[impl AsRef<EndpointSlice>]) -> Vec<SocketAddr> {
    let ready =
        |endpoint: &Endpoint| endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(false));
    let serving = |endpoint: &Endpoint| {
        endpoint.conditions.as_ref().is_some_and(|conditions| {
            conditions.serving.or(conditions.ready) != Some(false) && conditions.terminating == Some(true)
        })
    };
    let found = addresses(port, slices, ready);
    if found.is_empty() { addresses(port, slices, serving) } else { found }
}

fn addresses(
    port: &ServicePort,
    slices: &[impl AsRef<EndpointSlice>],
    usable: impl Fn(&Endpoint) -> bool,
) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for slice in slices.iter().map(AsRef::as_ref) {
        let name = port.name.as_deref().unwrap_or_default();
        let number = slice.ports.iter().flatten().find(|candidate| {
            candidate.name.as_deref().unwrap_or_default() == name
                && candidate.protocol.as_deref().unwrap_or("TCP") == port.protocol.as_deref().unwrap_or("TCP")
        });
        let Some(number) = number.and_then(|port| u16::try_from(port.port?).ok()) else { continue };
        for endpoint in slice.endpoints.iter().flatten().filter(|endpoint| usable(endpoint)) {
            let ip = endpoint.addresses.first().and_then(|address| address.parse().ok());
            found.extend(ip.map(|ip| SocketAddr::new(ip, number)));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        serde_json::from_value(serde_json::json!({
            "metadata": { "name": "web", "namespace": "default" },
            "spec": {
                "type": "NodePort", "clusterIP": "127.20.0.9", "clusterIPs": ["127.20.0.9"],
                "ports": [{ "port": 4000, "protocol": "TCP", "targetPort": 3000, "nodePort": 30100 }],
                "sessionAffinity": "ClientIP"
            }
        }))
        .unwrap()
    }

    fn slice(endpoints: serde_json::Value) -> std::sync::Arc<EndpointSlice> {
        serde_json::from_value::<EndpointSlice>(serde_json::json!({
            "metadata": { "name": "web-x" }, "addressType": "IPv4",
            "ports": [{ "name": "", "port": 3000, "protocol": "TCP" }],
            "endpoints": endpoints
        }))
        .unwrap()
        .into()
    }

    #[test]
    fn a_service_has_a_route_for_its_cluster_ip_and_for_each_node() {
        let slices = [slice(serde_json::json!([
            { "addresses": ["127.20.16.2"], "conditions": { "ready": true } },
            { "addresses": ["127.20.16.3"], "conditions": { "ready": false, "serving": true, "terminating": true } }
        ]))];
        let routes = routes(&service(), &slices, &["127.20.240.1".parse().unwrap()]);
        let fronts: Vec<_> = routes.iter().map(|route| route.frontend.address.to_string()).collect();
        assert_eq!(fronts, ["127.20.0.9:4000", "127.20.240.1:30100"]);
        assert_eq!(routes[0].endpoints, ["127.20.16.2:3000".parse().unwrap()]);
        assert_eq!(routes[0].affinity, Some(Duration::from_secs(10_800)));
    }

    #[test]
    fn terminating_endpoints_serve_where_no_other_does() {
        let slices = [slice(serde_json::json!([
            { "addresses": ["127.20.16.3"], "conditions": { "ready": false, "serving": true, "terminating": true } },
            { "addresses": ["127.20.16.4"], "conditions": { "ready": false, "serving": false, "terminating": true } }
        ]))];
        let routes = routes(&service(), &slices, &[]);
        assert_eq!(routes[0].endpoints, ["127.20.16.3:3000".parse().unwrap()]);
    }
}

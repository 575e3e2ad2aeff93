//! Allocation of cluster IPs and node ports: an admission step for Services.
//!
//! Source: <https://kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation/>

mod pool;

use std::any::TypeId;
use std::collections::BTreeSet;
use std::fmt::{self, Debug};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use self::pool::Holdings;
use super::loopback::Subnet;
use crate::api::field::Path;
use crate::api::{Admission, ApiError, Draft, FieldErrors, Key, Kind, Object, Operation, Review};
use crate::random::Random;

/// The node ports that are given out by default.
pub const NODE_PORTS: RangeInclusive<u16> = 30_000..=32_767;

/// Gives Services their cluster IPs and node ports, keeps them stable, and takes them back.
///
/// # Guarantees
/// No two stored Services hold the same cluster IP, or the same node port of one protocol.
pub struct ServiceAllocator {
    addresses: Subnet,
    ports: RangeInclusive<u16>,
    random: Random,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    addresses: Holdings<Ipv4Addr>,
    /// By protocol: 53/TCP and 53/UDP are two ports.
    ports: Holdings<(u16, Protocol)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    fn of(name: Option<&str>) -> Self {
        match name {
            Some("UDP") => Self::Udp,
            Some("SCTP") => Self::Sctp,
            _ => Self::Tcp,
        }
    }
}

impl Debug for ServiceAllocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAllocator")
            .field("addresses", &self.addresses)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

impl ServiceAllocator {
    /// Gives out addresses of `addresses` and ports of `ports`. `existing` are the Services that are stored
    /// already.
    pub fn new<'a>(
        addresses: Subnet,
        ports: RangeInclusive<u16>,
        random: &Random,
        existing: impl IntoIterator<Item = &'a Service>,
    ) -> Self {
        let kind = Kind::of::<Service>();
        let mut state = State::default();
        for service in existing {
            let key = Key::of(&kind, &service.metadata);
            state.addresses.settle(&key, Some(addresses_of(service)));
            state.ports.settle(&key, Some(ports_of(service)));
        }
        Self { addresses, ports, random: random.fork("service-allocator"), state: Mutex::new(state) }
    }

    fn allocate_address(
        &self,
        key: &Key,
        spec: &mut ServiceSpec,
        old: Option<&ServiceSpec>,
        state: &mut State,
        errors: &mut FieldErrors,
    ) {
        let path = Path::new("spec");
        if !wants_address(spec) {
            let was_allocated = old.is_some_and(|old| wants_address(old) && old.cluster_ip == spec.cluster_ip);
            if was_allocated {
                (spec.cluster_ip, spec.cluster_ips, spec.ip_families, spec.ip_family_policy) = Default::default();
            }
            return;
        }
        if spec.cluster_ip.as_deref().unwrap_or_default().is_empty() {
            spec.cluster_ip = spec
                .cluster_ips
                .as_ref()
                .and_then(|all| all.first().cloned())
                .or_else(|| old.filter(|old| wants_address(old)).and_then(|old| old.cluster_ip.clone()));
        }
        if spec.ip_family_policy.as_deref() == Some("RequireDualStack") {
            let policy = path.child("ipFamilyPolicy");
            errors.invalid(&policy, "RequireDualStack", "this cluster is not configured for dual-stack services");
            return;
        }
        spec.ip_family_policy.get_or_insert_with(|| "SingleStack".to_owned());
        spec.ip_families.get_or_insert_with(|| vec!["IPv4".to_owned()]);

        let ips = path.child("clusterIPs");
        let mut refuse = |address: &str, why: &str| {
            let detail = format!("failed to allocate IP {address}: {why}");
            errors.invalid(&ips.index(0), address, detail);
        };
        let asked = spec.cluster_ip.clone().unwrap_or_default();
        let before = old.filter(|old| wants_address(old)).and_then(|old| old.cluster_ip.as_ref());
        if before.is_some_and(|before| !before.is_empty() && *before != asked) {
            // An address may not change: that is for validation to say, which upstream has before allocation.
            spec.cluster_ips = Some(vec![asked]);
            return;
        }
        let address = match asked.as_str() {
            "None" => "None".to_owned(),
            "" => match self.free_address(state) {
                Some(address) => address.to_string(),
                None => return refuse("", "range is full"),
            },
            asked => asked.to_owned(),
        };
        if let Ok(parsed) = address.parse::<Ipv4Addr>() {
            let inside = self.addresses.offset(parsed).is_some_and(|at| at > 0 && at < self.addresses.size() - 1);
            if !inside {
                let why = format!("the provided IP ({parsed}) is not in the valid range. The range of valid IPs is ");
                return refuse(&address, &format!("{why}{}", self.addresses));
            }
            if !state.addresses.reserve(key, parsed) {
                return refuse(&address, "provided IP is already allocated");
            }
        }
        spec.cluster_ips = Some(vec![address.clone()]);
        spec.cluster_ip = Some(address);
    }

    fn allocate_ports(
        &self,
        key: &Key,
        spec: &mut ServiceSpec,
        old: Option<&ServiceSpec>,
        state: &mut State,
        errors: &mut FieldErrors,
    ) {
        let path = Path::new("spec");
        let wanted = wants_node_ports(spec);
        let ports = spec.ports.get_or_insert_default();
        if !wanted {
            // Coming from a type that had them, they go with the type, unless the user changed them.
            if let Some(old) = old.filter(|old| wants_node_ports(old)) {
                for port in ports.iter_mut() {
                    let before = old.ports.iter().flatten();
                    if before.clone().any(|before| before.node_port == port.node_port) {
                        port.node_port = None;
                    }
                }
            }
            if ports.is_empty() {
                spec.ports = None;
            }
            return;
        }
        // Two entries of one number and different protocols share a node port, as upstream's do.
        let mut given: Vec<(i32, u16)> = Vec::new();
        for (index, port) in ports.iter_mut().enumerate() {
            let protocol = Protocol::of(port.protocol.as_deref());
            if port.node_port.is_none_or(|number| number == 0) {
                port.node_port = old.filter(|old| wants_node_ports(old)).and_then(|old| {
                    let mut before = old.ports.iter().flatten();
                    before.find(|b| b.port == port.port && Protocol::of(b.protocol.as_deref()) == protocol)?.node_port
                });
            }
            let list = path.child("ports");
            let item = list.index(index);
            let field = item.child("nodePort");
            let Some(number) = port.node_port.filter(|number| *number != 0) else {
                let shared =
                    given.iter().find(|(number, at)| *number == port.port && state.ports.is_free((*at, protocol)));
                let Some(number) = shared.map(|shared| shared.1).or_else(|| self.free_port(protocol, state)) else {
                    errors.internal(&field, "failed to allocate a nodePort: range is full");
                    continue;
                };
                state.ports.reserve(key, (number, protocol));
                given.push((port.port, number));
                port.node_port = Some(i32::from(number));
                continue;
            };
            let Some(asked) = u16::try_from(number).ok().filter(|number| self.ports.contains(number)) else {
                let (low, high) = (self.ports.start(), self.ports.end());
                let detail =
                    format!("provided port is not in the valid range. The range of valid ports is {low}-{high}");
                errors.invalid(&field, number, detail);
                continue;
            };
            if !state.ports.reserve(key, (asked, protocol)) {
                errors.invalid(&field, number, "provided port is already allocated");
                continue;
            }
            given.push((port.port, asked));
        }
        self.allocate_health_port(key, spec, old, state, errors);
    }

    /// LoadBalancers that keep traffic on the node tell by a port of their own which nodes have endpoints.
    fn allocate_health_port(
        &self,
        key: &Key,
        spec: &mut ServiceSpec,
        old: Option<&ServiceSpec>,
        state: &mut State,
        errors: &mut FieldErrors,
    ) {
        let wanted =
            spec.type_.as_deref() == Some("LoadBalancer") && spec.external_traffic_policy.as_deref() == Some("Local");
        if !wanted {
            return;
        }
        let asked = spec.health_check_node_port.filter(|port| *port != 0);
        let port = asked.or_else(|| old.and_then(|old| old.health_check_node_port));
        let port = port.and_then(|port| u16::try_from(port).ok()).or_else(|| self.free_port(Protocol::Tcp, state));
        match port {
            Some(port) if state.ports.reserve(key, (port, Protocol::Tcp)) => {
                spec.health_check_node_port = Some(i32::from(port));
            }
            port => {
                let spec = Path::new("spec");
                let number = port.map_or(0, i32::from);
                errors.invalid(&spec.child("healthCheckNodePort"), number, "provided port is already allocated");
            }
        }
    }

    fn free_address(&self, state: &State) -> Option<Ipv4Addr> {
        // The lowest sixteenth (at least 16, at most 256 addresses) is left to those who ask for an address by
        // name; neither the network's own address nor the last one is given out.
        let size = self.addresses.size().saturating_sub(2);
        let reserved = (size / 16).clamp(16, 256).min(size / 2);
        let upper = (size - reserved) as usize;
        let start = self.random.below(upper);
        let offsets = (0..upper).map(|step| reserved + 1 + ((start + step) % upper) as u32);
        let mut candidates = offsets.chain(1..=reserved).filter_map(|offset| self.addresses.nth(offset));
        candidates.find(|address| state.addresses.is_free(*address))
    }

    fn free_port(&self, protocol: Protocol, state: &State) -> Option<u16> {
        let count = usize::from(self.ports.end() - self.ports.start()) + 1;
        let start = self.random.below(count);
        let ports = (0..count).map(|step| self.ports.start() + ((start + step) % count) as u16);
        ports.into_iter().find(|port| state.ports.is_free((*port, protocol)))
    }

    /// Whether the write is one of a Service itself.
    fn concerns(review: &Review<'_>) -> bool {
        review.writes::<Service>(&[Operation::Create, Operation::Update])
    }
}

fn wants_address(spec: &ServiceSpec) -> bool {
    spec.type_.as_deref() != Some("ExternalName")
}

fn wants_node_ports(spec: &ServiceSpec) -> bool {
    match spec.type_.as_deref() {
        Some("NodePort") => true,
        Some("LoadBalancer") => {
            spec.allocate_load_balancer_node_ports != Some(false)
                || spec.ports.iter().flatten().any(|port| port.node_port.is_some_and(|number| number != 0))
        }
        _ => false,
    }
}

fn addresses_of(service: &Service) -> BTreeSet<Ipv4Addr> {
    let spec = service.spec.iter();
    spec.flat_map(|spec| spec.cluster_ip.iter()).filter_map(|address| address.parse().ok()).collect()
}

fn ports_of(service: &Service) -> BTreeSet<(u16, Protocol)> {
    let Some(spec) = &service.spec else { return BTreeSet::new() };
    let health = spec.health_check_node_port.map(|port| (port, Protocol::Tcp));
    let ports = spec.ports.iter().flatten();
    ports
        .filter_map(|port| Some((port.node_port?, Protocol::of(port.protocol.as_deref()))))
        .chain(health)
        .filter_map(|(port, protocol)| Some((u16::try_from(port).ok().filter(|port| *port != 0)?, protocol)))
        .collect()
}

#[async_trait]
impl Admission for ServiceAllocator {
    fn name(&self) -> &'static str {
        "ServiceAllocator"
    }

    /// Its subresources, too: with the last finalizer any write can be the end of it.
    fn handles(&self, review: &Review<'_>) -> bool {
        review.target.kind.body_type() == TypeId::of::<Service>()
    }

    async fn admit(&self, review: &Review<'_>, object: Option<&mut Draft>) -> Result<(), ApiError> {
        if !Self::concerns(review) {
            return Ok(());
        }
        let Some(draft) = object else { return Ok(()) };
        let key = draft.key();
        let old = review.old.and_then(|old| old.as_typed::<Service>()).and_then(|old| old.spec.as_ref());
        let name = draft.meta().name.clone().unwrap_or_default();
        let Some(service) = draft.typed_mut::<Service>() else { return Ok(()) };
        let spec = service.spec.get_or_insert_default();
        let mut errors = FieldErrors::new();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.addresses.begin(&key);
        state.ports.begin(&key);
        self.allocate_address(&key, spec, old, &mut state, &mut errors);
        self.allocate_ports(&key, spec, old, &mut state, &mut errors);
        if errors.is_empty() {
            Ok(())
        } else {
            // Who refuses is not told how the write ended.
            state.addresses.settle(&key, None);
            state.ports.settle(&key, None);
            Err(ApiError::invalid(&review.target.kind.group_kind(), &name, &errors))
        }
    }

    fn settled(&self, review: &Review<'_>, stored: Option<&Object>, failed: bool) {
        let deleted = !failed && stored.is_none() && review.operation != Operation::Connect;
        if !(Self::concerns(review) || deleted) {
            return;
        }
        let key = review.target.key();
        let unchanged = failed || review.dry_run;
        let service = stored.and_then(|object| object.as_typed::<Service>());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = (!unchanged).then(|| service.map(addresses_of).unwrap_or_default());
        state.addresses.settle(&key, addresses);
        let ports = (!unchanged).then(|| service.map(ports_of).unwrap_or_default());
        state.ports.settle(&key, ports);
    }
}

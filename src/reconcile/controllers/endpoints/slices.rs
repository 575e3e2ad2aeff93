//! EndpointSlices: the pods behind a Service, a hundred to a slice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    HEADLESS, addresses, host_name, is_headless, is_selecting, node_name, pod_reference, pods_behind, protocol,
    publishes_unready, services_of, target_port,
};
use crate::client::{Change, ObjectRef};
use crate::reconcile::adopt::controller_reference;
use crate::reconcile::{Action, Context, Controller, Error, Reconciler, pod, pod_control};

const SERVICE: &str = "kubernetes.io/service-name";
const MANAGED_BY: (&str, &str) = ("endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io");
const ZONE: &str = "topology.kubernetes.io/zone";
/// How many endpoints a slice holds.
const CAPACITY: usize = 100;
/// The index of slices by their Service.
const BY_SERVICE: &str = "service";

/// The controller of EndpointSlices.
pub fn endpoint_slices() -> Controller<SlicesOf> {
    Controller::new("endpoint-slice-controller", SlicesOf)
        .watches(services_of)
        .watches(|change: &Change<EndpointSlice>, _| change.versions().filter_map(|slice| service_key(slice)).collect())
}

/// The Service that a slice is kept for, where this controller keeps it.
fn service_key(slice: &EndpointSlice) -> Option<ObjectRef> {
    let labels = slice.metadata.labels.as_ref()?;
    let name = labels.get(SERVICE).filter(|_| labels.get(MANAGED_BY.0).is_some_and(|by| by == MANAGED_BY.1))?;
    Some(ObjectRef::new(slice.metadata.namespace.clone().unwrap_or_default(), name))
}

/// Keeps the EndpointSlices of Services.
#[derive(Debug)]
pub struct SlicesOf;

#[async_trait]
impl Reconciler for SlicesOf {
    type Object = Service;

    async fn reconcile(&self, service: Arc<Service>, ctx: &Context) -> Result<Action, Error> {
        if !is_selecting(&service) || service.metadata.deletion_timestamp.is_some() {
            return Ok(Action::Done);
        }
        let (endpoints, missing) = endpoints(ctx, &service);
        let plan = plan(&service, existing(ctx, &service), endpoints);
        if let Err(error) = plan.carry_out(ctx, &service).await {
            if !error.api().is_some_and(pod_control::namespace_is_terminating) {
                let key = ObjectRef::of(&service.metadata);
                let message = format!("Error updating Endpoint Slices for Service {key}: {error}");
                ctx.events().warning(&*service, "FailedToUpdateEndpointSlices", message);
            }
            return Err(error);
        }
        match missing {
            Some(missing) => Err(Error::failed(missing)),
            None => Ok(Action::Done),
        }
    }
}

/// The slices that are kept for the Service, ordered by name.
fn existing(ctx: &Context, service: &Service) -> Vec<Arc<EndpointSlice>> {
    let informer = ctx.informers().of::<EndpointSlice>();
    informer.index(BY_SERVICE, |slice| service_key(slice).map(|key| key.to_string()).into_iter().collect());
    let mut slices = informer.by(BY_SERVICE, &ObjectRef::of(&service.metadata).to_string());
    slices.retain(|slice| slice.metadata.deletion_timestamp.is_none());
    slices
}

/// What the slices of one group have in common: the family of their addresses, and their ports.
type Group = (String, Vec<Port>);
/// A port, in the order in which slices list them.
type Port = (Option<String>, Option<i32>, Option<String>, Option<String>);

fn group_of(slice: &EndpointSlice) -> Group {
    let port = |port: &EndpointPort| (port.name.clone(), port.port, port.protocol.clone(), port.app_protocol.clone());
    (slice.address_type.clone(), slice.ports.iter().flatten().map(port).collect())
}

/// What slices there should be: endpoints by what they have in common. And a pod that could not be taken in yet.
fn endpoints(ctx: &Context, service: &Service) -> (BTreeMap<Group, Vec<Endpoint>>, Option<String>) {
    let (mut groups, mut missing) = (BTreeMap::<Group, Vec<Endpoint>>::new(), None);
    let spec = service.spec.as_ref();
    let ports = spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let nodes = ctx.informers().of::<Node>();
    for pod in pods_behind(ctx, service, true) {
        let node = node_name(&pod).and_then(|name| nodes.get("", name));
        if let (Some(name), None, false) = (node_name(&pod), &node, publishes_unready(service)) {
            let pod = pod.metadata.name.as_deref().unwrap_or_default();
            missing = Some(format!("skipping Pod {pod} for Service: Node {name} not found"));
            continue;
        }
        let open = ports.iter().filter_map(|port| {
            let name = port.name.clone().unwrap_or_default();
            let protocol = protocol(port.protocol.as_deref()).to_owned();
            Some((Some(name), Some(target_port(&pod, port)?), Some(protocol), port.app_protocol.clone()))
        });
        let open: Vec<Port> = open.collect();
        if open.is_empty() && !(ports.is_empty() && is_headless(service)) {
            continue;
        }
        let mut open = open;
        open.sort();
        for family in families(service) {
            let addresses: Vec<_> =
                addresses(&pod).filter(|ip| ip.contains(':') == (family == "IPv6")).map(str::to_owned).collect();
            if !addresses.is_empty() {
                let endpoint = endpoint(service, &pod, node.as_deref(), addresses);
                groups.entry((family, open.clone())).or_default().push(endpoint);
            }
        }
    }
    (groups, missing)
}

fn families(service: &Service) -> Vec<String> {
    let stated = service.spec.as_ref().and_then(|spec| spec.ip_families.clone()).unwrap_or_default();
    if stated.is_empty() { vec!["IPv4".to_owned()] } else { stated }
}

fn endpoint(service: &Service, pod: &Pod, node: Option<&Node>, addresses: Vec<String>) -> Endpoint {
    let serving = pod::is_ready(pod);
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let zone = node.and_then(|node| node.metadata.labels.as_ref()?.get(ZONE).cloned());
    Endpoint {
        addresses,
        conditions: Some(EndpointConditions {
            ready: Some(publishes_unready(service) || serving && !terminating),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: host_name(pod, service),
        node_name: node_name(pod).map(str::to_owned),
        target_ref: Some(pod_reference(pod)),
        zone,
        ..Endpoint::default()
    }
}

/// The writes that bring the slices to what they should be.
#[derive(Debug, Default)]
struct Plan {
    create: Vec<EndpointSlice>,
    update: Vec<EndpointSlice>,
    delete: Vec<Arc<EndpointSlice>>,
}

/// Plans as few writes as will do: endpoints stay in their slices; new ones go to slices that are written anyway,
/// then to one that has room for all of them, and then to new slices.
fn plan(service: &Service, existing: Vec<Arc<EndpointSlice>>, wanted: BTreeMap<Group, Vec<Endpoint>>) -> Plan {
    let mut plan = Plan::default();
    let mut by_group = BTreeMap::<Group, Vec<Arc<EndpointSlice>>>::new();
    for slice in existing {
        by_group.entry(group_of(&slice)).or_default().push(slice);
    }
    let mut filled: Vec<String> = Vec::new();
    for (group, endpoints) in wanted {
        filled.push(group.0.clone());
        plan.fill(service, &group, by_group.remove(&group).unwrap_or_default(), endpoints);
    }
    // A Service without endpoints has one empty slice of each family.
    for family in families(service).into_iter().filter(|family| !filled.contains(family)) {
        let empty = (family, Vec::new());
        plan.fill(service, &empty, by_group.remove(&empty).unwrap_or_default(), Vec::new());
    }
    plan.delete.extend(by_group.into_values().flatten());
    plan.recycle();
    plan
}

impl Plan {
    fn fill(&mut self, service: &Service, group: &Group, slices: Vec<Arc<EndpointSlice>>, endpoints: Vec<Endpoint>) {
        let is_empty = endpoints.is_empty();
        let identity = |endpoint: &Endpoint| {
            let uid = endpoint.target_ref.as_ref().and_then(|target| target.uid.clone());
            (uid, endpoint.addresses.clone())
        };
        let mut left: BTreeMap<_, _> = endpoints.into_iter().map(|endpoint| (identity(&endpoint), endpoint)).collect();
        let mut kept: Vec<(Arc<EndpointSlice>, EndpointSlice)> = Vec::new();
        for slice in slices {
            let stay = slice.endpoints.iter().flatten().filter_map(|endpoint| left.remove(&identity(endpoint)));
            let stay: Vec<_> = stay.collect();
            if stay.is_empty() && !(is_empty && kept.is_empty()) {
                self.delete.push(slice);
                continue;
            }
            let mut next = EndpointSlice::clone(&slice);
            describe(&mut next, service);
            next.endpoints = Some(stay).filter(|stay| !stay.is_empty());
            kept.push((slice, next));
        }
        let mut left: VecDeque<_> = left.into_values().collect();
        let count = |slice: &EndpointSlice| slice.endpoints.as_ref().map_or(0, Vec::len);
        let put = |slice: &mut EndpointSlice, left: &mut VecDeque<Endpoint>| {
            let room = left.len().min(CAPACITY.saturating_sub(count(slice)));
            slice.endpoints.get_or_insert_default().extend(left.drain(..room));
        };
        for (old, next) in &mut kept {
            if **old != *next && !left.is_empty() {
                put(next, &mut left);
            }
        }
        if !left.is_empty()
            && let Some((_, next)) = kept
                .iter_mut()
                .filter(|(_, next)| count(next) + left.len() <= CAPACITY)
                .max_by_key(|(_, next)| count(next))
        {
            put(next, &mut left);
        }
        self.update.extend(kept.iter().filter(|(old, next)| **old != *next).map(|(_, next)| next.clone()));
        while !left.is_empty() || (is_empty && kept.is_empty()) {
            let mut slice = new_slice(service, group);
            put(&mut slice, &mut left);
            slice.endpoints = slice.endpoints.filter(|endpoints| !endpoints.is_empty());
            self.create.push(slice);
            if is_empty {
                break;
            }
        }
    }

    /// Makes slices that would be deleted into ones that would be created.
    fn recycle(&mut self) {
        let Self { create, update, delete } = self;
        create.retain_mut(|new| {
            let Some(index) = delete.iter().position(|old| old.address_type == new.address_type) else { return true };
            let mut next = EndpointSlice::clone(&delete.remove(index));
            next.metadata.labels = new.metadata.labels.take();
            next.ports = new.ports.take();
            next.endpoints = new.endpoints.take();
            update.push(next);
            false
        });
    }

    async fn carry_out(self, ctx: &Context, service: &Service) -> Result<(), Error> {
        let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
        let api = ctx.client().api::<EndpointSlice>(namespace);
        for slice in self.create {
            api.create(slice).await?;
        }
        for slice in self.update {
            api.update(slice).await?;
        }
        for slice in self.delete {
            match api.delete(slice.metadata.name.as_deref().unwrap_or_default()).await {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

fn new_slice(service: &Service, (family, ports): &Group) -> EndpointSlice {
    let port = |(name, port, protocol, app_protocol): &Port| EndpointPort {
        name: name.clone(),
        port: *port,
        protocol: protocol.clone(),
        app_protocol: app_protocol.clone(),
    };
    let mut slice = EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", service.metadata.name.as_deref().unwrap_or_default())),
            namespace: service.metadata.namespace.clone(),
            owner_references: Some(vec![controller_reference(service)]),
            ..ObjectMeta::default()
        },
        address_type: family.clone(),
        ports: Some(ports.iter().map(port).collect::<Vec<_>>()).filter(|ports| !ports.is_empty()),
        endpoints: None,
    };
    describe(&mut slice, service);
    slice
}

/// Gives a slice the labels of its Service, and those by which it is found.
fn describe(slice: &mut EndpointSlice, service: &Service) {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels.insert(SERVICE.to_owned(), service.metadata.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
    slice.metadata.labels = Some(labels);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service() -> Service {
        serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "default", "uid": "s" },
            "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
        }))
        .unwrap()
    }

    fn group() -> Group {
        ("IPv4".to_owned(), vec![(Some(String::new()), Some(80), Some("TCP".to_owned()), None)])
    }

    fn some(range: std::ops::Range<u8>) -> BTreeMap<Group, Vec<Endpoint>> {
        let endpoint = |n| Endpoint { addresses: vec![format!("10.0.0.{n}")], ..Endpoint::default() };
        [(group(), range.map(endpoint).collect())].into()
    }

    fn named(slices: Vec<EndpointSlice>) -> Vec<Arc<EndpointSlice>> {
        let name = |(index, mut slice): (usize, EndpointSlice)| {
            slice.metadata.name = Some(format!("web-{index}"));
            Arc::new(slice)
        };
        slices.into_iter().enumerate().map(name).collect()
    }

    fn sizes(slices: &[EndpointSlice]) -> Vec<usize> {
        slices.iter().map(|slice| slice.endpoints.as_ref().map_or(0, Vec::len)).collect()
    }

    #[test]
    fn a_slice_holds_a_hundred_endpoints() {
        assert_eq!(sizes(&plan(&service(), Vec::new(), some(0..250)).create), [100, 100, 50]);
    }

    #[test]
    fn a_new_endpoint_goes_to_the_fullest_slice_with_room_and_touches_no_other() {
        let slices = named(plan(&service(), Vec::new(), some(0..150)).create);
        let next = plan(&service(), slices.clone(), some(0..151));
        assert_eq!((sizes(&next.create), sizes(&next.update), next.delete.len()), (vec![], vec![51], 0));
        let same = plan(&service(), slices, some(0..150));
        assert!(same.create.is_empty() && same.update.is_empty() && same.delete.is_empty());
    }

    #[test]
    fn a_service_without_endpoints_keeps_one_empty_slice() {
        let empty = plan(&service(), Vec::new(), BTreeMap::new());
        assert_eq!(sizes(&empty.create), [0]);
        let slices = named(empty.create);
        let same = plan(&service(), slices.clone(), BTreeMap::new());
        assert!(same.create.is_empty() && same.update.is_empty() && same.delete.is_empty());
        let first = plan(&service(), slices, some(0..1));
        assert_eq!((sizes(&first.update), first.create.len(), first.delete.len()), (vec![1], 0, 0));
    }
}

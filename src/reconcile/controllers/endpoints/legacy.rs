//! Endpoints: one object per Service, of the Service's name.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    HEADLESS, addresses, host_name, is_headless, is_selecting, node_name, pod_reference, pods_behind, protocol,
    publishes_unready, services_of, target_port,
};
use crate::client::{Change, ObjectRef};
use crate::reconcile::{Action, Context, Controller, Error, Reconciler, pod};

const MANAGED_BY: (&str, &str) = ("endpoints.kubernetes.io/managed-by", "endpoint-controller");
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// The most addresses that an Endpoints object lists.
const CAPACITY: usize = 1000;

/// The controller of Endpoints.
pub fn endpoints() -> Controller<EndpointsOf> {
    Controller::new("endpoint-controller", EndpointsOf).watches(services_of).watches(|change: &Change<Endpoints>, _| {
        // An Endpoints object has its Service's name. Those that others made are none of ours.
        let meta = &change.object().metadata;
        let is_ours =
            meta.labels.as_ref().is_some_and(|labels| labels.get(MANAGED_BY.0).is_some_and(|by| by == MANAGED_BY.1));
        is_ours.then(|| ObjectRef::of(meta)).into_iter().collect()
    })
}

/// Keeps the Endpoints of Services.
#[derive(Debug)]
pub struct EndpointsOf;

#[async_trait]
impl Reconciler for EndpointsOf {
    type Object = Service;

    async fn reconcile(&self, service: Arc<Service>, ctx: &Context) -> Result<Action, Error> {
        if !is_selecting(&service) {
            return Ok(Action::Done);
        }
        let (namespace, name) = (
            service.metadata.namespace.as_deref().unwrap_or_default(),
            service.metadata.name.as_deref().unwrap_or_default(),
        );
        let mut subsets = subsets(ctx, &service);
        let is_truncated = truncate(&mut subsets);
        let mut labels = service.metadata.labels.clone().unwrap_or_default();
        labels.remove(HEADLESS);
        if is_headless(&service) {
            labels.insert(HEADLESS.to_owned(), String::new());
        }
        labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());

        let current = ctx.informers().of::<Endpoints>().get(namespace, name);
        let mut wanted = current.as_deref().cloned().unwrap_or_else(|| Endpoints {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            subsets: None,
        });
        wanted.metadata.labels = Some(labels);
        wanted.subsets = Some(subsets).filter(|subsets| !subsets.is_empty());
        if is_truncated {
            let annotations = wanted.metadata.annotations.get_or_insert_default();
            annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
        } else if let Some(annotations) = &mut wanted.metadata.annotations {
            annotations.remove(OVER_CAPACITY);
            wanted.metadata.annotations = wanted.metadata.annotations.filter(|annotations| !annotations.is_empty());
        }
        let api = ctx.client().api::<Endpoints>(namespace);
        let (written, reason, verb) = match current {
            Some(current) if *current == wanted => return Ok(Action::Done),
            Some(_) => (api.update(wanted).await, "FailedToUpdateEndpoint", "update"),
            None => (api.create(wanted).await, "FailedToCreateEndpoint", "create"),
        };
        if let Err(error) = written {
            if !crate::reconcile::pod_control::namespace_is_terminating(&error) {
                let message = format!("Failed to {verb} endpoint {namespace}/{name}: {error}");
                ctx.events().warning(&*service, reason, message);
            }
            return Err(error.into());
        }
        Ok(Action::Done)
    }

    async fn gone(&self, service: &ObjectRef, ctx: &Context) -> Result<Action, Error> {
        // Those of a Service without a selector, which are its author's, go with it too.
        if ctx.informers().of::<Endpoints>().find(service).is_none() {
            return Ok(Action::Done);
        }
        match ctx.client().api::<Endpoints>(&service.namespace).delete(&service.name).await {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(Action::Done),
        }
    }
}

/// A port, in the order in which subsets list them.
type Port = (String, i32, String, Option<String>);

/// The pods' addresses, those with the same ports together.
fn subsets(ctx: &Context, service: &Service) -> Vec<EndpointSubset> {
    let publishes_unready = publishes_unready(service);
    let spec = service.spec.clone().unwrap_or_default();
    let ports = spec.ports.unwrap_or_default();
    let wants_v6 = spec.ip_families.iter().flatten().next().is_some_and(|family| family == "IPv6");
    let mut groups = BTreeMap::<Vec<Port>, EndpointSubset>::new();
    for pod in pods_behind(ctx, service, publishes_unready) {
        let Some(ip) = addresses(&pod).find(|ip| ip.contains(':') == wants_v6) else { continue };
        let mut open: Vec<Port> = Vec::new();
        for port in &ports {
            if let Some(number) = target_port(&pod, port) {
                let name = port.name.clone().unwrap_or_default();
                open.push((name, number, protocol(port.protocol.as_deref()).to_owned(), port.app_protocol.clone()));
            }
        }
        if open.is_empty() && !(ports.is_empty() && is_headless(service)) {
            continue;
        }
        open.sort();
        let subset = groups.entry(open).or_default();
        let list = if publishes_unready || pod::is_ready(&pod) {
            &mut subset.addresses
        } else {
            &mut subset.not_ready_addresses
        };
        list.get_or_insert_default().push(address(ip, &pod, service));
    }
    let finish = |(ports, mut subset): (Vec<Port>, EndpointSubset)| {
        for list in [&mut subset.addresses, &mut subset.not_ready_addresses].into_iter().flatten() {
            list.sort_by_key(|address| {
                let uid = address.target_ref.as_ref().and_then(|target| target.uid.clone());
                (address.ip.parse::<std::net::IpAddr>().ok(), uid)
            });
        }
        let port = |(name, port, protocol, app_protocol): Port| EndpointPort {
            name: Some(name).filter(|name| !name.is_empty()),
            port,
            protocol: Some(protocol),
            app_protocol,
        };
        subset.ports = Some(ports.into_iter().map(port).collect::<Vec<_>>()).filter(|ports| !ports.is_empty());
        subset
    };
    groups.into_iter().map(finish).collect()
}

fn address(ip: &str, pod: &Pod, service: &Service) -> EndpointAddress {
    EndpointAddress {
        ip: ip.to_owned(),
        hostname: host_name(pod, service),
        node_name: node_name(pod).map(str::to_owned),
        target_ref: Some(pod_reference(pod)),
    }
}

/// Leaves out what an Endpoints object cannot hold, those that do not serve first. Whether there was any.
fn truncate(subsets: &mut [EndpointSubset]) -> bool {
    let mut left = CAPACITY;
    let mut truncated = false;
    for ready in [true, false] {
        for subset in subsets.iter_mut() {
            let list = if ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
            if let Some(list) = list {
                truncated |= list.len() > left;
                list.truncate(left);
                left -= list.len();
            }
        }
    }
    truncated
}

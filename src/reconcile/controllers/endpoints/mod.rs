//! Endpoints and EndpointSlices: which pods are behind a Service.

mod legacy;
mod slices;

use std::sync::Arc;

use k8s_openapi::Resource as _;
use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

pub use self::legacy::{EndpointsOf, endpoints};
pub use self::slices::{SlicesOf, endpoint_slices};
use crate::api::LabelSelector;
use crate::client::{Change, Informers, ObjectRef};
use crate::reconcile::{Context, pod};

/// The label of what belongs to a Service without a cluster IP.
const HEADLESS: &str = "service.kubernetes.io/headless";

/// The Services that select a pod, or selected it before, where anything has changed that endpoints show: most changes of
/// pods are of no concern here.
fn services_of(change: &Change<Pod>, informers: &Informers) -> Vec<ObjectRef> {
    let mut before = change.old.as_ref();
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && old.metadata.labels == new.metadata.labels
    {
        if is_shown_alike(old, new) {
            return Vec::new();
        }
        before = None; // the same Services select it
    }
    let services = informers.of::<Service>();
    let mut keys = Vec::new();
    for pod in before.into_iter().chain(&change.new) {
        let all = services.list_in(pod.metadata.namespace.as_deref().unwrap_or_default());
        let selecting = all.iter().filter(|service| selects(service, pod));
        keys.extend(selecting.map(|service| ObjectRef::of(&service.metadata)));
    }
    keys
}

/// Whether endpoints show the same of two versions of a pod.
fn is_shown_alike(a: &Pod, b: &Pod) -> bool {
    let state = |pod: &Pod| (pod::is_ready(pod), pod::is_terminal(pod), pod.metadata.deletion_timestamp.is_some());
    state(a) == state(b)
        && a.metadata.uid == b.metadata.uid
        && node_name(a) == node_name(b)
        && addresses(a).eq(addresses(b))
}

fn selects(service: &Service, pod: &Pod) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let has = |(key, value): (&String, &String)| {
        pod.metadata.labels.as_ref().and_then(|labels| labels.get(key)) == Some(value)
    };
    selector.is_some_and(|selector| selector.iter().all(has))
}

/// Whether the pods behind the Service are found by a selector: others are somebody else's business.
fn is_selecting(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.is_some_and(|spec| spec.selector.is_some() && spec.type_.as_deref() != Some("ExternalName"))
}

fn is_headless(service: &Service) -> bool {
    service
        .spec
        .as_ref()
        .is_some_and(|spec| spec.type_.as_deref() != Some("ExternalName") && spec.cluster_ip.as_deref() == Some("None"))
}

fn publishes_unready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses).unwrap_or_default()
}

/// The pods that the Service selects and that have an address, ordered by name.
fn pods_behind(ctx: &Context, service: &Service, with_terminating: bool) -> Vec<Arc<Pod>> {
    let Some(selector) = service.spec.as_ref().and_then(|spec| spec.selector.as_ref()) else { return Vec::new() };
    let selector = LabelSelector::from_map(selector);
    let pods = ctx.informers().of::<Pod>().list_in(service.metadata.namespace.as_deref().unwrap_or_default());
    let is_behind = |pod: &Pod| {
        selector.matches(pod.metadata.labels.as_ref())
            && !pod::is_terminal(pod)
            && (with_terminating || pod.metadata.deletion_timestamp.is_none())
            && addresses(pod).next().is_some()
    };
    pods.into_iter().filter(|pod| is_behind(pod)).collect()
}

/// The pod's addresses, of both families.
fn addresses(pod: &Pod) -> impl Iterator<Item = &str> {
    let status = pod.status.as_ref();
    let all = status.and_then(|status| status.pod_ips.as_ref()).into_iter().flatten().map(|ip| ip.ip.as_str());
    let first = status.and_then(|status| status.pod_ip.as_deref());
    let only = first.filter(|_| status.is_some_and(|status| status.pod_ips.as_ref().is_none_or(|ips| ips.is_empty())));
    all.chain(only).filter(|ip| !ip.is_empty())
}

/// The port of the pod that a port of the Service leads to; `None` where the pod has no port of that name.
fn target_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    let name = match &port.target_port {
        None | Some(IntOrString::Int(0)) => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) if name.is_empty() => return Some(port.port),
        Some(IntOrString::String(name)) => name,
    };
    let spec = pod.spec.as_ref()?;
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let mut ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let protocol = protocol(port.protocol.as_deref());
    let found = ports
        .find(|found| found.name.as_deref() == Some(name) && self::protocol(found.protocol.as_deref()) == protocol)?;
    Some(found.container_port)
}

fn protocol(stated: Option<&str>) -> &str {
    stated.filter(|protocol| !protocol.is_empty()).unwrap_or("TCP")
}

/// The host name by which DNS knows the pod in the Service's domain.
fn host_name(pod: &Pod, service: &Service) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let same = spec.subdomain.is_some() && spec.subdomain == service.metadata.name;
    spec.hostname.clone().filter(|name| same && !name.is_empty())
}

fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

fn pod_reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some(Pod::KIND.to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{PodCondition, PodIP, PodSpec, PodStatus};

    use super::*;

    fn pod() -> Pod {
        let condition =
            PodCondition { type_: "Ready".to_owned(), status: "False".to_owned(), ..PodCondition::default() };
        Pod {
            spec: Some(PodSpec::default()),
            status: Some(PodStatus { conditions: Some(vec![condition]), ..PodStatus::default() }),
            ..Pod::default()
        }
    }

    #[test]
    fn endpoints_show_where_a_pod_is_and_whether_it_serves() {
        let shown: [fn(&mut Pod); 5] = [
            |pod| pod.status.as_mut().unwrap().conditions.as_mut().unwrap()[0].status = "True".to_owned(),
            |pod| pod.status.as_mut().unwrap().pod_ips = Some(vec![PodIP { ip: "10.0.0.1".to_owned() }]),
            |pod| pod.status.as_mut().unwrap().phase = Some("Succeeded".to_owned()),
            |pod| pod.spec.as_mut().unwrap().node_name = Some("node-1".to_owned()),
            |pod| pod.metadata.uid = Some("another".to_owned()),
        ];
        for (at, change) in shown.into_iter().enumerate() {
            let mut changed = pod();
            change(&mut changed);
            assert!(!is_shown_alike(&pod(), &changed), "{at}");
        }
        let mut changed = pod();
        changed.metadata.resource_version = Some("2".to_owned());
        changed.status.as_mut().unwrap().phase = Some("Running".to_owned());
        assert!(is_shown_alike(&pod(), &changed));
    }
}

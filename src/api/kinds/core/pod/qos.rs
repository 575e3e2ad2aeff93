//! The quality of service that a pod gets.

use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};

use crate::api::Quantity;
use crate::api::rules::resources::amount_of;

/// The resources that count.
const COUNTED: [&str; 2] = ["cpu", "memory"];

/// `Guaranteed` where every container limits CPU and memory and requests just that, `BestEffort` where none asks for
/// any, `Burstable` otherwise. Requests and limits of the pod as a whole go before those of its containers.
pub(crate) fn qos_class(spec: &PodSpec) -> &'static str {
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let none = ResourceRequirements::default();
    let resources: Vec<_> = match spec.resources.as_ref() {
        Some(whole) if asks(whole) => vec![whole],
        _ => containers.map(|container| container.resources.as_ref().unwrap_or(&none)).collect(),
    };
    if !resources.iter().any(|one| asks(one)) {
        return "BestEffort";
    }
    let limited = resources.iter().all(|one| COUNTED.iter().all(|name| limit(one, name).is_some()));
    let sum = |of: fn(&ResourceRequirements, &str) -> Option<Quantity>, name: &str| {
        resources.iter().filter_map(|one| of(one, name)).fold(Quantity::ZERO, |sum, one| sum + one)
    };
    if limited && COUNTED.iter().all(|name| sum(request, name) == sum(limit, name)) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

fn asks(resources: &ResourceRequirements) -> bool {
    COUNTED.iter().any(|name| request(resources, name).is_some() || limit(resources, name).is_some())
}

fn request(resources: &ResourceRequirements, name: &str) -> Option<Quantity> {
    amount_of(resources.requests.as_ref(), name).filter(|amount| *amount > Quantity::ZERO)
}

fn limit(resources: &ResourceRequirements, name: &str) -> Option<Quantity> {
    amount_of(resources.limits.as_ref(), name).filter(|amount| *amount > Quantity::ZERO)
}

//! What the containers of a pod ask for together.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};

use crate::api::Quantity;
use crate::api::field::{FieldErrors, Path};
use crate::api::rules::resources::{Amounts, amount, amount_of, is_huge_page};

use super::container::is_sidecar;

type Sums = BTreeMap<String, Quantity>;

/// The most that the containers request at any time: all containers and sidecars, or an init container beside the
/// sidecars started before it.
pub(super) fn of_containers(spec: &PodSpec) -> Sums {
    let requests = |container: &Container| -> Sums {
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        requests.into_iter().flatten().map(|(name, text)| (name.clone(), amount(text))).collect()
    };
    let mut running = Sums::new();
    for container in &spec.containers {
        add(&mut running, requests(container));
    }
    let (mut sidecars, mut starting) = (Sums::new(), Sums::new());
    for container in spec.init_containers.iter().flatten() {
        let own = requests(container);
        let mut now = sidecars.clone();
        add(&mut now, own.clone());
        if is_sidecar(container) {
            add(&mut running, own);
            sidecars.clone_from(&now);
        }
        raise(&mut starting, now);
    }
    raise(&mut running, starting);
    running
}

/// What a pod requests: for itself as a whole, or else for its containers; and what running it costs beside them.
pub(crate) fn of_pod(spec: &PodSpec) -> Sums {
    let sums = |amounts: Option<&Amounts>| -> Sums {
        amounts.into_iter().flatten().map(|(name, text)| (name.clone(), amount(text))).collect()
    };
    let mut total = of_containers(spec);
    total.extend(sums(spec.resources.as_ref().and_then(|whole| whole.requests.as_ref())));
    add(&mut total, sums(spec.overhead.as_ref()));
    total
}

fn add(sums: &mut Sums, other: Sums) {
    for (name, amount) in other {
        let sum = sums.entry(name).or_insert(Quantity::ZERO);
        *sum += amount;
    }
}

fn raise(sums: &mut Sums, other: Sums) {
    for (name, amount) in other {
        let sum = sums.entry(name).or_insert(amount);
        *sum = (*sum).max(amount);
    }
}

/// Requests that a pod as a whole makes where it only limits itself: what its containers request, or else its limits.
pub(super) fn default_whole(spec: &mut PodSpec) {
    let limited = |resources: &ResourceRequirements| resources.limits.clone().filter(|limits| !limits.is_empty());
    let Some(limits) = spec.resources.as_ref().and_then(limited) else { return };
    let together = of_containers(spec);
    let Some(resources) = &mut spec.resources else { return };
    let requests: &mut Amounts = resources.requests.get_or_insert_default();
    for (name, sum) in together {
        if matches!(name.as_str(), "cpu" | "memory") {
            requests.entry(name).or_insert_with(|| sum.into());
        }
    }
    for (name, limit) in limits {
        if matches!(name.as_str(), "cpu" | "memory") || is_huge_page(&name) {
            requests.entry(name).or_insert(limit);
        }
    }
}

/// Complains where the containers ask for more than the pod as a whole, or may use more. `path` is `spec.resources`.
pub(super) fn consistent(errors: &mut FieldErrors, path: &Path<'_>, spec: &PodSpec, whole: &ResourceRequirements) {
    for (name, sum) in of_containers(spec) {
        let own = amount_of(whole.requests.as_ref(), &name).unwrap_or(Quantity::ZERO);
        if sum > own {
            let text = format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.invalid(&path.child("requests").key(&name), own.to_string().as_str(), text);
        }
    }
    for (index, container) in spec.containers.iter().enumerate() {
        let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
        for (name, text) in limits.into_iter().flatten() {
            let (limit, most) = (amount(text), amount_of(whole.limits.as_ref(), name));
            if let Some(most) = most.filter(|most| limit > *most) {
                let path = path.child("containers");
                let path = path.index(index);
                let text = format!("must be less than or equal to pod limits of {most}");
                errors.invalid(&path.key(name).child("limits"), limit.to_string().as_str(), text);
            }
        }
    }
}

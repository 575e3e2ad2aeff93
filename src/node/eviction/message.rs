//! What is said about a pod that is ended for its node's sake.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::config::Threshold;
use super::pressure::{Observations, amount};
use super::rank::{Candidate, container_request};
use crate::api::stats::ContainerStats;
use crate::api::{Format, Quantity};

/// The message, and the annotations of the event, for a pod that goes because of the first of `met`.
pub(super) fn of(
    candidate: &Candidate,
    met: &[Threshold],
    observations: &Observations,
) -> (String, BTreeMap<String, String>) {
    let resource = met.first().map_or("", |threshold| threshold.signal.resource());
    // Every sentence ends with a space, the last one too. Writing to a string does not fail.
    let mut message = format!("The node was low on resource: {resource}. ");
    let first = met.iter().find(|threshold| threshold.signal.resource() == resource);
    if let Some((threshold, observed)) = first.and_then(|first| Some((first, observations.of(first.signal)?))) {
        let least = amount(threshold.least, observed.capacity);
        let _ = write!(message, "Threshold quantity: {least}, available: {}. ", observed.available);
    }
    let Some(stats) = &candidate.stats else { return (message, BTreeMap::new()) };
    let (mut names, mut usages) = (Vec::new(), Vec::new());
    for container in &stats.containers {
        let Some(used) = used(container, resource) else { continue };
        let request = container_request(&candidate.pod, &container.name, resource);
        let known = candidate.pod.spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten());
        if used > request && !known.into_iter().any(|ephemeral| ephemeral.name == container.name) {
            let _ = write!(
                message,
                "Container {} was using {used}, request is {request}, has larger consumption of {resource}. ",
                container.name
            );
            names.push(container.name.clone());
            usages.push(used.to_string());
        }
    }
    let annotations = [
        ("offending_containers", names.join(",")),
        ("offending_containers_usage", usages.join(",")),
        ("starved_resource", resource.to_owned()),
    ];
    (message, annotations.map(|(name, value)| (name.to_owned(), value)).into())
}

fn used(container: &ContainerStats, resource: &str) -> Option<Quantity> {
    let bytes = match resource {
        "memory" => container.memory.working_set_bytes,
        "ephemeral-storage" => container.rootfs.as_ref()?.used_bytes + container.logs.as_ref()?.used_bytes,
        _ => return None,
    };
    Some(Quantity::new(i64::try_from(bytes).unwrap_or(i64::MAX), Format::BinarySi))
}

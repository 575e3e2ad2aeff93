//! Pods that keep more on the node's disk than they may.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use crate::api::Quantity;
use crate::api::rules::resources::amount_of;
use crate::api::stats::{FsStats, PodStats};
use crate::node::pod_worker::state::{Role, role_of_init};

/// What is limited.
const RESOURCE: &str = "ephemeral-storage";

/// Whether anything that a pod keeps on the disk is limited.
pub(in crate::node) fn is_limited(spec: &PodSpec) -> bool {
    let mut volumes = spec.volumes.iter().flatten();
    volumes.any(|volume| volume.empty_dir.as_ref().is_some_and(|directory| directory.size_limit.is_some()))
        || pod_limit(spec).is_some()
}

/// What the containers of a pod may keep together; an init container's limit counts where it is more than theirs.
fn pod_limit(spec: &PodSpec) -> Option<Quantity> {
    let of = |container: &Container| {
        amount_of(container.resources.as_ref().and_then(|resources| resources.limits.as_ref()), RESOURCE)
    };
    let (sidecars, init): (Vec<&Container>, Vec<_>) =
        spec.init_containers.iter().flatten().partition(|container| role_of_init(container) == Role::Sidecar);
    let together = spec.containers.iter().chain(sidecars).filter_map(of).reduce(|sum, limit| sum + limit);
    together.into_iter().chain(init.into_iter().filter_map(of)).max()
}

fn exceeds(used: u64, limit: Quantity) -> bool {
    i128::from(used) > i128::from(limit.value())
}

/// Why a pod is to be ended: what exceeds which limit. `dedicated` says whether images have a disk of their own.
pub(super) fn excess(pod: &Pod, stats: &PodStats, dedicated: bool) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    for volume in spec.volumes.iter().flatten() {
        let limit = volume.empty_dir.as_ref().and_then(|directory| directory.size_limit.as_ref());
        let limit = limit.and_then(|limit| Quantity::try_from(limit).ok()).filter(|limit| *limit > Quantity::ZERO);
        let used = stats.volumes.iter().find(|found| found.name == volume.name).map(|found| found.fs.used_bytes);
        if let (Some(limit), Some(used)) = (limit, used)
            && exceeds(used, limit)
        {
            return Some(format!("Usage of EmptyDir volume {:?} exceeds the limit \"{limit}\". ", volume.name));
        }
    }
    let used = |fs: Option<&FsStats>| fs.map_or(0, |fs| fs.used_bytes);
    if let Some(limit) = pod_limit(spec)
        && exceeds(used(stats.ephemeral_storage.as_ref()), limit)
    {
        return Some(format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "));
    }
    spec.containers.iter().find_map(|container| {
        let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
        let limit = amount_of(limits, RESOURCE).filter(|limit| !limit.is_zero())?;
        let found = stats.containers.iter().find(|found| found.name == container.name)?;
        let layer = if dedicated { 0 } else { used(found.rootfs.as_ref()) };
        let total = used(found.logs.as_ref()) + layer;
        let name = &container.name;
        let message = format!("Container {name} exceeded its local ephemeral storage limit \"{limit}\". ");
        exceeds(total, limit).then_some(message)
    })
}

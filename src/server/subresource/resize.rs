//! `resize`: other resources for the containers of a running pod.

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::api::field::Path;
use crate::api::{Draft, FieldErrors, Object, Surroundings};
use crate::server::pipeline::Part;

pub(super) const PART: &dyn Part = &Resize;

const MIRROR: &str = "kubernetes.io/config.mirror";

#[derive(Debug)]
struct Resize;

impl Part for Resize {
    /// Takes resources and resize policies of containers, and nothing else.
    fn prepare(&self, new: &mut Draft, old: &Object, _: &Surroundings) {
        let (Some(new), Some(old)) = (new.typed_mut::<Pod>(), old.as_typed::<Pod>()) else { return };
        let wanted = new.spec.take().unwrap_or_default();
        let version = new.metadata.resource_version.take();
        new.clone_from(old);
        new.metadata.resource_version = version;
        let spec = new.spec.get_or_insert_default();
        take(&mut spec.containers, &wanted.containers);
        if let (Some(containers), Some(wanted)) = (&mut spec.init_containers, &wanted.init_containers) {
            take(containers, wanted);
        }
        if wanted.resources.is_some() {
            spec.resources = wanted.resources;
        }
    }

    fn validate(&self, new: &Draft, old: &Object, around: &Surroundings, errors: &mut FieldErrors) {
        let (Some(pod), Some(before)) = (new.typed::<Pod>(), old.as_typed::<Pod>()) else { return };
        new.kind().strategy().validate(new.body(), around, errors);
        if pod.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR)) {
            errors.forbidden(&Path::root(), "static pods cannot be resized");
        }
        let class = |pod: &Pod| pod.status.as_ref().and_then(|status| status.qos_class.clone());
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        if class(before).as_deref().is_some_and(|class| class != qos(containers)) {
            let status = Path::new("status");
            errors.invalid(
                &status.child("qosClass"),
                class(before).unwrap_or_default(),
                "Pod QOS Class may not change as a result of resizing",
            );
        }
    }
}

fn take(containers: &mut [Container], wanted: &[Container]) {
    for container in containers {
        if let Some(wanted) = wanted.iter().find(|wanted| wanted.name == container.name) {
            container.resources.clone_from(&wanted.resources);
            container.resize_policy.clone_from(&wanted.resize_policy);
        }
    }
}

/// The quality-of-service class that these containers make a pod.
fn qos<'a>(containers: impl Iterator<Item = &'a Container>) -> &'static str {
    let (mut any, mut guaranteed) = (false, true);
    for container in containers {
        for name in ["cpu", "memory"] {
            let resources = container.resources.as_ref();
            let limit = resources.and_then(|resources| resources.limits.as_ref()?.get(name));
            let request = resources.and_then(|resources| resources.requests.as_ref()?.get(name));
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

//! `ephemeralcontainers`: containers that are added to a pod to look into it.

use k8s_openapi::api::core::v1::Pod;

use crate::api::field::Path;
use crate::api::{Draft, FieldErrors, Object, Surroundings};
use crate::server::pipeline::Part;

pub(super) const PART: &dyn Part = &EphemeralContainers;

/// Marks the image of a static pod in the API.
const MIRROR: &str = "kubernetes.io/config.mirror";

#[derive(Debug)]
struct EphemeralContainers;

impl Part for EphemeralContainers {
    fn prepare(&self, new: &mut Draft, old: &Object, _: &Surroundings) {
        if let (Some(new), Some(old)) = (new.typed_mut::<Pod>(), old.as_typed::<Pod>()) {
            let wanted = new.spec.take().and_then(|spec| spec.ephemeral_containers);
            let version = new.metadata.resource_version.take();
            new.clone_from(old);
            new.metadata.resource_version = version;
            new.spec.get_or_insert_default().ephemeral_containers = wanted;
        }
    }

    fn validate(&self, new: &Draft, old: &Object, around: &Surroundings, errors: &mut FieldErrors) {
        let (Some(pod), Some(before)) = (new.typed::<Pod>(), old.as_typed::<Pod>()) else { return };
        new.kind().strategy().validate(new.body(), around, errors);
        let spec = Path::new("spec");
        let path = spec.child("ephemeralContainers");
        if pod.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR)) {
            errors.forbidden(&Path::root(), "static pods do not support ephemeral containers");
        }
        let containers =
            |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.ephemeral_containers.clone()).unwrap_or_default();
        let now = containers(pod);
        for (index, container) in containers(before).iter().enumerate() {
            let name = &container.name;
            match now.iter().find(|new| new.name == *name) {
                Some(new) if new == container => {}
                Some(_) => {
                    let why = format!("existing ephemeral containers \"{name}\" may not be changed");
                    errors.forbidden(&path.index(index), why);
                }
                None => errors.forbidden(&path, format!("existing ephemeral containers \"{name}\" may not be removed")),
            }
        }
    }
}

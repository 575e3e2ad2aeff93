//! `finalize`: the finalizers in a namespace's spec, which hold it until its content is gone.

use k8s_openapi::api::core::v1::Namespace;

use crate::api::{Draft, FieldErrors, Object, Surroundings};
use crate::server::pipeline::Part;

pub(super) const PART: &dyn Part = &Finalize;

#[derive(Debug)]
struct Finalize;

impl Part for Finalize {
    fn prepare(&self, new: &mut Draft, old: &Object, _: &Surroundings) {
        if let (Some(new), Some(old)) = (new.typed_mut::<Namespace>(), old.as_typed::<Namespace>()) {
            new.status.clone_from(&old.status);
        }
    }

    fn validate(&self, new: &Draft, old: &Object, around: &Surroundings, errors: &mut FieldErrors) {
        new.kind().strategy().validate_update(new.body(), old.body(), around, errors);
    }
}

//! Scale: the number of replicas of a workload, whatever its kind.

use k8s_openapi::api::autoscaling::v1::Scale;

use crate::api::field::{FieldErrors, Path};
use crate::api::rules::not_negative;
use crate::api::{Kind, Strategy, Surroundings};

/// What a Scale does.
#[derive(Debug)]
struct ScaleStrategy;

impl Strategy for ScaleStrategy {
    type Object = Scale;

    fn default(&self, scale: &mut Scale) {
        scale.spec.get_or_insert_default();
    }

    fn validate(&self, scale: &Scale, _: &Surroundings, errors: &mut FieldErrors) {
        let replicas = scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        not_negative(errors, &Path::new("spec").child("replicas"), replicas);
    }
}

pub(crate) fn kind() -> Kind {
    let mut kind = Kind::builtin(ScaleStrategy).verbs(&[]);
    kind.namespaced = true;
    kind
}

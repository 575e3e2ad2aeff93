//! `approval`: the verdict on a request for a certificate.

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use crate::api::{Draft, FieldErrors, Object, Surroundings};
use crate::server::pipeline::Part;

pub(super) const PART: &dyn Part = &Approval;

#[derive(Debug)]
struct Approval;

impl Part for Approval {
    /// Of the status only the conditions, of these only the verdicts are taken.
    fn prepare(&self, new: &mut Draft, old: &Object, around: &Surroundings) {
        let version = new.meta_mut().resource_version.take();
        *new.meta_mut() = old.meta().clone();
        new.meta_mut().resource_version = version;
        if let (Some(new), Some(old)) =
            (new.typed_mut::<CertificateSigningRequest>(), old.as_typed::<CertificateSigningRequest>())
        {
            let verdicts = new.status.take().and_then(|status| status.conditions);
            new.spec.clone_from(&old.spec);
            new.status.clone_from(&old.status);
            if let Some(mut conditions) = verdicts {
                for condition in &mut conditions {
                    let now = || k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(around.now);
                    condition.last_update_time.get_or_insert_with(now);
                    condition.last_transition_time.get_or_insert_with(now);
                }
                new.status.get_or_insert_default().conditions = Some(conditions);
            }
        }
    }

    fn validate(&self, new: &Draft, old: &Object, around: &Surroundings, errors: &mut FieldErrors) {
        new.kind().strategy().validate_status(new.body(), old.body(), around, errors);
    }
}

//! `scale`: the number of replicas of whatever has one.

use std::sync::Arc;

use k8s_openapi::api::autoscaling::v1::{Scale, ScaleSpec, ScaleStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::field::Path;
use crate::api::{ApiError, Call, Draft, FieldErrors, KindRef, Object, Patch, Target, WriteOptions};
use crate::server::pipeline::{Inner, Part, check_uid};
use crate::server::verbs::patched;

pub(in crate::server) const NAME: &str = "scale";

impl Inner {
    /// The scale of a stored object.
    pub(in crate::server) fn scale_of(&self, object: &Object) -> Result<Object, ApiError> {
        let kind = self.scale_kind()?;
        let view = object.kind().strategy().scale(object.body()).ok_or_else(crate::server::error::no_such_resource)?;
        let meta = object.meta();
        let scale = Scale {
            metadata: ObjectMeta {
                name: meta.name.clone(),
                namespace: meta.namespace.clone(),
                uid: meta.uid.clone(),
                resource_version: meta.resource_version.clone(),
                creation_timestamp: meta.creation_timestamp.clone(),
                ..ObjectMeta::default()
            },
            spec: Some(ScaleSpec { replicas: Some(view.replicas) }),
            status: Some(ScaleStatus {
                replicas: view.observed,
                selector: Some(view.selector).filter(|text| !text.is_empty()),
            }),
        };
        Ok(Draft::of(kind, Arc::new(scale)).seal_as_is())
    }

    pub(in crate::server) async fn update_scale(
        &self,
        call: &Call,
        target: &Target,
        draft: &Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        super::expect::<Scale>(draft, "Scale")?;
        self.rescale(call, target, options, &mut |_| Ok(draft.clone())).await
    }

    pub(in crate::server) async fn patch_scale(
        &self,
        call: &Call,
        target: &Target,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        let kind = self.scale_kind()?;
        self.rescale(call, target, options, &mut |scale| patched(&kind, scale, patch, options.field_validation, call))
            .await
    }

    /// Updates the object by what `propose` makes of its scale.
    async fn rescale(
        &self,
        call: &Call,
        target: &Target,
        options: &WriteOptions,
        propose: &mut (dyn FnMut(&Object) -> Result<Draft, ApiError> + Send),
    ) -> Result<Object, ApiError> {
        let stored = Target { subresource: NAME.to_owned(), ..self.stored_target(target)?.into_owned() };
        let mut rescaled = |old: &Object| {
            let draft = propose(&self.scale_of(old)?)?;
            let scale = super::expect::<Scale>(&draft, "Scale")?;
            match scale.metadata.name.as_deref().unwrap_or_default() {
                "" => return Err(crate::server::error::name_undeterminable()),
                name if name != target.name() => return Err(crate::server::error::name_mismatch(name, target.name())),
                _ => {}
            }
            check_uid(&stored.kind, scale.metadata.uid.as_deref(), old)?;
            let replicas = scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
            if replicas < 0 {
                let mut errors = FieldErrors::new();
                let path = Path::new("spec");
                errors.invalid(&path.child("replicas"), replicas, "must be greater than or equal to 0");
                return Err(ApiError::invalid(&draft.kind().group_kind(), old.name(), &errors));
            }
            let mut new = old.draft();
            new.meta_mut().resource_version.clone_from(&scale.metadata.resource_version);
            stored.kind.strategy().set_scale(new.body_mut(), replicas);
            Ok(new)
        };
        let updated = self.pipeline(call, &stored, options.dry_run).update(Part::Main, &mut rescaled).await?;
        self.scale_of(&updated)
    }

    fn scale_kind(&self) -> Result<KindRef, ApiError> {
        self.kinds.by_kind("autoscaling", "v1", "Scale").ok_or_else(|| ApiError::internal("Scale is not served"))
    }
}

//! Creating and deleting pods on behalf of a workload, with the events that tell of it.

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::adopt::controller_reference;
use super::{Context, Error};
use crate::api::{ApiError, ApiType, DeleteOptions};

/// A pod made from `template`, controlled by `owner`, with a generated name.
pub fn from_template<O: ApiType>(template: &PodTemplateSpec, owner: &O) -> Pod {
    let stated = template.metadata.clone().unwrap_or_default();
    let name = owner.metadata().name.as_deref().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: owner.metadata().namespace.clone(),
            labels: stated.labels,
            annotations: stated.annotations,
            finalizers: stated.finalizers,
            owner_references: Some(vec![controller_reference(owner)]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// Whether the API refused because the namespace is going.
pub fn namespace_is_terminating(error: &ApiError) -> bool {
    let causes = error.status().details.as_ref().and_then(|details| details.causes.as_ref());
    causes.into_iter().flatten().any(|cause| cause.reason.as_deref() == Some("NamespaceTerminating"))
}

/// Creates a pod for `owner`.
///
/// # Errors
/// Where the API refuses.
pub async fn create<O: ApiType>(ctx: &Context, owner: &O, pod: Pod) -> Result<(), Error> {
    if pod.metadata.labels.as_ref().is_none_or(|labels| labels.is_empty()) {
        return Err(Error::failed("unable to create pods, no labels"));
    }
    let namespace = owner.metadata().namespace.clone().unwrap_or_default();
    match ctx.client().api::<Pod>(&namespace).create(pod).await {
        Ok(pod) => {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            ctx.events().normal(owner, "SuccessfulCreate", format!("Created pod: {name}"));
            Ok(())
        }
        Err(error) => {
            // Nothing can be created there, and nobody will read the event.
            if !namespace_is_terminating(&error) {
                ctx.events().warning(owner, "FailedCreate", format!("Error creating: {error}"));
            }
            Err(error.into())
        }
    }
}

/// Deletes a pod of `owner`. That it is gone already is well.
///
/// # Errors
/// Where the API refuses.
pub async fn delete<O: ApiType>(ctx: &Context, owner: &O, pod: &Pod) -> Result<(), Error> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let options = DeleteOptions { uid: pod.metadata.uid.clone(), ..DeleteOptions::default() };
    match ctx.client().api::<Pod>(namespace).delete_with(name, &options).await {
        Ok(_) => {
            ctx.events().normal(owner, "SuccessfulDelete", format!("Deleted pod: {name}"));
            Ok(())
        }
        Err(error) if error.is_not_found() => Ok(()),
        // Another pod of that name: the one meant is gone.
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) => {
            ctx.events().warning(owner, "FailedDelete", format!("Error deleting: {error}"));
            Err(error.into())
        }
    }
}

//! Which Service an EndpointSlice belongs to.

use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::client::ObjectRef;

/// The label by which an EndpointSlice names its Service.
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The Service that a slice belongs to.
pub(super) fn service_of(slice: &EndpointSlice) -> Option<ObjectRef> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME)?;
    Some(ObjectRef::new(slice.metadata.namespace.clone()?, name))
}

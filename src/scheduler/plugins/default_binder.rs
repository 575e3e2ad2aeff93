//! DefaultBinder: binds through the API.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;

use crate::api::ApiError;
use crate::client::Client;
use crate::scheduler::framework::{Bind, Plugin};
use crate::scheduler::snapshot::PodInfo;

/// Binds pods through their `binding` subresource.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultBinder;

impl Plugin for DefaultBinder {
    fn name(&self) -> &'static str {
        "DefaultBinder"
    }

    fn as_bind(&self) -> Option<&dyn Bind> {
        Some(self)
    }
}

#[async_trait]
impl Bind for DefaultBinder {
    async fn bind(&self, client: &Client, pod: &PodInfo, node: &str) -> Result<bool, ApiError> {
        client.api::<Pod>(&pod.key.namespace).bind(&pod.key.name, Some(pod.uid()), node).await?;
        Ok(true)
    }
}

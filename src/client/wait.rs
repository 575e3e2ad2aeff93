//! Waiting for objects to be as one wants them.

use std::sync::Arc;
use std::time::Duration;

use super::{Api, Informer};
use crate::api::selector::FieldRequirement;
use crate::api::{ApiError, ApiType, FieldSelector, LabelSelector, ListOptions};

/// Why a wait ended without what it was for.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The API refused.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Time ran out.
    #[error("timed out waiting for the condition on {what}")]
    TimedOut {
        /// What was waited for: `pods/web-0`.
        what: String,
    },
}

impl<K: ApiType> Api<K> {
    /// Waits until `condition` holds of the object `name`, or of there being none.
    ///
    /// ```
    /// # async fn run(client: orchestrion::client::Client) -> Result<(), orchestrion::client::WaitError> {
    /// use std::time::Duration;
    /// use k8s_openapi::api::core::v1::Pod;
    /// client.api::<Pod>("default").wait("web-0", Duration::from_secs(30), |pod| pod.is_none()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] after `timeout`.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait and nothing else.
    pub async fn wait(
        &self,
        name: &str,
        timeout: Duration,
        condition: impl Fn(Option<&K>) -> bool + Send,
    ) -> Result<Option<Arc<K>>, WaitError> {
        let requirement = FieldRequirement { field: "metadata.name".to_owned(), value: name.to_owned(), equal: true };
        let fields = FieldSelector { requirements: vec![requirement] };
        let found = move |objects: &[Arc<K>]| condition(objects.first().map(|object| &**object));
        let objects = self.wait_matching(name, LabelSelector::default(), fields, timeout, found).await?;
        Ok(objects.into_iter().next())
    }

    /// Waits until `condition` holds of all objects with these labels.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] after `timeout`.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait and nothing else.
    pub async fn wait_all(
        &self,
        labels: LabelSelector,
        timeout: Duration,
        condition: impl Fn(&[Arc<K>]) -> bool + Send,
    ) -> Result<Vec<Arc<K>>, WaitError> {
        self.wait_matching("", labels, FieldSelector::default(), timeout, condition).await
    }

    async fn wait_matching(
        &self,
        name: &str,
        labels: LabelSelector,
        fields: FieldSelector,
        timeout: Duration,
        condition: impl Fn(&[Arc<K>]) -> bool + Send,
    ) -> Result<Vec<Arc<K>>, WaitError> {
        // An informer tries again and again; what is refused for good must be told at once.
        let options =
            ListOptions { labels: labels.clone(), fields: fields.clone(), limit: Some(1), ..ListOptions::default() };
        self.list(&options).await?;
        let informer = Informer::start_matching(self.clone(), labels, fields);
        let kind = self.dynamic().kind();
        tokio::time::timeout(timeout, informer.until(condition))
            .await
            .map_err(|_| WaitError::TimedOut { what: format!("{}/{name}", kind.resource()) })
    }
}

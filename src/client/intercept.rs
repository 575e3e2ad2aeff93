//! Faults on demand: a backend that lets calls through, delays them, or fails them.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::api::{
    ApiError, Backend, Call, Connect, Connection, DeleteOptions, Deleted, Draft, GetOptions, Kinds, List, ListOptions,
    Object, Patch, Target, WatchOptions, WatchStream, WriteOptions,
};

/// What becomes of a call.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is carried out.
    None,
    /// It is carried out after so long.
    Delay(Duration),
    /// It is not carried out.
    Refuse(ApiError),
    /// It is carried out, but the caller is told this instead of the outcome: a lost answer.
    LoseAnswer(ApiError),
}

/// A backend that asks, for each call, what is to become of it.
///
/// ```
/// # fn over(client: orchestrion::client::Client) -> orchestrion::client::Client {
/// use std::sync::Arc;
/// use orchestrion::api::{ApiError, Reason};
/// use orchestrion::client::{Fault, Intercept};
/// let backend = Intercept::new(Arc::clone(client.backend()), |verb, target| match verb {
///     "update" if target.kind.kind == "Lease" => Fault::Refuse(ApiError::new(Reason::ServiceUnavailable, "down")),
///     _ => Fault::None,
/// });
/// client.over(Arc::new(backend))
/// # }
/// ```
pub struct Intercept {
    inner: Arc<dyn Backend>,
    decide: Box<dyn Fn(&str, &Target) -> Fault + Send + Sync>,
}

impl Debug for Intercept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intercept").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Intercept {
    /// Asks `decide` with the verb (`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`,
    /// `deletecollection`, `connect`) and what the call is about.
    pub fn new(inner: Arc<dyn Backend>, decide: impl Fn(&str, &Target) -> Fault + Send + Sync + 'static) -> Self {
        Self { inner, decide: Box::new(decide) }
    }

    async fn around<T>(
        &self,
        verb: &str,
        target: &Target,
        call: impl Future<Output = Result<T, ApiError>> + Send,
    ) -> Result<T, ApiError> {
        match (self.decide)(verb, target) {
            Fault::None => call.await,
            Fault::Delay(duration) => {
                tokio::time::sleep(duration).await;
                call.await
            }
            Fault::Refuse(error) => Err(error),
            Fault::LoseAnswer(error) => call.await.and(Err(error)),
        }
    }
}

#[async_trait]
impl Backend for Intercept {
    fn kinds(&self) -> &Kinds {
        self.inner.kinds()
    }

    async fn get(&self, call: &Call, target: &Target, options: &GetOptions) -> Result<Object, ApiError> {
        self.around("get", target, self.inner.get(call, target, options)).await
    }

    async fn list(&self, call: &Call, target: &Target, options: &ListOptions) -> Result<List, ApiError> {
        self.around("list", target, self.inner.list(call, target, options)).await
    }

    async fn watch(&self, call: &Call, target: &Target, options: &WatchOptions) -> Result<WatchStream, ApiError> {
        self.around("watch", target, self.inner.watch(call, target, options)).await
    }

    async fn create(
        &self,
        call: &Call,
        target: &Target,
        object: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        self.around("create", target, self.inner.create(call, target, object, options)).await
    }

    async fn update(
        &self,
        call: &Call,
        target: &Target,
        object: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        self.around("update", target, self.inner.update(call, target, object, options)).await
    }

    async fn patch(
        &self,
        call: &Call,
        target: &Target,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        self.around("patch", target, self.inner.patch(call, target, patch, options)).await
    }

    async fn delete(&self, call: &Call, target: &Target, options: &DeleteOptions) -> Result<Deleted, ApiError> {
        self.around("delete", target, self.inner.delete(call, target, options)).await
    }

    async fn delete_collection(
        &self,
        call: &Call,
        target: &Target,
        options: &DeleteOptions,
        matching: &ListOptions,
    ) -> Result<List, ApiError> {
        let answer = self.inner.delete_collection(call, target, options, matching);
        self.around("deletecollection", target, answer).await
    }

    async fn connect(&self, call: &Call, target: &Target, connect: Connect) -> Result<Connection, ApiError> {
        self.around("connect", target, self.inner.connect(call, target, connect)).await
    }
}

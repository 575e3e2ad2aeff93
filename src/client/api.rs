//! The verbs of one kind: [`Api`] for a Rust type, [`DynamicApi`] for a kind known at run time.

use std::marker::PhantomData;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::{Binding, ObjectReference, Pod};
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Client;
use crate::api::{
    ApiError, ApiType, Connect, Connection, DeleteOptions, Deleted, Draft, GetOptions, KindRef, List, ListOptions,
    LogOptions, Object, Patch, Revision, Target, WatchEvent, WatchOptions, WatchStream, WriteOptions,
};
use crate::turn;

/// The objects of one kind, in one namespace or in all: every verb, over [`Object`]s.
///
/// Errors are those of the API: see [`ApiError`].
///
/// # Cancel safety
/// Dropping the future of a write leaves it open whether the write took place.
#[derive(Clone, Debug)]
pub struct DynamicApi {
    client: Client,
    target: Target,
}

#[allow(clippy::missing_errors_doc, reason = "said once, on the type")]
impl DynamicApi {
    pub(super) fn new(client: Client, kind: KindRef, namespace: &str) -> Self {
        Self { client, target: Target::all(kind, namespace) }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The kind.
    pub fn kind(&self) -> &KindRef {
        &self.target.kind
    }

    /// The namespace; empty where it spans all, or where the kind has none.
    pub fn namespace(&self) -> &str {
        self.target.namespace()
    }

    /// Where `object` goes: the API's namespace, or (where that spans all) the object's own.
    fn home(&self, meta: &ObjectMeta, name: &str) -> Target {
        match self.namespace() {
            "" => Target::one(self.kind().clone(), meta.namespace.as_deref().unwrap_or_default(), name),
            _ => self.target.named(name),
        }
    }

    /// Reads an object.
    pub async fn get(&self, name: &str) -> Result<Object, ApiError> {
        self.client.backend().get(self.client.call(), &self.target.named(name), &GetOptions::default()).await
    }

    /// Reads all objects that match.
    pub async fn list(&self, options: &ListOptions) -> Result<List, ApiError> {
        self.client.backend().list(self.client.call(), &self.target, options).await
    }

    /// Follows all objects that match.
    pub async fn watch(&self, options: &WatchOptions) -> Result<WatchStream, ApiError> {
        self.client.backend().watch(self.client.call(), &self.target, options).await
    }

    /// Creates an object.
    pub async fn create(&self, object: Draft, options: &WriteOptions) -> Result<Object, ApiError> {
        let target = self.home(object.meta(), "");
        self.client.backend().create(self.client.call(), &target, object, options).await
    }

    /// Posts a body to a subresource of `name`.
    pub async fn create_sub(&self, name: &str, subresource: &str, body: Draft) -> Result<Object, ApiError> {
        let target = self.home(body.meta(), name).sub(subresource);
        self.client.backend().create(self.client.call(), &target, body, &WriteOptions::default()).await
    }

    /// Replaces an object.
    pub async fn update(&self, object: Draft, options: &WriteOptions) -> Result<Object, ApiError> {
        self.update_sub("", object, options).await
    }

    /// Replaces a subresource (`status`, say) of the object that `object` names.
    pub async fn update_sub(
        &self,
        subresource: &str,
        object: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        let target = self.home(object.meta(), object.meta().name.as_deref().unwrap_or_default()).sub(subresource);
        self.client.backend().update(self.client.call(), &target, object, options).await
    }

    /// Changes an object, or with a `subresource` that.
    pub async fn patch(
        &self,
        name: &str,
        subresource: &str,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        self.client.backend().patch(self.client.call(), &self.target.named(name).sub(subresource), patch, options).await
    }

    /// Deletes an object.
    pub async fn delete(&self, name: &str, options: &DeleteOptions) -> Result<Deleted, ApiError> {
        self.client.backend().delete(self.client.call(), &self.target.named(name), options).await
    }

    /// Deletes all objects that match.
    pub async fn delete_collection(&self, options: &DeleteOptions, matching: &ListOptions) -> Result<List, ApiError> {
        self.client.backend().delete_collection(self.client.call(), &self.target, options, matching).await
    }

    /// Opens a stream to a pod.
    pub async fn connect(&self, name: &str, connect: Connect) -> Result<Connection, ApiError> {
        self.client.backend().connect(self.client.call(), &self.target.named(name), connect).await
    }
}

/// The answer to a typed list.
#[derive(Clone, Debug)]
pub struct TypedList<K> {
    /// The objects.
    pub items: Vec<Arc<K>>,
    /// The revision of the snapshot that they were read from. A watch from here misses nothing.
    pub revision: Revision,
    /// The token for the next page; `None` on the last.
    pub continue_token: Option<String>,
}

/// A typed watch event.
#[derive(Clone, Debug)]
pub enum TypedEvent<K> {
    /// An object appeared, or began to match.
    Added(Arc<K>),
    /// An object changed.
    Modified(Arc<K>),
    /// An object went, or ceased to match.
    Deleted(Arc<K>),
    /// Everything up to this revision has been delivered.
    Bookmark(Revision),
}

/// The objects of type `K`, in one namespace or in all: every verb, typed.
///
/// ```
/// # async fn run(client: orchestrion::client::Client) -> Result<(), orchestrion::api::ApiError> {
/// use k8s_openapi::api::core::v1::ConfigMap;
/// let maps = client.api::<ConfigMap>("default");
/// let mut map = ConfigMap::default();
/// map.metadata.name = Some("settings".into());
/// let created = maps.create(map).await?;
/// assert!(created.metadata.uid.is_some());
/// # Ok(())
/// # }
/// ```
///
/// Errors are those of the API: see [`ApiError`].
///
/// # Cancel safety
/// Dropping the future of a write leaves it open whether the write took place.
#[derive(Debug)]
pub struct Api<K> {
    inner: DynamicApi,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Api<K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), kind: PhantomData }
    }
}

#[allow(clippy::missing_errors_doc, reason = "said once, on the type")]
impl<K: ApiType> Api<K> {
    pub(super) fn new(inner: DynamicApi) -> Self {
        Self { inner, kind: PhantomData }
    }

    /// The same objects, untyped.
    pub fn dynamic(&self) -> &DynamicApi {
        &self.inner
    }

    /// The client.
    pub fn client(&self) -> &Client {
        self.inner.client()
    }

    /// Reads an object.
    pub async fn get(&self, name: &str) -> Result<Arc<K>, ApiError> {
        Ok(self.inner.get(name).await?.typed()?)
    }

    /// Reads an object; `None` where there is none.
    pub async fn get_opt(&self, name: &str) -> Result<Option<Arc<K>>, ApiError> {
        match self.get(name).await {
            Err(error) if error.is_not_found() => Ok(None),
            other => other.map(Some),
        }
    }

    /// Reads all objects that match.
    pub async fn list(&self, options: &ListOptions) -> Result<TypedList<K>, ApiError> {
        let list = self.inner.list(options).await?;
        let items = list.items.iter().map(Object::typed).collect::<Result<_, _>>()?;
        Ok(TypedList { items, revision: list.revision, continue_token: list.continue_token })
    }

    /// Follows all objects that match.
    pub async fn watch(
        &self,
        options: &WatchOptions,
    ) -> Result<BoxStream<'static, Result<TypedEvent<K>, ApiError>>, ApiError> {
        let events = self.inner.watch(options).await?;
        Ok(events
            .and_then(|event| async move {
                Ok(match event {
                    WatchEvent::Added(object) => TypedEvent::Added(object.typed()?),
                    WatchEvent::Modified(object) => TypedEvent::Modified(object.typed()?),
                    WatchEvent::Deleted(object) => TypedEvent::Deleted(object.typed()?),
                    WatchEvent::Bookmark { revision, .. } => TypedEvent::Bookmark(revision),
                })
            })
            .boxed())
    }

    // These take the object out of their future, and so out of those of all who call them: a pod is two kilobytes.

    /// Creates an object.
    pub fn create(&self, object: impl Into<Arc<K>>) -> impl Future<Output = Result<Arc<K>, ApiError>> + Send {
        let draft = Draft::shared(object.into());
        async move { Ok(self.inner.create(draft, &WriteOptions::default()).await?.typed()?) }
    }

    /// Replaces an object. Its `resourceVersion`, where it carries one, must be the stored one's.
    pub fn update(&self, object: impl Into<Arc<K>>) -> impl Future<Output = Result<Arc<K>, ApiError>> + Send {
        let draft = Draft::shared(object.into());
        async move { Ok(self.inner.update(draft, &WriteOptions::default()).await?.typed()?) }
    }

    /// Replaces an object's status.
    pub fn update_status(&self, object: impl Into<Arc<K>>) -> impl Future<Output = Result<Arc<K>, ApiError>> + Send {
        let draft = Draft::shared(object.into());
        async move { Ok(self.inner.update_sub("status", draft, &WriteOptions::default()).await?.typed()?) }
    }

    /// Changes an object.
    pub async fn patch(&self, name: &str, patch: Patch) -> Result<Arc<K>, ApiError> {
        Ok(self.inner.patch(name, "", patch, &WriteOptions::default()).await?.typed()?)
    }

    /// Changes an object's status.
    pub async fn patch_status(&self, name: &str, patch: Patch) -> Result<Arc<K>, ApiError> {
        Ok(self.inner.patch(name, "status", patch, &WriteOptions::default()).await?.typed()?)
    }

    /// Deletes an object, as its kind is deleted by default.
    pub async fn delete(&self, name: &str) -> Result<Deleted, ApiError> {
        self.inner.delete(name, &DeleteOptions::default()).await
    }

    /// Deletes an object.
    pub async fn delete_with(&self, name: &str, options: &DeleteOptions) -> Result<Deleted, ApiError> {
        self.inner.delete(name, options).await
    }

    /// Reads an object, lets `change` alter it, and writes it back; begins again where another write came
    /// between. `change` may run more than once. An object that is not altered is not written.
    pub async fn modify(&self, name: &str, change: impl Fn(&mut K) + Send + Sync) -> Result<Arc<K>, ApiError> {
        self.modify_sub(name, "", change).await
    }

    /// As [`Api::modify`], for the status.
    pub async fn modify_status(&self, name: &str, change: impl Fn(&mut K) + Send + Sync) -> Result<Arc<K>, ApiError> {
        self.modify_sub(name, "status", change).await
    }

    async fn modify_sub(
        &self,
        name: &str,
        subresource: &str,
        change: impl Fn(&mut K) + Send + Sync,
    ) -> Result<Arc<K>, ApiError> {
        loop {
            let old = self.get(name).await?;
            let mut new = Arc::clone(&old);
            change(Arc::make_mut(&mut new));
            if new == old {
                return Ok(old);
            }
            match self.inner.update_sub(subresource, Draft::shared(new), &WriteOptions::default()).await {
                // Somebody else made progress, so this ends.
                Err(error) if error.is_conflict() => turn::pass().await,
                other => return Ok(other?.typed()?),
            }
        }
    }

    /// Sets the wanted number of replicas through the scale subresource.
    pub async fn scale(&self, name: &str, replicas: i32) -> Result<Arc<Scale>, ApiError> {
        let patch = Patch::Merge(serde_json::json!({ "spec": { "replicas": replicas } }));
        Ok(self.inner.patch(name, "scale", patch, &WriteOptions::default()).await?.typed()?)
    }
}

#[allow(clippy::missing_errors_doc, reason = "said once, on the type")]
impl Api<Pod> {
    /// Assigns a pod to a node.
    pub async fn bind(&self, name: &str, uid: Option<&str>, node: &str) -> Result<(), ApiError> {
        let namespace = Some(self.inner.namespace().to_owned()).filter(|namespace| !namespace.is_empty());
        let binding = Binding {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace,
                uid: uid.map(str::to_owned),
                ..ObjectMeta::default()
            },
            target: ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(node.to_owned()),
                ..ObjectReference::default()
            },
        };
        self.inner.create_sub(name, "binding", Draft::new(binding)).await.map(drop)
    }

    /// Deletes a pod if its disruption budgets allow it; [`crate::api::Reason::TooManyRequests`] where not now.
    pub async fn evict(&self, name: &str, options: Option<DeleteOptions>) -> Result<(), ApiError> {
        use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
        let namespace = Some(self.inner.namespace().to_owned()).filter(|namespace| !namespace.is_empty());
        let eviction = Eviction {
            metadata: ObjectMeta { name: Some(name.to_owned()), namespace, ..ObjectMeta::default() },
            delete_options: options.map(|options| meta::DeleteOptions {
                grace_period_seconds: options.grace_period,
                ..meta::DeleteOptions::default()
            }),
        };
        self.inner.create_sub(name, "eviction", Draft::new(eviction)).await.map(drop)
    }

    /// What a container has written; with `follow`, all that it writes until it ends.
    pub async fn logs(&self, name: &str, options: &LogOptions) -> Result<String, ApiError> {
        let Connection::Log(log) = self.connect(name, Connect::Log(options.clone())).await? else {
            return Err(ApiError::internal("the answer is no log"));
        };
        let bytes = log.try_fold(Vec::new(), |mut all, bytes| async move {
            all.extend_from_slice(&bytes);
            Ok(all)
        });
        Ok(String::from_utf8_lossy(&bytes.await?).into_owned())
    }

    /// Opens a stream to a pod: logs, exec, attach, port-forward.
    pub async fn connect(&self, name: &str, connect: Connect) -> Result<Connection, ApiError> {
        self.inner.connect(name, connect).await
    }
}

//! The API server: the semantics of the Kubernetes API over a [`Store`].
//!
//! [`Server`] implements [`Backend`], so a client in the same process calls it directly. All writes of all kinds go
//! through one [`pipeline`]; what is particular to a kind is in its [`Strategy`](crate::api::Strategy).

mod admission;
#[cfg(feature = "http")]
pub mod authn;
pub mod authz;
mod bootstrap;
mod config;
mod convert;
mod error;
#[cfg(feature = "http")]
pub mod http;
pub mod patch;
mod pipeline;
mod review;
mod selection;
mod subresource;
mod usage;
mod verbs;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use self::authz::{Access, Attributes, Authorizer};
pub use self::config::ServerBuilder;
use self::pipeline::Inner;
pub use self::subresource::{IssuedToken, TokenIssuer, TokenRequestContext};
use crate::api::{
    ApiError, Backend, Call, Connect, Connection, DeleteOptions, Deleted, Draft, GetOptions, Kinds, List, ListOptions,
    Object, Patch, Target, WatchOptions, WatchStream, WriteOptions,
};
use crate::clock::Clock;
use crate::store::Store;
use crate::turn;

/// An API server. Clones are handles to the same server.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use orchestrion::api::{Backend, Call, Draft, Kind, Target, User};
/// use orchestrion::server::Server;
/// use orchestrion::store::MemoryStore;
///
/// let server = Server::builder(Arc::new(MemoryStore::default())).start().await?;
/// let call = Call::new(Arc::new(User::admin()), "example");
/// let mut map = ConfigMap::default();
/// map.metadata.generate_name = Some("settings-".into());
/// let target = Target::all(Kind::of::<ConfigMap>(), "default");
/// let created = server.create(&call, &target, Draft::new(map), &Default::default()).await?;
/// assert!(created.name().starts_with("settings-"));
/// assert!(!created.uid().is_empty());
/// # Ok::<(), orchestrion::api::ApiError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Server(Arc<Inner>);

impl Server {
    /// Begins a server over `store`.
    pub fn builder(store: Arc<dyn Store>) -> ServerBuilder {
        ServerBuilder::new(store)
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// Who decides what may be done.
    pub fn authorizer(&self) -> &Arc<dyn Authorizer> {
        &self.0.authorizer
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("store", &self.0.store).finish_non_exhaustive()
    }
}

impl Inner {
    /// What every call begins with: whether the kind knows the verb, and whether the caller may.
    async fn enter(&self, call: &Call, verb: &str, target: &Target) -> Result<(), ApiError> {
        // Nothing here waits, so a task that makes one call after the other would never let others run: those of a cluster
        // in the same thread, say, for whose work it makes its calls.
        turn::step().await;
        let resource = target.kind.resource();
        let access = Access::Resource {
            group: resource.group(),
            resource: resource.resource(),
            subresource: &target.subresource,
            namespace: target.namespace(),
            name: target.name(),
        };
        let attributes = Attributes { user: &call.user, verb, access };
        authz::permit(&*self.authorizer, &attributes).await?;
        let known = match target.subresource.as_str() {
            "" => target.kind.verbs.contains(&verb),
            name => match target.kind.subresource(name) {
                Some(subresource) => subresource.verbs.contains(&verb),
                None => return Err(error::no_such_resource()),
            },
        };
        if known { Ok(()) } else { Err(ApiError::method_not_supported(&target.kind.resource(), verb)) }
    }
}

#[async_trait]
impl Backend for Server {
    fn kinds(&self) -> &Kinds {
        &self.0.kinds
    }

    async fn get(&self, call: &Call, target: &Target, options: &GetOptions) -> Result<Object, ApiError> {
        self.0.enter(call, "get", target).await?;
        self.0.get(target, options).await
    }

    async fn list(&self, call: &Call, target: &Target, options: &ListOptions) -> Result<List, ApiError> {
        self.0.enter(call, "list", target).await?;
        self.0.list(target, options).await
    }

    async fn watch(&self, call: &Call, target: &Target, options: &WatchOptions) -> Result<WatchStream, ApiError> {
        self.0.enter(call, "watch", target).await?;
        self.0.watch(target, options).await
    }

    async fn create(
        &self,
        call: &Call,
        target: &Target,
        object: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        self.0.enter(call, "create", target).await?;
        self.0.create(call, target, object, options).await
    }

    async fn update(
        &self,
        call: &Call,
        target: &Target,
        object: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        self.0.enter(call, "update", target).await?;
        self.0.update(call, target, object, options).await
    }

    async fn patch(
        &self,
        call: &Call,
        target: &Target,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        self.0.enter(call, "patch", target).await?;
        self.0.patch(call, target, &patch, options).await
    }

    async fn delete(&self, call: &Call, target: &Target, options: &DeleteOptions) -> Result<Deleted, ApiError> {
        self.0.enter(call, "delete", target).await?;
        self.0.delete(call, target, options).await
    }

    async fn delete_collection(
        &self,
        call: &Call,
        target: &Target,
        options: &DeleteOptions,
        matching: &ListOptions,
    ) -> Result<List, ApiError> {
        self.0.enter(call, "deletecollection", target).await?;
        self.0.delete_collection(call, target, options, matching).await
    }

    async fn connect(&self, call: &Call, target: &Target, connect: Connect) -> Result<Connection, ApiError> {
        let verb = if matches!(connect, Connect::Log(_) | Connect::Get(_)) { "get" } else { "create" };
        let name = subresource::name_of(&connect);
        self.0.enter(call, verb, &target.clone().sub(name)).await?;
        self.0.connect(call, target, connect).await
    }
}

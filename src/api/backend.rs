//! The verbs of the API over type-erased objects: what a client needs and a server gives.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use indexmap::IndexMap;

use super::key::{Key, NamespacedName, Revision};
use super::kind::KindRef;
use super::kinds::Kinds;
use super::node_endpoint::{Connect, Connection};
use super::object::{Draft, Object};
use super::status::ApiError;
use super::verb::{DeleteOptions, GetOptions, ListOptions, Patch, WatchOptions, WriteOptions};
use super::watch::WatchStream;

/// Who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The name: `system:admin`, `system:serviceaccount:NAMESPACE:NAME`, `system:node:NAME`, …
    pub name: String,
    /// A stable identity, where there is one.
    pub uid: String,
    /// The groups: `system:masters`, `system:authenticated`, …
    pub groups: Vec<String>,
    /// Anything else that the authenticator found.
    pub extra: IndexMap<String, Vec<String>>,
}

impl User {
    /// A user of that name and groups.
    pub fn new(name: impl Into<String>, groups: &[&str]) -> Self {
        Self { name: name.into(), groups: groups.iter().map(|group| (*group).to_owned()).collect(), ..Self::default() }
    }

    /// Whether the user is of that group.
    ///
    /// ```
    /// use orchestrion::api::User;
    /// assert!(User::admin().is_in("system:masters"));
    /// ```
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|of| of == group)
    }

    /// The administrator: may do everything.
    pub fn admin() -> Self {
        Self::new("kubernetes-admin", &["system:masters", "system:authenticated"])
    }
}

/// A call in flight: who makes it, and the warnings that it collects on its way.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// Who calls.
    pub user: Arc<User>,
    /// The client program (`User-Agent`); the default field manager is its first word.
    pub agent: Arc<str>,
    warnings: Option<Arc<Mutex<Vec<String>>>>,
}

impl Call {
    /// A call by `user` from the program `agent`, whose warnings nobody reads.
    pub fn new(user: Arc<User>, agent: impl Into<Arc<str>>) -> Self {
        Self { user, agent: agent.into(), warnings: None }
    }

    /// The same call, keeping its warnings for [`Call::take_warnings`].
    #[must_use]
    pub fn keeping_warnings(mut self) -> Self {
        self.warnings = Some(Arc::default());
        self
    }

    /// Adds a warning for the client.
    pub fn warn(&self, warning: impl Into<String>) {
        if let Some(warnings) = &self.warnings {
            warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning.into());
        }
    }

    /// The warnings so far, in order.
    pub fn take_warnings(&self) -> Vec<String> {
        self.warnings
            .as_ref()
            .map(|warnings| std::mem::take(&mut *warnings.lock().unwrap_or_else(PoisonError::into_inner)))
            .unwrap_or_default()
    }
}

/// What a call is about: a kind, and (as far as the verb needs them) namespace, name and subresource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The kind, in the version that the caller speaks.
    pub kind: KindRef,
    /// The namespace (empty for cluster-scoped kinds, and for lists and watches over all namespaces) and the name (empty for
    /// lists, watches and creations).
    pub object: NamespacedName,
    /// The subresource; empty for the object itself.
    pub subresource: String,
}

impl Target {
    /// All objects of `kind` in `namespace` (empty: all namespaces).
    pub fn all(kind: KindRef, namespace: &str) -> Self {
        Self::one(kind, namespace, "")
    }

    /// The object `name` of `kind` in `namespace` (which cluster-scoped kinds have none of).
    pub fn one(kind: KindRef, namespace: &str, name: &str) -> Self {
        let namespace = if kind.namespaced { namespace } else { "" };
        Self { kind, object: NamespacedName::new(namespace, name), subresource: String::new() }
    }

    /// The object of that name in the same namespace, or the same subresource of it.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        if name == self.name() {
            return self.clone();
        }
        let object = NamespacedName::new(self.namespace(), name);
        Self { kind: self.kind.clone(), object, subresource: self.subresource.clone() }
    }

    /// The same object's subresource of that name.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "nobody subtracts targets")]
    pub fn sub(mut self, subresource: impl Into<String>) -> Self {
        self.subresource = subresource.into();
        self
    }

    /// The namespace; empty for cluster-scoped kinds, and for lists and watches over all namespaces.
    pub fn namespace(&self) -> &str {
        self.object.namespace()
    }

    /// The name; empty for lists, watches and creations.
    pub fn name(&self) -> &str {
        self.object.name()
    }

    /// The key under which the object is stored.
    pub fn key(&self) -> Key {
        Key { resource: self.kind.stored().clone(), object: self.object.clone() }
    }
}

/// The answer to a list: objects in the order of their keys, all of one revision.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// The objects.
    pub items: Vec<Object>,
    /// The revision of the snapshot that they were read from. A watch from here misses nothing.
    pub revision: Revision,
    /// The token for the next page; `None` on the last.
    pub continue_token: Option<String>,
    /// How many follow this page, where that is known.
    pub remaining: Option<usize>,
}

/// The answer to a deletion.
#[derive(Clone, Debug)]
pub enum Deleted {
    /// The object is gone; this was its last version.
    Gone(Object),
    /// The object is marked and goes when its finalizers and its grace period are done.
    Pending(Object),
}

impl Deleted {
    /// The object as it was, or as it is now.
    pub fn object(&self) -> &Object {
        match self {
            Self::Gone(object) | Self::Pending(object) => object,
        }
    }
}

/// The verbs of the Kubernetes API over [`Object`]s. The server implements it directly, a remote client
/// over HTTP; `client::Client` is the typed face of either.
///
/// # Cancel safety
/// Dropping a future of a write before it is ready leaves it open whether the write took place, as a lost
/// connection would. No write takes place by halves.
#[async_trait]
pub trait Backend: Debug + Send + Sync + 'static {
    /// The kinds that it serves.
    fn kinds(&self) -> &Kinds;

    /// Reads an object, or a subresource that can be read (`status`, `scale`).
    async fn get(&self, call: &Call, target: &Target, options: &GetOptions) -> Result<Object, ApiError>;

    /// Reads all objects that match.
    async fn list(&self, call: &Call, target: &Target, options: &ListOptions) -> Result<List, ApiError>;

    /// Follows the objects that match. Events come in the order of their revisions, without gap.
    async fn watch(&self, call: &Call, target: &Target, options: &WatchOptions) -> Result<WatchStream, ApiError>;

    /// Creates an object, or posts to a subresource (`binding`, `eviction`, `token`): the target then has name
    /// and subresource.
    async fn create(
        &self,
        call: &Call,
        target: &Target,
        object: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError>;

    /// Replaces an object or a subresource (`status`, `scale`, `ephemeralcontainers`, …).
    async fn update(
        &self,
        call: &Call,
        target: &Target,
        object: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError>;

    /// Changes an object or a subresource.
    async fn patch(
        &self,
        call: &Call,
        target: &Target,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Object, ApiError>;

    /// Deletes an object.
    async fn delete(&self, call: &Call, target: &Target, options: &DeleteOptions) -> Result<Deleted, ApiError>;

    /// Deletes all objects that match.
    async fn delete_collection(
        &self,
        call: &Call,
        target: &Target,
        options: &DeleteOptions,
        matching: &ListOptions,
    ) -> Result<List, ApiError>;

    /// Opens a stream to a pod: logs, exec, attach, port-forward.
    async fn connect(&self, call: &Call, target: &Target, connect: Connect) -> Result<Connection, ApiError>;
}

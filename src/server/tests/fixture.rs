//! A server to test, and short ways to call it.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use serde_json::{Value, json};

use crate::api::decode;
use crate::api::{
    ApiError, ApiType, Backend, Call, DeleteOptions, Deleted, Draft, Kind, KindRef, List, ListOptions, Object, Patch,
    Target, User, WatchOptions, WatchStream, WriteOptions,
};
use crate::clock::Clock;
use crate::random::Random;
use crate::server::{Server, ServerBuilder};
use crate::store::MemoryStore;

pub(super) struct Fixture {
    pub(super) server: Server,
    pub(super) call: Call,
}

impl Fixture {
    pub(super) async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    pub(super) async fn with(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let builder = Server::builder(Arc::new(MemoryStore::default()))
            .clock(Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()))
            .random(Random::seeded(1));
        let server = configure(builder).start().await.unwrap();
        Self { server, call: Call::new(Arc::new(User::admin()), "test").keeping_warnings() }
    }

    pub(super) fn all<K: ApiType>(&self, namespace: &str) -> Target {
        Target::all(Kind::of::<K>(), namespace)
    }

    pub(super) fn one<K: ApiType>(&self, namespace: &str, name: &str) -> Target {
        Target::one(Kind::of::<K>(), namespace, name)
    }

    /// An object of a kind, from JSON.
    pub(super) fn draft(&self, kind: &KindRef, value: &Value) -> Draft {
        decode::object(kind, &serde_json::to_vec(value).unwrap()).unwrap().object
    }

    pub(super) async fn create<K: ApiType>(&self, namespace: &str, value: Value) -> Result<Object, ApiError> {
        self.create_with::<K>(namespace, value, &WriteOptions::default()).await
    }

    pub(super) async fn create_with<K: ApiType>(
        &self,
        namespace: &str,
        value: Value,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        let target = self.all::<K>(namespace);
        let draft = self.draft(&target.kind, &value);
        self.server.create(&self.call, &target, draft, options).await
    }

    /// Posts a body to a subresource.
    pub(super) async fn post<B: ApiType>(&self, target: &Target, value: Value) -> Result<Object, ApiError> {
        let draft = self.draft(&Kind::of::<B>(), &value);
        self.server.create(&self.call, target, draft, &WriteOptions::default()).await
    }

    pub(super) async fn get<K: ApiType>(&self, namespace: &str, name: &str) -> Result<Object, ApiError> {
        self.server.get(&self.call, &self.one::<K>(namespace, name), &Default::default()).await
    }

    pub(super) async fn put(&self, target: &Target, value: &Value) -> Result<Object, ApiError> {
        let draft = self.draft(&target.kind, value);
        self.server.update(&self.call, target, draft, &WriteOptions::default()).await
    }

    pub(super) async fn merge(&self, target: &Target, patch: Value) -> Result<Object, ApiError> {
        self.server.patch(&self.call, target, Patch::Merge(patch), &WriteOptions::default()).await
    }

    pub(super) async fn delete(&self, target: &Target, options: &DeleteOptions) -> Result<Deleted, ApiError> {
        self.server.delete(&self.call, target, options).await
    }

    pub(super) async fn list<K: ApiType>(&self, namespace: &str, options: &ListOptions) -> Result<List, ApiError> {
        self.server.list(&self.call, &self.all::<K>(namespace), options).await
    }

    pub(super) async fn watch<K: ApiType>(&self, namespace: &str, options: &WatchOptions) -> WatchStream {
        self.server.watch(&self.call, &self.all::<K>(namespace), options).await.unwrap()
    }

    /// A config map in `default`.
    pub(super) async fn map(&self, name: &str) -> Object {
        self.create::<ConfigMap>("default", json!({"metadata": {"name": name}, "data": {"a": "1"}})).await.unwrap()
    }

    /// A pod of one container in `default`.
    pub(super) async fn pod(&self, name: &str) -> Object {
        self.create::<Pod>("default", pod(name)).await.unwrap()
    }

    pub(super) async fn namespace(&self, name: &str) -> Object {
        self.create::<Namespace>("", json!({"metadata": {"name": name}})).await.unwrap()
    }
}

pub(super) fn pod(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "nginx"}]},
    })
}

pub(super) fn value(object: &Object) -> Value {
    object.to_value().unwrap()
}

/// Code, reason and message of an error.
pub(super) fn said<T: std::fmt::Debug>(result: Result<T, ApiError>) -> (u16, String, String) {
    let error = result.unwrap_err();
    let status = error.status().clone();
    (error.code(), status.reason.unwrap_or_default(), status.message.unwrap_or_default())
}

/// What [`said`] is expected to give.
pub(super) fn says(code: u16, reason: &str, message: &str) -> (u16, String, String) {
    (code, reason.to_owned(), message.to_owned())
}

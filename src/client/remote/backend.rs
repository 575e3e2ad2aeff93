//! The verbs.

use ::http::{Method, Request, Response, header};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;

use super::answer;
use super::http::{ConnectError, Transport};
use super::kubeconfig::{Access, Kubeconfig};
use super::stream::Sessions;
use super::watch;
use super::wire::{self, Location};
use crate::api::{
    ApiError, Backend, Call, Connect, Connection, DeleteOptions, Deleted, Draft, GetOptions, KindRef, Kinds, List,
    ListOptions, Object, Patch, Target, WatchOptions, WatchStream, WriteOptions,
};

/// The API of a server that is reached over HTTP or HTTPS: of this crate, or any other Kubernetes.
///
/// Who calls is said by the credentials, not by [`Call::user`].
///
/// ```no_run
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use orchestrion::client::Client;
/// use orchestrion::client::remote::{RemoteBackend, kubeconfig::Kubeconfig};
/// use orchestrion::{clock::Clock, random::Random};
/// let config = Kubeconfig::read("admin.kubeconfig")?;
/// let backend = RemoteBackend::of_kubeconfig(&config)?;
/// let client = Client::new(Arc::new(backend), Clock::system(), Random::from_entropy());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RemoteBackend {
    kinds: Kinds,
    pub(super) transport: Transport,
    pub(super) sessions: Sessions,
}

impl RemoteBackend {
    /// The server and the user of a kubeconfig's current context.
    ///
    /// # Errors
    /// Where the kubeconfig or what it names cannot be used. The server is not asked.
    pub fn of_kubeconfig(config: &Kubeconfig) -> Result<Self, ConnectError> {
        Self::new(&config.access(None).map_err(ConnectError::Kubeconfig)?)
    }

    /// The server and the user of `access`. The server is first reached by the first call.
    ///
    /// # Errors
    /// Where the URL, a certificate or a key cannot be used.
    pub fn new(access: &Access) -> Result<Self, ConnectError> {
        Ok(Self { kinds: Kinds::builtin(), transport: Transport::new(access)?, sessions: Sessions::default() })
    }

    /// The same backend knowing these kinds.
    #[must_use]
    pub fn kinds(mut self, kinds: Kinds) -> Self {
        self.kinds = kinds;
        self
    }

    pub(super) async fn send(
        &self,
        call: &Call,
        method: Method,
        location: &Location,
        content: Option<(&str, Bytes)>,
    ) -> Result<Response<Incoming>, ApiError> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.transport.uri(location.as_str())?)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, if call.agent.is_empty() { "orchestrion" } else { &call.agent });
        let mut body = Bytes::new();
        if let Some((media, bytes)) = content {
            request = request.header(header::CONTENT_TYPE, media);
            body = bytes;
        }
        let request = request.body(Full::new(body)).map_err(ApiError::internal)?;
        answer::good(self.transport.send(request).await?, call).await
    }

    async fn write(
        &self,
        call: &Call,
        method: Method,
        target: &Target,
        object: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        let mut location = Location::of(target);
        location.write(options);
        let json = object.body().to_json().map_err(ApiError::internal)?;
        let response = self.send(call, method, &location, Some(("application/json", json.into()))).await?;
        let body = answer::body(response).await?;
        match is_status(&body) {
            // A binding or an eviction is answered with a bare success.
            true => Ok(object.seal_as_is()),
            false => answer::object(object.kind(), &body),
        }
    }

    /// The kind of what a target is read as: of the subresource, where it has its own.
    fn kind_of(&self, target: &Target) -> Result<KindRef, ApiError> {
        let body = target.kind.subresource(&target.subresource).and_then(|subresource| subresource.body);
        match body {
            None => Ok(target.kind.clone()),
            Some((group, version, kind)) => self
                .kinds
                .by_kind(group, version, kind)
                .ok_or_else(|| ApiError::internal(format!("no row for {kind} in the kinds table"))),
        }
    }
}

fn is_status(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Identity {
        #[serde(default)]
        kind: String,
    }
    serde_json::from_slice::<Identity>(body).is_ok_and(|identity| identity.kind == "Status")
}

#[async_trait]
impl Backend for RemoteBackend {
    fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    async fn get(&self, call: &Call, target: &Target, options: &GetOptions) -> Result<Object, ApiError> {
        let kind = self.kind_of(target)?;
        let mut location = Location::of(target);
        let response = self.send(call, Method::GET, location.get(options), None).await?;
        answer::object(&kind, &answer::body(response).await?)
    }

    async fn list(&self, call: &Call, target: &Target, options: &ListOptions) -> Result<List, ApiError> {
        let mut location = Location::of(target);
        let response = self.send(call, Method::GET, location.list(options), None).await?;
        answer::list(&target.kind, &answer::body(response).await?)
    }

    async fn watch(&self, call: &Call, target: &Target, options: &WatchOptions) -> Result<WatchStream, ApiError> {
        let mut location = Location::of(target);
        let response = self.send(call, Method::GET, location.watch(options), None).await?;
        Ok(watch::events(target.kind.clone(), response))
    }

    async fn create(
        &self,
        call: &Call,
        target: &Target,
        object: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        // The name of an object that is created goes in its body only.
        let target = if target.subresource.is_empty() { &target.named("") } else { target };
        self.write(call, Method::POST, target, object, options).await
    }

    async fn update(
        &self,
        call: &Call,
        target: &Target,
        object: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        self.write(call, Method::PUT, target, object, options).await
    }

    async fn patch(
        &self,
        call: &Call,
        target: &Target,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        let kind = self.kind_of(target)?;
        let mut location = Location::of(target);
        location.write(options).flag("force", matches!(patch, Patch::Apply { force: true, .. }));
        let (media, body) = wire::patch(&patch);
        let body = serde_json::to_vec(body).map_err(ApiError::internal)?;
        let response = self.send(call, Method::PATCH, &location, Some((media, body.into()))).await?;
        answer::object(&kind, &answer::body(response).await?)
    }

    async fn delete(&self, call: &Call, target: &Target, options: &DeleteOptions) -> Result<Deleted, ApiError> {
        let body = wire::delete_options(options).to_string();
        let content = Some(("application/json", body.into()));
        let response = self.send(call, Method::DELETE, &Location::of(target), content).await?;
        let body = answer::body(response).await?;
        if is_status(&body) {
            // Gone, and the server says no more than what it was called.
            let status: serde_json::Value = serde_json::from_slice(&body).map_err(answer::not_understood)?;
            let mut metadata = json!({ "name": target.name(), "uid": status["details"]["uid"] });
            if !target.namespace().is_empty() {
                metadata["namespace"] = json!(target.namespace());
            }
            return answer::object_of(&target.kind, &json!({ "metadata": metadata })).map(Deleted::Gone);
        }
        let object = answer::object(&target.kind, &body)?;
        let meta = object.meta();
        let held = meta.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
        let ends_later = meta.deletion_timestamp.is_some() && (held || meta.deletion_grace_period_seconds != Some(0));
        Ok(if ends_later { Deleted::Pending(object) } else { Deleted::Gone(object) })
    }

    async fn delete_collection(
        &self,
        call: &Call,
        target: &Target,
        options: &DeleteOptions,
        matching: &ListOptions,
    ) -> Result<List, ApiError> {
        let mut location = Location::of(target);
        location.list(matching);
        let body = wire::delete_options(options).to_string();
        let response = self.send(call, Method::DELETE, &location, Some(("application/json", body.into()))).await?;
        answer::list(&target.kind, &answer::body(response).await?)
    }

    async fn connect(&self, call: &Call, target: &Target, connect: Connect) -> Result<Connection, ApiError> {
        self.open(call, target, connect).await
    }
}

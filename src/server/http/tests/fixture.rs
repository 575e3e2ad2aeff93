//! A backend that is just enough to answer: ConfigMaps in a list, no rules.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;

use crate::api::{
    ApiError, Backend, Call, Connect, Connection, DeleteOptions, Deleted, Draft, GetOptions, Kinds, List, ListOptions,
    Object, Patch, Revision, Target, User, WatchEvent, WatchOptions, WatchStream, WriteOptions,
};
use crate::clock::Clock;
use crate::random::Random;
use crate::server::authz::{Authorizer, Masters};
use crate::server::http::{Body, Config, Front};

#[derive(Debug)]
pub(super) struct Few {
    kinds: Kinds,
    objects: Mutex<Vec<Object>>,
    pub(super) calls: Mutex<Vec<String>>,
}

impl Few {
    pub(super) fn named(names: &[&str]) -> Arc<Self> {
        let objects = names.iter().enumerate().map(|(at, name)| map(name).seal(Revision::from(at as u64 + 1)));
        Arc::new(Self { kinds: Kinds::builtin(), objects: Mutex::new(objects.collect()), calls: Mutex::default() })
    }

    fn log(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn find(&self, target: &Target) -> Result<Object, ApiError> {
        let objects = self.objects.lock().unwrap();
        let found = objects.iter().find(|object| object.name() == target.name()).cloned();
        found.ok_or_else(|| ApiError::not_found(&target.kind.resource(), target.name()))
    }
}

pub(super) fn map(name: &str) -> Draft {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.into());
    map.metadata.namespace = Some("default".into());
    map.metadata.uid = Some(format!("uid-of-{name}"));
    Draft::new(map)
}

#[async_trait]
impl Backend for Few {
    fn kinds(&self) -> &Kinds {
        &self.kinds
    }
    async fn get(&self, _: &Call, target: &Target, _: &GetOptions) -> Result<Object, ApiError> {
        self.find(target)
    }
    async fn list(&self, call: &Call, _: &Target, options: &ListOptions) -> Result<List, ApiError> {
        self.log(format!("list by {} of {:?}", call.user.name, options.consistency));
        let items = self.objects.lock().unwrap().clone();
        Ok(List { items, revision: Revision::from(9), continue_token: Some("more".into()), remaining: Some(1) })
    }
    async fn watch(&self, _: &Call, _: &Target, options: &WatchOptions) -> Result<WatchStream, ApiError> {
        self.log(format!("watch from {:?}, bookmarks {}", options.from, options.bookmarks));
        let objects = self.objects.lock().unwrap().clone();
        let mut events: Vec<_> = objects.into_iter().map(|object| Ok(WatchEvent::Added(object))).collect();
        events.push(Ok(WatchEvent::Bookmark { revision: Revision::from(9), initial_events_end: true }));
        events.push(Err(ApiError::expired("too old resource version: 1 (7)")));
        Ok(stream::iter(events).boxed())
    }
    async fn create(&self, call: &Call, _: &Target, object: Draft, options: &WriteOptions) -> Result<Object, ApiError> {
        self.log(format!("create {} dry run {}", object.meta().name.as_deref().unwrap_or_default(), options.dry_run));
        call.warn("think \"twice\"");
        Ok(object.seal(Revision::from(10)))
    }
    async fn update(&self, _: &Call, _: &Target, object: Draft, _: &WriteOptions) -> Result<Object, ApiError> {
        Ok(object.seal(Revision::from(11)))
    }
    async fn patch(&self, _: &Call, target: &Target, patch: Patch, _: &WriteOptions) -> Result<Object, ApiError> {
        self.log(format!("{patch:?}"));
        self.find(target)
    }
    async fn delete(&self, _: &Call, target: &Target, options: &DeleteOptions) -> Result<Deleted, ApiError> {
        self.log(format!("{:?} {:?} {:?}", options.propagation, options.grace_period, options.uid));
        self.find(target).map(Deleted::Gone)
    }
    async fn delete_collection(
        &self,
        _: &Call,
        _: &Target,
        _: &DeleteOptions,
        matching: &ListOptions,
    ) -> Result<List, ApiError> {
        self.log(format!("delete all with {:?}", matching.labels.requirements.len()));
        Ok(List::default())
    }
    async fn connect(&self, _: &Call, _: &Target, _: Connect) -> Result<Connection, ApiError> {
        Err(ApiError::bad_request("no pods here"))
    }
}

pub(super) fn front(backend: &Arc<Few>) -> Front {
    authorized_by(backend, Arc::new(Masters))
}

pub(super) fn authorized_by(backend: &Arc<Few>, authorizer: Arc<dyn Authorizer>) -> Front {
    let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
    let mut config = Config::new(clock, Random::seeded(1));
    config.authorizer = authorizer;
    config.tokens.add("secret", User::new("ann", &[]));
    Front::new(backend.clone(), config)
}

/// Sends a request as the administrator: method, path, headers and body in one line each.
pub(super) async fn send(front: &Front, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    send_as(&front.as_user(User::admin()), method, path, headers, body).await
}

pub(super) async fn send_as(front: &Front, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
    Answer::of(front.handle(request).await).await
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) text: String,
}

impl Answer {
    async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        Self { code: parts.status.as_u16(), headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Code, reason and message of a failure.
    pub(super) fn failure(&self) -> (u16, String, String) {
        let status = self.json();
        assert_eq!((&status["kind"], &status["status"]), (&"Status".into(), &"Failure".into()), "{}", self.text);
        let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
        (self.code, text("reason"), text("message"))
    }
}

//! [`Context`]: what a reconciler reaches the world through.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::api::{
    ApiError, Backend, Call, Connect, Connection, DeleteOptions, Deleted, Draft, GetOptions, GroupResource, Kinds,
    List, ListOptions, Object, Patch, Revision, Target, WatchOptions, WatchStream, WriteOptions,
};
use crate::client::{Client, EventRecorder, Informers};
use crate::clock::Clock;
use crate::random::Random;

/// A client, informers that are shared by all controllers of the process, and a recorder of events.
#[derive(Clone, Debug)]
pub struct Context {
    client: Client,
    informers: Informers,
    events: EventRecorder,
}

impl Context {
    /// A context over `client`, with informers and an event queue of its own.
    pub fn new(client: Client) -> Self {
        Self { informers: Informers::new(client.clone()), events: EventRecorder::new(client.clone()), client }
    }

    /// The same context under the name of a component: its client's agent and the source of its events.
    #[must_use]
    pub fn named(&self, component: &str) -> Self {
        Self { client: self.client.clone().named(component), events: self.events.named(component), ..self.clone() }
    }

    /// The same context with another source of events than the client's agent.
    #[must_use]
    pub fn with_event_source(mut self, component: &str) -> Self {
        self.events = self.events.named(component);
        self
    }

    /// The client. What a reconciliation writes through it, it sees in its informers the next time.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The informers.
    pub fn informers(&self) -> &Informers {
        &self.informers
    }

    /// The recorder of events.
    pub fn events(&self) -> &EventRecorder {
        &self.events
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        self.client.clock()
    }

    /// The source of randomness.
    pub fn random(&self) -> &Random {
        self.client.random()
    }

    /// The same context, taking note of what is written through its client.
    pub(super) fn noting(&self) -> (Self, Arc<Noting>) {
        let noting = Arc::new(Noting { inner: Arc::clone(self.client.backend()), written: Mutex::default() });
        let backend: Arc<dyn Backend> = Arc::<Noting>::clone(&noting);
        (Self { client: self.client.clone().over(backend), ..self.clone() }, noting)
    }
}

/// A backend that notes the newest revision written of each resource.
#[derive(Debug)]
pub(super) struct Noting {
    inner: Arc<dyn Backend>,
    written: Mutex<BTreeMap<GroupResource, Revision>>,
}

impl Noting {
    /// Waits until the informers show what was written.
    pub(super) async fn shown_by(&self, informers: &Informers) {
        let written = std::mem::take(&mut *self.written.lock().unwrap_or_else(PoisonError::into_inner));
        for (resource, revision) in written {
            informers.caught_up(&resource, revision).await;
        }
    }

    fn note(&self, target: &Target, dry_run: bool, revision: Revision) {
        if dry_run || revision == Revision::ZERO {
            return;
        }
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = written.entry(target.kind.stored().clone()).or_default();
        *newest = revision.max(*newest);
    }
}

#[async_trait]
impl Backend for Noting {
    fn kinds(&self) -> &Kinds {
        self.inner.kinds()
    }

    async fn get(&self, call: &Call, target: &Target, options: &GetOptions) -> Result<Object, ApiError> {
        self.inner.get(call, target, options).await
    }

    async fn list(&self, call: &Call, target: &Target, options: &ListOptions) -> Result<List, ApiError> {
        self.inner.list(call, target, options).await
    }

    async fn watch(&self, call: &Call, target: &Target, options: &WatchOptions) -> Result<WatchStream, ApiError> {
        self.inner.watch(call, target, options).await
    }

    async fn create(
        &self,
        call: &Call,
        target: &Target,
        object: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        let created = self.inner.create(call, target, object, options).await?;
        self.note(target, options.dry_run, created.revision());
        Ok(created)
    }

    async fn update(
        &self,
        call: &Call,
        target: &Target,
        object: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        let updated = self.inner.update(call, target, object, options).await?;
        self.note(target, options.dry_run, updated.revision());
        Ok(updated)
    }

    async fn patch(
        &self,
        call: &Call,
        target: &Target,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        let patched = self.inner.patch(call, target, patch, options).await?;
        self.note(target, options.dry_run, patched.revision());
        Ok(patched)
    }

    async fn delete(&self, call: &Call, target: &Target, options: &DeleteOptions) -> Result<Deleted, ApiError> {
        let deleted = self.inner.delete(call, target, options).await?;
        self.note(target, options.dry_run, deleted.object().revision());
        Ok(deleted)
    }

    async fn delete_collection(
        &self,
        call: &Call,
        target: &Target,
        options: &DeleteOptions,
        matching: &ListOptions,
    ) -> Result<List, ApiError> {
        let deleted = self.inner.delete_collection(call, target, options, matching).await?;
        for object in &deleted.items {
            self.note(target, options.dry_run, object.revision());
        }
        Ok(deleted)
    }

    async fn connect(&self, call: &Call, target: &Target, connect: Connect) -> Result<Connection, ApiError> {
        self.inner.connect(call, target, connect).await
    }
}

//! Controllers: loops that bring the world to what objects say.
//!
//! A [`Reconciler`] says what to do about one object; a [`Controller`] decides when, from changes of that object and
//! of what it owns or watches: one call per object at a time, failures again with growing pauses, and never on a
//! view from before the last call's own writes. [`controllers`] are those of Kubernetes itself.

pub mod adopt;
mod context;
mod controller;
pub mod controllers;
mod error;
pub mod leader;
pub mod pod;
pub mod pod_control;
mod slow_start;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::context::Context;
pub use self::controller::{Controller, Running};
pub use self::error::Error;
pub use self::slow_start::slow_start;
use crate::api::ApiType;
use crate::client::ObjectRef;

/// When to look at an object again, if nothing changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Not before something changes.
    #[default]
    Done,
    /// After so long. With no time at all there is more to do: the object is not made to wait, as one is otherwise that
    /// has been much work.
    After(Duration),
}

impl Action {
    /// The sooner of two.
    #[must_use]
    pub fn or_sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::After(a), Self::After(b)) => Self::After(a.min(b)),
            (Self::Done, other) => other,
            (this, Self::Done) => this,
        }
    }
}

impl From<Option<Duration>> for Action {
    fn from(after: Option<Duration>) -> Self {
        after.map_or(Self::Done, Self::After)
    }
}

/// Brings the world to what objects of one kind say.
///
/// ```
/// use std::sync::Arc;
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use orchestrion::api::Patch;
/// use orchestrion::reconcile::{Action, Context, Controller, Error, Reconciler};
///
/// /// Labels every ConfigMap.
/// #[derive(Debug)]
/// struct Labeller;
///
/// #[async_trait::async_trait]
/// impl Reconciler for Labeller {
///     type Object = ConfigMap;
///
///     async fn reconcile(&self, map: Arc<ConfigMap>, ctx: &Context) -> Result<Action, Error> {
///         let (namespace, name) = (map.metadata.namespace.as_deref(), map.metadata.name.as_deref());
///         let labelled = serde_json::json!({ "metadata": { "labels": { "seen": "yes" } } });
///         let maps = ctx.client().api::<ConfigMap>(namespace.unwrap_or_default());
///         maps.patch(name.unwrap_or_default(), Patch::Merge(labelled)).await?;
///         Ok(Action::Done)
///     }
/// }
///
/// # fn start(ctx: &Context) {
/// let running = Controller::new("labeller", Labeller).start(ctx);
/// # drop(running); // ends it
/// # }
/// ```
///
/// # Guarantees
/// - It is called for every object that exists when the controller starts, after every change of one, and after
///   every change of what the controller owns or watches for it. Changes in between are not counted: it must look
///   at how things are, not at what happened.
/// - Never twice at once for the same object.
/// - `object` and the context's informers show at least everything that the last call for the same object wrote.
///
/// # Cancel safety
/// The future is dropped, wherever it stands, when the controller ends. The next one begins from what was written.
#[async_trait]
pub trait Reconciler: Debug + Send + Sync + 'static {
    /// The kind of the objects.
    type Object: ApiType;

    /// Brings the world to what `object` says. An error has it called again, with growing pauses.
    ///
    /// # Errors
    /// Where something could not be done (yet).
    async fn reconcile(&self, object: Arc<Self::Object>, ctx: &Context) -> Result<Action, Error>;

    /// Cleans up after an object that is gone. By default nothing: the garbage collector deletes what it owned.
    /// May be called for objects that never were.
    ///
    /// # Errors
    /// Where something could not be done (yet).
    async fn gone(&self, _object: &ObjectRef, _ctx: &Context) -> Result<Action, Error> {
        Ok(Action::Done)
    }
}

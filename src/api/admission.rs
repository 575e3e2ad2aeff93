//! Admission: what may change or refuse a write between its strategy and the store.

use std::any::TypeId;
use std::fmt::Debug;

use async_trait::async_trait;

use super::backend::{Call, Target};
use super::object::{Draft, Object};
use super::status::ApiError;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An object is created, or a body posted to a subresource.
    Create,
    /// An object or subresource is replaced or patched.
    Update,
    /// An object is deleted.
    Delete,
    /// A stream is opened.
    Connect,
}

/// A write on its way into the store.
#[derive(Debug)]
pub struct Review<'a> {
    /// The call.
    pub call: &'a Call,
    /// What it is about, in the stored version. The name is known by now, the namespace filled in.
    pub target: &'a Target,
    /// What is being done.
    pub operation: Operation,
    /// The object as it is stored now, where it is.
    pub old: Option<&'a Object>,
    /// Whether nothing will be kept.
    pub dry_run: bool,
}

impl Review<'_> {
    /// Whether it is an object of type `K` itself, no subresource of it, that is written in one of these ways.
    pub fn writes<K: 'static>(&self, operations: &[Operation]) -> bool {
        let target = self.target;
        operations.contains(&self.operation)
            && target.subresource.is_empty()
            && target.kind.body_type() == TypeId::of::<K>()
    }
}

/// A step of admission. Steps run in the order in which the server was given them: first every
/// [`Admission::admit`] (on the object with its defaults, before the strategy prepares it), then, after the
/// strategy's own checks, every [`Admission::validate`].
///
/// Source: <https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/>
#[async_trait]
pub trait Admission: Debug + Send + Sync {
    /// The name, as upstream spells it: `NamespaceLifecycle`, `Priority`, …
    fn name(&self) -> &'static str;

    /// Whether the step has to do with a write at all. Where it has not, nothing else of it is called.
    fn handles(&self, _review: &Review<'_>) -> bool {
        true
    }

    /// May change the object. `object` is `None` for deletions and streams.
    ///
    /// # Errors
    /// Any error refuses the write.
    async fn admit(&self, _review: &Review<'_>, _object: Option<&mut Draft>) -> Result<(), ApiError> {
        Ok(())
    }

    /// May refuse the write.
    ///
    /// # Errors
    /// Any error refuses the write.
    async fn validate(&self, _review: &Review<'_>, _object: Option<&Draft>) -> Result<(), ApiError> {
        Ok(())
    }

    /// Told that a write which it admitted took place (`stored` is the new version; `None` after the object
    /// is gone), or did not (`failed`: refused later, or the caller has gone). For steps that hold reservations,
    /// such as cluster IPs. Called once for each [`Admission::admit`] that returned `Ok`.
    fn settled(&self, _review: &Review<'_>, _stored: Option<&Object>, _failed: bool) {}
}

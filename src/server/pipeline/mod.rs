//! The order of steps, once, for all writes of all kinds.
//!
//! Creation: metadata, defaults, mutating admission, name, the strategy's preparation, checks, validating admission,
//! store. Update: the same over the version that is stored, again from the start where that changed meanwhile. The
//! order is upstream's (`k8s.io/apiserver/pkg/registry/rest` and `…/generic/registry/store.go`).

mod create;
mod meta;
mod part;
mod update;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(super) use self::meta::{check_uid, wipe_version};
pub(super) use self::part::Part;
pub(super) use self::update::holds_content;
use super::admission::Chain;
use super::authz::Authorizer;
use super::subresource::TokenIssuer;
use crate::api::{
    ApiError, Call, FieldErrors, KindRef, Kinds, NodeDirectory, Object, Operation, Review, Surroundings, Target,
};
use crate::clock::Clock;
use crate::random::Random;
use crate::store::Store;

/// What a server works with.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: Arc<dyn Store>,
    pub(super) kinds: Kinds,
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(super) authorizer: Arc<dyn Authorizer>,
    pub(super) admission: Chain,
    pub(super) nodes: Option<Arc<dyn NodeDirectory>>,
    pub(super) tokens: Option<Arc<dyn TokenIssuer>>,
    pub(super) loopback_network: bool,
}

/// A write on its way into the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pipeline<'a> {
    pub(super) server: &'a Inner,
    pub(super) call: &'a Call,
    /// What it is about, in the stored version.
    pub(super) target: &'a Target,
    pub(super) dry_run: bool,
}

impl Inner {
    /// The time now as objects carry it: in whole seconds, as it reads back from the wire.
    pub(super) fn time(&self) -> Time {
        let now = self.clock.now();
        Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
    }

    pub(super) fn surroundings(&self) -> Surroundings {
        Surroundings { now: self.time().0, loopback_network: self.loopback_network }
    }

    /// The stored object that a target (in the stored version) names.
    pub(super) async fn read(&self, target: &Target) -> Result<Object, ApiError> {
        self.find(target).await?.ok_or_else(|| ApiError::not_found(&target.kind.resource(), target.name()))
    }

    /// The stored object that a target (in the stored version) names, where there is one.
    pub(super) async fn find(&self, target: &Target) -> Result<Option<Object>, ApiError> {
        Ok(self.store.get(&target.key()).await?)
    }
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(server: &'a Inner, call: &'a Call, target: &'a Target, dry_run: bool) -> Self {
        Self { server, call, target, dry_run }
    }

    pub(super) fn kind(&self) -> &'a KindRef {
        &self.target.kind
    }

    pub(super) fn review<'r>(&'r self, operation: Operation, old: Option<&'r Object>) -> Review<'r> {
        Review { call: self.call, target: self.target, operation, old, dry_run: self.dry_run }
    }

    /// The error that field errors are, where there are any.
    fn verdict(&self, name: &str, errors: &FieldErrors) -> Result<(), ApiError> {
        if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(&self.kind().group_kind(), name, errors)) }
    }
}

/// A timestamp so many seconds later.
pub(super) fn later(time: Timestamp, seconds: i64) -> Timestamp {
    time.saturating_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

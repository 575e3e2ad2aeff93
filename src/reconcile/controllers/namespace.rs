//! Namespaces: a namespace that is deleted empties first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, NamespaceStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::{
    ApiError, DeleteOptions, Draft, GroupResource, KindRef, ListOptions, Propagation, Reason, WriteOptions,
};
use crate::client::{Change, ObjectRef};
use crate::reconcile::{Action, Context, Controller, Error, Reconciler, pod};

/// What keeps a namespace until it is empty.
const FINALIZER: &str = "kubernetes";
/// How long content that waits for somebody's finalizer is expected to take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The controller of Namespaces.
pub fn controller() -> Controller<Namespaces> {
    // The end of a pod is what a namespace mostly waits for.
    Controller::new("namespace-controller", Namespaces).watches(|change: &Change<Pod>, informers| {
        let namespace = change.object().metadata.namespace.as_deref().unwrap_or_default();
        let going = informers.of::<Namespace>().get("", namespace).is_some_and(|namespace| !is_active(&namespace));
        (going && change.new.is_none()).then(|| ObjectRef::new("", namespace)).into_iter().collect()
    })
}

/// Whether things can be created in the namespace.
pub(super) fn is_active(namespace: &Namespace) -> bool {
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    namespace.metadata.deletion_timestamp.is_none() && phase != Some("Terminating")
}

/// Empties namespaces that are deleted.
#[derive(Debug)]
pub struct Namespaces;

#[async_trait]
impl Reconciler for Namespaces {
    type Object = Namespace;

    async fn reconcile(&self, namespace: Arc<Namespace>, ctx: &Context) -> Result<Action, Error> {
        let has_finalizer = |namespace: &Namespace| {
            let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_ref());
            finalizers.is_some_and(|finalizers| finalizers.iter().any(|finalizer| finalizer == FINALIZER))
        };
        if namespace.metadata.deletion_timestamp.is_none() || !has_finalizer(&namespace) {
            return Ok(Action::Done);
        }
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        let api = ctx.client().all::<Namespace>();
        let found = empty(ctx, name).await;
        let now = ctx.clock().time();
        let updated = api.modify_status(name, |namespace| found.describe(namespace, &now)).await;
        let namespace = match updated {
            Err(error) if error.is_not_found() => return Ok(Action::Done),
            updated => updated?,
        };
        if let Some(failure) = found.failure {
            return Err(failure.into());
        }
        if !found.remaining.is_empty() {
            return Ok(Action::After(found.wait / 2 + Duration::from_secs(1)));
        }
        let mut finalized = Namespace::clone(&namespace);
        let spec = finalized.spec.get_or_insert_default();
        spec.finalizers = spec.finalizers.take().map(|mut finalizers| {
            finalizers.retain(|finalizer| finalizer != FINALIZER);
            finalizers
        });
        let finalized = Draft::new(finalized);
        match api.dynamic().update_sub("finalize", finalized, &WriteOptions::default()).await {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(Action::Done),
        }
    }
}

/// What was found in a namespace that is to be empty.
#[derive(Debug, Default)]
struct Found {
    /// How many objects are left of each resource.
    remaining: BTreeMap<String, usize>,
    /// How many objects wait for each finalizer.
    finalizers: BTreeMap<String, usize>,
    /// How long that may take.
    wait: Duration,
    /// What could not be deleted.
    failure: Option<ApiError>,
}

/// Deletes everything in the namespace, pods before all else.
async fn empty(ctx: &Context, namespace: &str) -> Found {
    let mut kinds = BTreeMap::<GroupResource, KindRef>::new();
    for kind in ctx.client().backend().kinds().all() {
        let serves = |verb| kind.verbs.contains(&verb);
        if kind.namespaced && serves("list") && serves("delete") {
            kinds.entry(kind.stored().clone()).or_insert(kind);
        }
    }
    let mut found = Found::default();
    let pods = GroupResource::new("", "pods");
    if let Some(kind) = kinds.remove(&pods) {
        found.clear(ctx, namespace, kind).await;
        if !found.remaining.is_empty() || found.failure.is_some() {
            return found;
        }
    }
    for kind in kinds.into_values() {
        found.clear(ctx, namespace, kind).await;
    }
    found
}

impl Found {
    /// Deletes the objects of one kind.
    async fn clear(&mut self, ctx: &Context, namespace: &str, kind: KindRef) {
        if let Err(error) = self.try_clear(ctx, namespace, &kind).await {
            // A kind that is not served has no objects.
            if !error.is_not_found() && error.reason() != Reason::MethodNotAllowed {
                self.failure.get_or_insert(error);
            }
        }
    }

    async fn try_clear(&mut self, ctx: &Context, namespace: &str, kind: &KindRef) -> Result<(), ApiError> {
        let api = ctx.client().dynamic(kind.clone(), namespace);
        let all = ListOptions::default();
        let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
        if kind.verbs.contains(&"deletecollection") {
            api.delete_collection(&options, &all).await?;
        } else {
            for object in api.list(&all).await?.items {
                match api.delete(object.name(), &options).await {
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => {}
                }
            }
        }
        let left = api.list(&all).await?.items;
        if left.is_empty() {
            return Ok(());
        }
        let resource = kind.resource();
        let (group, plural) = (resource.group(), resource.resource());
        self.remaining.insert(format!("{plural}.{group}"), left.len());
        for object in &left {
            for finalizer in object.meta().finalizers.iter().flatten() {
                *self.finalizers.entry(finalizer.clone()).or_default() += 1;
                self.wait = self.wait.max(PATIENCE);
            }
            if let Some(pod) = object.as_typed::<Pod>().filter(|pod| !pod::is_terminal(pod)) {
                let grace = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
                let grace = grace.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default();
                self.wait = self.wait.max(Duration::from_secs(grace));
            }
        }
        Ok(())
    }

    /// Says in the status how it stands.
    fn describe(&self, namespace: &mut Namespace, now: &Time) {
        let status = namespace.status.get_or_insert_default();
        status.phase = Some("Terminating".to_owned());
        let list = |counts: &BTreeMap<String, usize>, what: &str| {
            let each = counts.iter().map(|(name, count)| format!("{name} {what} {count} resource instances"));
            each.collect::<Vec<_>>().join(", ")
        };
        let deleting = "NamespaceDeletionContentFailure";
        let conditions = [
            (
                "NamespaceDeletionDiscoveryFailure",
                None,
                "ResourcesDiscovered",
                "All resources successfully discovered".to_owned(),
            ),
            (
                "NamespaceDeletionGroupVersionParsingFailure",
                None,
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed".to_owned(),
            ),
            match &self.failure {
                Some(error) => (
                    deleting,
                    Some("ContentDeletionFailed"),
                    "",
                    format!("Failed to delete all resource types, 1 remaining: {error}"),
                ),
                None => (
                    deleting,
                    None,
                    "ContentDeleted",
                    "All content successfully deleted, may be waiting on finalization".to_owned(),
                ),
            },
            if self.remaining.is_empty() {
                ("NamespaceContentRemaining", None, "ContentRemoved", "All content successfully removed".to_owned())
            } else {
                let message = format!("Some resources are remaining: {}", list(&self.remaining, "has"));
                ("NamespaceContentRemaining", Some("SomeResourcesRemain"), "", message)
            },
            if self.finalizers.is_empty() {
                let message = "All content-preserving finalizers finished".to_owned();
                ("NamespaceFinalizersRemaining", None, "ContentHasNoFinalizers", message)
            } else {
                let message =
                    format!("Some content in the namespace has finalizers remaining: {}", list(&self.finalizers, "in"));
                ("NamespaceFinalizersRemaining", Some("SomeFinalizersRemain"), "", message)
            },
        ];
        for (type_, trouble, fine, message) in conditions {
            let condition = NamespaceCondition {
                type_: type_.to_owned(),
                status: if trouble.is_some() { "True" } else { "False" }.to_owned(),
                reason: Some(trouble.unwrap_or(fine).to_owned()),
                message: Some(message),
                last_transition_time: Some(now.clone()),
            };
            set_condition(status, condition);
        }
    }
}

/// Sets a condition; one of the same status keeps the time of its transition.
fn set_condition(status: &mut NamespaceStatus, mut condition: NamespaceCondition) {
    let conditions = status.conditions.get_or_insert_default();
    match conditions.iter_mut().find(|current| current.type_ == condition.type_) {
        Some(current) => {
            if current.status == condition.status {
                condition.last_transition_time = current.last_transition_time.clone();
            }
            *current = condition;
        }
        None => conditions.push(condition),
    }
}

//! Delete: at once, gracefully, or when finalizers are done.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::api::{
    ApiError, Call, DeleteOptions, Deleted, Draft, GroupResource, Kind, List, ListOptions, Object, Operation,
    Propagation, Target,
};
use crate::server::convert::from_stored;
use crate::server::pipeline::{Inner, Pipeline, check_uid, holds_content, later};
use crate::store::{StoreError, Write};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// How a deletion goes on.
enum Plan {
    /// It is under way; there is nothing to do.
    Wait,
    /// The object is marked, where that changes anything, and then removed if nothing holds it.
    Mark { draft: Draft, changed: bool, remove: bool },
    /// The object is removed.
    Remove,
}

impl Inner {
    pub(in crate::server) async fn delete(
        &self,
        call: &Call,
        target: &Target,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiError> {
        let stored = self.stored_target(target)?;
        let deleted = Pipeline::new(self, call, &stored, options.dry_run).delete(options).await?;
        Ok(match deleted {
            Deleted::Gone(object) => Deleted::Gone(from_stored(&target.kind, object)?),
            Deleted::Pending(object) => Deleted::Pending(from_stored(&target.kind, object)?),
        })
    }

    pub(in crate::server) async fn delete_collection(
        &self,
        call: &Call,
        target: &Target,
        options: &DeleteOptions,
        matching: &ListOptions,
    ) -> Result<List, ApiError> {
        let mut list = self.list(target, matching).await?;
        let mut deleted = Vec::with_capacity(list.items.len());
        for object in list.items {
            let one = Target::one(target.kind.clone(), object.namespace(), object.name());
            match self.delete(call, &one, options).await {
                Ok(Deleted::Gone(object) | Deleted::Pending(object)) => deleted.push(object),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        list.items = deleted;
        Ok(list)
    }
}

impl Pipeline<'_> {
    /// Deletes the object, or has it on its way.
    pub(in crate::server) async fn delete(&self, options: &DeleteOptions) -> Result<Deleted, ApiError> {
        loop {
            let old = self.server.read(self.target).await?;
            precondition(self.kind(), options, &old)?;
            let review = self.review(Operation::Delete, Some(&old));
            let admitted = self.server.admission.admit(&review, None).await?;
            self.server.admission.validate(&review, None).await?;
            if let Some(deleted) = self.delete_version(&old, options).await? {
                admitted.settle(match &deleted {
                    Deleted::Gone(_) => None,
                    Deleted::Pending(object) => Some(object),
                });
                return Ok(deleted);
            }
        }
    }

    /// Deletes `old`. `None`: it is no longer the stored version.
    async fn delete_version(&self, old: &Object, options: &DeleteOptions) -> Result<Option<Deleted>, ApiError> {
        let now = self.server.time();
        let plan = match old.as_typed::<Namespace>() {
            Some(namespace) => plan_namespace(old, namespace, options, now),
            None => plan(self.kind(), old, options, now),
        };
        let (current, remove) = match plan {
            Plan::Wait => (old.clone(), false),
            Plan::Remove => (old.clone(), true),
            Plan::Mark { changed: false, remove, .. } => (old.clone(), remove),
            Plan::Mark { draft, remove, .. } if self.dry_run => (draft.seal_as_is(), remove),
            Plan::Mark { draft, remove, .. } => {
                let write = Write::Update { key: self.target.key(), object: draft, expected: old.revision() };
                match self.server.store.commit(write).await {
                    Ok(marked) => (marked, remove),
                    Err(StoreError::Conflict { .. }) => return Ok(None),
                    Err(error) => return Err(error.into()),
                }
            }
        };
        if !remove {
            return Ok(Some(Deleted::Pending(current)));
        }
        if self.dry_run {
            return Ok(Some(Deleted::Gone(current)));
        }
        let write = Write::Delete { key: self.target.key(), expected: current.revision() };
        match self.server.store.commit(write).await {
            Ok(gone) => Ok(Some(Deleted::Gone(gone))),
            Err(StoreError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a deletion presupposes of the object.
pub(in crate::server) fn precondition(kind: &Kind, options: &DeleteOptions, object: &Object) -> Result<(), ApiError> {
    // Upstream names the kind here, not the resource.
    let conflict = |why: String| {
        Err(ApiError::conflict(&GroupResource::new(kind.group.as_str(), kind.kind.as_str()), object.name(), why))
    };
    match options.uid.as_deref() {
        Some(uid) if kind.kind == "Namespace" => check_uid(kind, Some(uid), object)?,
        Some(uid) if uid != object.uid() => {
            return conflict(format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have \
                 been deleted and then recreated",
                object.uid()
            ));
        }
        _ => {}
    }
    let stored = object.revision();
    match options.resource_version.as_deref() {
        Some(version) if version != stored.to_string() => conflict(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record \
             ({stored}). The object might have been modified"
        )),
        _ => Ok(()),
    }
}

fn plan(kind: &Kind, old: &Object, options: &DeleteOptions, now: Time) -> Plan {
    // Upstream takes a negative period for one second.
    let asked = options.grace_period.map(|seconds| if seconds < 0 { 1 } else { seconds });
    let mut draft = old.only_draft();
    let before = draft.meta().clone();
    let graceful = match kind.strategy().grace_period(draft.body(), asked) {
        None => None,
        Some(period) => match (&before.deletion_timestamp, before.deletion_grace_period_seconds.unwrap_or(0)) {
            (None, _) => {
                let meta = draft.meta_mut();
                meta.deletion_timestamp = Some(Time(later(now.0, period)));
                bump(meta);
                Some(period)
            }
            (Some(_), 0) => None,
            (Some(due), current) => match asked {
                // Only shortening is possible.
                Some(asked) if asked < current => {
                    draft.meta_mut().deletion_timestamp = Some(Time(later(due.0, asked - current)));
                    Some(asked)
                }
                _ => return Plan::Wait,
            },
        },
    };
    let held = collect_finalizers(&mut draft, kind.strategy().propagation(), options.propagation);
    match graceful {
        Some(period) => draft.meta_mut().deletion_grace_period_seconds = Some(period),
        None if held => mark(draft.meta_mut(), now),
        None => return Plan::Remove,
    }
    let changed = *draft.meta() != before;
    Plan::Mark { draft, changed, remove: graceful == Some(0) && !held }
}

/// A namespace is marked as terminating, and goes when its content has gone.
fn plan_namespace(old: &Object, namespace: &Namespace, options: &DeleteOptions, now: Time) -> Plan {
    if old.meta().deletion_timestamp.is_some() {
        return if holds_content(namespace) { Plan::Wait } else { plan(old.kind(), old, options, now) };
    }
    let mut draft = old.draft();
    draft.meta_mut().deletion_timestamp = Some(now);
    collect_finalizers(&mut draft, Some(Propagation::Background), options.propagation);
    if let Some(namespace) = draft.typed_mut::<Namespace>() {
        namespace.status.get_or_insert_default().phase = Some("Terminating".to_owned());
    }
    Plan::Mark { draft, changed: true, remove: false }
}

/// Sets the finalizers by which the garbage collector knows what to do about dependents, and says whether any
/// finalizer holds the object. `default` is the kind's policy; a kind without one knows no garbage collection.
fn collect_finalizers(draft: &mut Draft, default: Option<Propagation>, asked: Option<Propagation>) -> bool {
    let current = draft.meta().finalizers.clone().unwrap_or_default();
    let has = |name: &str| current.iter().any(|finalizer| finalizer == name);
    if let Some(default) = default {
        let policy = match asked {
            Some(policy) => policy,
            None if has(ORPHAN) => Propagation::Orphan,
            None if has(FOREGROUND) => Propagation::Foreground,
            None => default,
        };
        let mut wanted: Vec<String> =
            current.iter().filter(|name| ![ORPHAN, FOREGROUND].contains(&name.as_str())).cloned().collect();
        match policy {
            Propagation::Orphan => wanted.push(ORPHAN.to_owned()),
            Propagation::Foreground => wanted.push(FOREGROUND.to_owned()),
            Propagation::Background => {}
        }
        let sorted = |list: &[String]| {
            let mut list = list.to_vec();
            list.sort();
            list
        };
        if sorted(&wanted) != sorted(&current) {
            draft.meta_mut().finalizers = Some(wanted).filter(|list| !list.is_empty());
        }
    }
    draft.meta().finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty())
}

/// Marks an object that is not deleted gracefully but held by finalizers.
fn mark(meta: &mut ObjectMeta, now: Time) {
    if meta.deletion_timestamp.is_none() {
        bump(meta);
    }
    if meta.deletion_timestamp.as_ref().is_none_or(|due| due.0 > now.0) {
        meta.deletion_timestamp = Some(now);
    }
    meta.deletion_grace_period_seconds = Some(0);
}

fn bump(meta: &mut ObjectMeta) {
    if let Some(generation) = meta.generation.filter(|generation| *generation > 0) {
        meta.generation = Some(generation + 1);
    }
}

//! Update: of an object, its status, or what else a subresource changes.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Part, Pipeline, meta};
use crate::api::rules;
use crate::api::{ApiError, Draft, FieldErrors, Object, Operation};
use crate::store::{StoreError, Write};

/// Makes the new version from the stored one. Called again where that has changed meanwhile.
pub(in crate::server) type Propose<'a> = &'a mut (dyn FnMut(&Object) -> Result<Draft, ApiError> + Send);

/// What a write has made of an object.
struct Put {
    object: Object,
    /// Whether it was the object's end.
    gone: bool,
}

impl Pipeline<'_> {
    /// Replaces the stored version by what `propose` makes of it.
    pub(in crate::server) async fn update(&self, part: Part<'_>, propose: Propose<'_>) -> Result<Object, ApiError> {
        loop {
            let old = self.server.read(self.target).await?;
            let new = propose(&old)?;
            if let Some(stored) = self.replace(part, &old, new).await? {
                return Ok(stored);
            }
        }
    }

    /// As [`Pipeline::update`], past the strategy and its checks: for what the server itself derives (a binding).
    pub(in crate::server) async fn amend(&self, propose: Propose<'_>) -> Result<Object, ApiError> {
        loop {
            let old = self.server.read(self.target).await?;
            let new = propose(&old)?;
            if let Some(Put { object, .. }) = self.put(&old, new, false).await? {
                return Ok(object);
            }
        }
    }

    /// Replaces `old`. `None`: it is no longer the stored version.
    pub(in crate::server) async fn replace(
        &self,
        part: Part<'_>,
        old: &Object,
        mut new: Draft,
    ) -> Result<Option<Object>, ApiError> {
        let strategy = self.kind().strategy();
        let review = self.review(Operation::Update, Some(old));
        let metadata = new.meta_mut();
        meta::enter_namespace(metadata, self.target)?;
        meta::check_name(metadata, self.target.name())?;
        meta::check_version(self.kind(), metadata, old)?;
        meta::one_owner_each(metadata, self.call, false);
        strategy.default(new.body_mut());
        let admitted = self.server.admission.admit(&review, Some(&mut new)).await?;
        strategy.default(new.body_mut());

        let around = self.server.surroundings();
        meta::one_owner_each(new.meta_mut(), self.call, true);
        meta::keep(new.meta_mut(), old.meta());
        part.prepare(&mut new, old, &around);
        if part != Part::Status && strategy.generation_changes(new.body(), old.body()) == Some(true) {
            let metadata = new.meta_mut();
            metadata.generation = Some(metadata.generation.unwrap_or(0) + 1);
        }

        let mut errors = FieldErrors::new();
        rules::meta::validate_meta_update(new.meta(), old.meta(), &mut errors);
        part.validate(&new, old, &around, &mut errors);
        self.verdict(self.target.name(), &errors)?;
        if part == Part::Main {
            for warning in strategy.warnings(new.body(), Some(old.body())) {
                self.call.warn(warning);
            }
        }
        self.server.admission.validate(&review, Some(&new)).await?;

        let changes = part == Part::Status && strategy.status_changes(new.body(), old.body());
        let Some(Put { object, gone }) = self.put(old, new, changes).await? else { return Ok(None) };
        admitted.settle(Some(&object).filter(|_| !gone));
        Ok(Some(object))
    }

    /// Stores what has passed every check: nothing where nothing has changed (unless it is known that it `changes`), and
    /// the deletion where this took the last thing that held it up. `None`: `old` is no longer the stored version.
    async fn put(&self, old: &Object, mut new: Draft, changes: bool) -> Result<Option<Put>, ApiError> {
        let ends = ends(&new, old.meta());
        if !ends && !changes && new.body().same(old.body()) {
            return Ok(Some(Put { object: old.clone(), gone: false }));
        }
        if self.dry_run {
            return Ok(Some(Put { object: new.seal_as_is(), gone: ends }));
        }
        new.compare(old);
        let (key, expected) = (self.target.key(), old.revision());
        let committed = if ends {
            let gone = self.server.store.commit(Write::Delete { key, expected }).await;
            // What is answered is the object as it was to be, not as it was before.
            gone.map(|gone| Put { object: new.seal(gone.revision()), gone: true })
        } else {
            let stored = self.server.store.commit(Write::Update { key, object: new, expected }).await;
            stored.map(|object| Put { object, gone: false })
        };
        match committed {
            Ok(put) => Ok(Some(put)),
            Err(StoreError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether nothing holds the object up any more, which is being deleted.
fn ends(new: &Draft, old: &ObjectMeta) -> bool {
    old.deletion_timestamp.is_some()
        && old.deletion_grace_period_seconds.unwrap_or(0) == 0
        && new.meta().finalizers.as_ref().is_none_or(Vec::is_empty)
        && new.typed::<Namespace>().is_none_or(|namespace| !holds_content(namespace))
}

/// Whether a namespace's own finalizers hold it: somebody is still to clear its content away.
pub(in crate::server) fn holds_content(namespace: &Namespace) -> bool {
    namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_ref()).is_some_and(|finalizers| !finalizers.is_empty())
}

//! Creation.

use super::{Pipeline, meta};
use crate::api::rules;
use crate::api::{ApiError, Draft, FieldErrors, Object, Operation};
use crate::server::error;
use crate::store::{StoreError, Write};

/// How many names are made up before one is used without looking.
const ATTEMPTS: usize = 8;

impl Pipeline<'_> {
    /// Creates an object.
    pub(in crate::server) async fn create(&self, mut draft: Draft) -> Result<Object, ApiError> {
        if self.kind().namespaced && self.target.namespace().is_empty() {
            return Err(ApiError::bad_request("an empty namespace may not be set during creation"));
        }
        if !matches!(draft.meta().resource_version.as_deref(), None | Some("" | "0")) {
            return Err(error::plain("resourceVersion should not be set on objects to be created"));
        }
        let metadata = draft.meta_mut();
        metadata.resource_version = None;
        meta::enter_namespace(metadata, self.target)?;
        meta::wipe(metadata);
        meta::one_owner_each(metadata, self.call, false);
        let generated = meta::wants_name(metadata);
        if generated {
            let prefix = metadata.generate_name.clone().unwrap_or_default();
            let name = self.free_name(&prefix).await?;
            metadata.name = Some(name);
        }
        let target = self.target.named(metadata.name.as_deref().unwrap_or_default());
        Pipeline { target: &target, ..*self }.create_once(draft, generated).await
    }

    /// Makes up a name that is not taken now. Should it be by the time the object is stored, that is the caller's to
    /// try again.
    async fn free_name(&self, prefix: &str) -> Result<String, ApiError> {
        let generate = || meta::generated(prefix, |length| self.server.random.suffix(length));
        let mut name = generate();
        for _ in 1..ATTEMPTS {
            if self.server.find(&self.target.named(&name)).await?.is_none() {
                return Ok(name);
            }
            name = generate();
        }
        Ok(name)
    }

    async fn create_once(&self, mut draft: Draft, generated: bool) -> Result<Object, ApiError> {
        let strategy = self.kind().strategy();
        let review = self.review(Operation::Create, None);
        strategy.default(draft.body_mut());
        let admitted = self.server.admission.admit(&review, Some(&mut draft)).await?;
        strategy.default(draft.body_mut());

        let around = self.server.surroundings();
        let metadata = draft.meta_mut();
        meta::one_owner_each(metadata, self.call, true);
        metadata.uid = Some(self.server.random.uid());
        metadata.creation_timestamp = Some(self.server.time());
        if strategy.has_generation(draft.body()) {
            draft.meta_mut().generation = Some(1);
        }
        strategy.prepare_create(draft.body_mut(), &around);

        let mut errors = FieldErrors::new();
        rules::meta::validate_meta(draft.meta(), self.kind().namespaced, strategy.name_rule(), &mut errors);
        strategy.validate(draft.body(), &around, &mut errors);
        let name = self.target.name();
        self.verdict(name, &errors)?;
        for warning in strategy.warnings(draft.body(), None) {
            self.call.warn(warning);
        }
        self.server.admission.validate(&review, Some(&draft)).await?;

        let taken = || match generated {
            true => ApiError::generated_name_taken(&self.kind().resource(), name),
            false => ApiError::already_exists(&self.kind().resource(), name),
        };
        let stored = if self.dry_run {
            if self.server.store.get(&draft.key()).await?.is_some() {
                return Err(taken());
            }
            draft.seal_as_is()
        } else {
            // Under its own name: admission may have changed it.
            self.server.store.commit(Write::create(draft)).await.map_err(|error| match error {
                StoreError::Exists(_) => taken(),
                other => other.into(),
            })?
        };
        admitted.settle(Some(&stored));
        Ok(stored)
    }
}

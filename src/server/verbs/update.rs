//! Update.

use super::create::expect_kind;
use crate::api::{ApiError, Call, Draft, Object, Target, WriteOptions};
use crate::server::convert::from_stored;
use crate::server::pipeline::{Inner, Part, Pipeline, check_uid, wipe_version};
use crate::server::subresource::{self, scale};

impl Inner {
    pub(in crate::server) async fn update(
        &self,
        call: &Call,
        target: &Target,
        draft: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        if target.subresource == scale::NAME {
            // Boxed, as what else is seldom under way: every update would have room for it.
            return Box::pin(self.update_scale(call, target, &draft, options)).await;
        }
        let part = subresource::part(target).ok_or_else(crate::server::error::no_such_resource)?;
        expect_kind(&draft, target)?;
        let stored = self.stored_target(target)?;
        let pipeline = Pipeline::new(self, call, &stored, options.dry_run);
        // An update of one version is not tried on another: its draft need not outlast the first attempt.
        let once = !matches!(draft.meta().resource_version.as_deref(), None | Some("" | "0"));
        let mut kept = Some(draft);
        let mut propose = |old: &Object| {
            let draft = if once { kept.take() } else { kept.clone() };
            let draft = draft.ok_or_else(|| ApiError::modified(&target.kind.resource(), old.name()))?;
            check_uid(&target.kind, draft.meta().uid.as_deref(), old)?;
            if part == Part::Main {
                self.check_spoken(target, &draft, Some(old))?;
            }
            self.to_stored(draft)
        };
        let updated = match (pipeline.update(part, &mut propose).await, kept) {
            (Err(error), Some(draft)) if error.is_not_found() && self.may_create(&stored, &error).await? => {
                self.check_spoken(target, &draft, None)?;
                let mut draft = self.to_stored(draft)?;
                wipe_version(&mut draft, target.name())?;
                Box::pin(pipeline.create(draft)).await?
            }
            (result, _) => result?,
        };
        from_stored(&target.kind, updated)
    }

    /// Whether an update that found nothing is to create the object.
    async fn may_create(&self, target: &Target, error: &ApiError) -> Result<bool, ApiError> {
        let about = error.status().details.as_ref().and_then(|details| details.kind.as_deref());
        Ok(target.subresource.is_empty()
            && about == Some(target.kind.resource().resource())
            && target.kind.strategy().allows_create_on_update()
            && self.find(target).await?.is_none())
    }
}

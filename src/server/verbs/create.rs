//! Create.

use crate::api::{ApiError, Call, Draft, Object, Target, WriteOptions};
use crate::server::convert::from_stored;
use crate::server::pipeline::{Inner, Pipeline};
use crate::server::subresource;

impl Inner {
    pub(in crate::server) async fn create(
        &self,
        call: &Call,
        target: &Target,
        draft: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        if let Some(post) = subresource::post(target) {
            return self.post(post, call, target, draft, options).await;
        }
        if !target.subresource.is_empty() {
            return Err(ApiError::method_not_supported(&target.kind.resource(), "create"));
        }
        expect_kind(&draft, target)?;
        let stored = self.stored_target(target)?;
        self.check_spoken(target, &draft, None)?;
        let mut draft = self.to_stored(draft)?;
        if !target.name().is_empty() && draft.meta().name.is_none() {
            draft.meta_mut().name = Some(target.name().to_owned());
        }
        let created = Pipeline::new(self, call, &stored, options.dry_run).create(draft).await?;
        from_stored(&target.kind, created)
    }
}

/// A draft must be of the kind that its target is of.
pub(super) fn expect_kind(draft: &Draft, target: &Target) -> Result<(), ApiError> {
    let same = draft.kind() == &target.kind && draft.body().as_any().type_id() == target.kind.body_type();
    if same {
        return Ok(());
    }
    let (found, wanted) = (draft.kind(), &target.kind);
    Err(ApiError::bad_request(format!(
        "{} in version \"{}\" cannot be handled as a {}",
        found.kind, found.version, wanted.kind
    )))
}

//! Versions of a kind: what is spoken, and what is stored.

use std::borrow::Cow;

use super::pipeline::Inner;
use crate::api::{ApiError, Draft, FieldErrors, KindRef, Object, Target};

impl Inner {
    /// The kind in its stored version.
    pub(super) fn stored_kind(&self, kind: &KindRef) -> Result<KindRef, ApiError> {
        let Some(conversion) = &kind.conversion else { return Ok(kind.clone()) };
        let (group, version, name) = conversion.stored;
        self.kinds
            .by_kind(group, version, name)
            .ok_or_else(|| ApiError::internal(format!("{name} is not served, and {} is stored as one", kind.kind)))
    }

    /// The target in its stored version.
    pub(super) fn stored_target<'a>(&self, target: &'a Target) -> Result<Cow<'a, Target>, ApiError> {
        Ok(match target.kind.conversion {
            None => Cow::Borrowed(target),
            Some(_) => Cow::Owned(Target { kind: self.stored_kind(&target.kind)?, ..target.clone() }),
        })
    }

    /// What the version spoken demands, where it is not the stored one: whose own strategy checks the rest.
    pub(super) fn check_spoken(&self, target: &Target, draft: &Draft, old: Option<&Object>) -> Result<(), ApiError> {
        let kind = draft.kind();
        if kind.conversion.is_none() {
            return Ok(());
        }
        let (mut draft, around, mut errors) = (draft.clone(), self.surroundings(), FieldErrors::new());
        if kind.namespaced {
            draft.meta_mut().namespace.get_or_insert_with(|| target.namespace().to_owned());
        }
        kind.strategy().default(draft.body_mut());
        match old {
            None => kind.strategy().validate(draft.body(), &around, &mut errors),
            Some(old) => {
                let old = from_stored(kind, old.clone())?;
                kind.strategy().validate_update(draft.body(), old.body(), &around, &mut errors);
            }
        }
        let name = draft.meta().name.as_deref().unwrap_or_default();
        if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(&kind.group_kind(), name, &errors)) }
    }

    /// A draft in its stored version.
    pub(super) fn to_stored(&self, draft: Draft) -> Result<Draft, ApiError> {
        match &draft.kind().conversion {
            None => Ok(draft),
            Some(conversion) => Ok(Draft::of(self.stored_kind(draft.kind())?, (conversion.to_stored)(draft.body())?)),
        }
    }
}

/// A stored object in the version `kind`.
pub(super) fn from_stored(kind: &KindRef, object: Object) -> Result<Object, ApiError> {
    match &kind.conversion {
        None => Ok(object),
        Some(conversion) => Ok(Draft::of(kind.clone(), (conversion.from_stored)(&object)?).seal_as_is()),
    }
}

//! Which part of an object an update may change.

use crate::api::{Draft, FieldErrors, Object, Surroundings};

/// Which part of an object an update may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Part<'a> {
    /// The object but for its status.
    Main,
    /// The status.
    Status,
    /// What the subresource of that name says.
    Sub(&'a str),
}

impl Part<'_> {
    /// Restores everything else.
    pub(super) fn prepare(self, new: &mut Draft, old: &Object, around: &Surroundings) {
        let kind = new.kind().clone();
        let whole = match self {
            Self::Main => true,
            Self::Status => kind.strategy().status_carries_metadata(),
            Self::Sub(_) => false,
        };
        if !whole {
            let version = new.meta_mut().resource_version.take();
            *new.meta_mut() = old.meta().clone();
            new.meta_mut().resource_version = version;
        }
        let (strategy, new, old) = (kind.strategy(), new.body_mut(), old.body());
        match self {
            Self::Main => strategy.prepare_update(new, old, around),
            Self::Status => strategy.prepare_status(new, old, around),
            Self::Sub(name) => strategy.prepare_subresource(name, new, old, around),
        }
    }

    /// Checks what has changed.
    pub(super) fn validate(self, new: &Draft, old: &Object, around: &Surroundings, errors: &mut FieldErrors) {
        let (strategy, new, old) = (new.kind().strategy(), new.body(), old.body());
        match self {
            Self::Main => strategy.validate_update(new, old, around, errors),
            Self::Status => strategy.validate_status(new, old, around, errors),
            Self::Sub(name) => strategy.validate_subresource(name, new, old, around, errors),
        }
    }
}

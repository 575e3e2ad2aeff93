//! Which part of an object an update may change.

use std::fmt::Debug;

use crate::api::{Draft, FieldErrors, Object, Surroundings};

/// Which part of an object an update may change: all of it but the status, the status, or what a subresource says.
pub(in crate::server) trait Part: Debug + Sync {
    /// Restores everything else.
    fn prepare(&self, new: &mut Draft, old: &Object, around: &Surroundings);

    /// Checks what has changed.
    fn validate(&self, new: &Draft, old: &Object, around: &Surroundings, errors: &mut FieldErrors);

    /// Whether the strategy's warnings are of interest.
    fn warns(&self) -> bool {
        false
    }
}

/// The object but for its status.
pub(in crate::server) const MAIN: &dyn Part = &Main;
/// The status.
pub(in crate::server) const STATUS: &dyn Part = &Status;

#[derive(Debug)]
struct Main;

impl Part for Main {
    fn prepare(&self, new: &mut Draft, old: &Object, around: &Surroundings) {
        let kind = new.kind().clone();
        kind.strategy().prepare_update(new.body_mut(), old.body(), around);
    }

    fn validate(&self, new: &Draft, old: &Object, around: &Surroundings, errors: &mut FieldErrors) {
        new.kind().strategy().validate_update(new.body(), old.body(), around, errors);
    }

    fn warns(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Status;

impl Part for Status {
    fn prepare(&self, new: &mut Draft, old: &Object, around: &Surroundings) {
        let version = new.meta_mut().resource_version.take();
        *new.meta_mut() = old.meta().clone();
        new.meta_mut().resource_version = version;
        let kind = new.kind().clone();
        kind.strategy().prepare_status(new.body_mut(), old.body(), around);
    }

    fn validate(&self, new: &Draft, old: &Object, around: &Surroundings, errors: &mut FieldErrors) {
        new.kind().strategy().validate_status(new.body(), old.body(), around, errors);
    }
}

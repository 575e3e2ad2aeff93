//! The verbs' options: what a call may ask for beside its object.

use serde_json::Value;
use std::time::Duration;

use super::key::Revision;
use super::selector::{FieldSelector, LabelSelector};

/// Which version of the data a read is answered from.
///
/// Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// The newest: every write acknowledged before the call is seen.
    #[default]
    MostRecent,
    /// Any version.
    Any,
    /// This version or a newer one.
    NotOlderThan(Revision),
    /// Exactly this version.
    Exact(Revision),
}

/// Options of a get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetOptions {
    /// Which version.
    pub consistency: Consistency,
}

/// Options of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListOptions {
    /// Only objects with these labels.
    pub labels: LabelSelector,
    /// Only objects with these field values.
    pub fields: FieldSelector,
    /// At most so many; the answer then carries a continue token.
    pub limit: Option<usize>,
    /// The token of the page before.
    pub continue_token: Option<String>,
    /// Which version.
    pub consistency: Consistency,
}

/// Options of a watch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WatchOptions {
    /// Only objects with these labels.
    pub labels: LabelSelector,
    /// Only objects with these field values.
    pub fields: FieldSelector,
    /// Where to begin: [`Consistency::Exact`] gives what came after that revision; the others begin with
    /// the objects that exist, each as an `ADDED` event.
    pub from: Consistency,
    /// Whether bookmarks are wanted.
    pub bookmarks: bool,
    /// Whether the objects that exist come first, ended by a bookmark annotated `k8s.io/initial-events-end`.
    pub send_initial_events: bool,
    /// Ends the stream after so long.
    pub timeout: Option<Duration>,
}

/// What to do about unknown and duplicate fields of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Nothing.
    Ignore,
    /// Warn and go on.
    #[default]
    Warn,
    /// Refuse.
    Strict,
}

/// Options of a write: create, update and patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Go through every step but keep nothing.
    pub dry_run: bool,
    /// The name of who manages the fields that are written.
    pub field_manager: Option<String>,
    /// What to do about unknown and duplicate fields.
    pub field_validation: FieldValidation,
}

/// What happens to dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Left behind, without the owner.
    Orphan,
    /// Collected afterwards.
    Background,
    /// Collected first; the object stays until they are gone.
    Foreground,
}

impl Propagation {
    /// The policy of that name on the wire.
    pub fn from_wire(name: &str) -> Option<Self> {
        match name {
            "Orphan" => Some(Self::Orphan),
            "Background" => Some(Self::Background),
            "Foreground" => Some(Self::Foreground),
            _ => None,
        }
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Orphan => "Orphan",
            Self::Background => "Background",
            Self::Foreground => "Foreground",
        }
    }
}

/// Options of a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// How long the object may take to end, in seconds. `Some(0)`: at once.
    pub grace_period: Option<i64>,
    /// What happens to dependents; the kind's default otherwise.
    pub propagation: Option<Propagation>,
    /// Only an object with this UID.
    pub uid: Option<String>,
    /// Only an object of this version.
    pub resource_version: Option<String>,
    /// Go through every step but keep nothing.
    pub dry_run: bool,
}

/// A patch, in one of the four forms of the API.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// RFC 6902: a list of operations.
    Json(Value),
    /// RFC 7386: fields to set; `null` removes.
    Merge(Value),
    /// As a merge patch, but lists are merged by the keys that the API documents.
    Strategic(Value),
    /// Server-side apply.
    Apply {
        /// The fields that the manager wants.
        fields: Value,
        /// Take over fields that others manage.
        force: bool,
    },
}

//! Watch events.

use futures::stream::BoxStream;

use super::key::Revision;
use super::object::Object;
use super::status::ApiError;

/// One event of a watch, as a client sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent {
    /// An object appeared, or began to match the selectors.
    Added(Object),
    /// An object changed.
    Modified(Object),
    /// An object went, or ceased to match the selectors. Its `resourceVersion` is the deletion's.
    Deleted(Object),
    /// Everything up to this revision has been delivered.
    Bookmark {
        /// The revision.
        revision: Revision,
        /// Whether the objects that existed at the start have all been sent.
        initial_events_end: bool,
    },
}

impl WatchEvent {
    /// The object, where there is one.
    pub fn object(&self) -> Option<&Object> {
        match self {
            Self::Added(object) | Self::Modified(object) | Self::Deleted(object) => Some(object),
            Self::Bookmark { .. } => None,
        }
    }

    /// The revision up to which the watcher has now seen everything it watches.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Added(object) | Self::Modified(object) | Self::Deleted(object) => object.revision(),
            Self::Bookmark { revision, .. } => *revision,
        }
    }
}

/// A stream of watch events. An error ends it: `Expired` says that events were missed and the watcher must
/// list again. Dropping it ends the watch.
pub type WatchStream = BoxStream<'static, Result<WatchEvent, ApiError>>;

//! What happens in a runtime.

use super::container::ContainerId;
use super::sandbox::SandboxId;

/// The kind of a [`RuntimeEvent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A container's program began.
    Started(ContainerId),
    /// A container's program ended, or more is known of its end.
    Exited(ContainerId),
    /// The sandbox was stopped.
    SandboxStopped,
    /// Events were lost: everything must be looked at again. The event's pod and sandbox are empty.
    Lost,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeEvent {
    /// The UID of the pod that it concerns.
    pub pod: String,
    /// The sandbox that it concerns.
    pub sandbox: SandboxId,
    /// What happened.
    pub kind: EventKind,
}

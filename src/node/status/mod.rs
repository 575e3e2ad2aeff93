//! What an agent reports: the status of its node and of its pods.

pub(super) mod conditions;
pub(super) mod node;
pub(super) mod phase;
pub(super) mod pod;

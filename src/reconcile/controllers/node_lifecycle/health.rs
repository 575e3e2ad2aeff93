//! When a node last gave a sign of life.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;

use super::condition;

/// The signs of life of one node, each with the time at which it was seen here: nodes' own clocks may be wrong.
#[derive(Clone, Debug)]
pub(super) struct Health {
    heartbeat: Option<Timestamp>,
    renewal: Option<Timestamp>,
    seen: Timestamp,
}

impl Health {
    /// A node that is seen for the first time: now, or at its creation where it has never reported.
    pub(super) fn new(node: &Node, now: Timestamp) -> Self {
        let created = node.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let seen = if condition(node, "Ready").is_some() { now } else { created.unwrap_or(now) };
        Self { heartbeat: heartbeat(node), renewal: None, seen }
    }

    /// Takes note of a heartbeat in the status.
    pub(super) fn reported(&mut self, node: &Node, now: Timestamp) {
        let heartbeat = heartbeat(node);
        if heartbeat != self.heartbeat {
            (self.heartbeat, self.seen) = (heartbeat, now);
        }
    }

    /// Takes note of a renewal of the lease.
    pub(super) fn renewed(&mut self, lease: &Lease, now: Timestamp) {
        let renewal = lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0);
        if renewal > self.renewal {
            (self.renewal, self.seen) = (renewal, now);
        }
    }

    /// For how long there has been no sign.
    pub(super) fn silence(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.seen)).unwrap_or_default()
    }
}

fn heartbeat(node: &Node) -> Option<Timestamp> {
    condition(node, "Ready")?.last_heartbeat_time.as_ref().map(|time| time.0)
}

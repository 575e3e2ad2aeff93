//! What the node itself keeps and can do without: images that nothing uses, containers of pods that have ended.

mod images;

use std::sync::PoisonError;

pub(super) use self::images::Images;
use super::agent::Workers;
use crate::runtime::ContainerId;

/// When images are removed.
///
/// Source: `imageGCHighThresholdPercent`, `imageGCLowThresholdPercent`, `imageMinimumGCAge`, `imageMaximumGCAge` of a
/// kubelet's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageGc {
    /// Images are removed where more of their disk is used than this, in percent; 100: never for that reason. 85.
    pub high_percent: u8,
    /// They are removed until no more than this is used, in percent. 80.
    pub low_percent: u8,
    /// One that has been there for less is not removed. 2 minutes.
    pub least_age: std::time::Duration,
    /// One that has not been used for longer is removed, however much room there is; never, where it is nothing.
    /// Nothing.
    pub longest_age: std::time::Duration,
    /// How often the node looks. 5 minutes.
    pub interval: std::time::Duration,
}

impl Default for ImageGc {
    fn default() -> Self {
        let minutes = |minutes: u64| std::time::Duration::from_secs(60 * minutes);
        Self {
            high_percent: 85,
            low_percent: 80,
            least_age: minutes(2),
            longest_age: std::time::Duration::ZERO,
            interval: minutes(5),
        }
    }
}

impl ImageGc {
    /// No image is ever removed for want of room.
    #[must_use]
    pub fn disabled(self) -> Self {
        Self { high_percent: 100, low_percent: 100, ..self }
    }
}

/// Removes the containers of pods that have ended: their logs go with them.
pub(super) async fn containers(workers: &Workers) {
    let ended: Vec<ContainerId> = {
        let by_uid = workers.by_uid();
        let states = by_uid.values().map(|handle| handle.state.lock().unwrap_or_else(PoisonError::into_inner));
        let over = states.filter(|state| state.ending.as_ref().is_some_and(|ending| ending.done));
        let containers = over.flat_map(|state| {
            let instances = state.containers.values().flat_map(|instances| [&instances.last, &instances.before]);
            instances.flatten().map(|status| status.id.clone()).collect::<Vec<_>>()
        });
        containers.collect()
    };
    for id in ended {
        if let Err(error) = workers.machine.runtime.remove_container(&id).await {
            tracing::debug!(%error, container = %id, "dead container not removed");
        }
    }
}

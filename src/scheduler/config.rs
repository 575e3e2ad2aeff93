//! What a running scheduler is told.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::Scheduler;
use super::queue::Waits;

/// The profile of pods that name no scheduler.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// What a running scheduler is told.
///
/// ```
/// use orchestrion::random::Random;
/// use orchestrion::scheduler::{Config, Framework};
/// let packing = Framework::new(Random::seeded(1)).weight("NodeResourcesFit", 0);
/// let config = Config::default().profile("packing-scheduler", packing);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Config {
    pub(super) profiles: BTreeMap<String, Arc<dyn Scheduler>>,
    pub(super) waits: Waits,
    pub(super) parallel: NonZeroUsize,
}

impl Default for Config {
    /// The default framework for pods that name no scheduler, and upstream's waits.
    fn default() -> Self {
        Self {
            profiles: BTreeMap::new(),
            waits: Waits::default(),
            parallel: NonZeroUsize::new(100).unwrap_or(NonZeroUsize::MIN),
        }
    }
}

impl Config {
    /// `scheduler` decides on pods that name no scheduler.
    pub fn new(scheduler: impl Scheduler) -> Self {
        Self::default().profile(DEFAULT_SCHEDULER, scheduler)
    }

    /// `scheduler` decides on pods whose `spec.schedulerName` is `name`. Where no profile is given, there is one: the
    /// default framework under the default name.
    pub fn profile(mut self, name: &str, scheduler: impl Scheduler) -> Self {
        self.profiles.insert(name.to_owned(), Arc::new(scheduler));
        self
    }

    /// Other waits than upstream's.
    pub fn waits(mut self, waits: Waits) -> Self {
        self.waits = waits;
        self
    }

    /// So many pods (a hundred) are bound at once.
    pub fn parallel(mut self, pods: NonZeroUsize) -> Self {
        self.parallel = pods;
        self
    }
}

//! Time, injected.
//!
//! No part of the crate reads the machine's clock. Each is given a [`Clock`], whose ticks are tokio's:
//! under a paused tokio runtime (`tokio::time::pause`) it is a virtual clock, and ten minutes of
//! cluster time pass as fast as the work in them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use tokio::time::Instant;

/// A clock: an origin in calendar time, advanced by tokio's timer.
///
/// Cloning is cheap, and clones agree with each other.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// use std::time::Duration;
/// let clock = orchestrion::clock::Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
/// clock.sleep(Duration::from_secs(600)).await; // returns at once: the runtime is paused
/// assert_eq!(clock.now().to_string(), "2026-01-01T00:10:00Z");
/// # });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Since the beginning of 1970.
    epoch: SignedDuration,
    origin: Instant,
}

impl Clock {
    /// A clock that shows the machine's time now and advances with tokio's timer.
    pub fn system() -> Self {
        // The one place where the machine's clock is read.
        #[allow(clippy::disallowed_methods)]
        Self::starting_at(Timestamp::now())
    }

    /// A clock that shows `epoch` now. With a paused runtime its every reading is reproducible.
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self { epoch: epoch.as_duration(), origin: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.elapsed()).unwrap_or(SignedDuration::MAX);
        Timestamp::from_duration(self.epoch.saturating_add(elapsed)).unwrap_or(Timestamp::MAX)
    }

    /// The time now, as objects carry it (serialised in whole seconds).
    pub fn time(&self) -> Time {
        Time(self.now())
    }

    /// The time now with microseconds, as leases and events carry it.
    pub fn micro_time(&self) -> MicroTime {
        MicroTime(self.now())
    }

    /// How long ago this clock (or the one it was cloned from) was made: a monotonic reading.
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(self.origin)
    }

    /// How long ago `earlier` was; zero where it lies in the future.
    pub fn since(&self, earlier: Timestamp) -> Duration {
        Duration::try_from(self.now().duration_since(earlier)).unwrap_or_default()
    }

    /// How long until `later`; zero where it has passed.
    pub fn until(&self, later: Timestamp) -> Duration {
        Duration::try_from(later.duration_since(self.now())).unwrap_or_default()
    }

    /// Waits for `duration`.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the wait and nothing else.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Waits until `deadline`; returns at once where it has passed.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the wait and nothing else.
    pub async fn sleep_until(&self, deadline: Timestamp) {
        self.sleep(self.until(deadline)).await;
    }
}

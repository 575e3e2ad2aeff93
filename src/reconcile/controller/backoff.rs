//! Pauses after failures, as client-go's default controller rate limiter has them.

use std::collections::BTreeMap;
use std::time::Duration;

/// The first pause of a key, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1000));
/// So many retries at once over all keys, and one more each interval.
const BURST: (u32, Duration) = (100, Duration::from_millis(100));

/// Counts failures per key, and limits the retries of all keys together.
#[derive(Debug)]
pub(super) struct Backoff<T> {
    failures: BTreeMap<T, u32>,
    /// When the bucket of retries would be full again.
    full_at: Duration,
}

impl<T> Default for Backoff<T> {
    fn default() -> Self {
        Self { failures: BTreeMap::new(), full_at: Duration::ZERO }
    }
}

impl<T: Clone + Ord> Backoff<T> {
    /// Counts a failure and says how long to wait.
    pub(super) fn failed(&mut self, key: &T, now: Duration) -> Duration {
        let failures = self.failures.entry(key.clone()).or_default();
        let own = PAUSE.0.saturating_mul(2_u32.saturating_pow(*failures)).min(PAUSE.1);
        *failures = failures.saturating_add(1);
        // A bucket with a deficit: a retry beyond the burst waits until its token is there.
        self.full_at = self.full_at.max(now) + BURST.1;
        let shared = (self.full_at - now).saturating_sub(BURST.1 * BURST.0);
        own.max(shared)
    }

    /// Forgets a key's failures.
    pub(super) fn forget(&mut self, key: &T) {
        self.failures.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_thousand_seconds() {
        let mut backoff = Backoff::default();
        let last = (0..40).map(|_| backoff.failed(&1, Duration::from_secs(3600))).last();
        assert_eq!(last, Some(PAUSE.1));
    }

    #[test]
    fn many_failing_keys_share_ten_retries_a_second() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..110).map(|key| backoff.failed(&key, Duration::ZERO)).collect();
        assert_eq!(pauses[99], Duration::from_millis(5));
        assert_eq!(pauses[109], Duration::from_secs(1));
    }
}

//! Rest for keys that are much work.
//!
//! Many controllers go through all that an object owns at each look: with ten thousand pods that change one by one,
//! that is ten thousand looks at ten thousand pods. So a key that takes long waits in proportion, and one look answers
//! what came meanwhile. A key that takes little never waits.

use std::collections::BTreeMap;
use std::time::Duration;

/// A key rests so many times as long as it worked: it takes a tenth of a core at most.
const REST: u32 = 9;
/// So much rest may be owed before it is due: what is quick, or seldom, is not held up, nor is what another program kept
/// from going on for some milliseconds.
const CREDIT: Duration = Duration::from_millis(50);
/// Keys that have worked less than this at a time owe nothing and are not kept.
const LITTLE: Duration = Duration::from_micros(50);
/// So many keys are kept before those that owe nothing any more are looked for.
const KEPT: usize = 1024;

/// When each key will have rested.
#[derive(Debug)]
pub(super) struct Pace<T>(BTreeMap<T, Duration>);

impl<T> Default for Pace<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Clone + Ord> Pace<T> {
    /// Counts what a key has worked. Until when it has to rest, where it has.
    pub(super) fn worked(&mut self, key: &T, took: Duration, now: Duration) -> Option<Duration> {
        if took < LITTLE {
            return None;
        }
        if self.0.len() >= KEPT {
            self.0.retain(|_, rested| *rested > now);
        }
        let rested = self.0.entry(key.clone()).or_default();
        *rested = (*rested).max(now) + took * REST;
        let until = rested.saturating_sub(CREDIT);
        (until > now).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn only_what_works_much_rests() {
        let mut pace = Pace::default();
        assert_eq!(pace.worked(&"quick", LITTLE / 2, MS), None);
        assert_eq!(pace.worked(&"once", MS / 2, MS), None);
        assert_eq!(pace.worked(&"long", MS * 100, MS), Some(MS * 851));
    }

    #[test]
    fn many_short_calls_in_a_row_add_up_and_pauses_are_credited() {
        let mut pace = Pace::default();
        let at = |pace: &mut Pace<_>, now| pace.worked(&"key", MS * 2, now);
        assert_eq!((at(&mut pace, MS), at(&mut pace, MS)), (None, None));
        assert_eq!(at(&mut pace, MS), Some(MS * 5));
        assert_eq!(at(&mut pace, MS * 100), None);
    }
}

//! The queue of a controller: which keys are to be looked at, and when. A pure state machine: times come from
//! outside, as durations since some origin.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::backoff::Backoff;
use super::pace::Pace;

/// Keys to look at. Each is handed out once however often it was added, and not while it is being worked on.
#[derive(Debug)]
pub(super) struct Queue<T> {
    ready: VecDeque<T>,
    /// Keys that want to be looked at: ready, or added while they were worked on.
    wanted: BTreeSet<T>,
    /// Keys that are not handed out now: worked on, or resting.
    working: BTreeSet<T>,
    /// Keys that rest after much work, and until when.
    resting: BTreeSet<(Duration, T)>,
    timers: BTreeSet<(Duration, T)>,
    due: BTreeMap<T, Duration>,
    backoff: Backoff<T>,
    pace: Pace<T>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            wanted: BTreeSet::new(),
            working: BTreeSet::new(),
            resting: BTreeSet::new(),
            timers: BTreeSet::new(),
            due: BTreeMap::new(),
            backoff: Backoff::default(),
            pace: Pace::default(),
        }
    }
}

impl<T: Clone + Ord> Queue<T> {
    /// Adds a key.
    pub(super) fn add(&mut self, key: T) {
        if self.wanted.contains(&key) {
            return;
        }
        if !self.working.contains(&key) {
            self.ready.push_back(key.clone());
        }
        self.wanted.insert(key);
    }

    /// Adds a key at that time; an earlier time that it waits for already is kept.
    pub(super) fn add_at(&mut self, key: T, at: Duration) {
        if let Some(earlier) = self.due.get(&key) {
            if *earlier <= at {
                return;
            }
            self.timers.remove(&(*earlier, key.clone()));
        }
        self.due.insert(key.clone(), at);
        self.timers.insert((at, key));
    }

    /// Adds a key that failed, after a pause that grows with each failure in a row.
    pub(super) fn retry(&mut self, key: T, now: Duration) -> Duration {
        let pause = self.backoff.failed(&key, now);
        self.add_at(key, now + pause);
        pause
    }

    /// Forgets the failures of a key.
    pub(super) fn succeeded(&mut self, key: &T) {
        self.backoff.forget(key);
    }

    /// Takes the next key, which is worked on from now until [`Queue::done`].
    pub(super) fn take(&mut self, now: Duration) -> Option<T> {
        while self.timers.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, key)) = self.timers.pop_first()
        {
            self.due.remove(&key);
            self.add(key);
        }
        while self.resting.first().is_some_and(|(until, _)| *until <= now)
            && let Some((_, key)) = self.resting.pop_first()
        {
            self.release(&key);
        }
        let key = self.ready.pop_front()?;
        self.wanted.remove(&key);
        self.working.insert(key.clone());
        Some(key)
    }

    /// Ends the work on a key, which took that long: where it was added meanwhile, it is ready again, at once or when
    /// it has rested.
    pub(super) fn done(&mut self, key: &T, took: Duration, now: Duration) {
        match self.pace.worked(key, took, now) {
            Some(until) => drop(self.resting.insert((until, key.clone()))),
            None => self.release(key),
        }
    }

    fn release(&mut self, key: &T) {
        self.working.remove(key);
        if self.wanted.contains(key) {
            self.ready.push_back(key.clone());
        }
    }

    /// When the next key that waits for its time is ready.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let first = |of: &BTreeSet<(Duration, T)>| of.first().map(|(at, _)| *at);
        [first(&self.timers), first(&self.resting)].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Duration = Duration::ZERO;
    const S1: Duration = Duration::from_secs(1);

    #[test]
    fn a_key_added_twice_is_handed_out_once() {
        let mut queue = Queue::default();
        queue.add("a");
        queue.add("b");
        queue.add("a");
        assert_eq!((queue.take(T0), queue.take(T0), queue.take(T0)), (Some("a"), Some("b"), None));
    }

    #[test]
    fn a_key_added_during_work_is_handed_out_after_it() {
        let mut queue = Queue::default();
        queue.add("a");
        queue.take(T0);
        queue.add("a");
        assert_eq!(queue.take(T0), None);
        queue.done(&"a", T0, T0);
        assert_eq!(queue.take(T0), Some("a"));
    }

    #[test]
    fn the_earliest_time_wins() {
        let mut queue = Queue::default();
        queue.add_at("a", S1 * 5);
        queue.add_at("a", S1);
        queue.add_at("a", S1 * 3);
        assert_eq!(queue.next_due(), Some(S1));
        assert_eq!((queue.take(T0), queue.take(S1), queue.next_due()), (None, Some("a"), None));
    }

    #[test]
    fn failures_in_a_row_double_the_pause() {
        let mut queue = Queue::default();
        let pauses: Vec<_> = (0..4).map(|_| queue.retry("a", T0).as_millis()).collect();
        assert_eq!(pauses, [5, 10, 20, 40]);
        queue.succeeded(&"a");
        assert_eq!(queue.retry("a", T0).as_millis(), 5);
    }

    #[test]
    fn a_key_with_much_work_rests_and_keeps_what_was_added() {
        let mut queue = Queue::default();
        queue.add("busy");
        queue.take(T0);
        queue.add("busy");
        queue.done(&"busy", S1, S1);
        queue.add("busy");
        queue.add("other");
        assert_eq!((queue.take(S1), queue.take(S1)), (Some("other"), None));
        let due = queue.next_due().unwrap();
        assert!(due > S1 && due < S1 * 11, "{due:?}");
        assert_eq!((queue.take(due), queue.take(due)), (Some("busy"), None));
    }
}

//! Pauses between attempts: 10 s, doubling to 5 min, forgotten after 10 min without failure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

/// The first pause.
const FIRST: Duration = Duration::from_secs(10);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug)]
struct Entry {
    pause: Duration,
    updated: Timestamp,
}

impl Entry {
    /// Whether what happened at `event` is so late that earlier failures no longer count.
    fn is_stale(&self, event: Timestamp) -> bool {
        between(self.updated, event) > LONGEST * 2
    }
}

fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

/// Pauses by key.
#[derive(Debug, Default)]
pub(super) struct Backoff(BTreeMap<String, Entry>);

impl Backoff {
    /// Until when the next attempt must wait after an end at `ended`, and which pause that is; `None` where it need
    /// not wait.
    pub(super) fn until(&self, key: &str, ended: Timestamp, now: Timestamp) -> Option<(Timestamp, Duration)> {
        let entry = self.0.get(key).filter(|entry| !entry.is_stale(ended))?;
        let until = ended.checked_add(entry.pause).ok()?;
        (now < until).then_some((until, entry.pause))
    }

    /// As [`Backoff::until`], counted from when the pause was last lengthened.
    pub(super) fn until_since_update(&self, key: &str, now: Timestamp) -> Option<Timestamp> {
        let entry = self.0.get(key).filter(|entry| !entry.is_stale(now))?;
        let until = entry.updated.checked_add(entry.pause).ok()?;
        (now < until).then_some(until)
    }

    /// Takes over a pause from an attempt at `started` that had `waited`.
    pub(super) fn recall(&mut self, key: &str, waited: Duration, started: Timestamp) {
        // Pauses double: what was waited, a start's own time aside, is one of them or none.
        let mut pause = FIRST;
        while pause < LONGEST && waited >= pause {
            pause = (pause * 2).min(LONGEST);
        }
        self.0.insert(key.to_owned(), Entry { pause, updated: started });
    }

    /// Lengthens the pause, because of an end at `ended`.
    pub(super) fn lengthen(&mut self, key: &str, ended: Timestamp, now: Timestamp) {
        let pause = match self.0.get(key).filter(|entry| !entry.is_stale(ended)) {
            Some(entry) => (entry.pause * 2).min(LONGEST),
            None => FIRST,
        };
        self.0.insert(key.to_owned(), Entry { pause, updated: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn the_first_restart_is_at_once_and_pauses_double_to_five_minutes() {
        let mut backoff = Backoff::default();
        let (mut now, mut pauses) = (0, Vec::new());
        for _ in 0..8 {
            let pause = backoff.until("main", at(now), at(now)).map_or(0, |(_, pause)| pause.as_secs());
            pauses.push(pause);
            now += i64::try_from(pause).unwrap();
            backoff.lengthen("main", at(now), at(now));
            now += 1; // it runs for a second and fails again
        }
        assert_eq!(pauses, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert!(backoff.until("main", at(now + 601), at(now + 601)).is_none());
        backoff.lengthen("main", at(now + 601), at(now + 601));
        assert_eq!(backoff.until("main", at(now + 602), at(now + 602)).unwrap().1, FIRST);
    }

    #[test]
    fn a_pause_is_found_out_from_what_was_waited() {
        for (waited, next) in [(0, 10), (9, 10), (10, 20), (12, 20), (20, 40), (163, 300), (301, 300)] {
            let mut backoff = Backoff::default();
            backoff.recall("main", Duration::from_secs(waited), at(0));
            assert_eq!(backoff.until("main", at(1), at(1)).unwrap().1.as_secs(), next, "after {waited} s");
        }
    }
}

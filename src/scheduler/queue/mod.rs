//! The queue: pods that wait for a decision.
//!
//! A pod is *active* (waits for its turn), *backing off* (was tried and waits a while), *waiting* (was refused,
//! and waits for something to change that may help), *gated* (is not to be tried yet) or *in flight* (is being
//! decided on or bound). The queue is a plain state machine: it is told the time, and never waits itself.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::framework::ClusterEvent;
use super::snapshot::PodInfo;

/// How many events are remembered for a pod in flight. Past these, anything is taken to have happened.
const REMEMBERED: usize = 100;

/// How long pods wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// After the first failure; doubled for each further one …
    pub initial_backoff: Duration,
    /// … up to this.
    pub max_backoff: Duration,
    /// A pod that nothing has helped for so long is tried all the same.
    pub patience: Duration,
}

impl Default for Waits {
    /// Upstream's: one to ten seconds, five minutes.
    fn default() -> Self {
        Self {
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(10),
            patience: Duration::from_secs(300),
        }
    }
}

/// A pod's place in the order of the active: by rank, then by time.
type Turn = (Reverse<i64>, Duration, u64);

#[derive(Debug)]
enum Place {
    Active(Turn),
    BackingOff { until: Duration },
    Waiting,
    Gated,
    InFlight { missed: Vec<ClusterEvent>, overflowed: bool },
}

#[derive(Debug)]
struct Entry {
    pod: Arc<PodInfo>,
    rank: i64,
    attempts: u32,
    /// When it was last put somewhere to wait.
    since: Duration,
    refused_by: Vec<&'static str>,
    place: Place,
}

/// Whether an event may help a pod that those plugins refused.
pub type MayHelp<'a> = &'a dyn Fn(&PodInfo, &[&'static str], &ClusterEvent) -> bool;

/// The pods that wait for a decision, by UID.
#[derive(Debug, Default)]
pub struct Queue {
    waits: Waits,
    entries: BTreeMap<String, Entry>,
    active: BTreeMap<Turn, String>,
    /// When each backoff ends, and each patience.
    deadlines: BTreeSet<(Duration, String)>,
    /// Pods in flight, to be told of events.
    in_flight: BTreeSet<String>,
    waiting: BTreeSet<String>,
    sequence: u64,
}

impl Queue {
    /// An empty queue.
    pub fn new(waits: Waits) -> Self {
        Self { waits, ..Self::default() }
    }

    /// How many pods there are, gated and in flight included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A pod without a node appeared or changed. `may_wait` says whether it is gated.
    pub fn set(&mut self, pod: Arc<PodInfo>, rank: i64, gated: bool, now: Duration, may_help: MayHelp<'_>) {
        let uid = pod.uid().to_owned();
        let Some(entry) = self.entries.get_mut(&uid) else {
            let place = Place::Gated;
            let entry = Entry { pod, rank, attempts: 0, since: now, refused_by: Vec::new(), place };
            self.entries.insert(uid.clone(), entry);
            if !gated {
                self.activate(&uid, now);
            }
            return;
        };
        let changed = differs(&entry.pod, &pod);
        (entry.pod, entry.rank) = (pod, rank);
        let helped = match &mut entry.place {
            Place::Gated => !gated,
            Place::InFlight { missed, .. } if changed => {
                missed.push(ClusterEvent::Itself);
                false
            }
            Place::Waiting if changed => may_help(&entry.pod, &entry.refused_by, &ClusterEvent::Itself),
            _ => false,
        };
        if helped {
            self.retry(&uid, now);
        }
    }

    /// A pod went, or got a node.
    pub fn remove(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        self.unplace(uid);
        self.entries.remove(uid).map(|entry| entry.pod)
    }

    /// The pod whose turn it is. It is in flight until [`Queue::remove`], [`Queue::refuse`] or [`Queue::back_off`].
    pub fn pop(&mut self, now: Duration) -> Option<Arc<PodInfo>> {
        self.flush(now);
        let (_, uid) = self.active.pop_first()?;
        let entry = self.entries.get_mut(&uid)?;
        entry.attempts += 1;
        entry.place = Place::InFlight { missed: Vec::new(), overflowed: false };
        self.in_flight.insert(uid);
        Some(Arc::clone(&entry.pod))
    }

    /// Whether the pod is in flight (and has not gone meanwhile).
    pub fn is_in_flight(&self, uid: &str) -> bool {
        self.in_flight.contains(uid)
    }

    /// The pod in flight was refused by those plugins: it waits for an event that may help. One that happened while
    /// it was in flight counts.
    pub fn refuse(&mut self, uid: &str, refused_by: Vec<&'static str>, now: Duration, may_help: MayHelp<'_>) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        entry.since = now;
        entry.refused_by = refused_by;
        let helped = match &entry.place {
            Place::InFlight { missed, overflowed } => {
                *overflowed || missed.iter().any(|event| may_help(&entry.pod, &entry.refused_by, event))
            }
            _ => return,
        };
        if helped {
            return self.retry(uid, now);
        }
        self.unplace(uid);
        self.put(uid, Place::Waiting);
    }

    /// The pod in flight failed for a reason of its own: it is tried again after a while.
    pub fn back_off(&mut self, uid: &str, now: Duration) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        entry.since = now;
        self.retry(uid, now);
    }

    /// Something happened: the waiting pods that it may help get another turn.
    pub fn event(&mut self, event: &ClusterEvent, now: Duration, may_help: MayHelp<'_>) {
        for uid in &self.in_flight {
            if let Some(Entry { place: Place::InFlight { missed, overflowed }, .. }) = self.entries.get_mut(uid) {
                if missed.len() < REMEMBERED {
                    missed.push(event.clone());
                } else {
                    *overflowed = true;
                }
            }
        }
        let helped =
            |uid: &&String| self.entries.get(*uid).is_some_and(|entry| may_help(&entry.pod, &entry.refused_by, event));
        let helped: Vec<String> = self.waiting.iter().filter(helped).cloned().collect();
        for uid in helped {
            self.retry(&uid, now);
        }
    }

    /// When the next pod becomes active without anything happening.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    fn backoff(&self, attempts: u32) -> Duration {
        let doubled = self.waits.initial_backoff.saturating_mul(1 << attempts.saturating_sub(1).min(20));
        if attempts == 0 { Duration::ZERO } else { doubled.min(self.waits.max_backoff) }
    }

    /// Backoffs that have ended, and waits that have lasted too long.
    fn flush(&mut self, now: Duration) {
        while let Some((at, uid)) = self.deadlines.first().cloned()
            && at <= now
        {
            self.activate(&uid, now);
        }
    }

    /// Another turn, now or when the backoff has ended.
    fn retry(&mut self, uid: &str, now: Duration) {
        let Some(entry) = self.entries.get(uid) else { return };
        let until = entry.since + self.backoff(entry.attempts);
        if until <= now {
            return self.activate(uid, now);
        }
        self.unplace(uid);
        self.put(uid, Place::BackingOff { until });
    }

    fn activate(&mut self, uid: &str, now: Duration) {
        self.unplace(uid);
        let Some(entry) = self.entries.get_mut(uid) else { return };
        self.sequence += 1;
        entry.since = now;
        let turn = (Reverse(entry.rank), now, self.sequence);
        self.put(uid, Place::Active(turn));
    }

    fn deadline(&self, entry: &Entry) -> Option<Duration> {
        match entry.place {
            Place::BackingOff { until } => Some(until),
            Place::Waiting => Some(entry.since + self.waits.patience),
            _ => None,
        }
    }

    fn put(&mut self, uid: &str, place: Place) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        match place {
            Place::Active(turn) => _ = self.active.insert(turn, uid.to_owned()),
            Place::Waiting => _ = self.waiting.insert(uid.to_owned()),
            _ => {}
        }
        entry.place = place;
        if let Some(at) = self.entries.get(uid).and_then(|entry| self.deadline(entry)) {
            self.deadlines.insert((at, uid.to_owned()));
        }
    }

    fn unplace(&mut self, uid: &str) {
        let Some(entry) = self.entries.get(uid) else { return };
        if let Some(at) = self.deadline(entry) {
            self.deadlines.remove(&(at, uid.to_owned()));
        }
        if let Place::Active(turn) = &entry.place {
            self.active.remove(turn);
        }
        self.waiting.remove(uid);
        self.in_flight.remove(uid);
    }
}

/// Whether a pod changed in anything but its status and the server's bookkeeping.
fn differs(old: &PodInfo, new: &PodInfo) -> bool {
    let meta = |pod: &PodInfo| {
        let meta = &pod.pod.metadata;
        (meta.labels.clone(), meta.annotations.clone(), meta.deletion_timestamp.clone())
    };
    old.pod.spec != new.pod.spec || meta(old) != meta(new)
}

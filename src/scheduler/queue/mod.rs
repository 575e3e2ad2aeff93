//! The queue: pods that wait for a decision.
//!
//! A pod is *active* (waits for its turn), *backing off* (was tried and waits a while), *waiting* (was refused,
//! and waits for something to change that may help), *gated* (is not to be tried yet) or *in flight* (is being
//! decided on or bound). The queue is a plain state machine: it is told the time, and never waits itself.
//!
//! Backing off gives others the precedence: a pod that something may have helped need not wait it out where no other
//! is active.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;

use super::framework::ClusterEvent;
use super::snapshot::PodInfo;

/// How many events are remembered for pods in flight. Past these, anything is taken to have happened.
const REMEMBERED: usize = 1000;

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
    BackingOff {
        until: Duration,
        helped: bool,
    },
    Waiting,
    Gated,
    /// Since so many events had happened; and whether it has changed itself.
    InFlight {
        events: u64,
        changed: bool,
    },
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

/// Says which events may help which pods.
pub trait Hints {
    /// Whether `event` may help any pod that those plugins refused.
    fn concerns(&self, _refused_by: &[&'static str], _event: &ClusterEvent) -> bool {
        true
    }

    /// Whether `event` may help `pod`, which those plugins refused.
    fn may_help(&self, pod: &PodInfo, refused_by: &[&'static str], event: &ClusterEvent) -> bool;
}

impl<F: Fn(&PodInfo, &[&'static str], &ClusterEvent) -> bool> Hints for F {
    fn may_help(&self, pod: &PodInfo, refused_by: &[&'static str], event: &ClusterEvent) -> bool {
        self(pod, refused_by, event)
    }
}

/// The pods that wait for a decision, by UID.
#[derive(Debug, Default)]
pub struct Queue {
    waits: Waits,
    entries: HashMap<String, Entry>,
    active: BTreeMap<Turn, String>,
    /// Those that back off although something may have helped them, by the time when that ends.
    helped: BTreeSet<(Duration, Reverse<i64>, String)>,
    /// When each backoff ends, and each patience.
    deadlines: BTreeSet<(Duration, String)>,
    in_flight: usize,
    /// What happened last while pods were in flight, and how much has happened in all.
    recent: VecDeque<ClusterEvent>,
    happened: u64,
    /// By the plugins that refused.
    waiting: BTreeMap<Vec<&'static str>, BTreeSet<String>>,
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
    pub fn set(&mut self, pod: Arc<PodInfo>, rank: i64, gated: bool, now: Duration, hints: &dyn Hints) {
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
        entry.pod = pod;
        if !matches!(entry.place, Place::BackingOff { .. }) {
            // Where it stands by its rank, it keeps it.
            entry.rank = rank;
        }
        let helped = match &mut entry.place {
            Place::Gated => !gated,
            Place::InFlight { changed: itself, .. } => {
                *itself |= changed;
                false
            }
            Place::Waiting if changed => hints.may_help(&entry.pod, &entry.refused_by, &ClusterEvent::Itself),
            _ => false,
        };
        if helped {
            self.retry(&uid, true, now);
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
        let uid = match self.active.first_key_value() {
            Some((_, uid)) => uid.clone(),
            None => self.helped.first()?.2.clone(),
        };
        self.unplace(&uid);
        self.put(&uid, Place::InFlight { events: self.happened, changed: false });
        let entry = self.entries.get_mut(&uid)?;
        entry.attempts += 1;
        Some(Arc::clone(&entry.pod))
    }

    /// Whether the pod is in flight (and has not gone meanwhile).
    pub fn is_in_flight(&self, uid: &str) -> bool {
        self.entries.get(uid).is_some_and(|entry| matches!(entry.place, Place::InFlight { .. }))
    }

    /// The pod in flight was refused by those plugins: it waits for an event that may help. One that happened while
    /// it was in flight counts.
    pub fn refuse(&mut self, uid: &str, refused_by: Vec<&'static str>, now: Duration, hints: &dyn Hints) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        entry.since = now;
        entry.refused_by = refused_by;
        let Place::InFlight { events, changed } = entry.place else { return };
        let missed = usize::try_from(self.happened - events).unwrap_or(usize::MAX);
        let mut recent = self.recent.iter().rev().take(missed);
        let helps = |event: &ClusterEvent| hints.may_help(&entry.pod, &entry.refused_by, event);
        if missed > self.recent.len() || (changed && helps(&ClusterEvent::Itself)) || recent.any(helps) {
            return self.retry(uid, true, now);
        }
        self.unplace(uid);
        self.put(uid, Place::Waiting);
    }

    /// The pod in flight failed for a reason of its own: it is tried again after a while.
    pub fn back_off(&mut self, uid: &str, now: Duration) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        entry.since = now;
        self.retry(uid, false, now);
    }

    /// Something happened: the waiting pods that it may help get another turn.
    pub fn event(&mut self, event: &ClusterEvent, now: Duration, hints: &dyn Hints) {
        if self.in_flight > 0 {
            self.happened += 1;
            if self.recent.len() >= REMEMBERED {
                self.recent.pop_front();
            }
            self.recent.push_back(event.clone());
        }
        let concerned = self.waiting.iter().filter(|(refused_by, _)| hints.concerns(refused_by, event));
        let uids = concerned.flat_map(|(_, uids)| uids);
        let helped = |uid: &&String| {
            self.entries.get(*uid).is_some_and(|entry| hints.may_help(&entry.pod, &entry.refused_by, event))
        };
        let helped: Vec<String> = uids.filter(helped).cloned().collect();
        for uid in helped {
            self.retry(&uid, true, now);
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

    /// Another turn, now or when the backoff has ended; earlier where something may have `helped` and nobody is before.
    fn retry(&mut self, uid: &str, helped: bool, now: Duration) {
        let Some(entry) = self.entries.get(uid) else { return };
        let until = entry.since + self.backoff(entry.attempts);
        if until <= now {
            return self.activate(uid, now);
        }
        self.unplace(uid);
        self.put(uid, Place::BackingOff { until, helped });
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
            Place::BackingOff { until, .. } => Some(until),
            Place::Waiting => Some(entry.since + self.waits.patience),
            _ => None,
        }
    }

    fn put(&mut self, uid: &str, place: Place) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        match place {
            Place::Active(turn) => _ = self.active.insert(turn, uid.to_owned()),
            Place::Waiting => {
                self.waiting.entry(entry.refused_by.clone()).or_default().insert(uid.to_owned());
            }
            Place::BackingOff { until, helped: true } => {
                self.helped.insert((until, Reverse(entry.rank), uid.to_owned()));
            }
            Place::InFlight { .. } => self.in_flight += 1,
            Place::BackingOff { .. } | Place::Gated => {}
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
        match &entry.place {
            Place::Active(turn) => _ = self.active.remove(turn),
            Place::Waiting => {
                if let Some(uids) = self.waiting.get_mut(&entry.refused_by) {
                    uids.remove(uid);
                    if uids.is_empty() {
                        self.waiting.remove(&entry.refused_by);
                    }
                }
            }
            Place::BackingOff { until, helped: true } => {
                self.helped.remove(&(*until, Reverse(entry.rank), uid.to_owned()));
            }
            Place::InFlight { .. } => {
                self.in_flight -= 1;
                if self.in_flight == 0 {
                    self.recent.clear();
                }
            }
            Place::BackingOff { .. } | Place::Gated => {}
        }
    }
}

/// Whether a pod changed in anything but its status and the server's bookkeeping.
fn differs(old: &PodInfo, new: &PodInfo) -> bool {
    let meta = |pod: &PodInfo| {
        let meta = &pod.pod.metadata;
        (meta.labels.clone(), meta.annotations.clone(), meta.deletion_timestamp.clone())
    };
    !Arc::ptr_eq(&old.pod, &new.pod) && (old.pod.spec != new.pod.spec || meta(old) != meta(new))
}

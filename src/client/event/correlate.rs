//! What becomes of events that repeat: counts, summaries and silence.
//!
//! Limits as in `k8s.io/client-go/tools/record/events_cache.go`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Recorded;

/// How many subjects each memory holds.
const MEMORY: usize = 4096;
/// So many different messages of one reason about one object within the interval are summed up from then on.
const SIMILAR: (usize, Duration) = (10, Duration::from_secs(600));
/// So many events may come at once from one component about one object, and one more each interval.
const BURST: (f64, Duration) = (25.0, Duration::from_secs(300));

/// An event to be written, in the light of those before it.
#[derive(Clone, Debug)]
pub(super) struct Correlated {
    pub(super) event: Recorded,
    /// How often it has happened.
    pub(super) count: i32,
    /// When it first happened.
    pub(super) first: Timestamp,
    /// The name of the event that says it already.
    pub(super) written_as: Option<String>,
    key: String,
}

#[derive(Debug, Default)]
pub(super) struct Correlator {
    floods: Memory<Bucket>,
    similar: Memory<Similar>,
    seen: Memory<Seen>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Timestamp,
}

#[derive(Debug)]
struct Similar {
    messages: BTreeSet<String>,
    last: Timestamp,
}

#[derive(Clone, Debug)]
struct Seen {
    count: i32,
    first: Timestamp,
    name: Option<String>,
}

impl Correlator {
    /// What to write of an event; nothing where there are too many.
    pub(super) fn observe(&mut self, mut event: Recorded) -> Option<Correlated> {
        let about = &event.about;
        let source = format!(
            "{}\n{}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
            event.component,
            event.host,
            about.kind,
            about.namespace,
            about.name,
            about.uid,
            about.api_version,
            about.field_path
        );
        let group = format!("{source}\n{:?}\n{}", event.kind, event.reason);
        let mut key = format!("{group}\n{}", event.message);

        let similar = self.similar.entry(&group, || Similar { messages: BTreeSet::new(), last: event.time });
        if since(event.time, similar.last) > SIMILAR.1 {
            similar.messages.clear();
        }
        similar.last = event.time;
        similar.messages.insert(event.message.clone());
        if similar.messages.len() >= SIMILAR.0 {
            similar.messages.pop_first();
            event.message = format!("(combined from similar events): {}", event.message);
            key = group;
        }

        let bucket = self.floods.entry(&source, || Bucket { tokens: BURST.0, filled: event.time });
        let gained = since(event.time, bucket.filled).as_secs_f64() / BURST.1.as_secs_f64();
        bucket.tokens = (bucket.tokens + gained).min(BURST.0);
        bucket.filled = event.time;
        if bucket.tokens < 1.0 {
            return None;
        }
        bucket.tokens -= 1.0;

        let seen = self.seen.entry(&key, || Seen { count: 0, first: event.time, name: None });
        seen.count = seen.count.saturating_add(1);
        let Seen { count, first, name } = seen.clone();
        Some(Correlated { event, count, first, written_as: name, key })
    }

    /// Remembers under which name an event was written.
    pub(super) fn wrote(&mut self, correlated: &Correlated, name: String) {
        if let Some(seen) = self.seen.get_mut(&correlated.key) {
            seen.name = Some(name);
        }
    }
}

fn since(now: Timestamp, before: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(before).max(SignedDuration::ZERO)).unwrap_or_default()
}

/// A map that forgets what came first.
#[derive(Debug)]
struct Memory<V> {
    values: BTreeMap<String, V>,
    order: VecDeque<String>,
}

impl<V> Default for Memory<V> {
    fn default() -> Self {
        Self { values: BTreeMap::new(), order: VecDeque::new() }
    }
}

impl<V> Memory<V> {
    fn entry(&mut self, key: &str, new: impl FnOnce() -> V) -> &mut V {
        if !self.values.contains_key(key) {
            self.order.push_back(key.to_owned());
            if self.order.len() > MEMORY
                && let Some(oldest) = self.order.pop_front()
            {
                self.values.remove(&oldest);
            }
        }
        self.values.entry(key.to_owned()).or_insert_with(new)
    }

    fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        self.values.get_mut(key)
    }
}

//! What becomes of events that repeat: counts, summaries and silence.
//!
//! Limits as in `k8s.io/client-go/tools/record/events_cache.go`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use jiff::{SignedDuration, Timestamp};

use super::{EventType, Recorded};

/// How many subjects are remembered.
const MEMORY: usize = 4096;
/// So many different messages of one reason about one object within the interval are summed up from then on.
const SIMILAR: (usize, Duration) = (10, Duration::from_secs(600));
/// So many events may come at once from one component about one object, and one more each interval.
const BURST: (f64, Duration) = (25.0, Duration::from_secs(300));
/// How many different messages of one reason about one object are remembered, once they are old.
const MESSAGES: usize = 64;

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
    subject: Arc<str>,
    /// Whether it stands for others as well.
    summed_up: bool,
}

/// Remembers what each component has told of each object; what it heard of first it forgets first.
#[derive(Debug, Default)]
pub(super) struct Correlator {
    subjects: HashMap<Arc<str>, Subject>,
    order: VecDeque<Arc<str>>,
    /// Room for a key.
    key: String,
}

/// What one component has told of one object.
#[derive(Debug)]
struct Subject {
    /// How many more it may tell now.
    tokens: f64,
    filled: Timestamp,
    topics: Vec<Topic>,
}

/// Events of one type and reason.
#[derive(Debug)]
struct Topic {
    kind: EventType,
    reason: String,
    /// The messages of late.
    messages: Vec<Arc<str>>,
    last: Timestamp,
    seen: Vec<Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    /// `None`: all that were summed up.
    message: Option<Arc<str>>,
    count: i32,
    first: Timestamp,
    name: Option<String>,
}

impl Correlator {
    /// What to write of an event; nothing where there are too many.
    pub(super) fn observe(&mut self, mut event: Recorded) -> Option<Correlated> {
        let key = self.enter(&event);
        let subject = self.subjects.get_mut(&key)?;
        let topic = subject.topic(event.kind, &event.reason, event.time);
        let (message, summed_up) = topic.sums_up(&event.message, event.time);
        if !subject.may_tell(event.time) {
            return None;
        }
        let topic = subject.topic(event.kind, &event.reason, event.time);
        let seen = topic.seen((!summed_up).then_some(message), event.time);
        seen.count = seen.count.saturating_add(1);
        let (count, first, written_as) = (seen.count, seen.first, seen.name.clone());
        if summed_up {
            event.message = format!("(combined from similar events): {}", event.message);
        }
        Some(Correlated { event, count, first, written_as, subject: key, summed_up })
    }

    /// Remembers under which name an event was written.
    pub(super) fn wrote(&mut self, correlated: &Correlated, name: String) {
        let Correlated { event, subject, summed_up, .. } = correlated;
        if let Some(subject) = self.subjects.get_mut(subject) {
            let topic = subject.topic(event.kind, &event.reason, event.time);
            let message = (!summed_up).then(|| topic.message(&event.message));
            topic.seen(message, event.time).name = Some(name);
        }
    }

    /// The key of an event's subject, which is there from now on.
    fn enter(&mut self, event: &Recorded) -> Arc<str> {
        let about = &event.about;
        let of_object = [&about.uid, &about.name, &about.namespace, &about.kind, &about.api_version, &about.field_path];
        let [uid, name, namespace, kind, version, path] = of_object.map(|text| text.as_deref().unwrap_or_default());
        self.key.clear();
        for part in [uid, name, namespace, kind, version, path, &event.component, &event.host] {
            self.key.push_str(part);
            self.key.push('\n');
        }
        if let Some((known, _)) = self.subjects.get_key_value(self.key.as_str()) {
            return Arc::clone(known);
        }
        let key: Arc<str> = self.key.as_str().into();
        self.order.push_back(Arc::clone(&key));
        if self.order.len() > MEMORY
            && let Some(oldest) = self.order.pop_front()
        {
            self.subjects.remove(&oldest);
        }
        let subject = Subject { tokens: BURST.0, filled: event.time, topics: Vec::new() };
        self.subjects.insert(Arc::clone(&key), subject);
        key
    }
}

impl Subject {
    fn topic(&mut self, kind: EventType, reason: &str, now: Timestamp) -> &mut Topic {
        let known = self.topics.iter().position(|topic| topic.kind == kind && topic.reason == reason);
        let at = known.unwrap_or_else(|| {
            // Most subjects have few topics, and those one message each: room for more is made when there are more.
            let (reason, messages, seen) = (reason.to_owned(), Vec::with_capacity(1), Vec::with_capacity(1));
            self.topics.reserve_exact(1);
            self.topics.push(Topic { kind, reason, messages, last: now, seen });
            self.topics.len() - 1
        });
        &mut self.topics[at]
    }

    /// Takes one of the tokens, which come back with time.
    fn may_tell(&mut self, now: Timestamp) -> bool {
        let gained = since(now, self.filled).as_secs_f64() / BURST.1.as_secs_f64();
        self.tokens = (self.tokens + gained).min(BURST.0);
        self.filled = now;
        let may = self.tokens >= 1.0;
        if may {
            self.tokens -= 1.0;
        }
        may
    }
}

impl Topic {
    /// Takes in a message: gives it to keep, and whether there are so many by now that they are summed up.
    fn sums_up(&mut self, message: &str, now: Timestamp) -> (Arc<str>, bool) {
        if since(now, self.last) > SIMILAR.1 {
            self.messages.clear();
        }
        self.last = now;
        let message = self.message(message);
        if self.messages.iter().all(|known| *known != message) {
            self.messages.push(Arc::clone(&message));
        }
        let too_many = self.messages.len() >= SIMILAR.0;
        if too_many {
            self.messages.remove(0);
        }
        (message, too_many)
    }

    /// A message to keep: the one of late, where it is the same.
    fn message(&self, message: &str) -> Arc<str> {
        self.messages.iter().find(|known| ***known == *message).map_or_else(|| message.into(), Arc::clone)
    }

    fn seen(&mut self, message: Option<Arc<str>>, now: Timestamp) -> &mut Seen {
        let known = self.seen.iter().position(|seen| seen.message == message);
        let at = known.unwrap_or_else(|| {
            if self.seen.len() == MESSAGES {
                self.seen.remove(0);
            }
            self.seen.push(Seen { message, count: 0, first: now, name: None });
            self.seen.len() - 1
        });
        &mut self.seen[at]
    }
}

fn since(now: Timestamp, before: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(before).max(SignedDuration::ZERO)).unwrap_or_default()
}

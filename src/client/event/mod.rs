//! Events: what components tell people about objects.

mod correlate;

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Write as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use self::correlate::{Correlated, Correlator};
use super::Client;
use crate::api::{ApiError, ApiType, Patch, Reason};

/// How many events may wait to be written; more are dropped.
const QUEUE: usize = 8192;
/// How often, and after which pause, an event is tried again whose server could not be reached.
const RETRY: (usize, Duration) = (12, Duration::from_secs(10));

/// Whether an event tells of normal business or of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    /// Things take their course.
    Normal,
    /// Somebody should look.
    Warning,
}

impl EventType {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Writes core/v1 Events about objects, from one task and in the order in which they were recorded. Repetitions
/// become counts, floods are held back, as client-go does it.
///
/// Recording never waits and never fails: an event that cannot be written is logged and dropped. Clones share
/// the queue, which ends with the last of them.
///
/// ```
/// # async fn run(client: orchestrion::client::Client, pod: k8s_openapi::api::core::v1::Pod) {
/// use orchestrion::client::EventRecorder;
/// let events = EventRecorder::new(client.named("my-controller"));
/// events.normal(&pod, "Greeted", "The pod was greeted");
/// # }
/// ```
#[derive(Clone)]
pub struct EventRecorder {
    component: Arc<str>,
    host: Arc<str>,
    client: Client,
    /// Boxed: a queue has room for 32 from the start, and every node has one.
    queue: mpsc::Sender<Box<Recorded>>,
    _task: Arc<AbortOnDropHandle<()>>,
}

impl Debug for EventRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventRecorder").field("component", &self.component).finish_non_exhaustive()
    }
}

/// An event as it was recorded.
#[derive(Clone, Debug)]
struct Recorded {
    about: ObjectReference,
    annotations: BTreeMap<String, String>,
    kind: EventType,
    reason: String,
    message: String,
    component: Arc<str>,
    host: Arc<str>,
    time: Timestamp,
}

/// The reference by which events name an object.
pub fn reference<K: ApiType>(object: &K) -> ObjectReference {
    let meta = object.metadata();
    ObjectReference {
        api_version: Some(K::API_VERSION.to_owned()),
        kind: Some(K::KIND.to_owned()),
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        resource_version: meta.resource_version.clone(),
        uid: meta.uid.clone(),
        field_path: None,
    }
}

impl EventRecorder {
    /// A recorder of events from the component that `client` is named after.
    pub fn new(client: Client) -> Self {
        let (queue, recorded) = mpsc::channel(QUEUE);
        let component = Arc::clone(&client.call().agent);
        let task = tokio::spawn(write_all(client.clone(), recorded));
        Self { component, host: Arc::from(""), client, queue, _task: Arc::new(AbortOnDropHandle::new(task)) }
    }

    /// A recorder of the same queue for another component.
    #[must_use]
    pub fn named(&self, component: &str) -> Self {
        Self { component: component.into(), ..self.clone() }
    }

    /// The same recorder on behalf of a host: a node agent's, say.
    #[must_use]
    pub fn on_host(&self, host: &str) -> Self {
        Self { host: host.into(), ..self.clone() }
    }

    /// Records normal business of `object`.
    pub fn normal<K: ApiType>(&self, object: &K, reason: &str, message: impl Into<String>) {
        self.record(reference(object), EventType::Normal, reason, message.into());
    }

    /// Records trouble of `object`.
    pub fn warning<K: ApiType>(&self, object: &K, reason: &str, message: impl Into<String>) {
        self.record(reference(object), EventType::Warning, reason, message.into());
    }

    /// Records an event about whatever `about` refers to: a container of a pod (by its `fieldPath`), say.
    pub fn record(&self, about: ObjectReference, kind: EventType, reason: &str, message: String) {
        self.record_annotated(about, kind, reason, message, BTreeMap::new());
    }

    /// The same, with annotations for programs.
    pub fn record_annotated(
        &self,
        about: ObjectReference,
        kind: EventType,
        reason: &str,
        message: String,
        annotations: BTreeMap<String, String>,
    ) {
        let event = Recorded {
            about,
            annotations,
            kind,
            reason: reason.to_owned(),
            message,
            component: Arc::clone(&self.component),
            host: Arc::clone(&self.host),
            time: self.client.clock().now(),
        };
        if let Err(refused) = self.queue.try_send(Box::new(event)) {
            tracing::warn!(reason, %refused, "event dropped: too many are waiting");
        }
    }
}

async fn write_all(client: Client, mut recorded: mpsc::Receiver<Box<Recorded>>) {
    let mut correlator = Correlator::default();
    let mut names = Names::default();
    while let Some(event) = recorded.recv().await {
        let Some(correlated) = correlator.observe(*event) else { continue };
        for attempt in 1.. {
            match write(&client, &mut correlator, &mut names, &correlated).await {
                Ok(()) => break,
                Err(error) if attempt < RETRY.0 && is_transient(&error) => client.clock().sleep(RETRY.1).await,
                Err(error) => {
                    tracing::debug!(%error, reason = correlated.event.reason, "event refused");
                    break;
                }
            }
        }
    }
}

fn is_transient(error: &ApiError) -> bool {
    matches!(error.reason(), Reason::ServiceUnavailable | Reason::ServerTimeout | Reason::Timeout | Reason::Unknown)
}

async fn write(
    client: &Client,
    correlator: &mut Correlator,
    names: &mut Names,
    correlated: &Correlated,
) -> Result<(), ApiError> {
    let event = &correlated.event;
    let namespace = event.about.namespace.as_deref().filter(|name| !name.is_empty()).unwrap_or("default");
    let api = client.api::<Event>(namespace);
    if let Some(name) = &correlated.written_as {
        let patch = serde_json::json!({
            "count": correlated.count,
            "message": event.message,
            "lastTimestamp": Time(event.time),
        });
        match api.patch(name, Patch::Merge(patch)).await {
            // It has expired meanwhile: begin anew.
            Err(error) if error.is_not_found() => {}
            other => return other.map(drop),
        }
    }
    loop {
        let name = names.next(event);
        let object = Event {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(namespace.to_owned()),
                annotations: Some(event.annotations.clone()).filter(|annotations| !annotations.is_empty()),
                ..ObjectMeta::default()
            },
            involved_object: event.about.clone(),
            type_: Some(event.kind.as_str().to_owned()),
            reason: Some(event.reason.clone()),
            message: Some(event.message.clone()),
            count: Some(correlated.count),
            first_timestamp: Some(Time(correlated.first)),
            last_timestamp: Some(Time(event.time)),
            source: Some(EventSource {
                component: Some(str::to_owned(&event.component)),
                host: Some(str::to_owned(&event.host)).filter(|host| !host.is_empty()),
            }),
            reporting_component: Some(str::to_owned(&event.component)),
            reporting_instance: Some(str::to_owned(&event.host)),
            ..Event::default()
        };
        match api.create(object).await {
            // Another recorder spoke of the same object in the same instant (of virtual time): the next name is free.
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Err(error),
            Ok(_) => {
                correlator.wrote(correlated, name);
                return Ok(());
            }
        }
    }
}

/// Names of events: the object's, and the time in hexadecimal nanoseconds.
#[derive(Debug, Default)]
struct Names {
    /// The last name's number. The next has a higher one, though it may be of the same instant (of virtual time).
    latest: i128,
}

impl Names {
    fn next(&mut self, event: &Recorded) -> String {
        self.latest = event.time.as_nanosecond().max(self.latest + 1);
        let object = event.about.name.as_deref().unwrap_or_default();
        let mut name = String::with_capacity(object.len() + 17); // as long as it is in this century and the next
        name.push_str(object);
        // Writing to a text does not fail.
        let _ = write!(name, ".{:x}", self.latest);
        name
    }
}

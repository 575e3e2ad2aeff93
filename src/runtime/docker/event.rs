//! What happens in the engine.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::StreamExt;
use jiff::Timestamp;
use tokio::sync::broadcast;

use super::label;
use crate::clock::Clock;
use crate::runtime::{ContainerId, EventKind, RuntimeEvent, SandboxId};

/// The pause before the next attempt to reach an engine that has gone away.
const RETRY: Duration = Duration::from_millis(500);

/// An event, and whose it is.
#[derive(Debug)]
pub(super) struct Tagged {
    /// Cluster and node; `None` where it concerns all.
    pub(super) owner: Option<(String, String)>,
    pub(super) event: RuntimeEvent,
}

/// The containers in which memory has run out: when they end, the engine does not always say so.
#[derive(Debug, Default)]
pub(super) struct Starved(Mutex<BTreeSet<String>>);

impl Starved {
    fn add(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
    }

    pub(super) fn contains(&self, id: &ContainerId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(id.as_str())
    }

    pub(super) fn forget(&self, id: &ContainerId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id.as_str());
    }
}

/// Reads the engine's events for as long as it is not dropped. The first that are told happened after `since`, by the
/// engine's own clock: nothing that is done on a connection is missed, however late the reader gets to run.
pub(super) async fn read(
    docker: Docker,
    mut since: Option<String>,
    events: broadcast::Sender<Arc<Tagged>>,
    starved: Arc<Starved>,
    clock: Clock,
) {
    let wanted = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let filters: HashMap<String, Vec<String>> = [
        ("type".to_owned(), wanted(&["container"])),
        ("event".to_owned(), wanted(&["start", "die", "oom"])),
        ("label".to_owned(), wanted(&[label::CLUSTER])),
    ]
    .into();
    loop {
        let options = EventsOptionsBuilder::default().filters(&filters);
        let options = match since.as_deref().and_then(seconds) {
            Some(since) => options.since(&since),
            None => options,
        };
        let mut stream = std::pin::pin!(docker.events(Some(options.build())));
        while let Some(Ok(message)) = stream.next().await {
            if let Some(event) = translate(message, &starved) {
                let _ = events.send(Arc::new(event)); // nobody may listen
            }
        }
        // The engine has gone away. What it does when it comes back it may not tell.
        since = loop {
            clock.sleep(RETRY).await;
            if let Ok(info) = docker.info().await {
                break info.system_time;
            }
        };
        let lost = RuntimeEvent { pod: String::new(), sandbox: SandboxId::new(""), kind: EventKind::Lost };
        let _ = events.send(Arc::new(Tagged { owner: None, event: lost }));
    }
}

/// A time as the engine takes it: seconds and nanoseconds.
fn seconds(time: &str) -> Option<String> {
    let time: Timestamp = time.parse().ok()?;
    Some(format!("{}.{:09}", time.as_second(), time.subsec_nanosecond()))
}

fn translate(message: EventMessage, starved: &Starved) -> Option<Tagged> {
    let (action, actor) = (message.action?, message.actor?);
    let (id, labels) = (actor.id?, actor.attributes?);
    let of = |name| label::text(&labels, name).to_owned();
    let (sandbox, kind) = match (label::text(&labels, label::KIND), action.as_str()) {
        (label::SANDBOX, "die") => (SandboxId::new(id), EventKind::SandboxStopped),
        (label::CONTAINER, "start") => {
            (SandboxId::new(of(label::SANDBOX_ID)), EventKind::Started(ContainerId::new(id)))
        }
        // Which may be told after its end.
        (label::CONTAINER, "oom") => {
            starved.add(&id);
            (SandboxId::new(of(label::SANDBOX_ID)), EventKind::Exited(ContainerId::new(id)))
        }
        (label::CONTAINER, "die") => (SandboxId::new(of(label::SANDBOX_ID)), EventKind::Exited(ContainerId::new(id))),
        _ => return None,
    };
    let event = RuntimeEvent { pod: of(label::POD_UID), sandbox, kind };
    Some(Tagged { owner: Some((of(label::CLUSTER), of(label::NODE))), event })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_the_nanosecond() {
        assert_eq!(seconds("2026-01-01T00:00:00.000000007Z").as_deref(), Some("1767225600.000000007"));
        assert_eq!(seconds("2026-01-01T02:00:00.5+02:00").as_deref(), Some("1767225600.500000000"));
        assert_eq!(seconds("soon"), None);
    }
}

//! Events.

use std::time::Duration;

use futures::StreamExt;

use super::{sandbox, script, start};
use crate::runtime::{EventKind, Runtime};

/// Beginning and end of a container are told in that order, with the pod's UID.
pub async fn events_tell_of_beginning_and_end(runtime: &dyn Runtime, image: &str) {
    let mut events = runtime.events();
    let sandbox = sandbox(runtime, "events").await;
    let id = start(runtime, &sandbox, &script(image, "exit 0")).await;
    for kind in [EventKind::Started(id.clone()), EventKind::Exited(id)] {
        let event = tokio::time::timeout(Duration::from_secs(60), events.next()).await;
        let event = event.ok().flatten().unwrap_or_else(|| panic!("no event {kind:?}"));
        assert_eq!((event.kind, event.pod.as_str(), &event.sandbox), (kind, "events-uid", &sandbox.id));
    }
}

/// Readers do not take events away from each other.
pub async fn every_reader_gets_every_event(runtime: &dyn Runtime, image: &str) {
    let (mut first, mut second) = (runtime.events(), runtime.events());
    let sandbox = sandbox(runtime, "readers").await;
    let id = start(runtime, &sandbox, &script(image, "sleep 3600")).await;
    for events in [&mut first, &mut second] {
        let event = tokio::time::timeout(Duration::from_secs(60), events.next()).await.ok().flatten();
        assert_eq!(event.map(|event| event.kind), Some(EventKind::Started(id.clone())));
    }
}

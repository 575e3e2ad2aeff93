//! The labels by which a runtime finds its sandboxes and containers again, and keeps its hands off all others.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

/// The cluster and the node that something belongs to.
pub(super) const CLUSTER: &str = "io.orchestrion.cluster";
pub(super) const NODE: &str = "io.orchestrion.node";
/// `sandbox` or `container`.
pub(super) const KIND: &str = "io.orchestrion.kind";
pub(super) const SANDBOX: &str = "sandbox";
pub(super) const CONTAINER: &str = "container";
pub(super) const POD_NAME: &str = "io.orchestrion.pod.name";
pub(super) const POD_NAMESPACE: &str = "io.orchestrion.pod.namespace";
pub(super) const POD_UID: &str = "io.orchestrion.pod.uid";
/// The ID of a container's sandbox.
pub(super) const SANDBOX_ID: &str = "io.orchestrion.sandbox.id";
/// A container's name in its pod.
pub(super) const CONTAINER_NAME: &str = "io.orchestrion.container.name";
/// How many there were of this sandbox or container before.
pub(super) const ATTEMPT: &str = "io.orchestrion.attempt";
/// When it was made: the engine's lists round this to seconds.
pub(super) const CREATED: &str = "io.orchestrion.created";
/// A sandbox's address.
pub(super) const ADDRESS: &str = "io.orchestrion.address";
/// Whether the containers of a sandbox see each other's processes.
pub(super) const SHARE_PROCESSES: &str = "io.orchestrion.share-processes";
/// A container's image: as the pod names it, and its digest reference.
pub(super) const IMAGE: &str = "io.orchestrion.image";
pub(super) const IMAGE_ID: &str = "io.orchestrion.image.id";
/// The file of the node that a container's termination message goes to, and whether its log stands in for it.
pub(super) const MESSAGE: &str = "io.orchestrion.message";
pub(super) const MESSAGE_FROM_LOG: &str = "io.orchestrion.message.from-log";
/// What all labels of the runtime's own begin with.
const OWN: &str = "io.orchestrion.";

pub(super) type Labels = HashMap<String, String>;

/// Labels of these names and values.
pub(super) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The value of a label; empty where there is none.
pub(super) fn text<'a>(labels: &'a Labels, name: &str) -> &'a str {
    labels.get(name).map_or("", String::as_str)
}

/// How many there were before.
pub(super) fn attempt(labels: &Labels) -> u32 {
    text(labels, ATTEMPT).parse().unwrap_or(0)
}

/// When it was made.
pub(super) fn created(labels: &Labels) -> Timestamp {
    text(labels, CREATED).parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The labels that are not the runtime's own.
pub(super) fn given(labels: &Labels) -> BTreeMap<String, String> {
    let given = labels.iter().filter(|(name, _)| !name.starts_with(OWN));
    given.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A filter for what has all these labels.
pub(super) fn filter(labels: &Labels) -> HashMap<String, Vec<String>> {
    let mut wanted: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    wanted.sort_unstable();
    [("label".to_owned(), wanted)].into()
}

//! Mirrors: what the API shows of static pods.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{Node, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use tokio::sync::Notify;

use super::{MIRROR, annotation, full_name};
use crate::api::{ApiError, DeleteOptions};
use crate::client::{Change, Client};
use crate::node::agent::Workers;

/// The mirrors that the API has of pods of this node, by namespace and name.
#[derive(Debug, Default)]
pub(in crate::node) struct Mirrors {
    /// `None` until the API has told.
    known: Mutex<Option<BTreeMap<(String, String), Arc<Pod>>>>,
    changed: Notify,
}

impl Mirrors {
    fn known(&self) -> MutexGuard<'_, Option<BTreeMap<(String, String), Arc<Pod>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over a change that the API tells of.
    pub(in crate::node) fn change(&self, change: &Change<Pod>) {
        let name = full_name(change.object());
        let mut known = self.known();
        let known = known.get_or_insert_default();
        match &change.new {
            Some(mirror) => drop(known.insert(name, Arc::clone(mirror))),
            None => drop(known.remove(&name)),
        }
        self.changed.notify_one();
    }

    /// The API has told all that there are.
    pub(in crate::node) fn complete(&self) {
        self.known().get_or_insert_default();
        self.changed.notify_one();
    }

    /// A static pod has another status now, or is gone.
    pub(in crate::node) fn note(&self) {
        self.changed.notify_one();
    }

    /// Waits until there may be something to do.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// What mirrors were last given to show.
#[derive(Default)]
pub(super) struct Shown(BTreeMap<String, PodStatus>);

impl Shown {
    /// Makes, brings up to date and deletes mirrors, as far as the API can be reached.
    pub(super) async fn sync(&mut self, workers: &Workers) -> Result<(), ApiError> {
        let machine = &workers.machine;
        let known = machine.mirrors.known().clone();
        let Some(known) = known else { return Ok(()) };
        let pods: BTreeMap<_, _> = {
            let workers = workers.by_uid();
            let pods = workers.values().filter(|handle| handle.demand.1.is_static).map(|handle| {
                let pod = handle.pod();
                (full_name(&pod), (pod, handle.is_gone()))
            });
            pods.collect()
        };
        for (_, mirror) in known.iter().filter(|(name, _)| !pods.contains_key(*name)) {
            delete(&machine.client, mirror).await?;
        }
        for (name, (pod, _)) in pods.iter().filter(|(_, (_, gone))| !gone) {
            let mirror = match known.get(name) {
                // Somebody deletes it, or it shows an earlier version.
                Some(old) if old.metadata.deletion_timestamp.is_some() || !is_of(old, pod) => {
                    delete(&machine.client, old).await?;
                    continue;
                }
                Some(mirror) => Arc::clone(mirror),
                None => {
                    // A node that was deleted registers anew, and is another then.
                    let node = machine.client.all::<Node>().get(&machine.config.name).await?;
                    create(&machine.client, &node, pod).await?
                }
            };
            self.show(&machine.client, &mirror, pod).await?;
        }
        self.0.retain(|uid, _| known.values().any(|mirror| mirror.metadata.uid.as_ref() == Some(uid)));
        Ok(())
    }

    async fn show(&mut self, client: &Client, mirror: &Pod, pod: &Pod) -> Result<(), ApiError> {
        let uid = mirror.metadata.uid.clone().unwrap_or_default();
        let Some(status) = pod.status.as_ref().filter(|status| self.0.get(&uid) != Some(status)) else { return Ok(()) };
        let pods = client.api::<Pod>(mirror.metadata.namespace.as_deref().unwrap_or_default());
        let name = mirror.metadata.name.as_deref().unwrap_or_default();
        pods.modify_status(name, |mirror| mirror.status = Some(status.clone())).await?;
        self.0.insert(uid, status.clone());
        Ok(())
    }
}

fn is_of(mirror: &Pod, pod: &Pod) -> bool {
    annotation(mirror, MIRROR) == pod.metadata.uid.as_deref()
}

async fn create(client: &Client, node: &Node, pod: &Pod) -> Result<Arc<Pod>, ApiError> {
    let mut annotations = pod.metadata.annotations.clone().unwrap_or_default();
    annotations.insert(MIRROR.to_owned(), pod.metadata.uid.clone().unwrap_or_default());
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: node.metadata.name.clone().unwrap_or_default(),
        uid: node.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        ..OwnerReference::default()
    };
    let mirror = Pod {
        metadata: ObjectMeta {
            name: pod.metadata.name.clone(),
            namespace: pod.metadata.namespace.clone(),
            labels: pod.metadata.labels.clone(),
            annotations: Some(annotations),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: pod.spec.clone(),
        status: None,
    };
    let pods = client.api::<Pod>(pod.metadata.namespace.as_deref().unwrap_or_default());
    match pods.create(mirror).await {
        Err(error) if error.is_already_exists() => {
            let found = pods.get(pod.metadata.name.as_deref().unwrap_or_default()).await?;
            if is_of(&found, pod) { Ok(found) } else { Err(error) }
        }
        other => other,
    }
}

/// Deletes a mirror at once: the pod that it shows is not touched.
pub(in crate::node) async fn delete(client: &Client, mirror: &Pod) -> Result<(), ApiError> {
    let pods = client.api::<Pod>(mirror.metadata.namespace.as_deref().unwrap_or_default());
    let options = DeleteOptions { grace_period: Some(0), uid: mirror.metadata.uid.clone(), ..DeleteOptions::default() };
    match pods.delete_with(mirror.metadata.name.as_deref().unwrap_or_default(), &options).await {
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
        other => other.map(drop),
    }
}

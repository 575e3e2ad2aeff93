//! Static pods: those whose manifests lie in a directory of the node. They run whether or not the API can be reached;
//! there each has a mirror, so that it is seen.
//!
//! Source: [static pods](https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/).

mod mirror;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

pub(super) use self::mirror::{Mirrors, delete as delete_mirror};
use super::agent::Workers;

/// Where a pod comes from: `api`, or `file`.
const SOURCE: &str = "kubernetes.io/config.source";
/// What tells one version of a manifest from another: the UID of the static pod.
const HASH: &str = "kubernetes.io/config.hash";
/// When it was first seen.
const SEEN: &str = "kubernetes.io/config.seen";
/// The hash of the pod whose mirror this is.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The pause after the API did not do what it was asked for.
const RETRY: Duration = Duration::from_secs(1);

fn annotation<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// Whether a pod's manifest is a file of the node.
pub(super) fn is_static(pod: &Pod) -> bool {
    annotation(pod, SOURCE).is_some_and(|source| source != "api") && !is_mirror(pod)
}

/// Whether a pod only shows another, which is static.
pub(super) fn is_mirror(pod: &Pod) -> bool {
    annotation(pod, MIRROR).is_some()
}

/// Namespace and name.
fn full_name(pod: &Pod) -> (String, String) {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    (text(&pod.metadata.namespace), text(&pod.metadata.name))
}

/// The static pods of a node that has a directory for them.
pub(super) struct StaticPods<'a> {
    workers: &'a Arc<Workers>,
    directory: &'a str,
    /// What there is to run, by UID.
    wanted: BTreeMap<String, Arc<Pod>>,
    /// When to look into the directory again.
    look_at: Timestamp,
    shown: mirror::Shown,
}

impl<'a> StaticPods<'a> {
    /// Looks into the directory for the first time, and starts what is in it; `None` where the node has none.
    pub(super) async fn start(workers: &'a Arc<Workers>) -> Option<Self> {
        let directory = workers.machine.config.static_pod_path.as_deref()?;
        let look_at = workers.machine.clock().now();
        let shown = mirror::Shown::default();
        let mut pods = Self { workers, directory, wanted: BTreeMap::new(), look_at, shown };
        pods.look().await;
        Some(pods)
    }

    /// Follows the directory, and has mirrors follow the pods.
    pub(super) async fn follow(mut self) {
        let machine = &self.workers.machine;
        loop {
            let retry = match self.shown.sync(self.workers).await {
                Ok(()) => None,
                Err(error) => {
                    tracing::debug!(node = machine.config.name, %error, "static pods not shown");
                    machine.clock().now().checked_add(RETRY).ok()
                }
            };
            let until = retry.map_or(self.look_at, |retry| retry.min(self.look_at));
            tokio::select! {
                biased;
                () = machine.mirrors.changed() => {}
                () = machine.clock().sleep_until(until) => {}
            }
            if self.look_at <= machine.clock().now() {
                self.look().await;
            } else {
                self.apply();
            }
        }
    }

    async fn look(&mut self) {
        let machine = &self.workers.machine;
        match machine.runtime.read_host_directory(self.directory).await {
            Ok(files) => {
                let pods = source::pods(&files.unwrap_or_default(), self.directory, &machine.config.name);
                self.wanted.retain(|uid, _| pods.contains_key(uid));
                for (uid, pod) in pods {
                    self.wanted.entry(uid).or_insert_with(|| Arc::new(source::seen(pod, machine.clock().now())));
                }
            }
            // What ran goes on.
            Err(error) => tracing::warn!(directory = self.directory, %error, "static pods not read"),
        }
        let now = machine.clock().now();
        self.look_at = now.checked_add(machine.config.file_check).unwrap_or(Timestamp::MAX);
        self.apply();
    }

    /// Ends what is no longer wanted, and starts what is; a new version when the old one is gone.
    fn apply(&self) {
        let mut taken = Vec::new();
        for (uid, handle) in self.workers.by_uid().iter_mut().filter(|(_, handle)| handle.demand.1.is_static) {
            let pod = handle.pod();
            taken.push(full_name(&pod));
            if !self.wanted.contains_key(uid) {
                handle.change(&pod, true);
            }
        }
        for (uid, pod) in &self.wanted {
            let name = full_name(pod);
            if !taken.contains(&name) {
                self.workers.accept(uid.clone(), pod);
                taken.push(name);
            }
        }
    }
}

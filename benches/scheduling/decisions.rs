//! Decisions alone: the same workloads over a scheduler's cache, without API server, queue and binding.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use orchestrion::random::Random;
use orchestrion::scheduler::framework::{Filter, Plugin, Prepared};
use orchestrion::scheduler::snapshot::{Cache, PodInfo, Snapshot};
use orchestrion::scheduler::{Framework, Scheduler};

use crate::workload::Workload;

/// A plugin that does not say what it reads, so that nothing can be remembered.
#[derive(Debug)]
struct Opaque;

impl Plugin for Opaque {
    fn name(&self) -> &'static str {
        "Opaque"
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }
}

impl Filter for Opaque {
    fn prepare<'a>(&'a self, _: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        Prepared::Pass
    }
}

/// How long the decisions on the measured pods take, each with its consequence for the next; `in_full`: with nothing
/// remembered from one to the next.
pub(crate) fn run(workload: &Workload, in_full: bool) -> Duration {
    let mut cache = Cache::default();
    let team = BTreeMap::from([("team".to_owned(), "devops".to_owned())]);
    cache.surroundings().namespaces = Arc::new(workload.namespaces().into_iter().map(|n| (n, team.clone())).collect());
    for node in workload.nodes() {
        cache.set_node(&Arc::new(node));
    }
    let scheduler = Framework::new(Random::seeded(1));
    let scheduler = if in_full { scheduler.with(Opaque, 0) } else { scheduler };
    let gated = |pod: &PodInfo| scheduler.gate(pod).is_err();
    for pod in infos(workload.existing()).iter().filter(|pod| !gated(pod)) {
        decide(&scheduler, &mut cache, pod);
    }
    let pods = infos(workload.measured());
    let start = Instant::now();
    for pod in &pods {
        decide(&scheduler, &mut cache, pod);
    }
    start.elapsed()
}

fn decide(scheduler: &Framework, cache: &mut Cache, pod: &Arc<PodInfo>) {
    let placement = scheduler.place(pod, &cache.snapshot());
    if let Some(node) = placement.node() {
        cache.assume(pod, node);
    }
}

/// As the API server would make them.
fn infos(pods: Vec<Pod>) -> Vec<Arc<PodInfo>> {
    let created = |mut pod: Pod| {
        let meta = &mut pod.metadata;
        meta.uid =
            meta.name.as_ref().zip(meta.namespace.as_ref()).map(|(name, namespace)| format!("{namespace}/{name}"));
        if let Some(spec) = pod.spec.as_mut().filter(|spec| spec.priority_class_name.is_some()) {
            spec.priority = Some(10);
        }
        Arc::new(PodInfo::new(Arc::new(pod)))
    };
    pods.into_iter().map(created).collect()
}

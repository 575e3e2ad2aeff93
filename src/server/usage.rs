//! NodeMetrics and PodMetrics: what nodes and pods use, asked of the nodes' agents when somebody wants to know.
//!
//! Nothing is measured while nobody asks. Agents keep what they measured last, so that the next question has two
//! measurements to tell a rate by (`docs/design/metrics.md`). Which pods and nodes have metrics, and what is said of
//! those that have none, is metrics-server's.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::error;
use super::pipeline::Inner;
use crate::api::kinds::metrics::{ContainerMetrics, NodeMetrics, PodMetrics, usage};
use crate::api::stats::{CpuStats, PodStats, Scope, Summary};
use crate::api::{
    ApiError, ApiType, Body, Draft, GoDuration, GroupResource, Kind, KindRef, List, ListOptions, Object, Revision,
    Target,
};

/// Whether objects of the kind are usage, which is never stored.
pub(super) fn is_of(kind: &Kind) -> bool {
    kind.group == "metrics.k8s.io"
}

impl Inner {
    /// What one pod or node uses.
    pub(super) async fn usage_of(&self, target: &Target) -> Result<Object, ApiError> {
        let measured = Target { kind: self.measured(&target.kind)?, ..target.clone() };
        let object = self.read(&measured).await?;
        let found = self.measure(&target.kind, vec![object]).await.pop();
        found.ok_or_else(|| {
            // As metrics-server calls them.
            let resource = GroupResource::new(&*target.kind.group, target.kind.kind.to_lowercase());
            ApiError::not_found(&resource, &target.object.to_string())
        })
    }

    /// What the selected pods or nodes use. Those of which nobody can tell are left out.
    pub(super) async fn usages(&self, target: &Target, options: &ListOptions) -> Result<List, ApiError> {
        let measured = Target { kind: self.measured(&target.kind)?, ..target.clone() };
        let options =
            ListOptions { labels: options.labels.clone(), fields: options.fields.clone(), ..ListOptions::default() };
        let objects = Box::pin(self.list(&measured, &options)).await?.items;
        Ok(List { items: self.measure(&target.kind, objects).await, revision: Revision::ZERO, ..List::default() })
    }

    /// The kind whose use objects of `kind` tell.
    fn measured(&self, kind: &Kind) -> Result<KindRef, ApiError> {
        self.kinds.by_resource("", "v1", &kind.plural).ok_or_else(error::no_such_resource)
    }

    /// What these nodes, or these pods, use.
    async fn measure(&self, kind: &KindRef, objects: Vec<Object>) -> Vec<Object> {
        let nodes = objects.iter().filter_map(node_of).map(|node| (node, ())).collect::<BTreeMap<_, _>>();
        let asked = nodes.keys().filter_map(|node| Some((*node, self.agent(node).ok()?)));
        let summaries = join_all(asked.map(async |(node, agent)| match agent.stats(Scope::CpuAndMemory).await {
            Ok(summary) => Some((node, summary)),
            Err(error) => {
                tracing::debug!(node, %error, "a node does not tell what it uses");
                None
            }
        }));
        let summaries: BTreeMap<&str, Summary> = summaries.await.into_iter().flatten().collect();
        let now = self.clock.time();
        let seal = |body: Arc<dyn Body>| Draft::of(kind.clone(), body).seal_as_is();
        let measured = objects.iter().filter_map(|object| {
            let summary = summaries.get(node_of(object)?)?;
            if let Some(node) = object.as_typed::<Node>() {
                return node_metrics(node, &summary.node.cpu, summary.node.memory.working_set_bytes, &now)
                    .map(|metrics| seal(Arc::new(metrics)));
            }
            let stats = summary.pods.iter().find(|stats| stats.pod_ref.uid == object.uid())?;
            pod_metrics(object.as_typed::<Pod>()?, stats, &now).map(|metrics| seal(Arc::new(metrics)))
        });
        measured.collect()
    }
}

/// The node that an object is, or that it is on.
fn node_of(object: &Object) -> Option<&str> {
    match object.as_typed::<Pod>() {
        Some(pod) => pod.spec.as_ref()?.node_name.as_deref().filter(|node| !node.is_empty()),
        None => Some(object.name()),
    }
}

/// What metrics say of whom they are about.
fn metadata<K: ApiType>(of: &K, now: &Time) -> ObjectMeta {
    let meta = of.metadata();
    ObjectMeta {
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        labels: meta.labels.clone(),
        creation_timestamp: Some(now.clone()),
        ..ObjectMeta::default()
    }
}

fn node_metrics(node: &Node, cpu: &CpuStats, memory: u64, now: &Time) -> Option<NodeMetrics> {
    Some(NodeMetrics {
        metadata: metadata(node, now),
        timestamp: cpu.time.clone(),
        window: GoDuration(cpu.window),
        usage: usage(cpu.usage_nano_cores?, memory),
    })
}

/// A pod of which some container cannot be told about is not told about.
fn pod_metrics(pod: &Pod, stats: &PodStats, now: &Time) -> Option<PodMetrics> {
    let earliest = stats.containers.iter().map(|container| &container.cpu).min_by_key(|cpu| cpu.time.0)?;
    let containers = stats.containers.iter().map(|container| {
        let usage = usage(container.cpu.usage_nano_cores?, container.memory.working_set_bytes);
        Some(ContainerMetrics { name: container.name.clone(), usage })
    });
    Some(PodMetrics {
        containers: containers.collect::<Option<_>>()?,
        metadata: metadata(pod, now),
        timestamp: earliest.time.clone(),
        window: GoDuration(earliest.window),
    })
}

//! Schedulers of one's own: a plugin for the default one, and a whole one, each for the pods that name it.

use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use orchestrion::api::LabelSelector;
use orchestrion::cluster::Cluster;
use orchestrion::random::Random;
use orchestrion::scheduler::framework::{Filter, NodeFilter, Plugin, Prepared, Reads, Refusal};
use orchestrion::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot};
use orchestrion::scheduler::{ClusterEvent, Config, Framework, Placement, Scheduler};

/// A plugin: no node takes two pods of the same team.
#[derive(Debug)]
struct OnePerTeam;

fn team(pod: &PodInfo) -> Option<&str> {
    pod.labels()?.get("team").map(String::as_str)
}

impl Plugin for OnePerTeam {
    fn name(&self) -> &'static str {
        "OnePerTeam"
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    /// It looks at the pod's labels and at what is on the node: what it said of a node stands until that changes.
    fn reads(&self, _: &Arc<PodInfo>, _: &Snapshot) -> Reads {
        Reads::Node
    }

    /// A pod that waits is tried again when one of its team goes, or when a node comes.
    fn may_help(&self, pod: &PodInfo, event: &ClusterEvent) -> bool {
        let left = event.pod_gone().is_some_and(|gone| team(gone) == team(pod));
        left || event.node_gain().is_some_and(|(before, _)| before.is_none())
    }
}

impl Filter for OnePerTeam {
    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        team(pod).map_or(Prepared::Pass, |team| Prepared::Check(Box::new(WithoutTeam(team))))
    }
}

/// What [`OnePerTeam`] looks for on a node, for one pod.
#[derive(Clone, Debug)]
struct WithoutTeam<'a>(&'a str);

impl<'a> NodeFilter<'a> for WithoutTeam<'a> {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        if node.pods().iter().any(|other| team(other) == Some(self.0)) {
            return Err(Refusal::new("node(s) had a pod of the team"));
        }
        Ok(())
    }

    fn fork(&self) -> Box<dyn NodeFilter<'a> + 'a> {
        Box::new(self.clone())
    }
}

/// A whole scheduler: the node that has the most pods already gets the next.
#[derive(Debug)]
struct Fullest;

impl Scheduler for Fullest {
    fn place(&self, _pod: &Arc<PodInfo>, cluster: &Snapshot) -> Placement {
        let open = cluster.nodes().iter().filter(|node| !node.is_unschedulable() && node.taints().is_empty());
        let fullest = open.max_by_key(|node| (node.pods().len(), node.name()));
        fullest.map_or_else(|| Placement::none("no node is open"), |node| Placement::on(node.name()))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let random = Random::from_entropy();
    let config = Config::new(Framework::new(random.fork("default")))
        .profile("one-per-team", Framework::new(random.fork("teams")).with(OnePerTeam, 0))
        .profile("fullest", Fullest);
    let cluster = Cluster::builder().nodes(3).scheduler(config).start().await?;
    let minute = Duration::from_secs(60);
    let untainted = |node: &Arc<Node>| node.spec.as_ref().is_none_or(|spec| spec.taints.is_none());
    let nodes = cluster.client().all::<Node>();
    nodes
        .wait_all(LabelSelector::default(), minute, |nodes| nodes.iter().filter(|node| untainted(node)).count() == 3)
        .await?;

    for scheduler in ["default-scheduler", "one-per-team", "fullest"] {
        cluster.apply(&manifest(scheduler, 4)).await?;
        let of_this: LabelSelector = format!("team={scheduler}").parse()?;
        let pods = cluster.client().api::<Pod>("default");
        let decided = |pods: &[Arc<Pod>]| pods.len() == 4 && pods.iter().all(|pod| scheduled(pod).is_some());
        println!("{scheduler}:");
        for pod in pods.wait_all(of_this, minute, decided).await? {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            println!("  {name}: {}", scheduled(&pod).unwrap_or_default());
        }
    }
    cluster.stop().await;
    Ok(())
}

/// Some pods of one team, that name a scheduler and are called after it.
fn manifest(scheduler: &str, count: usize) -> String {
    (1..=count).fold(String::new(), |mut text, number| {
        let _ = write!(
            text,
            "---
apiVersion: v1
kind: Pod
metadata:
  name: {scheduler}-{number}
  labels: {{ team: {scheduler} }}
spec:
  schedulerName: {scheduler}
  containers: [{{ name: main, image: busybox }}]
"
        );
        text
    })
}

/// Where the pod went, or why nowhere; `None` where that is not known yet.
fn scheduled(pod: &Pod) -> Option<&str> {
    if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
        return Some(node);
    }
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "PodScheduled")?.message.as_deref()
}

//! How many pods per second go from created to bound, whole path in process: API server, store, scheduler with all
//! default plugins, watchers. No node agents and no controllers.
//!
//! `cargo bench --bench scheduling -- [--workload NAME] [--nodes N] [--pods N] [--before N] [--threads N] [--rounds N]
//! [--free] [--decisions | --decisions-in-full]`; without options each workload once, in the size that it is known by.
//! With `--rounds`, each so often in one process; with `--free`, on threads that are not bound to a core; with
//! `--decisions`, only the decisions are measured; with `--decisions-in-full`, without what the scheduler remembers from
//! one to the next. One JSON object a line.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(missing_docs, reason = "a program")]

mod decisions;
#[path = "../figures/mod.rs"]
mod figures;
mod threads;
mod workload;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service, ServiceAccount};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use orchestrion::client::{Client, Informer, Informers};
use orchestrion::clock::Clock;
use orchestrion::random::Random;
use orchestrion::scheduler::{self, Config};
use orchestrion::server::Server;
use orchestrion::store::MemoryStore;
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::figures::{Options, now, report, spent};
use self::threads::runtime;
use self::workload::{MEASURED, Workload};

/// A run that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(300);

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read(&[
        "workload",
        "nodes",
        "pods",
        "before",
        "threads",
        "rounds",
        "free",
        "decisions",
        "decisions-in-full",
    ]);
    let name: Option<String> = options.find("workload");
    let threads = options.get("threads", std::thread::available_parallelism()?.get());
    let known = workload::all();
    if let Some(name) = name.as_deref().filter(|name| known.iter().all(|workload| workload.name != *name)) {
        let names: Vec<_> = known.iter().map(|workload| workload.name).collect();
        return Err(format!("no workload is called {name}; there are {}", names.join(", ")).into());
    }
    for mut workload in known {
        if name.as_deref().is_some_and(|name| name != workload.name) {
            continue;
        }
        workload.nodes = options.get("nodes", workload.nodes);
        workload.pods = options.get("pods", workload.pods);
        workload.before = options.get("before", workload.before);
        let report = |of: &str, value: f64, unit: &str| {
            let Workload { name, nodes, before, pods, .. } = workload;
            let sizes = [("nodes", nodes), ("before", before), ("pods", pods)];
            report(&format!("scheduling/{name}{of}"), &sizes, value, unit);
        };
        let in_full = options.has("decisions-in-full");
        if in_full || options.has("decisions") {
            let took = decisions::run(&workload, in_full);
            let name = if in_full { "/decisions-in-full" } else { "/decisions" };
            report(name, workload.pods as f64 / took.as_secs_f64(), "pods/s");
            continue;
        }
        // From the second round on, the allocator has most of the memory already.
        for _ in 0..options.get("rounds", 1) {
            let runtime = runtime(threads, options.has("free"))?;
            // In one of the runtime's threads: the one that waits here would be one more than there are cores.
            let took = runtime.block_on(runtime.spawn(run(workload.clone())))?.map_err(|error| error.to_string())?;
            report("", workload.pods as f64 / took.wall.as_secs_f64(), "pods/s");
            // The steadier figure on a machine that does other things, too.
            report("/cpu", took.cpu.as_secs_f64() * 1e6 / workload.pods as f64, "us/pod");
        }
    }
    Ok(())
}

/// What the measured part took: time, and processor time of the whole process.
struct Took {
    wall: Duration,
    cpu: Duration,
}

async fn run(workload: Workload) -> Result<Took, Box<dyn Error + Send + Sync>> {
    let (clock, random) = (Clock::system(), Random::seeded(1));
    let server = Server::builder(Arc::new(MemoryStore::default())).clock(clock).random(random.fork("apiserver"));
    let client = Client::new(Arc::new(server.start().await?), clock, random);
    furnish(&client, &workload).await?;
    let cancel = CancellationToken::new();
    let informers = Informers::new(client.clone());
    let scheduling = tokio::spawn(scheduler::run(informers, Config::default(), cancel.clone()));

    // What is there before.
    let settled = Settled::follow(&client, |pod| is_bound(pod) || is_refused(pod));
    let existing = workload.existing();
    let waited_for = if workload.name == "gated" { 0 } else { existing.len() };
    for pod in existing {
        client.api::<Pod>(pod.metadata.namespace.as_deref().unwrap_or_default()).create(pod).await?;
    }
    settled.reach(waited_for).await?;
    drop(settled);
    // Let what follows from the decisions come to rest: events, above all.
    tokio::time::sleep(Duration::from_millis(500)).await;

    let churn = (workload.name == "churn").then(|| tokio::spawn(churn(client.clone())));
    let bound = Settled::follow(&client, |pod| is_bound(pod) && pod.metadata.namespace.as_deref() == Some(MEASURED));
    bound.informer.synced().await;
    let pods = workload.measured();
    let (start, before) = (now(), spent("self"));
    let api = client.api::<Pod>(MEASURED);
    let count = pods.len();
    for pod in pods {
        api.create(pod).await?;
    }
    bound.reach(count).await?;
    let took = Took { wall: start.elapsed(), cpu: spent("self") - before };
    if let Some(churn) = churn {
        churn.abort();
    }
    cancel.cancel();
    scheduling.await?;
    Ok(took)
}

/// Namespaces with their accounts, a priority, and the nodes.
async fn furnish(client: &Client, workload: &Workload) -> Result<(), Box<dyn Error + Send + Sync>> {
    for name in workload.namespaces() {
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": name, "labels": {"team": "devops"}}}))?;
        client.all().create(namespace).await?;
        let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "default"}}))?;
        client.api(&name).create(account).await?;
    }
    let high: PriorityClass = serde_json::from_value(json!({"metadata": {"name": "high"}, "value": 10}))?;
    client.all().create(high).await?;
    for node in workload.nodes() {
        add_node(client, node).await?;
    }
    Ok(())
}

async fn add_node(client: &Client, node: Node) -> Result<(), Box<dyn Error + Send + Sync>> {
    let nodes = client.all::<Node>();
    let (name, status) = (node.metadata.name.clone().unwrap_or_default(), node.status.clone());
    nodes.create(node).await?;
    nodes.modify_status(&name, |node| node.status.clone_from(&status)).await?;
    // As the node lifecycle controller does for nodes that are ready.
    nodes.modify(&name, |node| node.spec.get_or_insert_default().taints = None).await?;
    Ok(())
}

/// A node, a pod that fits nowhere and a service come and go.
async fn churn(client: Client) {
    for round in 0.. {
        let (node, pod, service) = (format!("churn-{round}"), format!("churn-{round}"), format!("churn-{round}"));
        let created = async {
            add_node(&client, workload::node(&node, None, "110")).await?;
            let mut large = workload::pod("large", false);
            large.metadata.name = Some(pod.clone());
            client.api::<Pod>(workload::BEFORE).create(large).await?;
            let spec = json!({"selector": {"app": "churn"}, "ports": [{"port": 80}]});
            let made: Service = serde_json::from_value(json!({"metadata": {"name": service}, "spec": spec}))?;
            client.api::<Service>(workload::BEFORE).create(made).await?;
            Ok::<(), Box<dyn Error + Send + Sync>>(())
        };
        created.await.expect("what churns can be created");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _ = client.all::<Node>().delete(&node).await;
        let _ = client.api::<Pod>(workload::BEFORE).delete(&pod).await;
        let _ = client.api::<Service>(workload::BEFORE).delete(&service).await;
    }
}

fn is_bound(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some())
}

fn is_refused(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
}

/// Counts the pods that have come to satisfy a condition, as a watcher is told of them.
struct Settled {
    informer: Informer<Pod>,
    count: Arc<(AtomicUsize, Notify)>,
}

impl Settled {
    fn follow(client: &Client, condition: impl Fn(&Pod) -> bool + Send + Sync + 'static) -> Self {
        let informer = Informer::start(client.all::<Pod>());
        let count = Arc::new((AtomicUsize::new(0), Notify::new()));
        let counting = Arc::clone(&count);
        informer.on_change(move |change| {
            let holds = |pod: &Option<Arc<Pod>>| pod.as_deref().is_some_and(&condition);
            if holds(&change.new) && !holds(&change.old) {
                counting.0.fetch_add(1, Ordering::Relaxed);
                counting.1.notify_one();
            }
        });
        Self { informer, count }
    }

    async fn reach(&self, wanted: usize) -> Result<(), Box<dyn Error + Send + Sync>> {
        let reached = async {
            while self.count.0.load(Ordering::Relaxed) < wanted {
                self.count.1.notified().await;
            }
        };
        let late = |_| format!("only {} of {wanted} pods", self.count.0.load(Ordering::Relaxed));
        Ok(tokio::time::timeout(PATIENCE, reached).await.map_err(late)?)
    }
}

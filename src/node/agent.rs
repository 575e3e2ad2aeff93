//! [`Agent`]: the table of pod workers, and the node's own heartbeat.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::OptionFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::{Node, Pod};
use tokio_util::task::AbortOnDropHandle;

use super::admission::{Held, Totals};
use super::config::AgentConfig;
use super::endpoint::Endpoint;
use super::eviction::Eviction;
use super::eviction::config::Pressure;
use super::lease;
use super::machine::Machine;
use super::pod_worker::Handle;
use super::reclaim::Images;
use super::register::register;
use super::static_pod::{self, StaticPods};
use super::status::node::{news, node_status, same_status};
use crate::api::{ApiError, FieldSelector, LabelSelector, NodeEndpoint};
use crate::client::{Change, Informer, Informers};
use crate::runtime::{EventKind, Image, Runtime, RuntimeEvent, SandboxStatus};

/// The pause after the API could not be reached.
const RETRY: Duration = Duration::from_secs(1);

/// What is due within so long is done with what is due now: an idle node wakes once for both, and the process once for
/// all of its nodes.
const TOGETHER: Duration = Duration::from_millis(100);

/// At which looks at the node's status the runtime is looked through as well: after ten seconds, and after a minute.
const SWEEPS: [u32; 2] = [2, 7];

/// The workers of an agent, by the UIDs of their pods.
pub(super) struct Workers {
    pub(super) machine: Arc<Machine>,
    pub(super) eviction: Eviction,
    images: Images,
    by_uid: Mutex<BTreeMap<String, Handle>>,
    /// Pods that are no more, and of whose end the informer has still to tell.
    departed: Mutex<BTreeSet<String>>,
    /// Sandboxes that were there when the agent started and that no worker has taken over yet.
    pub(super) found: Mutex<Vec<SandboxStatus>>,
    /// Critical pods that others make room for.
    pub(super) held: Mutex<Held>,
    /// What all pods take together, as it was last added up.
    pub(super) totals: Mutex<Option<Totals>>,
    /// Who tries again to resize pods for which there was no room.
    pub(super) resizing: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workers({:?})", self.machine)
    }
}

/// A running node agent. Dropping it stops it at once, as a crash would: nothing is cleaned up, pods go on running in
/// the runtime, and the node goes silent. [`Agent::stop`] takes leave.
///
/// ```
/// # async fn run(client: orchestrion::client::Client, runtime: orchestrion::runtime::memory::MemoryRuntime) {
/// use std::sync::Arc;
/// use orchestrion::client::Informers;
/// use orchestrion::node::{Agent, AgentConfig};
/// let config = AgentConfig::new("node-1", "172.16.0.1".parse().unwrap());
/// let agent = Agent::start(config, &Informers::new(client), Arc::new(runtime));
/// # let _ = agent.endpoint();
/// # }
/// ```
#[derive(Debug)]
pub struct Agent {
    pub(super) workers: Arc<Workers>,
    _task: AbortOnDropHandle<()>,
}

impl Agent {
    /// Starts an agent for the node that `config` describes. It shares `informers` (of Services) with other parts of
    /// the process.
    ///
    /// Within a tokio runtime. The node registers as soon as the API can be reached.
    pub fn start(config: AgentConfig, informers: &Informers, runtime: Arc<dyn Runtime>) -> Self {
        let machine = Arc::new(Machine::new(config, informers, runtime));
        let workers = Arc::new(Workers {
            machine,
            eviction: Eviction::default(),
            images: Images::default(),
            by_uid: Mutex::default(),
            departed: Mutex::default(),
            found: Mutex::default(),
            held: Mutex::default(),
            totals: Mutex::default(),
            resizing: Mutex::default(),
        });
        let task = tokio::spawn(run(Arc::clone(&workers)));
        Self { workers, _task: AbortOnDropHandle::new(task) }
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.workers.machine.config.name
    }

    /// What the agent serves to the API server.
    pub fn endpoint(&self) -> Arc<dyn NodeEndpoint> {
        Arc::new(Endpoint::new(&self.workers))
    }

    /// How many pods the agent works on.
    pub fn pods(&self) -> usize {
        self.workers.by_uid().len()
    }

    /// Stops the agent in good order: no new step is begun, and the node is told to be not ready. Its pods go on
    /// running in the runtime.
    ///
    /// # Errors
    /// Where the API cannot be told.
    pub async fn stop(self) -> Result<(), ApiError> {
        let (client, name) = (self.workers.machine.client.clone(), self.node().to_owned());
        let now = client.clock().time();
        drop(self);
        let nodes = client.all::<Node>();
        let stopped = nodes.modify_status(&name, |node| {
            let conditions = node.status.get_or_insert_default().conditions.get_or_insert_default();
            for ready in
                conditions.iter_mut().filter(|condition| condition.type_ == "Ready" && condition.status == "True")
            {
                ready.status = "False".to_owned();
                ready.reason = Some("KubeletNotReady".to_owned());
                ready.message = Some("node is shutting down".to_owned());
                ready.last_transition_time = Some(now.clone());
            }
        });
        match stopped.await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }
}

impl Workers {
    pub(super) fn by_uid(&self) -> MutexGuard<'_, BTreeMap<String, Handle>> {
        self.by_uid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn departed(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.departed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of a pod that is no more.
    pub(super) fn finish(&self, uid: &str) {
        let mut workers = self.by_uid();
        let Some(handle) = workers.remove(uid) else { return };
        if !handle.is_gone() {
            self.departed().insert(uid.to_owned());
        }
        drop(workers);
        // Outside the lock, and from within its own task: there is nothing left to abort.
        drop(handle);
        self.machine.mirrors.note();
        self.machine.make_room();
    }

    /// Passes a change of a pod on to its worker; a new pod gets one.
    pub(super) fn change(self: &Arc<Self>, change: &Change<Pod>) {
        let pod = change.object();
        if static_pod::is_mirror(pod) {
            return self.mirror(change);
        }
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let gone = change.new.is_none();
        // A pod of the same name that took another's place: the other is gone.
        if let (Some(old), Some(new)) = (&change.old, &change.new)
            && old.metadata.uid != new.metadata.uid
        {
            self.change(&Change { old: Some(Arc::clone(old)), new: None });
        }
        let mut workers = self.by_uid();
        if let Some(handle) = workers.get_mut(&uid) {
            let before = handle.demand.0;
            let wants_resize = handle.change(pod, gone);
            if handle.demand.0 != before {
                self.totals.lock().unwrap_or_else(PoisonError::into_inner).take();
            }
            if wants_resize && !gone {
                drop(workers);
                self.resize(&uid);
            }
            return;
        }
        let departed = if gone { self.departed().remove(&uid) } else { self.departed().contains(&uid) };
        drop(workers);
        if departed {
            return;
        }
        let mut held = self.held();
        match held.get_mut(&uid) {
            Some(_) if gone => return drop(held.remove(&uid)),
            Some(waiting) => {
                waiting.0 = Arc::clone(pod);
                return;
            }
            None if gone => return,
            None => drop(held),
        }
        let workers = self.by_uid();
        self.start(uid, pod, workers, false);
    }

    /// Takes note of a mirror: one of a node without static pods is a leftover.
    fn mirror(&self, change: &Change<Pod>) {
        let machine = Arc::clone(&self.machine);
        if machine.config.static_pod_path.is_some() {
            return machine.mirrors.change(change);
        }
        let Some(mirror) = change.new.clone() else { return };
        tokio::spawn(async move {
            if let Err(error) = static_pod::delete_mirror(&machine.client, &mirror).await {
                tracing::debug!(%error, "a mirror of nothing is not deleted");
            }
        });
    }

    /// Looks whether the node is short of something, or (with `collect`) keeps images that it does not need, and does
    /// what there is to do about it in a task of its own.
    async fn look_after(self: &Arc<Self>, collect: bool) -> Option<AbortOnDropHandle<()>> {
        let limited = self.machine.config.eviction.local_storage
            && self.by_uid().values().any(|handle| handle.demand.1.limited && !handle.is_over());
        let short = self.eviction.look(&self.machine).await;
        let workers = Arc::clone(self);
        (collect || limited || short).then(|| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                if collect {
                    workers.images.collect(&workers.machine).await;
                }
                if limited || short {
                    workers.eviction.act(&workers, &workers.images).await;
                }
            }))
        })
    }

    /// Passes an event of the runtime on.
    fn poke(&self, pod: &str, kind: &EventKind) {
        let workers = self.by_uid();
        match kind {
            EventKind::Lost => workers.values().for_each(|handle| handle.poke(kind)),
            _ => workers.get(pod).into_iter().for_each(|handle| handle.poke(kind)),
        }
    }
}

async fn run(workers: Arc<Workers>) {
    let machine = &workers.machine;
    let events = machine.runtime.events();
    let found = loop {
        match machine.runtime.sandboxes().await {
            Ok(found) => break found,
            // Pods that run already would be started anew.
            Err(error) => tracing::warn!(node = machine.config.name, %error, "the runtime does not tell what it has"),
        }
        machine.clock().sleep(RETRY).await;
    };
    *workers.found.lock().unwrap_or_else(PoisonError::into_inner) = found;
    let static_pods = StaticPods::start(&workers).await;
    let static_pods = OptionFuture::from(static_pods.map(|pods| pods.follow().boxed()));
    tokio::select! {
        biased;
        () = pass_on(&workers, events) => {} // the runtime has ended
        () = keep(&workers) => {}
        Some(()) = static_pods => {}
    }
}

/// Passes on what happens in the runtime.
async fn pass_on(workers: &Workers, mut events: BoxStream<'static, RuntimeEvent>) {
    while let Some(event) = events.next().await {
        workers.poke(&event.pod, &event.kind);
    }
}

/// Registers the node, follows its pods and says that it is alive.
async fn keep(workers: &Arc<Workers>) {
    let machine = Arc::clone(&workers.machine);
    let clock = *machine.clock();
    let mut node = loop {
        match register(&machine.client, &machine.config, &*machine.runtime).await {
            Ok(node) => break node,
            Err(error) => tracing::warn!(node = machine.config.name, %error, "node not registered yet"),
        }
        clock.sleep(RETRY).await;
    };
    machine.events.normal(&*node, "Starting", "Starting kubelet.");
    tell(&machine, &node, None, &BTreeSet::new());
    machine.set_node(Arc::clone(&node));
    let on_node = FieldSelector::equal("spec.nodeName", machine.config.name.as_str());
    let pods: Informer<Pod> = Informer::start_matching(machine.client.all(), LabelSelector::default(), on_node);
    pods.synced().await;
    let weak = Arc::downgrade(workers);
    let _subscription = pods.subscribe(move |change| {
        if let Some(workers) = weak.upgrade() {
            workers.change(change);
        }
    });
    machine.mirrors.complete();
    remove_strangers(workers).await;
    let mut housekeeping = Housekeeping { look_at: clock.now(), images_at: clock.now(), under_way: None };
    let (mut lease_at, mut status_at) = (clock.now(), clock.now());
    let (mut reported_at, mut looked, mut held, mut pressure) = (None, None, None, BTreeSet::new());
    let mut looks = 0_u32;
    let leases = lease::leases(&machine.client);
    loop {
        clock.sleep_until(lease_at.min(status_at).min(housekeeping.look_at)).await;
        let soon = after(&clock, TOGETHER);
        housekeeping.look(workers, soon).await;
        if lease_at <= soon {
            let renewed = lease::renew(&leases, &machine.config, &node, &mut held).await;
            lease_at = after(&clock, if renewed.is_ok() { machine.config.lease_renewal } else { RETRY });
            renewed.unwrap_or_else(|error| tracing::debug!(%error, "lease not renewed"));
        }
        if status_at <= soon {
            let due = reported_at.is_none_or(|at| clock.since(at) >= machine.config.status_report);
            let short = workers.eviction.conditions();
            // Boxed, as it is seldom under way and takes much room.
            let reported = Box::pin(report(&machine, due, &short, &mut looked)).await;
            looks = looks.saturating_add(1);
            if SWEEPS.contains(&looks) {
                sweep(workers).await;
            }
            status_at = after(&clock, if reported.is_ok() { machine.config.status_interval } else { RETRY });
            match reported {
                Ok(Some(current)) => {
                    tell(&machine, &current, Some(&pressure), &short);
                    (node, reported_at, pressure) = (current, Some(clock.now()), short);
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "node status not written"),
            }
        }
    }
}

/// When the node looks after itself, and what it does about what it has found: beside the loop, for it may take its time.
struct Housekeeping {
    look_at: jiff::Timestamp,
    images_at: jiff::Timestamp,
    under_way: Option<AbortOnDropHandle<()>>,
}

impl Housekeeping {
    /// Looks, where that is due until `soon`.
    async fn look(&mut self, workers: &Arc<Workers>, soon: jiff::Timestamp) {
        if self.look_at > soon {
            return;
        }
        let (config, clock) = (&workers.machine.config, workers.machine.clock());
        self.look_at = after(clock, config.eviction.interval);
        if self.under_way.as_ref().is_none_or(AbortOnDropHandle::is_finished) {
            let collect = self.images_at <= soon;
            if collect {
                self.images_at = after(clock, config.image_gc.interval);
            }
            self.under_way = workers.look_after(collect).await;
        }
    }
}

/// Tells of the conditions of a node that are news.
fn tell(machine: &Machine, node: &Node, before: Option<&BTreeSet<Pressure>>, now: &BTreeSet<Pressure>) {
    for state in news(before, now) {
        machine.events.normal(node, state, format!("Node {} status is now: {state}", machine.config.name));
    }
}

/// The time in so long; a little earlier where that is long: at a multiple of [`TOGETHER`], when other nodes wake, too.
fn after(clock: &crate::clock::Clock, pause: Duration) -> jiff::Timestamp {
    let at = clock.now().checked_add(pause).unwrap_or(jiff::Timestamp::MAX);
    if pause <= RETRY {
        return at;
    }
    let grain = i64::try_from(TOGETHER.as_millis()).unwrap_or(1);
    jiff::Timestamp::from_millisecond(at.as_millisecond().div_euclid(grain) * grain).unwrap_or(at)
}

/// Removes sandboxes of pods that the API no longer has.
async fn remove_strangers(workers: &Workers) {
    let strangers = std::mem::take(&mut *workers.found.lock().unwrap_or_else(PoisonError::into_inner));
    for stranger in strangers {
        if let Err(error) = workers.machine.runtime.remove_sandbox(&stranger.id).await {
            tracing::warn!(%error, pod = stranger.name, "sandbox of an unknown pod not removed");
        }
    }
}

/// Removes what has come to be after the agent has looked for the first time: the runtime may still have been making it, or
/// did not remove it, when an earlier agent ended.
async fn sweep(workers: &Workers) {
    let Ok(found) = workers.machine.runtime.sandboxes().await else { return };
    let mut strangers = Vec::new();
    {
        // A pod has its worker before it has a sandbox.
        let by_uid = workers.by_uid();
        for sandbox in found {
            match by_uid.get(&sandbox.uid) {
                Some(handle) => handle.compare(&sandbox),
                None => strangers.push(sandbox),
            }
        }
    }
    workers.found.lock().unwrap_or_else(PoisonError::into_inner).extend(strangers);
    remove_strangers(workers).await;
}

/// What a node's status was last made from, and found to say already: the node's version, the images, and what it is
/// short of.
type Looked = Option<(Option<String>, Vec<Image>, BTreeSet<Pressure>)>;

/// Writes the node's status, where it has changed or a report is `due`. The node as it was written.
async fn report(
    machine: &Machine,
    due: bool,
    pressure: &BTreeSet<Pressure>,
    looked: &mut Looked,
) -> Result<Option<Arc<Node>>, ApiError> {
    let nodes = machine.client.all::<Node>();
    let Some(current) = nodes.get_opt(&machine.config.name).await? else {
        // Somebody deleted the node while it lives: it registers anew.
        return register(&machine.client, &machine.config, &*machine.runtime).await.map(Some);
    };
    machine.set_node(Arc::clone(&current));
    let images = machine.runtime.images().await.unwrap_or_default();
    let version = |node: &Node| node.metadata.resource_version.clone();
    let same = |(node, known, short): &(_, _, _)| *node == version(&current) && *known == images && short == pressure;
    if !due && looked.as_ref().is_some_and(same) {
        return Ok(None);
    }
    let before = current.status.clone().unwrap_or_default();
    let status =
        node_status(&machine.config, &*machine.runtime, &images, pressure, Some(&before), machine.clock().time());
    if !due && same_status(&before, &status) {
        *looked = Some((version(&current), images, pressure.clone()));
        return Ok(None);
    }
    let mut changed = Node::clone(&current);
    changed.status = Some(status);
    match nodes.update_status(changed).await {
        Err(error) if error.is_conflict() => Ok(None), // the next look will do
        other => other.map(Some),
    }
}

//! The loop: one pod after the other.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::bind::Effects;
use super::config::{Config, DEFAULT_SCHEDULER};
use super::explain::Explanation;
use super::follow::{World, follow};
use super::framework::Nomination;
use super::snapshot::{Cache, PodInfo};
use super::{Framework, Placement, Scheduler, Unplaced};
use crate::api::{ApiError, ListOptions};
use crate::client::{Client, EventRecorder, Informers};

/// Schedules pods until it is cancelled. Works over any client, local or remote; several may run in one cluster, each
/// for the pods that name it.
///
/// # Cancel safety
/// Dropping the future stops everything that it started. Bindings under way are left open.
pub async fn run(client: Client, config: Config, cancel: CancellationToken) {
    let Config { mut profiles, waits, parallel } = config;
    if profiles.is_empty() {
        profiles.insert(DEFAULT_SCHEDULER.to_owned(), Arc::new(Framework::new(client.random().fork("scheduler"))));
    }
    let client = client.named(profiles.keys().next().map_or(DEFAULT_SCHEDULER, String::as_str));
    let world = Arc::new(World::new(profiles, waits, *client.clock()));
    let informers = Informers::new(client.clone());
    let effects = Effects { world: Arc::clone(&world), events: EventRecorder::new(client.clone()), client };
    let work = async {
        let _following = follow(&informers, &world).await;
        schedule_all(&world, &effects, parallel.get()).await;
    };
    tokio::select! {
        biased;
        () = work => {}
        () = cancel.cancelled() => {}
    }
}

/// Decides on pods as they come; what follows from decisions runs beside, owned by this future.
async fn schedule_all(world: &Arc<World>, effects: &Effects, parallel: usize) {
    let mut pending: JoinSet<()> = JoinSet::new();
    loop {
        while pending.try_join_next().is_some() {}
        if pending.len() >= parallel {
            pending.join_next().await;
        }
        let (pod, deadline) = {
            let mut state = world.state();
            let now = world.now();
            (state.queue.pop(now), state.queue.next_deadline().map(|at| at.saturating_sub(now)))
        };
        let Some(pod) = pod else {
            let clock = *effects.client.clock();
            tokio::select! {
                biased; // in order, not at random: runs must be repeatable
                () = world.news.notified() => {}
                () = async { clock.sleep(deadline.unwrap_or_default()).await }, if deadline.is_some() => {}
                Some(_) = pending.join_next(), if !pending.is_empty() => {}
            }
            continue;
        };
        decide(world, effects, &pod, &mut pending);
        // Let the informers tell what has happened meanwhile.
        tokio::task::yield_now().await;
    }
}

fn decide(world: &Arc<World>, effects: &Effects, pod: &Arc<PodInfo>, pending: &mut JoinSet<()>) {
    if pod.is_terminating() {
        return effects.skip(pod);
    }
    let Some(scheduler) = world.scheduler_of(pod) else { return };
    let snapshot = world.state().cache.snapshot();
    let refusal = match scheduler.place(pod, &snapshot) {
        Placement::None(why) => why,
        Placement::Node { name, evaluated, feasible } => match scheduler.reserve(pod, &name) {
            Ok(()) => {
                tracing::debug!(pod = %pod.key, node = name, evaluated, feasible, "placed");
                drop(snapshot);
                let mut state = world.state();
                if !state.queue.is_in_flight(pod.uid()) {
                    return scheduler.release(pod, &name);
                }
                state.cache.assume(pod, &name);
                super::follow::nominate(&mut state.cache, pod, None);
                pending.spawn(effects.clone().bind(Arc::clone(scheduler), Arc::clone(pod), name));
                return;
            }
            Err(diagnosis) => Unplaced {
                message: diagnosis.to_string(),
                refused_by: diagnosis.plugins.into_iter().collect(),
                nomination: Nomination::Keep,
            },
        },
    };
    drop(snapshot);
    tracing::debug!(pod = %pod.key, reason = refusal.message, "not placed");
    effects.note_refusal(&mut world.state(), pod, &refusal);
    pending.spawn(effects.clone().refused(Arc::clone(pod), refusal));
}

/// Why `scheduler` would put a pod where it would: reads the cluster, decides nothing.
///
/// # Errors
/// Those of reading pods and nodes.
pub async fn explain(
    client: &Client,
    scheduler: &dyn Scheduler,
    namespace: &str,
    name: &str,
) -> Result<Explanation, ApiError> {
    let pod = client.api::<Pod>(namespace).get(name).await?;
    let mut cache = Cache::default();
    for node in client.all::<Node>().list(&ListOptions::default()).await?.items {
        cache.set_node(&node);
    }
    let pods = client.all::<Pod>().list(&ListOptions::default()).await?.items;
    for other in pods.into_iter().map(|pod| Arc::new(PodInfo::new(pod))) {
        if !other.has_ended() && Some(other.uid()) != pod.metadata.uid.as_deref() {
            cache.set_pod(&other);
        }
    }
    Ok(scheduler.explain(&Arc::new(PodInfo::new(pod)), &cache.snapshot()))
}

//! The loop: one pod after the other.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::bind::{Decided, Effects};
use super::config::{Config, DEFAULT_SCHEDULER};
use super::explain::Explanation;
use super::follow::{World, follow};
use super::framework::Nomination;
use super::snapshot::{Cache, PodInfo};
use super::state::State;
use super::{Framework, Placement, Scheduler, Unplaced};
use crate::api::{ApiError, ListOptions};
use crate::client::{Client, EventRecorder, Informers};
use crate::turn;

/// Schedules pods until it is cancelled. Works over any client, local or remote; several may run in one cluster, each
/// for the pods that name it. It shares `informers` with other parts of the process.
///
/// ```
/// # async fn start(client: orchestrion::client::Client) {
/// use orchestrion::client::Informers;
/// use orchestrion::scheduler::{self, Config};
/// use tokio_util::sync::CancellationToken;
/// let cancel = CancellationToken::new();
/// let scheduling = tokio::spawn(scheduler::run(Informers::new(client), Config::default(), cancel.clone()));
/// # }
/// ```
///
/// # Cancel safety
/// Dropping the future stops everything that it started. Bindings under way are left open.
pub async fn run(informers: Informers, config: Config, cancel: CancellationToken) {
    let Config { mut profiles, waits, parallel } = config;
    let client = informers.client().clone();
    if profiles.is_empty() {
        profiles.insert(DEFAULT_SCHEDULER.to_owned(), Arc::new(Framework::new(client.random().fork("scheduler"))));
    }
    let client = client.named(profiles.keys().next().map_or(DEFAULT_SCHEDULER, String::as_str));
    let world = Arc::new(World::new(profiles, *client.clock()));
    let effects = Effects { world: Arc::clone(&world), events: EventRecorder::new(client.clone()), client };
    let work = async {
        let _following = follow(&informers, &world).await;
        let room = Arc::new(Semaphore::new(parallel.get()));
        let (state, decided, pending) = (State::new(waits), Vec::new(), JoinSet::new());
        Loop { world, effects, state, room, decided, pending }.run().await;
    };
    tokio::select! {
        biased;
        () = work => {}
        () = cancel.cancelled() => {}
    }
}

/// How many pods are decided on before others get to run.
const BATCH: usize = 64;

/// How many of them one task binds, while the next are decided on. Of a single task another thread could not take its
/// share: tokio runs what a task has started last before all else, and in the same thread.
const BOUND_TOGETHER: usize = 32;

/// Decides on pods as they come; what follows from decisions runs beside, owned by this.
struct Loop {
    world: Arc<World>,
    effects: Effects,
    state: State,
    /// So many pods may be on their way at once.
    room: Arc<Semaphore>,
    /// What is to be bound next.
    decided: Vec<Decided>,
    pending: JoinSet<()>,
}

impl Loop {
    async fn run(mut self) {
        let mut news = Vec::new();
        for number in 1_usize.. {
            self.world.hear(&mut news);
            for news in news.drain(..) {
                self.state.hear(news, &self.world);
            }
            while self.pending.try_join_next().is_some() {}
            let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
                self.bind();
                tokio::select! {
                    biased;
                    // The room is never closed, and what is acquired here is for the next turn.
                    _ = self.room.acquire() => {}
                    () = self.world.arrived() => {}
                }
                continue;
            };
            if let Some(pod) = self.state.queue.pop(self.world.now()) {
                self.decide(&pod, place);
                if number.is_multiple_of(BATCH) {
                    self.bind();
                    // Let the informers tell what has happened meanwhile.
                    turn::pass().await;
                }
                continue;
            }
            drop(place);
            self.bind();
            self.wait().await;
        }
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self) {
        let clock = *self.effects.client.clock();
        let deadline = self.state.queue.next_deadline().map(|at| at.saturating_sub(self.world.now()));
        tokio::select! {
            biased; // in order, not at random: runs must be repeatable
            () = self.world.arrived() => {}
            () = async { clock.sleep(deadline.unwrap_or_default()).await }, if deadline.is_some() => {}
            Some(_) = self.pending.join_next(), if !self.pending.is_empty() => {}
        }
    }

    fn bind(&mut self) {
        if !self.decided.is_empty() {
            self.pending.spawn(self.effects.clone().bind_all(std::mem::take(&mut self.decided)));
        }
    }

    fn decide(&mut self, pod: &Arc<PodInfo>, place: OwnedSemaphorePermit) {
        if pod.is_terminating() {
            self.state.queue.remove(pod.uid());
            return self.effects.skip(pod);
        }
        let Some(scheduler) = self.world.scheduler_of(pod) else { return };
        let placement = scheduler.place(pod, &self.state.cache.snapshot());
        let refusal = match placement {
            Placement::None(why) => why,
            Placement::Node { name, evaluated, feasible } => match scheduler.reserve(pod, &name) {
                Ok(()) => {
                    tracing::debug!(pod = %pod.key, node = name, evaluated, feasible, "placed");
                    self.state.cache.assume(pod, &name);
                    self.state.cache.surroundings().withdraw(pod.uid());
                    let (scheduler, pod) = (Arc::clone(scheduler), Arc::clone(pod));
                    self.decided.push(Decided { scheduler, pod, node: name, place });
                    if self.decided.len() == BOUND_TOGETHER {
                        self.bind();
                    }
                    return;
                }
                Err(diagnosis) => Unplaced {
                    message: diagnosis.to_string(),
                    refused_by: diagnosis.plugins.into_iter().collect(),
                    nomination: Nomination::Keep,
                },
            },
        };
        tracing::debug!(pod = %pod.key, reason = refusal.message, "not placed");
        let losers = self.state.refuse(pod, &refusal, &self.world);
        let refused = self.effects.clone().refused(Arc::clone(pod), refusal, losers);
        self.pending.spawn(async {
            refused.await;
            drop(place);
        });
    }
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

//! [`Framework`]: the default scheduler, made of plugins.

mod class;
mod classes;
mod filters;
mod points;
mod registry;
mod run;
mod verdict;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use self::classes::Classes;
pub use self::filters::Filters;
pub use self::points::{
    Bind, ClusterEvent, Filter, Gate, MAX_SCORE, Mark, NodeFilter, NodeScore, Permission, Permit, Plugin, PostFilter,
    Prepared, Reads, Remedy, Reserve, Score, Sort, Tally, normalize_by_highest,
};
pub use self::registry::default_plugins;
pub use self::verdict::{Diagnosis, Refusal, Refused};
use super::explain::Explanation;
use super::snapshot::{PodInfo, Snapshot};
use super::{BindError, Placement, Scheduler};
use crate::client::Client;
use crate::random::Random;

/// What becomes of a pod's nominated node: the one that is being cleared for it.
#[derive(Clone, Debug, Default)]
pub enum Nomination {
    /// It stays as it is.
    #[default]
    Keep,
    /// There is none.
    Clear,
    /// This node is cleared for the pod.
    Node {
        /// The node.
        name: String,
        /// The pods that have to go.
        victims: Vec<Arc<PodInfo>>,
    },
}

impl PartialEq for Nomination {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Keep, Self::Keep) | (Self::Clear, Self::Clear) => true,
            (Self::Node { name: a, victims: v }, Self::Node { name: b, victims: w }) => {
                a == b && v.iter().map(|pod| pod.uid()).eq(w.iter().map(|pod| pod.uid()))
            }
            _ => false,
        }
    }
}

impl Eq for Nomination {}

/// A scheduler made of plugins: filters rule nodes out, scores choose among the rest.
///
/// ```
/// use orchestrion::random::Random;
/// use orchestrion::scheduler::Framework;
/// let scheduler = Framework::new(Random::seeded(7)).without("ImageLocality").weight("NodeAffinity", 10);
/// assert!(scheduler.plugins().any(|plugin| plugin.name() == "NodeResourcesFit"));
/// ```
#[derive(Debug)]
#[must_use]
pub struct Framework {
    /// In the order in which they are asked, with the weights of their scores.
    plugins: Vec<(Arc<dyn Plugin>, i64)>,
    percentage: Option<u8>,
    random: Random,
    /// Where the next search begins, so that all nodes get their turn.
    start: AtomicUsize,
    /// What is known already, by class of pods.
    classes: Mutex<Classes>,
}

impl Framework {
    /// The default plugins with their default weights; `random` breaks ties.
    pub fn new(random: Random) -> Self {
        Self { plugins: default_plugins(&random), ..Self::empty(random) }
    }

    /// No plugin: pods go anywhere, and are not bound.
    pub fn empty(random: Random) -> Self {
        Self { plugins: Vec::new(), percentage: None, random, start: AtomicUsize::new(0), classes: Mutex::default() }
    }

    /// One more plugin, or another in place of the one of that name. Where it scores, `weight` is what its scores
    /// count.
    pub fn with(mut self, plugin: impl Plugin, weight: i64) -> Self {
        let plugin: Arc<dyn Plugin> = Arc::new(plugin);
        match self.plugins.iter_mut().find(|(other, _)| other.name() == plugin.name()) {
            Some(place) => *place = (plugin, weight),
            None => self.plugins.push((plugin, weight)),
        }
        self
    }

    /// Without the plugin of that name.
    pub fn without(mut self, name: &str) -> Self {
        self.plugins.retain(|(plugin, _)| plugin.name() != name);
        self
    }

    /// What the scores of the plugin of that name count; 0 leaves them out.
    pub fn weight(mut self, name: &str, weight: i64) -> Self {
        for (_, old) in self.plugins.iter_mut().filter(|(plugin, _)| plugin.name() == name) {
            *old = weight;
        }
        self
    }

    /// For pods that some plugin has to be asked about anew ([`Reads::Everything`]), the search for nodes ends when
    /// this share of them has passed (but not before a hundred have). By default it depends on the number of nodes:
    /// from half of them down to a twentieth. For all other pods, every node is considered.
    pub fn percentage_of_nodes_to_score(mut self, percentage: u8) -> Self {
        self.percentage = Some(percentage).filter(|percentage| *percentage > 0);
        self
    }

    /// Its plugins.
    pub fn plugins(&self) -> impl Iterator<Item = &dyn Plugin> {
        self.plugins.iter().map(|(plugin, _)| &**plugin)
    }
}

#[async_trait]
impl Scheduler for Framework {
    fn gate(&self, pod: &PodInfo) -> Result<(), String> {
        self.plugins().filter_map(Plugin::as_gate).try_for_each(|gate| gate.check(pod))
    }

    fn rank(&self, pod: &PodInfo) -> i64 {
        self.plugins().find_map(Plugin::as_sort).map_or(0, |sort| sort.rank(pod))
    }

    fn place(&self, pod: &Arc<PodInfo>, cluster: &Snapshot) -> Placement {
        self.run(pod, cluster)
    }

    fn concerns(&self, refused_by: &[&'static str], event: &ClusterEvent) -> bool {
        refused_by.is_empty()
            || self.plugins().any(|plugin| refused_by.contains(&plugin.name()) && plugin.concerns(event))
    }

    fn may_help(&self, pod: &PodInfo, refused_by: &[&'static str], event: &ClusterEvent) -> bool {
        refused_by.is_empty()
            || self.plugins().any(|plugin| refused_by.contains(&plugin.name()) && plugin.may_help(pod, event))
    }

    fn reserve(&self, pod: &PodInfo, node: &str) -> Result<(), Box<Diagnosis>> {
        for plugin in self.plugins() {
            let Some(Err(refusal)) = plugin.as_reserve().map(|reserve| reserve.reserve(pod, node)) else { continue };
            self.release(pod, node);
            return Err(Box::new(Diagnosis {
                nodes: 1,
                plugins: [plugin.name()].into(),
                refusals: vec![Refused { plugin: plugin.name(), refusal, nodes: 1 }],
                ..Diagnosis::default()
            }));
        }
        Ok(())
    }

    fn release(&self, pod: &PodInfo, node: &str) {
        let reserving: Vec<_> = self.plugins().filter_map(Plugin::as_reserve).collect();
        reserving.into_iter().rev().for_each(|reserve| reserve.release(pod, node));
    }

    async fn bind(&self, client: &Client, pod: &PodInfo, node: &str) -> Result<(), BindError> {
        for plugin in self.plugins() {
            let Some(permit) = plugin.as_permit() else { continue };
            loop {
                match permit.permit(pod, node) {
                    Permission::Granted => break,
                    Permission::Wait(time) => client.clock().sleep(time).await,
                    Permission::Denied(reason) => {
                        return Err(BindError::Denied { plugin: plugin.name(), reason: reason.into_owned() });
                    }
                }
            }
        }
        let binding: Vec<_> = self.plugins().filter_map(Plugin::as_bind).collect();
        for bind in &binding {
            bind.prepare(client, pod, node).await.map_err(BindError::Api)?;
        }
        for bind in &binding {
            if bind.bind(client, pod, node).await.map_err(BindError::Api)? {
                return Ok(());
            }
        }
        Err(BindError::Nobody)
    }

    fn explain(&self, pod: &Arc<PodInfo>, cluster: &Snapshot) -> Explanation {
        self.explanation(pod, cluster)
    }
}

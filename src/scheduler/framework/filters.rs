//! The filters of one pod, prepared.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::points::{NodeFilter, Plugin, Prepared};
use super::verdict::{Diagnosis, Refusal, Refused};
use crate::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot};

type Prepare<'a> = (&'static str, Box<dyn NodeFilter<'a> + 'a>);

/// The filters of one pod, prepared: judges nodes, also under suppositions.
#[derive(Debug)]
pub struct Filters<'a> {
    pod: &'a PodInfo,
    cluster: &'a Snapshot,
    pub(super) checks: Vec<Prepare<'a>>,
    /// The only nodes that come into question, and the plugins that said so.
    pub(super) among: Option<(BTreeSet<String>, BTreeSet<&'static str>)>,
    /// Whether all of them look at nothing but the node.
    local: bool,
}

impl<'a> Filters<'a> {
    /// No filter at all.
    pub(super) fn none(pod: &'a PodInfo, cluster: &'a Snapshot) -> Self {
        Self { pod, cluster, checks: Vec::new(), among: None, local: false }
    }

    /// As these, which look at nothing but the node.
    pub(super) fn that_are_local(self, local: bool) -> Self {
        Self { local, ..self }
    }

    /// Whether the verdict on a node depends on nothing but that node, with what is on it and nominated to it.
    pub fn are_local(&self) -> bool {
        self.local
    }

    /// Prepares the filters of `plugins`; where one refuses all nodes, or no node is left, says why.
    pub(super) fn prepare(
        plugins: impl Iterator<Item = &'a dyn Plugin>,
        pod: &'a PodInfo,
        cluster: &'a Snapshot,
    ) -> Result<Self, Box<Diagnosis>> {
        let mut filters = Self::none(pod, cluster);
        let refused = |before: String, plugins: BTreeSet<&'static str>, refusal: Refusal| {
            let nodes = cluster.nodes().len();
            let plugin = plugins.iter().next().copied().unwrap_or_default();
            let refusals = vec![Refused { plugin, refusal, nodes }];
            Box::new(Diagnosis { nodes, before, plugins, refusals, ..Diagnosis::default() })
        };
        for plugin in plugins {
            let Some(filter) = plugin.as_filter() else { continue };
            match filter.prepare(pod, cluster) {
                Prepared::Pass => {}
                Prepared::Refuse(refusal) => {
                    return Err(refused(refusal.reasons.join(", "), [plugin.name()].into(), refusal));
                }
                Prepared::Check(check) => filters.checks.push((plugin.name(), check)),
                Prepared::Among(names, check) => {
                    filters.checks.push((plugin.name(), check));
                    let (left, by) = filters.among.take().unwrap_or_else(|| (names.clone(), BTreeSet::new()));
                    let left: BTreeSet<String> = left.intersection(&names).cloned().collect();
                    let by: BTreeSet<_> = by.into_iter().chain([plugin.name()]).collect();
                    if left.is_empty() {
                        let names: Vec<_> = by.iter().copied().collect();
                        let why = match &names[..] {
                            [one] => format!("node(s) didn't satisfy plugin {one}"),
                            all => format!("node(s) didn't satisfy plugin(s) [{}] simultaneously", all.join(" ")),
                        };
                        return Err(refused(why.clone(), by, Refusal::unresolvable(why)));
                    }
                    filters.among = Some((left, by));
                }
            }
        }
        Ok(filters)
    }

    /// Whether the pod may go to `node` as it is.
    ///
    /// # Errors
    /// The first plugin that refuses, and why.
    pub fn check(&self, node: &NodeInfo) -> Result<(), (&'static str, Refusal)> {
        self.checks.iter().try_for_each(|(plugin, check)| check.check(node).map_err(|refusal| (*plugin, refusal)))
    }

    /// As [`Filters::check`], with the pods on `node` that it is being cleared for, where these are at least as
    /// important; and also without them, as they may yet go elsewhere.
    ///
    /// # Errors
    /// The first plugin that refuses, and why.
    pub fn check_with_nominated(&self, node: &NodeInfo) -> Result<(), (&'static str, Refusal)> {
        if !self.cluster.has_nominated() {
            return self.check(node);
        }
        let others: Vec<_> = self
            .cluster
            .nominated_to(node.name())
            .iter()
            .filter(|other| other.uid() != self.pod.uid() && other.priority() >= self.pod.priority())
            .collect();
        if !others.is_empty() {
            let (mut supposed, mut node) = (self.fork(), node.clone());
            for other in others {
                supposed.suppose(other, &mut node);
            }
            supposed.check(&node)?;
        }
        self.check(node)
    }

    /// A copy for suppositions.
    #[must_use]
    pub fn fork(&self) -> Self {
        let checks = self.checks.iter().map(|(plugin, check)| (*plugin, check.fork())).collect();
        Self { pod: self.pod, cluster: self.cluster, checks, among: self.among.clone(), local: self.local }
    }

    /// Supposes that `other` were on `node`, and puts it there.
    pub fn suppose(&mut self, other: &Arc<PodInfo>, node: &mut NodeInfo) {
        node.add(Arc::clone(other));
        self.checks.iter_mut().for_each(|(_, check)| check.suppose(other, node));
    }

    /// Supposes that `other` were not on `node`, and takes it off.
    pub fn suppose_gone(&mut self, other: &PodInfo, node: &mut NodeInfo) {
        node.remove(other.uid());
        self.checks.iter_mut().for_each(|(_, check)| check.suppose_gone(other, node));
    }
}

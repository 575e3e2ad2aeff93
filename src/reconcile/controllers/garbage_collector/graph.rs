//! Who owns whom, as far as it has been seen. A pure state machine: objects in, suspects out.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::HashMap;
use foldhash::fast::RandomState;
use indexmap::{IndexMap, IndexSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::api::{GroupResource, Kind, KindRef, Object};

/// The UID of an object.
pub(super) type Uid = Arc<str>;

/// In an order that depends on nothing but on what came and went.
type Uids = IndexSet<Uid, RandomState>;

/// Says that an object stays until its dependents are gone.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// Says that an object stays until its dependents are let go of.
pub(super) const ORPHAN: &str = "orphan";

/// An object that exists.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: KindRef,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) owners: Vec<OwnerReference>,
    pub(super) fate: Fate,
}

/// What is to become of an object, and of its dependents with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays.
    #[default]
    Stays,
    /// It is deleted, and waits for something that is not the collector's business.
    Goes,
    /// It is deleted once its dependents are gone.
    GoesLast,
    /// It is deleted once its dependents are let go of.
    Orphans,
}

impl Fate {
    pub(super) fn of(meta: &ObjectMeta) -> Self {
        let has = |name| meta.finalizers.iter().flatten().any(|finalizer| finalizer == name);
        match meta.deletion_timestamp {
            None => Self::Stays,
            Some(_) if has(ORPHAN) => Self::Orphans,
            Some(_) if has(FOREGROUND) => Self::GoesLast,
            Some(_) => Self::Goes,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    /// Looked up for every change of any object, and never walked through.
    nodes: HashMap<Uid, Node>,
    /// Who names an object as owner, whether that exists or not.
    dependents: IndexMap<Uid, Uids, RandomState>,
    by_resource: HashMap<GroupResource, Uids>,
}

impl Graph {
    pub(super) fn node(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// The objects that name that one as owner.
    pub(super) fn dependents(&self, uid: &str) -> impl Iterator<Item = (&Uid, &Node)> {
        let all = self.dependents.get(uid).into_iter().flatten();
        all.filter_map(|uid| Some((uid, self.nodes.get(uid)?)))
    }

    /// The dependents that keep a [`Fate::GoesLast`] object from going.
    pub(super) fn blocking(&self, uid: &str) -> impl Iterator<Item = (&Uid, &Node)> {
        self.dependents(uid).filter(move |(_, node)| blocks(&node.owners, uid))
    }

    fn fate(&self, uid: &str) -> Option<Fate> {
        self.nodes.get(uid).map(|node| node.fate)
    }

    /// Takes in an object that is new or changed. Gives those that should be looked at.
    pub(super) fn observe(&mut self, object: &Object) -> Vec<Uid> {
        let meta = object.meta();
        if self.says_nothing_new(object.uid(), meta) {
            return Vec::new();
        }
        let uid =
            self.nodes.get_key_value(object.uid()).map_or_else(|| object.uid().into(), |(uid, _)| Arc::clone(uid));
        let owners = meta.owner_references.clone().unwrap_or_default();
        let node = Node {
            kind: object.kind().clone(),
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            owners,
            fate: Fate::of(meta),
        };
        let (was, old) = match self.nodes.get_mut(&uid) {
            Some(known) => (Some(known.fate), std::mem::take(&mut known.owners)),
            None => (None, Vec::new()),
        };
        let mut suspects = Vec::new();

        let names = |owner: &OwnerReference| node.owners.iter().any(|other| other.uid == owner.uid);
        for owner in &old {
            if !names(owner) {
                self.unlink(&owner.uid, &uid);
            }
            if self.fate(&owner.uid) == Some(Fate::GoesLast)
                && blocks(&old, &owner.uid)
                && !blocks(&node.owners, &owner.uid)
            {
                suspects.push(owner.uid.as_str().into());
            }
        }
        for owner in &node.owners {
            match self.dependents.get_mut(owner.uid.as_str()) {
                Some(dependents) => dependents.insert(Arc::clone(&uid)),
                None => self.dependents.entry(owner.uid.as_str().into()).or_default().insert(Arc::clone(&uid)),
            };
            match self.fate(&owner.uid) {
                Some(Fate::Stays | Fate::Goes) => {}
                Some(Fate::Orphans) => suspects.push(owner.uid.as_str().into()),
                Some(Fate::GoesLast) | None if node.fate == Fate::Stays => suspects.push(Arc::clone(&uid)),
                Some(Fate::GoesLast) | None => {}
            }
        }
        if was != Some(node.fate) && node.fate == Fate::GoesLast {
            suspects.extend(self.dependents.get(&uid).into_iter().flatten().cloned());
        }
        if matches!(node.fate, Fate::GoesLast | Fate::Orphans) {
            suspects.push(Arc::clone(&uid));
        }
        match self.by_resource.get_mut(node.kind.stored()) {
            Some(all) => all.insert(Arc::clone(&uid)),
            None => self.by_resource.entry(node.kind.stored().clone()).or_default().insert(Arc::clone(&uid)),
        };
        self.nodes.insert(uid, node);
        suspects
    }

    /// Whether an object stays as it was, as far as the graph is concerned: what most changes are. What its owners come to
    /// is told when they change.
    fn says_nothing_new(&self, uid: &str, meta: &ObjectMeta) -> bool {
        self.nodes.get(uid).is_some_and(|known| {
            let fate = Fate::of(meta);
            known.fate == fate
                && matches!(fate, Fate::Stays | Fate::Goes)
                && known.owners == meta.owner_references.as_deref().unwrap_or_default()
        })
    }

    /// Takes in that an object is gone. Gives those that should be looked at.
    pub(super) fn forget(&mut self, uid: &str) -> Vec<Uid> {
        let mut suspects: Vec<_> = self.dependents.get(uid).into_iter().flatten().cloned().collect();
        if let Some(node) = self.nodes.remove(uid) {
            if let Some(all) = self.by_resource.get_mut(node.kind.stored()) {
                all.swap_remove(uid);
            }
            for owner in &node.owners {
                self.unlink(&owner.uid, uid);
                if matches!(self.fate(&owner.uid), Some(Fate::GoesLast | Fate::Orphans)) {
                    suspects.push(owner.uid.as_str().into());
                }
            }
        }
        suspects
    }

    /// Takes in all objects of a kind.
    pub(super) fn replace(&mut self, kind: &Kind, objects: &[Object]) -> Vec<Uid> {
        let present: BTreeSet<_> = objects.iter().map(Object::uid).collect();
        let known = self.by_resource.get(kind.stored()).into_iter().flatten();
        let gone: Vec<_> = known.filter(|uid| !present.contains(&***uid)).cloned().collect();
        let mut suspects: Vec<_> = gone.iter().flat_map(|uid| self.forget(uid)).collect();
        suspects.extend(objects.iter().flat_map(|object| self.observe(object)));
        // Owners that came and went while nobody was watching.
        let missing = self.dependents.iter().filter(|(owner, _)| !self.nodes.contains_key(*owner));
        suspects.extend(missing.flat_map(|(_, dependents)| dependents).cloned());
        suspects
    }

    /// Forgets the objects of a kind that is no longer served.
    pub(super) fn drop_resource(&mut self, resource: &GroupResource) {
        for uid in self.by_resource.remove(resource).into_iter().flatten() {
            self.forget(&uid);
        }
    }

    fn unlink(&mut self, owner: &str, dependent: &str) {
        if let Some(all) = self.dependents.get_mut(owner) {
            all.swap_remove(dependent);
            if all.is_empty() {
                self.dependents.swap_remove(owner);
            }
        }
    }
}

/// Whether one with these owners keeps that one from going.
fn blocks(owners: &[OwnerReference], uid: &str) -> bool {
    owners.iter().any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::api::{Draft, Revision};

    const NOBODY: [Uid; 0] = [];

    fn uids<const N: usize>(all: [&str; N]) -> [Uid; N] {
        all.map(Arc::from)
    }

    fn map(uid: &str, revision: u64, change: impl FnOnce(&mut ObjectMeta)) -> Object {
        let mut map = ConfigMap::default();
        (map.metadata.name, map.metadata.uid) = (Some(uid.to_owned()), Some(uid.to_owned()));
        change(&mut map.metadata);
        Draft::new(map).seal(Revision::from(revision))
    }

    fn owned_by(owner: &str) -> impl FnOnce(&mut ObjectMeta) {
        let owner =
            OwnerReference { uid: owner.to_owned(), block_owner_deletion: Some(true), ..OwnerReference::default() };
        |meta| meta.owner_references = Some(vec![owner])
    }

    fn deleted(meta: &mut ObjectMeta) {
        meta.deletion_timestamp = Some(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn what_waits_for_its_dependents_is_looked_at_when_one_is_gone_and_not_before() {
        let mut graph = Graph::default();
        assert_eq!(graph.observe(&map("owner", 1, |_| {})), NOBODY);
        assert_eq!(graph.observe(&map("a", 2, owned_by("owner"))), NOBODY);
        let waits = |meta: &mut ObjectMeta| {
            deleted(meta);
            meta.finalizers = Some(vec![FOREGROUND.to_owned()]);
        };
        assert_eq!(graph.observe(&map("owner", 3, waits)), uids(["a", "owner"]));
        // A newcomer goes as well.
        assert_eq!(graph.observe(&map("b", 4, owned_by("owner"))), uids(["b"]));
        let labelled = |meta: &mut ObjectMeta| {
            owned_by("owner")(meta);
            meta.labels = Some(BTreeMap::from([("color".to_owned(), "red".to_owned())]));
        };
        assert_eq!(graph.observe(&map("a", 5, labelled)), NOBODY);
        let goes = |meta: &mut ObjectMeta| {
            owned_by("owner")(meta);
            deleted(meta);
        };
        assert_eq!(graph.observe(&map("a", 6, goes)), NOBODY);
        assert_eq!(graph.forget("a"), uids(["owner"]));
        // One that is let go of blocks nobody.
        assert_eq!(graph.observe(&map("b", 7, |_| {})), uids(["owner"]));
    }

    #[test]
    fn dependents_of_nobody_are_looked_at_once() {
        let mut graph = Graph::default();
        assert_eq!(graph.observe(&map("a", 1, owned_by("nobody"))), uids(["a"]));
        assert_eq!(graph.observe(&map("a", 2, owned_by("nobody"))), NOBODY);
        assert_eq!(graph.observe(&map("nobody", 3, |_| {})), NOBODY);
        assert_eq!(graph.forget("nobody"), uids(["a"]));
    }
}

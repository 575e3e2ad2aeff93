//! The view of an informer: objects by name, and by the values of its indexes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use foldhash::HashMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::ApiType;

/// An object's namespace (empty for cluster-scoped kinds) and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectRef {
    /// The object `name` in `namespace`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The object that this metadata is of.
    pub fn of(meta: &ObjectMeta) -> Self {
        Self::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// A change of an informer's view: a creation has no old object, a deletion no new one.
#[derive(Debug)]
pub struct Change<K> {
    /// The version before.
    pub old: Option<Arc<K>>,
    /// The version now.
    pub new: Option<Arc<K>>,
}

impl<K> Change<K> {
    /// The object: as it is now, or as it was before it went.
    ///
    /// # Panics
    /// Never for a change that an informer gives: it has one of the two.
    pub fn object(&self) -> &Arc<K> {
        self.new.as_ref().or(self.old.as_ref()).expect("a change has an object")
    }

    /// Both versions, as far as they exist: old, then new.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<K>> {
        self.old.iter().chain(&self.new)
    }
}

/// A namespace's or an object's name; the maps of a view share it.
type Name = Arc<str>;

/// The number of an object's place.
type Place = usize;

struct Index<K> {
    values: Box<dyn Fn(&K) -> Vec<String> + Send + Sync>,
    entries: BTreeMap<String, BTreeMap<(Name, Name), Place>>,
}

impl<K> Index<K> {
    fn insert(&mut self, key: &(Name, Name), object: &K, place: Place) {
        for value in (self.values)(object) {
            self.entries.entry(value).or_default().insert(key.clone(), place);
        }
    }

    fn remove(&mut self, key: &(Name, Name), object: &K) {
        for value in (self.values)(object) {
            if let Some(places) = self.entries.get_mut(&value) {
                places.remove(key);
                if places.is_empty() {
                    self.entries.remove(&value);
                }
            }
        }
    }
}

/// Where the objects of one namespace are.
#[derive(Default)]
struct Within {
    /// Most that is asked for is one object, and most that happens is that one changes: that is found at once.
    by_name: HashMap<Name, Place>,
    ordered: BTreeMap<Name, Place>,
}

pub(super) struct View<K> {
    /// The objects, in no order. What points to a place need not know of a new version of what is there.
    places: Vec<Option<Arc<K>>>,
    /// Places without an object, to be used again.
    free: Vec<Place>,
    namespaces: BTreeMap<Name, Within>,
    indexes: BTreeMap<&'static str, Index<K>>,
}

impl<K> Default for View<K> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new(), namespaces: BTreeMap::new(), indexes: BTreeMap::new() }
    }
}

impl<K: ApiType> View<K> {
    fn place(&self, namespace: &str, name: &str) -> Option<Place> {
        self.namespaces.get(namespace)?.by_name.get(name).copied()
    }

    /// The names of an object that there is, as the maps have them.
    fn key(&self, namespace: &str, name: &str) -> Option<(Name, Name)> {
        let (namespace, within) = self.namespaces.get_key_value(namespace)?;
        Some((Arc::clone(namespace), Arc::clone(within.by_name.get_key_value(name)?.0)))
    }

    fn at<'a>(&'a self, places: impl Iterator<Item = &'a Place>) -> impl Iterator<Item = &'a Arc<K>> {
        places.filter_map(|place| self.places.get(*place)?.as_ref())
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<K>> {
        self.places.get(self.place(namespace, name)?)?.as_ref()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<K>> {
        self.at(self.namespaces.values().flat_map(|within| within.ordered.values()))
    }

    pub(super) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<K>> {
        self.at(self.namespaces.get(namespace).into_iter().flat_map(|within| within.ordered.values()))
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn add_index(&mut self, name: &'static str, values: Box<dyn Fn(&K) -> Vec<String> + Send + Sync>) {
        if self.indexes.contains_key(name) {
            return;
        }
        let mut index = Index { values, entries: BTreeMap::new() };
        for (namespace, within) in &self.namespaces {
            for (name, place) in &within.ordered {
                if let Some(object) = self.places.get(*place).and_then(Option::as_ref) {
                    index.insert(&(Arc::clone(namespace), Arc::clone(name)), object, *place);
                }
            }
        }
        self.indexes.insert(name, index);
    }

    pub(super) fn by(&self, name: &str, value: &str) -> Vec<Arc<K>> {
        let places = self.indexes.get(name).and_then(|index| index.entries.get(value));
        self.at(places.into_iter().flat_map(BTreeMap::values)).cloned().collect()
    }

    /// Sets an object. A version that is there already changes nothing.
    pub(super) fn set(&mut self, object: Arc<K>) -> Vec<Change<K>> {
        let meta = object.metadata();
        let (namespace, name) =
            (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
        let Some(place) = self.place(namespace, name) else {
            self.insert(namespace, name, &object);
            return vec![Change { old: None, new: Some(object) }];
        };
        let new = Some(Arc::clone(&object));
        let old =
            self.places.get_mut(place).filter(|old| old.as_ref().is_none_or(|old| !same_version(&**old, &*object)));
        let Some(old) = old.and_then(|old| std::mem::replace(old, new)) else { return Vec::new() };
        let moved = self.indexes.values().any(|index| (index.values)(&old) != (index.values)(&object));
        if moved && let Some(key) = self.key(namespace, name) {
            for index in self.indexes.values_mut() {
                index.remove(&key, &old);
                index.insert(&key, &object, place);
            }
        }
        vec![Change { old: Some(old), new: Some(object) }]
    }

    fn insert(&mut self, namespace: &str, name: &str, object: &Arc<K>) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(Arc::clone(object));
        let known = self.namespaces.get_key_value(namespace).map(|(name, _)| Arc::clone(name));
        let key = (known.unwrap_or_else(|| namespace.into()), Name::from(name));
        let within = self.namespaces.entry(Arc::clone(&key.0)).or_default();
        within.by_name.insert(Arc::clone(&key.1), place);
        within.ordered.insert(Arc::clone(&key.1), place);
        for index in self.indexes.values_mut() {
            index.insert(&key, object, place);
        }
    }

    pub(super) fn remove(&mut self, namespace: &str, name: &str) -> Vec<Change<K>> {
        let Some(key) = self.key(namespace, name) else { return Vec::new() };
        let Some(within) = self.namespaces.get_mut(namespace) else { return Vec::new() };
        let place = within.by_name.remove(name);
        within.ordered.remove(name);
        if within.ordered.is_empty() {
            self.namespaces.remove(namespace);
        }
        let Some((place, old)) = place.and_then(|place| Some((place, self.places.get_mut(place)?.take()?))) else {
            return Vec::new();
        };
        self.free.push(place);
        for index in self.indexes.values_mut() {
            index.remove(&key, &old);
        }
        vec![Change { old: Some(old), new: None }]
    }

    /// Makes the view exactly `objects`. One that was deleted and created anew between is both.
    pub(super) fn replace(&mut self, objects: Vec<Arc<K>>) -> Vec<Change<K>> {
        let kept: BTreeMap<_, _> =
            objects.iter().map(|object| (ObjectRef::of(object.metadata()), &object.metadata().uid)).collect();
        let stays = |old: &ObjectMeta| kept.get(&ObjectRef::of(old)).is_some_and(|uid| **uid == old.uid);
        let there = self.iter().map(|old| old.metadata());
        let gone: Vec<_> = there.filter(|old| !stays(old)).map(ObjectRef::of).collect();
        let mut changes: Vec<_> = gone.iter().flat_map(|old| self.remove(&old.namespace, &old.name)).collect();
        changes.extend(objects.into_iter().flat_map(|object| self.set(object)));
        changes
    }
}

fn same_version<K: ApiType>(a: &K, b: &K) -> bool {
    let (a, b) = (a.metadata(), b.metadata());
    a.uid == b.uid && a.resource_version.is_some() && a.resource_version == b.resource_version
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Set(usize, usize, usize),
        Remove(usize, usize),
        Replace(Vec<(usize, usize, usize)>),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let one = || (0..2_usize, 0..6_usize, 0..3_usize);
        let step = prop_oneof![
            6 => one().prop_map(|(namespace, name, value)| Step::Set(namespace, name, value)),
            3 => one().prop_map(|(namespace, name, _)| Step::Remove(namespace, name)),
            1 => prop::collection::vec(one(), 0..6).prop_map(Step::Replace),
        ];
        prop::collection::vec(step, 0..40)
    }

    fn object((namespace, name, value): (usize, usize, usize), version: usize) -> Arc<ConfigMap> {
        let metadata = ObjectMeta {
            namespace: Some(format!("ns-{namespace}")),
            name: Some(format!("name-{name}")),
            uid: Some(format!("uid-{namespace}-{name}")),
            resource_version: Some(version.to_string()),
            labels: Some([("value".to_owned(), value.to_string())].into()),
            ..ObjectMeta::default()
        };
        Arc::new(ConfigMap { metadata, ..ConfigMap::default() })
    }

    fn value(object: &ConfigMap) -> Vec<String> {
        object.metadata.labels.iter().flat_map(BTreeMap::values).cloned().collect()
    }

    proptest! {
        #[test]
        fn a_view_is_an_ordered_map_with_indexes(steps in steps(), early in any::<bool>()) {
            let mut view = View::<ConfigMap>::default();
            let mut model = BTreeMap::<ObjectRef, Arc<ConfigMap>>::new();
            if early {
                view.add_index("value", Box::new(value));
            }
            for (version, step) in steps.into_iter().enumerate() {
                let before = model.clone();
                let changes = match step {
                    Step::Set(namespace, name, value) => {
                        let object = object((namespace, name, value), version);
                        model.insert(ObjectRef::of(&object.metadata), Arc::clone(&object));
                        prop_assert!(view.set(Arc::clone(&object)).len() == 1);
                        view.set(object) // which is there already
                    }
                    Step::Remove(namespace, name) => {
                        let key = ObjectRef::new(format!("ns-{namespace}"), format!("name-{name}"));
                        model.remove(&key);
                        view.remove(&key.namespace, &key.name)
                    }
                    Step::Replace(all) => {
                        let all: Vec<_> = all.into_iter().map(|one| object(one, version)).collect();
                        model = all.iter().map(|one| (ObjectRef::of(&one.metadata), Arc::clone(one))).collect();
                        view.replace(model.values().cloned().collect())
                    }
                };
                for change in changes {
                    let key = ObjectRef::of(&change.object().metadata);
                    prop_assert_eq!(change.old.as_ref(), before.get(&key));
                    prop_assert_eq!(change.new.as_ref(), model.get(&key));
                }
                let all: Vec<_> = model.values().cloned().collect();
                prop_assert_eq!(view.iter().cloned().collect::<Vec<_>>(), all.clone());
                prop_assert_eq!(view.len(), all.len());
                for (key, object) in &model {
                    prop_assert_eq!(view.get(&key.namespace, &key.name), Some(object));
                }
                let first: Vec<_> = view.in_namespace("ns-0").cloned().collect();
                let expected = model.iter().filter(|(key, _)| key.namespace == "ns-0");
                prop_assert_eq!(first, expected.map(|(_, object)| Arc::clone(object)).collect::<Vec<_>>());
                view.add_index("value", Box::new(value));
                let ones: Vec<_> = all.into_iter().filter(|object| value(object) == ["1"]).collect();
                prop_assert_eq!(view.by("value", "1"), ones);
            }
        }
    }
}

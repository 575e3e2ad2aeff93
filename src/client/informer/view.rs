//! The view of an informer: objects by name, and by the values of its indexes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use foldhash::HashMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use slab::Slab;

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

/// Where a view has an object, for as long as it has it: the same for all versions.
type Place = usize;

struct Index<K> {
    values: Box<dyn Fn(&K) -> Vec<String> + Send + Sync>,
    entries: BTreeMap<String, BTreeMap<ObjectRef, Place>>,
}

impl<K: ApiType> Index<K> {
    fn insert(&mut self, object: &K, place: Place) {
        for value in (self.values)(object) {
            self.entries.entry(value).or_default().insert(ObjectRef::of(object.metadata()), place);
        }
    }

    fn remove(&mut self, object: &K) {
        for value in (self.values)(object) {
            if let Some(places) = self.entries.get_mut(&value) {
                places.remove(&ObjectRef::of(object.metadata()));
                if places.is_empty() {
                    self.entries.remove(&value);
                }
            }
        }
    }

    /// `new` has come in the place of `old`, mostly under the same values.
    fn replace(&mut self, old: &K, new: &K, place: Place) {
        if (self.values)(old) != (self.values)(new) {
            self.remove(old);
            self.insert(new, place);
        }
    }
}

/// The objects of a namespace.
#[derive(Default)]
struct Names {
    /// For finding one: an object changes far more often than objects come and go.
    places: HashMap<Arc<str>, Place>,
    /// For listing them.
    ordered: BTreeMap<Arc<str>, Place>,
}

pub(super) struct View<K> {
    objects: Slab<Arc<K>>,
    namespaces: BTreeMap<String, Names>,
    indexes: BTreeMap<&'static str, Index<K>>,
}

impl<K> Default for View<K> {
    fn default() -> Self {
        Self { objects: Slab::new(), namespaces: BTreeMap::new(), indexes: BTreeMap::new() }
    }
}

impl<K: ApiType> View<K> {
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<K>> {
        Some(&self.objects[*self.namespaces.get(namespace)?.places.get(name)?])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<K>> {
        self.at(self.namespaces.values().flat_map(|names| names.ordered.values()))
    }

    pub(super) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<K>> {
        self.at(self.namespaces.get(namespace).into_iter().flat_map(|names| names.ordered.values()))
    }

    fn at<'a>(&'a self, places: impl Iterator<Item = &'a Place>) -> impl Iterator<Item = &'a Arc<K>> {
        places.map(|place| &self.objects[*place])
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn add_index(&mut self, name: &'static str, values: Box<dyn Fn(&K) -> Vec<String> + Send + Sync>) {
        if self.indexes.contains_key(name) {
            return;
        }
        let mut index = Index { values, entries: BTreeMap::new() };
        for (place, object) in &self.objects {
            index.insert(object, place);
        }
        self.indexes.insert(name, index);
    }

    pub(super) fn by(&self, name: &str, value: &str) -> Vec<Arc<K>> {
        let places = self.indexes.get(name).and_then(|index| index.entries.get(value));
        self.at(places.into_iter().flat_map(BTreeMap::values)).cloned().collect()
    }

    /// Sets an object. A version that is there already changes nothing.
    pub(super) fn set(&mut self, object: Arc<K>) -> Option<Change<K>> {
        let meta = object.metadata();
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let name = meta.name.as_deref().unwrap_or_default();
        let names = match self.namespaces.get_mut(namespace) {
            Some(names) => names,
            None => self.namespaces.entry(namespace.to_owned()).or_default(),
        };
        if let Some(&place) = names.places.get(name) {
            let here = &mut self.objects[place];
            if same_version(&**here, &*object) {
                return None;
            }
            let old = std::mem::replace(here, Arc::clone(&object));
            for index in self.indexes.values_mut() {
                index.replace(&old, &object, place);
            }
            return Some(Change { old: Some(old), new: Some(object) });
        }
        let (name, place) = (Arc::<str>::from(name), self.objects.insert(Arc::clone(&object)));
        names.places.insert(Arc::clone(&name), place);
        names.ordered.insert(name, place);
        for index in self.indexes.values_mut() {
            index.insert(&object, place);
        }
        Some(Change { old: None, new: Some(object) })
    }

    pub(super) fn remove(&mut self, namespace: &str, name: &str) -> Option<Change<K>> {
        let names = self.namespaces.get_mut(namespace)?;
        let place = names.places.remove(name)?;
        names.ordered.remove(name);
        if names.places.is_empty() {
            self.namespaces.remove(namespace);
        }
        let old = self.objects.remove(place);
        for index in self.indexes.values_mut() {
            index.remove(&old);
        }
        Some(Change { old: Some(old), new: None })
    }

    /// Makes the view exactly `objects`. One that was deleted and created anew between is both.
    pub(super) fn replace(&mut self, objects: Vec<Arc<K>>) -> Vec<Change<K>> {
        let kept: BTreeMap<_, _> =
            objects.iter().map(|object| (ObjectRef::of(object.metadata()), &object.metadata().uid)).collect();
        let gone = self.iter().map(|old| (ObjectRef::of(old.metadata()), &old.metadata().uid));
        let gone = gone.filter(|(key, uid)| kept.get(key).is_none_or(|kept| kept != uid)).map(|(key, _)| key);
        let gone: Vec<_> = gone.collect();
        let mut changes: Vec<_> = gone.iter().filter_map(|key| self.remove(&key.namespace, &key.name)).collect();
        changes.extend(objects.into_iter().filter_map(|object| self.set(object)));
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
                let changes: Vec<_> = match step {
                    Step::Set(namespace, name, value) => {
                        let object = object((namespace, name, value), version);
                        model.insert(ObjectRef::of(&object.metadata), Arc::clone(&object));
                        prop_assert!(view.set(Arc::clone(&object)).is_some());
                        view.set(object).into_iter().collect() // which is there already
                    }
                    Step::Remove(namespace, name) => {
                        let key = ObjectRef::new(format!("ns-{namespace}"), format!("name-{name}"));
                        model.remove(&key);
                        view.remove(&key.namespace, &key.name).into_iter().collect()
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

//! The view of an informer: objects by name, and by the values of its indexes.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

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

/// Objects by their names, which all maps of a view share.
type Named<K> = BTreeMap<Arc<ObjectRef>, Arc<K>>;

struct Index<K> {
    values: Box<dyn Fn(&K) -> Vec<String> + Send + Sync>,
    entries: BTreeMap<String, Named<K>>,
}

impl<K> Index<K> {
    fn insert(&mut self, key: &Arc<ObjectRef>, object: &Arc<K>) {
        for value in (self.values)(object) {
            self.entries.entry(value).or_default().insert(Arc::clone(key), Arc::clone(object));
        }
    }

    fn remove(&mut self, key: &ObjectRef, object: &K) {
        for value in (self.values)(object) {
            if let Some(objects) = self.entries.get_mut(&value) {
                objects.remove(key);
                if objects.is_empty() {
                    self.entries.remove(&value);
                }
            }
        }
    }

    /// Puts `new` in the place of `old`: where the values are the same, the entries stay where they are.
    fn replace(&mut self, key: &Arc<ObjectRef>, old: &K, new: &Arc<K>) {
        if (self.values)(old) != (self.values)(new) {
            self.remove(key, old);
        }
        self.insert(key, new);
    }
}

pub(super) struct View<K> {
    objects: Named<K>,
    indexes: BTreeMap<&'static str, Index<K>>,
}

impl<K> Default for View<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), indexes: BTreeMap::new() }
    }
}

impl<K: ApiType> View<K> {
    pub(super) fn get(&self, key: &ObjectRef) -> Option<&Arc<K>> {
        self.objects.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<K>> {
        self.objects.values()
    }

    pub(super) fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<K>> {
        let first = ObjectRef::new(namespace, "");
        self.objects
            .range::<ObjectRef, _>((Bound::Included(&first), Bound::Unbounded))
            .take_while(move |(key, _)| key.namespace == namespace)
            .map(|(_, object)| object)
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn add_index(&mut self, name: &'static str, values: Box<dyn Fn(&K) -> Vec<String> + Send + Sync>) {
        if self.indexes.contains_key(name) {
            return;
        }
        let mut index = Index { values, entries: BTreeMap::new() };
        for (key, object) in &self.objects {
            index.insert(key, object);
        }
        self.indexes.insert(name, index);
    }

    pub(super) fn by(&self, name: &str, value: &str) -> Vec<Arc<K>> {
        let objects = self.indexes.get(name).and_then(|index| index.entries.get(value));
        objects.into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Sets an object. A version that is there already changes nothing.
    pub(super) fn set(&mut self, object: Arc<K>) -> Vec<Change<K>> {
        let key = ObjectRef::of(object.metadata());
        let known = self.objects.get_key_value(&key).map(|(key, old)| (Arc::clone(key), Arc::clone(old)));
        let (key, old) = match known {
            Some((_, old)) if same_version(&*old, &*object) => return Vec::new(),
            Some((key, old)) => {
                self.indexes.values_mut().for_each(|index| index.replace(&key, &old, &object));
                (key, Some(old))
            }
            None => {
                let key = Arc::new(key);
                self.indexes.values_mut().for_each(|index| index.insert(&key, &object));
                (key, None)
            }
        };
        self.objects.insert(key, Arc::clone(&object));
        vec![Change { old, new: Some(object) }]
    }

    pub(super) fn remove(&mut self, object: &K) -> Vec<Change<K>> {
        let key = ObjectRef::of(object.metadata());
        let Some(old) = self.objects.remove(&key) else { return Vec::new() };
        for index in self.indexes.values_mut() {
            index.remove(&key, &old);
        }
        vec![Change { old: Some(old), new: None }]
    }

    /// Makes the view exactly `objects`. One that was deleted and created anew between is both.
    pub(super) fn replace(&mut self, objects: Vec<Arc<K>>) -> Vec<Change<K>> {
        let kept: BTreeMap<_, _> =
            objects.iter().map(|object| (ObjectRef::of(object.metadata()), &object.metadata().uid)).collect();
        let gone: Vec<_> = self
            .objects
            .iter()
            .filter(|(key, old)| kept.get(&***key).is_none_or(|uid| **uid != old.metadata().uid))
            .map(|(_, old)| Arc::clone(old))
            .collect();
        let mut changes: Vec<_> = gone.iter().flat_map(|object| self.remove(object)).collect();
        changes.extend(objects.into_iter().flat_map(|object| self.set(object)));
        changes
    }
}

fn same_version<K: ApiType>(a: &K, b: &K) -> bool {
    let (a, b) = (a.metadata(), b.metadata());
    a.uid == b.uid && a.resource_version.is_some() && a.resource_version == b.resource_version
}

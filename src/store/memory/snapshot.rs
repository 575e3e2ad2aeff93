//! One state of everything: a persistent map per resource and one per index.

use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;

use super::Index;
use crate::api::{GroupResource, Key, Object, Revision};
use crate::store::{Page, Scope};

/// A namespace and a name: where an object is within its resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    namespace: Arc<str>,
    name: Arc<str>,
}

/// All objects at one revision. A copy costs nothing and shares everything.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    revision: Revision,
    tables: OrdMap<GroupResource, Table>,
    indexes: Arc<[Index]>,
}

/// The objects of an index, by the value of its field.
type Entries = OrdMap<(Arc<str>, Name), Object>;

#[derive(Clone, Debug)]
struct Table {
    objects: OrdMap<Name, Object>,
    indexes: Vec<(Index, Entries)>,
}

// === impl Name ===

impl Name {
    pub(super) fn of(key: &Key) -> Self {
        Self { namespace: Arc::clone(&key.namespace), name: Arc::clone(&key.name) }
    }
}

// === impl Snapshot ===

impl Snapshot {
    pub(super) fn empty(revision: Revision, indexes: Vec<Index>) -> Self {
        Self { revision, tables: OrdMap::new(), indexes: indexes.into() }
    }

    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn set_revision(&mut self, revision: Revision) {
        self.revision = revision;
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Object> {
        self.tables.get(&key.resource)?.objects.get(&Name::of(key))
    }

    /// Puts `object` under `key`, or empties the key.
    pub(super) fn put(&mut self, key: &Key, object: Option<Object>) {
        let indexes = &self.indexes;
        let table = self.tables.entry(key.resource.clone()).or_insert_with(|| Table::new(&key.resource, indexes));
        table.put(Name::of(key), object);
    }

    /// The objects of `scope` behind `after`, at most `limit`.
    pub(super) fn page(&self, scope: &Scope, after: Option<Name>, limit: Option<usize>) -> Page {
        let Some(table) = self.tables.get(&scope.resource) else {
            return Page { revision: self.revision, ..Page::default() };
        };
        let mut objects = table.scan(scope, after);
        let items = objects.by_ref().take(limit.unwrap_or(usize::MAX)).cloned().collect();
        Page { items, revision: self.revision, remaining: objects.count() }
    }
}

// === impl Table ===

impl Table {
    fn new(resource: &GroupResource, indexes: &[Index]) -> Self {
        let indexes = indexes.iter().filter(|index| index.resource == *resource);
        Self { objects: OrdMap::new(), indexes: indexes.map(|index| (index.clone(), OrdMap::new())).collect() }
    }

    fn put(&mut self, name: Name, object: Option<Object>) {
        let previous = match &object {
            Some(object) => self.objects.insert(name.clone(), object.clone()),
            None => self.objects.remove(&name),
        };
        for (index, entries) in &mut self.indexes {
            let old = previous.as_ref().and_then(index.value);
            let new = object.as_ref().and_then(|object| Some(((index.value)(object)?, object)));
            if let Some(old) = old
                && new.is_none_or(|(new, _)| new != old)
            {
                entries.remove(&(old.into(), name.clone()));
            }
            if let Some((value, object)) = new {
                entries.insert((value.into(), name.clone()), object.clone());
            }
        }
    }

    fn scan<'a>(&'a self, scope: &'a Scope, after: Option<Name>) -> Box<dyn Iterator<Item = &'a Object> + 'a> {
        let within = |name: &Name| scope.namespace.as_ref().is_none_or(|namespace| *namespace == name.namespace);
        let first = Name { namespace: scope.namespace.clone().unwrap_or_default(), name: Arc::default() };
        let start = match after {
            Some(after) if after > first => Bound::Excluded(after),
            _ => Bound::Included(first),
        };
        let Some((field, value)) = &scope.index else {
            let entries = self.objects.range((start, Bound::Unbounded));
            return Box::new(entries.take_while(move |(name, _)| within(name)).map(|(_, object)| object));
        };
        let Some((_, entries)) = self.indexes.iter().find(|(index, _)| index.field == *field) else {
            return Box::new(std::iter::empty());
        };
        let entries = entries.range((start.map(|name| (Arc::clone(value), name)), Bound::Unbounded));
        Box::new(entries.take_while(move |((other, name), _)| other == value && within(name)).map(|(_, object)| object))
    }
}

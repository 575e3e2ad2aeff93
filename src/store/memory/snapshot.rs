//! One state of everything: a persistent map per resource and one per index.

use std::sync::Arc;

use foldhash::HashMap;

use super::Index;
use super::tree::Tree;
use crate::api::{GroupResource, Key, Object, Revision};
use crate::store::{Page, Scope};

/// All objects at one revision. A copy costs nothing and shares everything.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    revision: Revision,
    tables: HashMap<GroupResource, Arc<Table>>,
    indexes: Arc<[Index]>,
}

#[derive(Clone, Debug)]
struct Table {
    /// By [`Key::place`]: within a namespace, behind its name and a zero byte.
    objects: Tree<Held>,
    indexes: Vec<Entries>,
}

/// An object, and what it is indexed by: known also where the object has lost its typed form.
#[derive(Clone, Debug)]
struct Held {
    object: Object,
    values: Values,
}

/// A value for each index of the resource, in their order. Nothing where there is none.
pub(super) type Values = Box<[Option<Arc<str>>]>;

/// What an object was indexed by before a change, and is by now.
#[derive(Debug, Default)]
pub(super) struct Moved {
    pub(super) before: Values,
    pub(super) now: Values,
}

/// The objects that have a value of an index's field, by that value.
#[derive(Clone, Debug)]
struct Entries {
    index: Index,
    by_value: Tree<Tree<Object>>,
}

// === impl Snapshot ===

impl Snapshot {
    pub(super) fn empty(revision: Revision, indexes: Vec<Index>) -> Self {
        Self { revision, tables: HashMap::default(), indexes: indexes.into() }
    }

    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn set_revision(&mut self, revision: Revision) {
        self.revision = revision;
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Object> {
        self.tables.get(&key.resource)?.objects.get(key.object.text()).map(|held| &held.object)
    }

    /// Puts `object` under `key`, or empties the key.
    pub(super) fn put(&mut self, key: &Key, object: Option<Object>) -> Moved {
        let indexes = &self.indexes;
        let table =
            self.tables.entry(key.resource.clone()).or_insert_with(|| Table::new(&key.resource, indexes).into());
        Arc::make_mut(table).put(key.object.text(), object)
    }

    /// Lets `cold` stand for `object` where that is still there.
    pub(super) fn cool(&mut self, object: &Object, cold: Object) {
        let key = object.key();
        if let Some(table) = self.tables.get_mut(&key.resource) {
            Arc::make_mut(table).cool(key.object.text(), object, cold);
        }
    }

    /// How many objects of a resource there are.
    pub(super) fn len(&self, resource: &GroupResource) -> usize {
        self.tables.get(resource).map_or(0, |table| table.objects.len())
    }

    /// The objects of `scope` behind `after`, at most `limit`.
    pub(super) fn page(&self, scope: &Scope, after: Option<&Key>, limit: Option<usize>) -> Page {
        let nothing = Page { revision: self.revision, ..Page::default() };
        let Some(table) = self.tables.get(&scope.resource) else { return nothing };
        match &scope.index {
            None => self.page_of(&table.objects, |held| &held.object, scope, after, limit),
            Some((field, value)) => {
                let entries = table.indexes.iter().find(|entries| entries.index.field == *field);
                let Some(objects) = entries.and_then(|entries| entries.by_value.get(value)) else { return nothing };
                self.page_of(objects, |object| object, scope, after, limit)
            }
        }
    }

    fn page_of<V>(
        &self,
        objects: &Tree<V>,
        object: impl Fn(&V) -> &Object,
        scope: &Scope,
        after: Option<&Key>,
        limit: Option<usize>,
    ) -> Page {
        let (mut start, end) = match scope.namespace.as_deref() {
            None => (0, objects.len()),
            Some(namespace) => {
                let of = |end: &str| objects.rank(&[namespace, end].concat());
                (of("\0"), of("\u{1}"))
            }
        };
        if let Some(after) = after {
            // The next text that there can be.
            start = start.max(objects.rank(&[after.object.text(), "\0"].concat()));
        }
        let there = end.saturating_sub(start);
        let taken = limit.map_or(there, |limit| limit.min(there));
        let mut items = Vec::with_capacity(taken);
        items.extend(objects.values_from(start).take(taken).map(|value| object(value).clone()));
        Page { items, revision: self.revision, remaining: there - taken }
    }
}

// === impl Table ===

impl Table {
    fn new(resource: &GroupResource, indexes: &[Index]) -> Self {
        let indexes = indexes.iter().filter(|index| index.resource == *resource);
        let indexes = indexes.map(|index| Entries { index: index.clone(), by_value: Tree::default() });
        Self { objects: Tree::default(), indexes: indexes.collect() }
    }

    fn cool(&mut self, place: &Arc<str>, object: &Object, cold: Object) {
        let Some(held) = self.objects.get_mut(place).filter(|held| held.object.ptr_eq(object)) else { return };
        held.object = cold.clone();
        for (entries, value) in self.indexes.iter_mut().zip(&held.values) {
            if let Some(value) = value {
                entries.insert(value, place, cold.clone());
            }
        }
    }

    fn put(&mut self, place: &Arc<str>, object: Option<Object>) -> Moved {
        let values = |object: &Object| {
            self.indexes.iter().map(|entries| (entries.index.value)(object).map(Arc::from)).collect::<Values>()
        };
        let now = object.as_ref().map(values).unwrap_or_default();
        let previous = match &object {
            Some(object) => {
                self.objects.insert(Arc::clone(place), Held { object: object.clone(), values: now.clone() })
            }
            None => self.objects.remove(place),
        };
        let before = previous.map(|held| held.values).unwrap_or_default();
        for (at, entries) in self.indexes.iter_mut().enumerate() {
            let of = |values: &'_ Values| values.get(at).cloned().flatten();
            let (old, new) = (of(&before), of(&now));
            if let Some(old) = old.filter(|old| new.as_ref() != Some(old)) {
                entries.remove(&old, place);
            }
            if let Some((new, object)) = new.zip(object.as_ref()) {
                entries.insert(&new, place, object.clone());
            }
        }
        Moved { before, now }
    }
}

// === impl Entries ===

impl Entries {
    fn insert(&mut self, value: &Arc<str>, place: &Arc<str>, object: Object) {
        if let Some(objects) = self.by_value.get_mut(value) {
            objects.insert(Arc::clone(place), object);
            return;
        }
        let mut objects = Tree::default();
        objects.insert(Arc::clone(place), object);
        self.by_value.insert(Arc::clone(value), objects);
    }

    fn remove(&mut self, value: &str, place: &str) {
        let Some(objects) = self.by_value.get_mut(value) else { return };
        objects.remove(place);
        if objects.len() == 0 {
            self.by_value.remove(value);
        }
    }
}

//! One state of everything: a persistent map per resource and one per index.

use std::sync::Arc;

use imbl::OrdMap;

use super::Index;
use super::tree::Tree;
use crate::api::{GroupResource, Key, Object, Revision};
use crate::store::{Page, Scope};

/// All objects at one revision. A copy costs nothing and shares everything.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    revision: Revision,
    tables: OrdMap<GroupResource, Arc<Table>>,
    indexes: Arc<[Index]>,
}

#[derive(Clone, Debug)]
struct Table {
    /// By [`Key::place`]: within a namespace, behind its name and a zero byte.
    objects: Tree<Object>,
    indexes: Vec<Entries>,
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
        Self { revision, tables: OrdMap::new(), indexes: indexes.into() }
    }

    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn set_revision(&mut self, revision: Revision) {
        self.revision = revision;
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Object> {
        self.tables.get(&key.resource)?.objects.get(key.place())
    }

    /// Puts `object` under `key`, or empties the key.
    pub(super) fn put(&mut self, key: &Key, object: Option<Object>) {
        let indexes = &self.indexes;
        let table =
            self.tables.entry(key.resource.clone()).or_insert_with(|| Table::new(&key.resource, indexes).into());
        Arc::make_mut(table).put(Arc::clone(key.place()), object);
    }

    /// Lets `cold` stand for `object` where that is still there.
    pub(super) fn cool(&mut self, object: &Object, cold: Object) {
        let key = object.key();
        if let Some(table) = self.tables.get_mut(&key.resource) {
            Arc::make_mut(table).cool(key.place(), object, cold);
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
        let objects = match &scope.index {
            None => Some(&table.objects),
            Some((field, value)) => table
                .indexes
                .iter()
                .find(|entries| entries.index.field == *field)
                .and_then(|entries| entries.by_value.get(value)),
        };
        let Some(objects) = objects else { return nothing };
        let (mut start, end) = match scope.namespace.as_deref() {
            None => (0, objects.len()),
            Some(namespace) => {
                let of = |end: &str| objects.rank(&[namespace, end].concat());
                (of("\0"), of("\u{1}"))
            }
        };
        if let Some(after) = after {
            // The next text that there can be.
            start = start.max(objects.rank(&[after.place(), "\0"].concat()));
        }
        let there = end.saturating_sub(start);
        let taken = limit.map_or(there, |limit| limit.min(there));
        let mut items = Vec::with_capacity(taken);
        items.extend(objects.values_from(start).take(taken).cloned());
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

    /// The index knows an object's value by its typed form.
    fn cool(&mut self, place: &Arc<str>, object: &Object, cold: Object) {
        match self.objects.get_mut(place) {
            Some(current) if current.ptr_eq(object) => *current = cold.clone(),
            _ => return,
        }
        for entries in &mut self.indexes {
            if let Some(value) = (entries.index.value)(object) {
                entries.insert(value, place, cold.clone());
            }
        }
    }

    fn put(&mut self, place: Arc<str>, object: Option<Object>) {
        let previous = match &object {
            Some(object) => self.objects.insert(Arc::clone(&place), object.clone()),
            None => self.objects.remove(&place),
        };
        for entries in &mut self.indexes {
            let value_of = entries.index.value;
            let (old, new) = (previous.as_ref().and_then(value_of), object.as_ref().and_then(value_of));
            if let Some(old) = old.filter(|old| new != Some(old)) {
                entries.remove(old, &place);
            }
            if let Some((new, object)) = new.zip(object.as_ref()) {
                entries.insert(new, &place, object.clone());
            }
        }
    }
}

// === impl Entries ===

impl Entries {
    fn insert(&mut self, value: &str, place: &Arc<str>, object: Object) {
        if let Some(objects) = self.by_value.get_mut(value) {
            objects.insert(Arc::clone(place), object);
            return;
        }
        let mut objects = Tree::default();
        objects.insert(Arc::clone(place), object);
        self.by_value.insert(value.into(), objects);
    }

    fn remove(&mut self, value: &str, place: &str) {
        let Some(objects) = self.by_value.get_mut(value) else { return };
        objects.remove(place);
        if objects.len() == 0 {
            self.by_value.remove(value);
        }
    }
}

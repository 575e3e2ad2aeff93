//! Values that at most one Service holds at a time.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::Key;

/// Who holds which values.
///
/// A write first *reserves* what it wants and, when it is known how it ended, is *settled*: the Service then
/// holds what its stored version names. Reservations of writes that came to nothing lapse when no write of that
/// Service is in flight any more, so two writes of one Service cannot take each other's values.
#[derive(Debug)]
pub(super) struct Holdings<T> {
    holder: BTreeMap<T, Key>,
    by_key: BTreeMap<Key, Held<T>>,
}

impl<T> Default for Holdings<T> {
    fn default() -> Self {
        Self { holder: BTreeMap::new(), by_key: BTreeMap::new() }
    }
}

#[derive(Debug)]
struct Held<T> {
    settled: BTreeSet<T>,
    reserved: BTreeSet<T>,
    in_flight: usize,
}

impl<T: Ord + Copy> Holdings<T> {
    /// A write of `key` begins.
    pub(super) fn begin(&mut self, key: &Key) {
        self.held(key).in_flight += 1;
    }

    fn held(&mut self, key: &Key) -> &mut Held<T> {
        self.by_key.entry(key.clone()).or_insert_with(|| Held {
            settled: BTreeSet::new(),
            reserved: BTreeSet::new(),
            in_flight: 0,
        })
    }

    /// Whether nobody holds `value`.
    pub(super) fn is_free(&self, value: T) -> bool {
        !self.holder.contains_key(&value)
    }

    /// Takes `value` for `key`. False where another Service holds it.
    pub(super) fn reserve(&mut self, key: &Key, value: T) -> bool {
        if self.holder.get(&value).is_some_and(|holder| holder != key) {
            return false;
        }
        self.holder.insert(value, key.clone());
        self.held(key).reserved.insert(value);
        true
    }

    /// A write of `key` has ended; `stored` is what the Service names now, or `None` where the write failed and
    /// nothing has changed.
    pub(super) fn settle(&mut self, key: &Key, stored: Option<BTreeSet<T>>) {
        let held = self.held(key);
        held.in_flight = held.in_flight.saturating_sub(1);
        let mut lapsed = BTreeSet::new();
        if let Some(stored) = stored {
            lapsed = std::mem::replace(&mut held.settled, stored);
        }
        if held.in_flight == 0 {
            lapsed.append(&mut held.reserved);
        }
        lapsed.retain(|value| !held.settled.contains(value) && !held.reserved.contains(value));
        let empty = held.settled.is_empty() && held.in_flight == 0;
        let kept: Vec<T> = held.settled.union(&held.reserved).copied().collect();
        self.holder.extend(kept.into_iter().map(|value| (value, key.clone())));
        for value in lapsed {
            if self.holder.get(&value) == Some(key) {
                self.holder.remove(&value);
            }
        }
        if empty {
            self.by_key.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::GroupResource;

    fn key(name: &str) -> Key {
        Key::new(GroupResource::new("", "services"), "default", name)
    }

    #[test]
    fn a_value_belongs_to_one_service_until_it_lets_go() {
        let mut holdings = Holdings::default();
        let (a, b) = (key("a"), key("b"));
        holdings.begin(&a);
        assert!(holdings.reserve(&a, 1));
        assert!(!holdings.reserve(&b, 1), "taken while a's write is in flight");
        holdings.settle(&a, Some([1].into()));
        assert!(!holdings.reserve(&b, 1));
        holdings.settle(&a, Some([].into()));
        assert!(holdings.reserve(&b, 1));
    }

    #[test]
    fn a_failed_write_leaves_what_was_held_and_what_another_write_reserved() {
        let mut holdings = Holdings::default();
        let (a, b) = (key("a"), key("b"));
        holdings.settle(&a, Some([1].into()));
        holdings.begin(&a);
        holdings.begin(&a);
        assert!(holdings.reserve(&a, 2) && holdings.reserve(&a, 3));
        holdings.settle(&a, None);
        assert!(!holdings.is_free(2) && !holdings.is_free(3), "the other write is still in flight");
        holdings.settle(&a, Some([1, 3].into()));
        assert!(holdings.is_free(2), "nobody came to hold it");
        assert!(!holdings.reserve(&b, 1) && !holdings.reserve(&b, 3));
    }
}

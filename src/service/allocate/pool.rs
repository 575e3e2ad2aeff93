//! Values that at most one Service holds at a time.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::Key;

/// Who holds which values.
///
/// A write first *reserves* what it wants and, when it is known how it ended, is *settled*: the Service then
/// holds what its stored version names. Reservations of writes that came to nothing lapse when no write of that
/// Service is in flight any more, so two writes of one Service cannot take each other's values.
#[derive(Debug, Default)]
pub(super) struct Holdings<T> {
    holder: BTreeMap<T, Key>,
    by_key: BTreeMap<Key, Held<T>>,
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
        for value in held.settled.iter().chain(&held.reserved) {
            self.holder.insert(*value, key.clone());
        }
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

//! A few bytes of each key of a node.

use std::cmp::Ordering;

use super::{Keyed, WIDTH};

/// So many bytes of what all keys begin with are kept here: a namespace and the first part of a name, mostly.
const KEPT: usize = 24;

/// Eight bytes of each key, behind the beginning that all of them share: as numbers that are ordered as the keys are,
/// as far as they go.
#[derive(Clone, Debug)]
pub(super) struct Heads {
    /// How many bytes all keys begin with.
    shared: usize,
    /// The first of them.
    beginning: [u8; KEPT],
    count: usize,
    of: [u64; WIDTH + 1],
}

impl Heads {
    /// Those of items that are in the order of their keys; at most [`WIDTH`] and one.
    pub(super) fn of<T: Keyed>(items: &[T]) -> Self {
        let mut this = Self { shared: 0, beginning: [0; KEPT], count: items.len(), of: [0; WIDTH + 1] };
        if let (Some(first), Some(last)) = (items.first(), items.last()) {
            // What the first and the last begin with, those between begin with, too.
            let both = first.key().bytes().zip(last.key().bytes());
            this.shared = both.take_while(|(a, b)| a == b).count();
            let kept = this.shared.min(KEPT);
            this.beginning[..kept].copy_from_slice(&first.key().as_bytes()[..kept]);
            for (head, item) in this.of.iter_mut().zip(items) {
                *head = number(item.key().as_bytes(), this.shared);
            }
        }
        this
    }

    /// Where a key is among the items, or would be.
    pub(super) fn find<T: Keyed>(&self, items: &[T], key: &str) -> Result<usize, usize> {
        let head = number(key.as_bytes(), self.shared);
        let heads = &self.of[..self.count];
        let mut at = heads.partition_point(|other| *other < head);
        // Mostly it is there, and its own key is all that need be looked at.
        if heads.get(at) == Some(&head) && **items[at].key() == *key {
            return Ok(at);
        }
        let Some(first) = items.first() else { return Err(0) };
        match key.as_bytes()[..self.shared.min(key.len())].cmp(self.beginning(first.key())) {
            Ordering::Less => return Err(0),
            Ordering::Greater => return Err(items.len()),
            Ordering::Equal => {}
        }
        while heads.get(at) == Some(&head) {
            match (**items[at].key()).cmp(key) {
                Ordering::Less => at += 1,
                Ordering::Equal => return Ok(at),
                Ordering::Greater => break,
            }
        }
        Err(at)
    }

    /// What all keys begin with, `key` being one of them: looked at only where the beginning is not kept in full.
    fn beginning<'a>(&'a self, key: &'a str) -> &'a [u8] {
        let all = if self.shared > KEPT { key.as_bytes() } else { &self.beginning };
        &all[..self.shared]
    }

    /// An item has been inserted there.
    pub(super) fn inserted<T: Keyed>(&mut self, items: &[T], at: usize) {
        let key = items[at].key().as_bytes();
        let beside = items[if at == 0 { items.len() - 1 } else { 0 }].key();
        if items.len() == 1 || key.get(..self.shared) != Some(self.beginning(beside)) {
            *self = Self::of(items);
            return;
        }
        self.of.copy_within(at..self.count, at + 1);
        self.of[at] = number(key, self.shared);
        self.count += 1;
    }

    /// The item there is removed.
    pub(super) fn removed(&mut self, at: usize) {
        self.of.copy_within(at + 1..self.count, at);
        self.count -= 1;
    }
}

/// The eight bytes behind the first `skip`, most significant first; what is not there counts as zero.
fn number(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    if let Some(whole) = rest.first_chunk() {
        return u64::from_be_bytes(*whole);
    }
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(bytes)
}

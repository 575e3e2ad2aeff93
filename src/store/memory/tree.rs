//! A persistent ordered map that knows how many of its keys lie before another.
//!
//! A B+ tree whose nodes are shared between versions: a change copies the path to one leaf. Branches count what is
//! below them, so that a page of a list knows how many objects follow it without looking at them.

use std::sync::Arc;

/// The widest node. Every entry of a copied node costs two reference counts, every level two allocations: this is
/// where both together are least.
const WIDTH: usize = 12;

/// Below this, a node is joined with a neighbour that has room.
const NARROW: usize = WIDTH / 3;

/// A map of texts. A copy costs nothing and shares everything.
#[derive(Clone, Debug)]
pub(super) struct Tree<V>(Arc<Node<V>>);

#[derive(Debug)]
enum Node<V> {
    Leaf(Vec<(Arc<str>, V)>),
    Branch(Vec<Child<V>>),
}

#[derive(Debug)]
struct Child<V> {
    /// No key of the child is less, every key of the one before is.
    first: Arc<str>,
    count: usize,
    node: Arc<Node<V>>,
}

/// What an insertion makes of a node: one or two, and the value that was there.
struct Inserted<V> {
    node: Node<V>,
    behind: Option<Node<V>>,
    old: Option<V>,
}

/// Values in the order of their keys.
pub(super) struct Values<'a, V> {
    above: Vec<std::slice::Iter<'a, Child<V>>>,
    leaf: std::slice::Iter<'a, (Arc<str>, V)>,
}

// === impl Tree ===

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self(Arc::new(Node::Leaf(Vec::new())))
    }
}

impl<V> Tree<V> {
    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.0.count()
    }

    pub(super) fn get(&self, key: &str) -> Option<&V> {
        let mut node = &*self.0;
        loop {
            match node {
                Node::Leaf(entries) => return find(entries, key).ok().map(|at| &entries[at].1),
                Node::Branch(children) => node = &children[toward(children, key)].node,
            }
        }
    }

    /// How many keys are less than `key`.
    pub(super) fn rank(&self, key: &str) -> usize {
        let (mut node, mut rank) = (&*self.0, 0);
        loop {
            match node {
                Node::Leaf(entries) => return rank + find(entries, key).unwrap_or_else(|at| at),
                Node::Branch(children) => {
                    let at = toward(children, key);
                    rank += children[..at].iter().map(|child| child.count).sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// The values behind the first `rank` ones.
    pub(super) fn values_from(&self, mut rank: usize) -> Values<'_, V> {
        let (mut node, mut above) = (&*self.0, Vec::new());
        loop {
            match node {
                Node::Leaf(entries) => {
                    return Values { above, leaf: entries[rank.min(entries.len())..].iter() };
                }
                Node::Branch(children) => {
                    let mut at = 0;
                    while at + 1 < children.len() && rank >= children[at].count {
                        rank -= children[at].count;
                        at += 1;
                    }
                    above.push(children[at + 1..].iter());
                    node = &children[at].node;
                }
            }
        }
    }
}

impl<V: Clone> Tree<V> {
    /// Sets a value; returns the one before.
    pub(super) fn insert(&mut self, key: Arc<str>, value: V) -> Option<V> {
        let Inserted { node, behind, old } = self.0.insert(key, value);
        self.0 = Arc::new(match behind {
            None => node,
            Some(behind) => Node::Branch(vec![Child::of(node), Child::of(behind)]),
        });
        old
    }

    /// Removes a key; returns its value.
    pub(super) fn remove(&mut self, key: &str) -> Option<V> {
        let (node, old) = self.0.remove(key)?;
        self.0 = Arc::new(node);
        while let Node::Branch(children) = &*self.0
            && let [only] = children.as_slice()
        {
            self.0 = Arc::clone(&only.node);
        }
        Some(old)
    }
}

// === impl Node ===

impl<V> Node<V> {
    fn count(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Branch(children) => children.iter().map(|child| child.count).sum(),
        }
    }

    fn width(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Branch(children) => children.len(),
        }
    }

    /// The least key that it may have; no node below the root is empty.
    fn first(&self) -> Arc<str> {
        match self {
            Self::Leaf(entries) => entries.first().map(|(key, _)| Arc::clone(key)),
            Self::Branch(children) => children.first().map(|child| Arc::clone(&child.first)),
        }
        .unwrap_or_default()
    }
}

impl<V: Clone> Node<V> {
    fn insert(&self, key: Arc<str>, value: V) -> Inserted<V> {
        match self {
            Self::Leaf(entries) => match find(entries, &key) {
                Ok(at) => {
                    let mut entries = entries.clone();
                    let old = std::mem::replace(&mut entries[at].1, value);
                    Inserted { node: Self::Leaf(entries), behind: None, old: Some(old) }
                }
                Err(at) => {
                    let mut entries = replaced(entries, at..at, [(key, value)]);
                    let behind = half(&mut entries).map(Self::Leaf);
                    Inserted { node: Self::Leaf(entries), behind, old: None }
                }
            },
            Self::Branch(children) => {
                let at = toward(children, &key);
                let Inserted { node, behind, old } = children[at].node.insert(key, value);
                let new = [Some(Child::of(node)), behind.map(Child::of)];
                let mut children = replaced(children, at..at + 1, new.into_iter().flatten());
                let behind = half(&mut children).map(Self::Branch);
                Inserted { node: Self::Branch(children), behind, old }
            }
        }
    }

    fn remove(&self, key: &str) -> Option<(Self, V)> {
        match self {
            Self::Leaf(entries) => {
                let at = find(entries, key).ok()?;
                let old = entries[at].1.clone();
                Some((Self::Leaf(replaced(entries, at..at + 1, [])), old))
            }
            Self::Branch(children) => {
                let at = toward(children, key);
                let (node, old) = children[at].node.remove(key)?;
                let beside = [at.checked_sub(1), Some(at + 1)].into_iter().flatten();
                let room =
                    |beside: &usize| children.get(*beside).is_some_and(|c| c.node.width() + node.width() <= WIDTH);
                let children = match beside.into_iter().find(|beside| node.width() < NARROW && room(beside)) {
                    _ if node.width() == 0 => replaced(children, at..at + 1, []),
                    Some(beside) if beside < at => {
                        let joined = Child::of(children[beside].node.joined(&node));
                        replaced(children, beside..at + 1, [joined])
                    }
                    Some(beside) => {
                        let joined = Child::of(node.joined(&children[beside].node));
                        replaced(children, at..beside + 1, [joined])
                    }
                    None => replaced(children, at..at + 1, [Child::of(node)]),
                };
                Some((Self::Branch(children), old))
            }
        }
    }

    /// This node and one behind it, of the same height, as one.
    fn joined(&self, behind: &Self) -> Self {
        match (self, behind) {
            (Self::Leaf(a), Self::Leaf(b)) => Self::Leaf([a.as_slice(), b.as_slice()].concat()),
            (Self::Branch(a), Self::Branch(b)) => Self::Branch([a.as_slice(), b.as_slice()].concat()),
            // Leaves are all of one height.
            (Self::Leaf(_), Self::Branch(_)) | (Self::Branch(_), Self::Leaf(_)) => unreachable!("of the same height"),
        }
    }
}

// === impl Child ===

impl<V> Child<V> {
    fn of(node: Node<V>) -> Self {
        Self { first: node.first(), count: node.count(), node: Arc::new(node) }
    }
}

impl<V> Clone for Child<V> {
    fn clone(&self) -> Self {
        Self { first: Arc::clone(&self.first), count: self.count, node: Arc::clone(&self.node) }
    }
}

// === impl Values ===

impl<'a, V> Iterator for Values<'a, V> {
    type Item = &'a V;

    fn next(&mut self) -> Option<&'a V> {
        loop {
            if let Some((_, value)) = self.leaf.next() {
                return Some(value);
            }
            let Some(child) = self.above.last_mut()?.next() else {
                self.above.pop();
                continue;
            };
            let mut node = &*child.node;
            while let Node::Branch(children) = node {
                let mut children = children.iter();
                // No node below the root is empty.
                node = &children.next()?.node;
                self.above.push(children);
            }
            if let Node::Leaf(entries) = node {
                self.leaf = entries.iter();
            }
        }
    }
}

fn find<V>(entries: &[(Arc<str>, V)], key: &str) -> Result<usize, usize> {
    entries.binary_search_by(|(other, _)| (**other).cmp(key))
}

/// Where below a branch `key` is, or would be.
fn toward<V>(children: &[Child<V>], key: &str) -> usize {
    children.partition_point(|child| *child.first <= *key).saturating_sub(1)
}

/// A copy with others in the place of some.
fn replaced<T: Clone>(items: &[T], range: std::ops::Range<usize>, by: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut copy = Vec::with_capacity(items.len() + 1);
    copy.extend_from_slice(&items[..range.start]);
    copy.extend(by);
    copy.extend_from_slice(&items[range.end..]);
    copy
}

/// Takes the second half of what has become too wide.
fn half<T>(items: &mut Vec<T>) -> Option<Vec<T>> {
    (items.len() > WIDTH).then(|| items.split_off(items.len() / 2))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Every node but the root has something, no node too much, and counts and bounds are right.
    fn check<V>(node: &Node<V>, root: bool) -> usize {
        assert!(node.width() <= WIDTH && (root || node.width() > 0));
        if let Node::Branch(children) = node {
            for (at, child) in children.iter().enumerate() {
                assert_eq!(check(&child.node, false), child.count);
                assert!(child.first <= child.node.first());
                assert!(at == 0 || children[at - 1].first < child.first);
            }
        }
        node.count()
    }

    proptest! {
        #[test]
        fn a_tree_is_an_ordered_map(steps in prop::collection::vec((any::<bool>(), 0..400_u32), 0..1500)) {
            let (mut tree, mut map) = (Tree::default(), BTreeMap::new());
            let mut earlier = Vec::new();
            for (at, (put, number)) in steps.into_iter().enumerate() {
                let key = format!("{number:x}");
                if put || at < 300 {
                    prop_assert_eq!(tree.insert(key.as_str().into(), at), map.insert(key, at));
                } else {
                    prop_assert_eq!(tree.remove(&key), map.remove(&key));
                }
                if at % 100 == 0 {
                    earlier.push((tree.clone(), map.clone()));
                }
            }
            earlier.push((tree, map));
            for (tree, map) in earlier {
                check(&tree.0, true);
                prop_assert_eq!(tree.len(), map.len());
                prop_assert!(tree.values_from(0).eq(map.values()));
                for (rank, (key, value)) in map.iter().enumerate() {
                    prop_assert_eq!(tree.get(key), Some(value));
                    prop_assert_eq!(tree.rank(key), rank);
                    prop_assert_eq!(tree.rank(&format!("{key}\0")), rank + 1);
                    prop_assert_eq!(tree.values_from(rank).next(), Some(value));
                }
                prop_assert_eq!(tree.get("nothing"), None);
                prop_assert!(tree.values_from(map.len() + 1).next().is_none());
            }
        }
    }
}

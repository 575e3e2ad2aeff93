//! A persistent ordered map that knows how many of its keys lie before another.
//!
//! A B+ tree whose nodes are shared between versions: a change copies the nodes on its path that another version holds,
//! and changes the others where they are. Branches count what is below them, so that a page of a list knows how many
//! objects follow it without looking at them.
//!
//! The keys of a resource have much in common, and each lies somewhere else in memory. So a node keeps a few bytes of
//! each, behind what all of them begin with: they decide nearly every comparison without looking at the key.

mod heads;

use std::sync::Arc;

use self::heads::Heads;

/// The widest node. Every entry of a copied node costs two reference counts, every level two allocations: this is
/// where both together are least.
const WIDTH: usize = 12;

/// Below this, a node is joined with a neighbour that has room.
const NARROW: usize = WIDTH / 3;

/// A map of texts. A copy costs nothing and shares everything.
#[derive(Clone, Debug)]
pub(super) struct Tree<V>(Arc<Node<V>>);

#[derive(Clone, Debug)]
enum Node<V> {
    Leaf(Row<Entry<V>>),
    Branch(Row<Child<V>>),
}

/// What a node has, in the order of its keys.
#[derive(Clone, Debug)]
struct Row<T> {
    heads: Heads,
    items: Vec<T>,
}

/// Where a node's items have their keys.
trait Keyed {
    fn key(&self) -> &Arc<str>;
}

#[derive(Clone, Debug)]
struct Entry<V> {
    key: Arc<str>,
    value: V,
}

#[derive(Debug)]
struct Child<V> {
    /// No key of the child is less, every key of the one before is.
    first: Arc<str>,
    count: usize,
    node: Arc<Node<V>>,
}

/// Values in the order of their keys.
pub(super) struct Values<'a, V> {
    above: Vec<std::slice::Iter<'a, Child<V>>>,
    leaf: std::slice::Iter<'a, Entry<V>>,
}

// === impl Tree ===

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self(Arc::new(Node::Leaf(Row::of(Vec::new()))))
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
                Node::Leaf(row) => return row.find(key).ok().map(|at| &row.items[at].value),
                Node::Branch(row) => node = &row.items[row.toward(key)].node,
            }
        }
    }

    /// How many keys are less than `key`.
    pub(super) fn rank(&self, key: &str) -> usize {
        let (mut node, mut rank) = (&*self.0, 0);
        loop {
            match node {
                Node::Leaf(row) => return rank + row.find(key).unwrap_or_else(|at| at),
                Node::Branch(row) => {
                    let at = row.toward(key);
                    rank += row.items[..at].iter().map(|child| child.count).sum::<usize>();
                    node = &row.items[at].node;
                }
            }
        }
    }

    /// The values behind the first `rank` ones.
    pub(super) fn values_from(&self, mut rank: usize) -> Values<'_, V> {
        let (mut node, mut above) = (&*self.0, Vec::new());
        loop {
            match node {
                Node::Leaf(row) => {
                    return Values { above, leaf: row.items[rank.min(row.items.len())..].iter() };
                }
                Node::Branch(row) => {
                    let (children, mut at) = (&row.items, 0);
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
    /// Looking for a key to change costs what changing it does, also where it is not there.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        let mut node = Arc::make_mut(&mut self.0);
        loop {
            match node {
                Node::Leaf(row) => return row.find(key).ok().map(|at| &mut row.items[at].value),
                Node::Branch(row) => {
                    let at = row.toward(key);
                    node = Arc::make_mut(&mut row.items[at].node);
                }
            }
        }
    }

    /// Sets a value; returns the one before.
    pub(super) fn insert(&mut self, key: Arc<str>, value: V) -> Option<V> {
        let root = Arc::make_mut(&mut self.0);
        let old = root.insert(key, value);
        if let Some(behind) = root.half() {
            let before = std::mem::replace(root, Node::Branch(Row::of(Vec::new())));
            *root = Node::Branch(Row::of(vec![Child::of(before), Child::of(behind)]));
        }
        old
    }

    /// Removes a key; returns its value.
    pub(super) fn remove(&mut self, key: &str) -> Option<V> {
        let old = Arc::make_mut(&mut self.0).remove(key)?;
        while let Node::Branch(row) = &*self.0
            && let [only] = row.items.as_slice()
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
            Self::Leaf(row) => row.items.len(),
            Self::Branch(row) => row.items.iter().map(|child| child.count).sum(),
        }
    }

    fn width(&self) -> usize {
        match self {
            Self::Leaf(row) => row.items.len(),
            Self::Branch(row) => row.items.len(),
        }
    }

    /// The least key that it may have; no node below the root is empty.
    fn first(&self) -> Arc<str> {
        let first = match self {
            Self::Leaf(row) => row.items.first().map(Keyed::key),
            Self::Branch(row) => row.items.first().map(Keyed::key),
        };
        first.cloned().unwrap_or_default()
    }
}

impl<V: Clone> Node<V> {
    /// May leave the node wider by one than it may be.
    fn insert(&mut self, key: Arc<str>, value: V) -> Option<V> {
        match self {
            Self::Leaf(row) => match row.find(&key) {
                Ok(at) => Some(std::mem::replace(&mut row.items[at].value, value)),
                Err(at) => {
                    row.insert(at, Entry { key, value });
                    None
                }
            },
            Self::Branch(row) => {
                let at = row.toward(&key);
                let child = &mut row.items[at];
                // Only before the first child is there anything less than it.
                let is_first = at == 0 && key < child.first;
                if is_first {
                    child.first = Arc::clone(&key);
                }
                let node = Arc::make_mut(&mut child.node);
                let old = node.insert(key, value);
                child.count += usize::from(old.is_none());
                let behind = node.half().map(Child::of);
                if let Some(behind) = &behind {
                    child.count -= behind.count;
                }
                if is_first {
                    row.heads = Heads::of(&row.items);
                }
                if let Some(behind) = behind {
                    row.insert(at + 1, behind);
                }
                old
            }
        }
    }

    /// Takes the second half of what has become too wide.
    fn half(&mut self) -> Option<Self> {
        match self {
            Self::Leaf(row) => row.half().map(Self::Leaf),
            Self::Branch(row) => row.half().map(Self::Branch),
        }
    }

    fn remove(&mut self, key: &str) -> Option<V> {
        match self {
            Self::Leaf(row) => row.find(key).ok().map(|at| row.remove(at).value),
            Self::Branch(row) => {
                let at = row.toward(key);
                let child = &mut row.items[at];
                let old = Arc::make_mut(&mut child.node).remove(key)?;
                child.count -= 1;
                let width = child.node.width();
                let room = |at: &usize| row.items.get(*at).is_some_and(|other| other.node.width() + width <= WIDTH);
                if width == 0 {
                    row.remove(at);
                } else if width < NARROW
                    && let Some(beside) = [at.checked_sub(1), Some(at + 1)].into_iter().flatten().find(room)
                {
                    let behind = row.remove(at.max(beside));
                    let before = &mut row.items[at.min(beside)];
                    before.count += behind.count;
                    Arc::make_mut(&mut before.node).append(Arc::unwrap_or_clone(behind.node));
                }
                Some(old)
            }
        }
    }

    /// Adds what a node behind this one has; leaves are all of one height.
    fn append(&mut self, behind: Self) {
        match (self, behind) {
            (Self::Leaf(row), Self::Leaf(behind)) => row.append(behind),
            (Self::Branch(row), Self::Branch(behind)) => row.append(behind),
            (Self::Leaf(_), Self::Branch(_)) | (Self::Branch(_), Self::Leaf(_)) => unreachable!("of one height"),
        }
    }
}

// === impl Row ===

impl<T: Keyed> Row<T> {
    fn of(items: Vec<T>) -> Self {
        Self { heads: Heads::of(&items), items }
    }

    /// Where a key is, or would be.
    fn find(&self, key: &str) -> Result<usize, usize> {
        self.heads.find(&self.items, key)
    }

    /// Where below a branch `key` is, or would be.
    fn toward(&self, key: &str) -> usize {
        self.find(key).unwrap_or_else(|at| at.saturating_sub(1))
    }

    fn insert(&mut self, at: usize, item: T) {
        self.items.insert(at, item);
        self.heads.inserted(&self.items, at);
    }

    fn remove(&mut self, at: usize) -> T {
        self.heads.removed(at);
        self.items.remove(at)
    }

    fn half(&mut self) -> Option<Self> {
        if self.items.len() <= WIDTH {
            return None;
        }
        let behind = Self::of(self.items.split_off(self.items.len() / 2));
        self.heads = Heads::of(&self.items);
        Some(behind)
    }

    fn append(&mut self, behind: Self) {
        self.items.extend(behind.items);
        self.heads = Heads::of(&self.items);
    }
}

// === impl Entry ===

impl<V> Keyed for Entry<V> {
    fn key(&self) -> &Arc<str> {
        &self.key
    }
}

// === impl Child ===

impl<V> Keyed for Child<V> {
    fn key(&self) -> &Arc<str> {
        &self.first
    }
}

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
            if let Some(entry) = self.leaf.next() {
                return Some(&entry.value);
            }
            let Some(child) = self.above.last_mut()?.next() else {
                self.above.pop();
                continue;
            };
            let mut node = &*child.node;
            while let Node::Branch(row) = node {
                let mut children = row.items.iter();
                // No node below the root is empty.
                node = &children.next()?.node;
                self.above.push(children);
            }
            if let Node::Leaf(row) = node {
                self.leaf = row.items.iter();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Every node but the root has something, no node too much, and counts and bounds are right.
    fn check<V>(node: &Node<V>, root: bool) -> usize {
        assert!(node.width() <= WIDTH && (root || node.width() > 0));
        if let Node::Branch(Row { items: children, .. }) = node {
            for (at, child) in children.iter().enumerate() {
                assert_eq!(check(&child.node, false), child.count);
                assert!(child.first <= child.node.first());
                assert!(at == 0 || children[at - 1].first < child.first);
            }
        }
        node.count()
    }

    #[test]
    fn a_tree_that_was_emptied_is_empty() {
        let mut tree = Tree::default();
        let keys = ["namespace\0a-name-that-is-long-indeed-1", "namespace\0a-name-that-is-long-indeed-2"];
        for key in keys {
            tree.insert(key.into(), ());
        }
        for key in keys {
            assert_eq!(tree.remove(key), Some(()));
        }
        assert_eq!((tree.len(), tree.get(keys[0]), tree.rank("b")), (0, None, 0));
        assert_eq!((tree.insert("b".into(), ()), tree.get("b")), (None, Some(&())));
    }

    proptest! {
        #[test]
        fn a_tree_is_an_ordered_map(steps in prop::collection::vec((any::<bool>(), 0..400_u32), 0..1500)) {
            let (mut tree, mut map) = (Tree::default(), BTreeMap::new());
            let mut earlier = Vec::new();
            for (at, (put, number)) in steps.into_iter().enumerate() {
                // Some are the beginning of others, some differ late, some early.
                let key = format!("{}{number:x}", &"some-name\0a-long-deployment-"[..number as usize % 3 * 14]);
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

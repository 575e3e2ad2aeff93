//! A persistent ordered map that knows how many of its keys lie before another.
//!
//! A B+ tree whose nodes are shared between versions: a change copies the nodes on its path that another version holds,
//! and changes the others where they are. Branches count what is below them, so that a page of a list knows how many
//! objects follow it without looking at them.

use std::sync::Arc;

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
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        self.get(key)?;
        let mut node = Arc::make_mut(&mut self.0);
        loop {
            match node {
                Node::Leaf(entries) => return find(entries, key).ok().map(|at| &mut entries[at].1),
                Node::Branch(children) => {
                    let at = toward(children, key);
                    node = Arc::make_mut(&mut children[at].node);
                }
            }
        }
    }

    /// Sets a value; returns the one before.
    pub(super) fn insert(&mut self, key: Arc<str>, value: V) -> Option<V> {
        let root = Arc::make_mut(&mut self.0);
        let old = root.insert(key, value);
        if let Some(behind) = root.half() {
            let before = std::mem::replace(root, Node::Branch(Vec::with_capacity(WIDTH + 1)));
            if let Node::Branch(children) = root {
                children.extend([Child::of(before), Child::of(behind)]);
            }
        }
        old
    }

    /// Removes a key; returns its value.
    pub(super) fn remove(&mut self, key: &str) -> Option<V> {
        // A key that is not there is no reason to copy anything.
        self.get(key)?;
        let old = Arc::make_mut(&mut self.0).remove(key);
        while let Node::Branch(children) = &*self.0
            && let [only] = children.as_slice()
        {
            self.0 = Arc::clone(&only.node);
        }
        old
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
    /// May leave the node wider by one than it may be.
    fn insert(&mut self, key: Arc<str>, value: V) -> Option<V> {
        match self {
            Self::Leaf(entries) => match find(entries, &key) {
                Ok(at) => Some(std::mem::replace(&mut entries[at].1, value)),
                Err(at) => {
                    entries.insert(at, (key, value));
                    None
                }
            },
            Self::Branch(children) => {
                let at = toward(children, &key);
                let child = &mut children[at];
                if key < child.first {
                    child.first = Arc::clone(&key);
                }
                let node = Arc::make_mut(&mut child.node);
                let old = node.insert(key, value);
                child.count += usize::from(old.is_none());
                if let Some(behind) = node.half() {
                    let behind = Child::of(behind);
                    child.count -= behind.count;
                    children.insert(at + 1, behind);
                }
                old
            }
        }
    }

    /// Takes the second half of what has become too wide.
    fn half(&mut self) -> Option<Self> {
        fn half<T>(items: &mut Vec<T>) -> Option<Vec<T>> {
            (items.len() > WIDTH).then(|| items.split_off(items.len() / 2))
        }
        match self {
            Self::Leaf(entries) => half(entries).map(Self::Leaf),
            Self::Branch(children) => half(children).map(Self::Branch),
        }
    }

    fn remove(&mut self, key: &str) -> Option<V> {
        match self {
            Self::Leaf(entries) => find(entries, key).ok().map(|at| entries.remove(at).1),
            Self::Branch(children) => {
                let at = toward(children, key);
                let child = &mut children[at];
                let old = Arc::make_mut(&mut child.node).remove(key)?;
                child.count -= 1;
                let width = child.node.width();
                let room = |at: &usize| children.get(*at).is_some_and(|other| other.node.width() + width <= WIDTH);
                if width == 0 {
                    children.remove(at);
                } else if width < NARROW
                    && let Some(beside) = [at.checked_sub(1), Some(at + 1)].into_iter().flatten().find(room)
                {
                    let behind = children.remove(at.max(beside));
                    let before = &mut children[at.min(beside)];
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
            (Self::Leaf(entries), Self::Leaf(behind)) => entries.extend(behind),
            (Self::Branch(children), Self::Branch(behind)) => children.extend(behind),
            (Self::Leaf(_), Self::Branch(_)) | (Self::Branch(_), Self::Leaf(_)) => unreachable!("of one height"),
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

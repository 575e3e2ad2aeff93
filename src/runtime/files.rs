//! [`FileTree`]: files in memory, shared between the node agent and containers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::stats::DiskUsage;

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The content.
    pub content: Bytes,
    /// The permission bits.
    pub mode: u32,
}

impl File {
    /// A file with that content, readable by all.
    pub fn new(content: impl Into<Bytes>) -> Self {
        Self { content: content.into(), mode: 0o644 }
    }
}

/// What a tree holds. In sorted lists: there are many trees, and most hold a file or three.
#[derive(Debug, Default)]
struct Tree {
    files: Vec<(String, File)>,
    directories: Vec<String>,
    /// The size of all files together.
    bytes: u64,
}

impl Tree {
    /// Where the file at `path` is, or would be.
    fn place(&self, path: &str) -> Result<usize, usize> {
        self.files.binary_search_by(|(name, _)| name.as_str().cmp(path))
    }

    fn put(&mut self, path: String, file: File) {
        self.bytes += file.content.len() as u64;
        match self.place(&path) {
            Ok(at) => self.bytes -= std::mem::replace(&mut self.files[at].1, file).content.len() as u64,
            Err(at) => self.files.insert(at, (path, file)),
        }
    }

    /// The names of its files and of its empty directories.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(name, _)| name).chain(&self.directories).map(String::as_str)
    }
}

/// A tree of files in memory. Clones are the same tree. Paths are relative to its root and use `/`; `.`, `..` and
/// doubled slashes are resolved, and nothing leads out of the tree.
///
/// ```
/// use orchestrion::runtime::{File, FileTree};
/// let tree = FileTree::default();
/// tree.write("/etc/app/mode", File::new("fast"));
/// assert_eq!(tree.read("etc/app/mode").unwrap().content, "fast");
/// assert_eq!(tree.list("etc").unwrap(), ["app"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct FileTree(Arc<Mutex<Tree>>);

impl FileTree {
    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file at `path`.
    pub fn read(&self, path: &str) -> Option<File> {
        let tree = self.tree();
        tree.place(&normal(path)).ok().map(|at| tree.files[at].1.clone())
    }

    /// Writes a file, making the directories above it.
    pub fn write(&self, path: &str, file: File) {
        self.tree().put(normal(path), file);
    }

    /// Appends to a file, made where there is none.
    pub fn append(&self, path: &str, content: &[u8]) {
        let (path, mut tree) = (normal(path), self.tree());
        let at = tree.place(&path).unwrap_or_else(|at| {
            tree.files.insert(at, (path, File::new(Bytes::new())));
            at
        });
        let file = &mut tree.files[at].1;
        file.content = [&file.content[..], content].concat().into();
        tree.bytes += content.len() as u64;
    }

    /// Makes an empty directory.
    pub fn make_directory(&self, path: &str) {
        let (path, mut tree) = (normal(path), self.tree());
        if let Err(at) = tree.directories.binary_search(&path) {
            tree.directories.insert(at, path);
        }
    }

    /// Removes a file, or a directory with all that is in it. Whether there was one.
    pub fn remove(&self, path: &str) -> bool {
        let path = normal(path);
        let mut tree = self.tree();
        let before = tree.files.len() + tree.directories.len();
        let mut gone = 0;
        tree.files.retain(|(name, file)| {
            let stays = !is_within(name, &path);
            gone += if stays { 0 } else { file.content.len() as u64 };
            stays
        });
        tree.bytes -= gone;
        tree.directories.retain(|name| !is_within(name, &path));
        tree.files.len() + tree.directories.len() < before
    }

    /// Whether there is a directory at `path`. The root always is one.
    pub fn is_directory(&self, path: &str) -> bool {
        let path = normal(path);
        let tree = self.tree();
        path.is_empty()
            || tree.directories.iter().any(|name| is_within(name, &path))
            || tree.files.iter().any(|(name, _)| *name != path && is_within(name, &path))
    }

    /// The names in a directory, in order; `None` where there is no such directory.
    pub fn list(&self, path: &str) -> Option<Vec<String>> {
        if !self.is_directory(path) {
            return None;
        }
        let path = normal(path);
        let tree = self.tree();
        let names: BTreeSet<&str> = tree
            .names()
            .filter(|name| *name != path && is_within(name, &path))
            .filter_map(|name| name[path.len()..].trim_start_matches('/').split('/').next())
            .collect();
        Some(names.into_iter().map(str::to_owned).collect())
    }

    /// All files and their paths, in order.
    pub fn files(&self) -> BTreeMap<String, File> {
        self.tree().files.iter().cloned().collect()
    }

    /// Replaces everything, at once.
    pub fn replace(&self, files: BTreeMap<String, File>) {
        let mut new = Tree { files: Vec::with_capacity(files.len()), ..Tree::default() };
        files.into_iter().for_each(|(path, file)| new.put(normal(&path), file));
        *self.tree() = new;
    }

    /// What it holds. Costs nothing: no file is looked at.
    pub fn usage(&self) -> DiskUsage {
        let tree = self.tree();
        DiskUsage { bytes: tree.bytes, inodes: (tree.files.len() + tree.directories.len()) as u64 }
    }
}

impl FromIterator<(String, File)> for FileTree {
    fn from_iter<I: IntoIterator<Item = (String, File)>>(files: I) -> Self {
        let tree = Self::default();
        tree.replace(files.into_iter().collect());
        tree
    }
}

/// Whether `name` is `directory` or lies in it.
pub(crate) fn is_within(name: &str, directory: &str) -> bool {
    directory.is_empty() || name.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A path without leading, doubled and dotted parts.
pub(crate) fn normal(path: &str) -> String {
    // Mostly it has none but the leading one, and then need not be taken apart.
    let below = path.strip_prefix('/').unwrap_or(path);
    if below.as_bytes().split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b"..")) {
        return below.to_owned();
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_never_lead_out_of_the_tree() {
        assert_eq!(normal("/a//b/./../c"), "a/c");
        assert_eq!(normal("../../etc"), "etc");
        for (path, same) in
            [("/", ""), ("", ""), ("/.", ""), ("/a/b", "a/b"), ("a/", "a"), ("//a", "a"), ("/a.b/..c", "a.b/..c")]
        {
            assert_eq!(normal(path), same, "{path}");
        }
    }

    #[test]
    fn a_tree_knows_how_much_it_holds() {
        let tree: FileTree = [("a".to_owned(), File::new("12345"))].into_iter().collect();
        tree.write("a", File::new("123"));
        tree.append("b/c", b"12");
        tree.append("b/c", b"34");
        tree.make_directory("d");
        assert_eq!(tree.usage(), DiskUsage { bytes: 7, inodes: 3 });
        tree.remove("b");
        assert_eq!(tree.usage(), DiskUsage { bytes: 3, inodes: 2 });
    }

    #[test]
    fn directories_are_what_holds_files() {
        let tree = FileTree::default();
        tree.write("a/b/c", File::new("x"));
        tree.write("ab", File::new("y"));
        assert_eq!(tree.list("/").unwrap(), ["a", "ab"]);
        assert_eq!(tree.list("a").unwrap(), ["b"]);
        assert_eq!(tree.list("ab"), None);
        assert!(tree.remove("a"));
        assert!(!tree.is_directory("a"));
    }
}

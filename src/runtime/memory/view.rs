//! A container's files: its own layer, and what is mounted over it.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::runtime::files::{is_within, normal};
use crate::runtime::{ContainerConfig, DiskUsage, File, FileTree, MountSource};

#[derive(Clone, Debug)]
struct Layer {
    /// Where it is mounted, without the leading slash.
    path: String,
    tree: FileTree,
    /// The part of the tree that is mounted.
    root: String,
    read_only: bool,
}

impl Layer {
    /// What `path` (in the container) is in the tree.
    fn inner(&self, path: &str) -> String {
        [&self.root, "/", &path[self.path.len()..]].concat()
    }
}

/// The files that a container sees. Clones are the same files.
#[derive(Clone, Debug)]
pub struct Files {
    /// The container's own layer first, then mounts, shorter paths first.
    layers: Vec<Layer>,
}

fn copy(tree: &FileTree) -> FileTree {
    tree.files().into_iter().collect()
}

/// The text of writing where that is not allowed.
const READ_ONLY: &str = "Read-only file system";

impl Files {
    /// The files of a container with that own layer, on a node with these files.
    pub(super) fn new(own: FileTree, host: &FileTree, config: &ContainerConfig) -> Self {
        let read_only = config.security.read_only_root_filesystem == Some(true);
        let mut layers = vec![Layer { path: String::new(), tree: own, root: String::new(), read_only }];
        layers.extend(config.mounts.iter().map(|mount| {
            let (tree, root) = match &mount.source {
                // A part of such a volume stays as it is now, whatever the volume becomes.
                MountSource::Files(tree) if !mount.sub_path.is_empty() => (copy(tree), mount.sub_path.clone()),
                MountSource::Files(tree) | MountSource::Directory(tree, _) => (tree.clone(), mount.sub_path.clone()),
                MountSource::Host(path) => (host.clone(), format!("{path}/{}", mount.sub_path)),
            };
            if tree.read(&root).is_none() {
                tree.make_directory(&root); // unless it is there
            }
            Layer { path: normal(&mount.path), tree, root: normal(&root), read_only: mount.read_only }
        }));
        layers.sort_by_key(|layer| layer.path.len()); // stable: of two mounts at one path the later hides the earlier
        Self { layers }
    }

    /// What the container's own layer holds.
    pub(super) fn own(&self) -> DiskUsage {
        self.layers[0].tree.usage()
    }

    fn layer(&self, path: &str) -> &Layer {
        // The own layer's path is empty, and everything is within it.
        self.layers.iter().rev().find(|layer| is_within(path, &layer.path)).unwrap_or(&self.layers[0])
    }

    /// The file at `path`.
    pub fn read(&self, path: &str) -> Option<File> {
        let path = normal(path);
        let layer = self.layer(&path);
        layer.tree.read(&layer.inner(&path))
    }

    fn writable(&self, path: &str) -> Result<(&Layer, String), &'static str> {
        let path = normal(path);
        let layer = self.layer(&path);
        if layer.read_only { Err(READ_ONLY) } else { Ok((layer, layer.inner(&path))) }
    }

    /// Writes a file.
    ///
    /// # Errors
    /// Why not, where the file system is read-only.
    pub fn write(&self, path: &str, content: impl Into<Bytes>) -> Result<(), &'static str> {
        let (layer, path) = self.writable(path)?;
        layer.tree.write(&path, File::new(content));
        Ok(())
    }

    /// Appends to a file, made where there is none.
    ///
    /// # Errors
    /// Why not, where the file system is read-only.
    pub fn append(&self, path: &str, content: &[u8]) -> Result<(), &'static str> {
        let (layer, path) = self.writable(path)?;
        layer.tree.append(&path, content);
        Ok(())
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// Why not, where the file system is read-only.
    pub fn make_directory(&self, path: &str) -> Result<(), &'static str> {
        let (layer, path) = self.writable(path)?;
        layer.tree.make_directory(&path);
        Ok(())
    }

    /// Removes a file or directory. Whether there was one.
    ///
    /// # Errors
    /// Why not, where the file system is read-only.
    pub fn remove(&self, path: &str) -> Result<bool, &'static str> {
        let (layer, path) = self.writable(path)?;
        Ok(layer.tree.remove(&path))
    }

    /// Whether there is a directory at `path`.
    pub fn is_directory(&self, path: &str) -> bool {
        let path = normal(path);
        let layer = self.layer(&path);
        let below = self.layers.iter().any(|layer| layer.path != path && is_within(&layer.path, &path));
        below || layer.tree.is_directory(&layer.inner(&path))
    }

    /// The names in a directory, in order; `None` where there is none.
    pub fn list(&self, path: &str) -> Option<Vec<String>> {
        if !self.is_directory(path) {
            return None;
        }
        let path = normal(path);
        let layer = self.layer(&path);
        let mut names: BTreeSet<String> =
            layer.tree.list(&layer.inner(&path)).unwrap_or_default().into_iter().collect();
        let mounts = self.layers.iter().filter(|layer| layer.path != path && is_within(&layer.path, &path));
        names.extend(
            mounts.filter_map(|layer| {
                layer.path[path.len()..].trim_start_matches('/').split('/').next().map(str::to_owned)
            }),
        );
        Some(names.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Mount;

    #[test]
    fn mounts_hide_what_is_below_them_and_show_in_the_directory_above() {
        let volume: FileTree = [("sub/key".to_owned(), File::new("value"))].into_iter().collect();
        let mount = Mount {
            volume: "config".into(),
            path: "/etc/config".into(),
            source: MountSource::Files(volume),
            sub_path: "sub".into(),
            read_only: true,
            propagation: String::new(),
        };
        let config = ContainerConfig { mounts: vec![mount], ..ContainerConfig::default() };
        let own: FileTree = [("etc/hosts".to_owned(), File::new(""))].into_iter().collect();
        let files = Files::new(own, &FileTree::default(), &config);
        assert_eq!(files.list("/etc").unwrap(), ["config", "hosts"]);
        assert_eq!(files.read("/etc/config/key").unwrap().content, "value");
        assert_eq!(files.write("/etc/config/key", "x"), Err(READ_ONLY));
        assert_eq!(files.write("/tmp/x", "x"), Ok(()));
    }
}

//! Volumes as files of the node.
//!
//! Files that the agent keeps are written the way the kubelet does it: into a directory named for the time, to which
//! the link `..data` points, and every file of the volume is a link through that. Turning the one link over shows all
//! of a new version at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;

use super::pod_files::{file_error, make_directory};
use crate::runtime::files::normal;
use crate::runtime::{File, PathKind, Result, RuntimeError};

pub(super) const DATA: &str = "..data";

/// The bit of a directory's permissions that hands its group on to what is made in it.
const SET_GROUP: u32 = 0o2000;

/// Writes the files of a volume, at once; nothing where they are there already.
pub(super) fn write(
    directory: &Path,
    files: &BTreeMap<String, File>,
    group: Option<u32>,
    now: Timestamp,
) -> Result<()> {
    make_directory(directory)?;
    let data = directory.join(DATA);
    let same = |found: &File, wanted: &File| (&found.content, found.mode) == (&wanted.content, mode(wanted, group));
    let found = fs::read_link(&data).and_then(|_| read(&data)).ok().filter(|found| found.len() == files.len());
    if found.is_some_and(|found| files.iter().all(|(path, file)| found.get(path).is_some_and(|one| same(one, file)))) {
        return Ok(());
    }
    let stamp = now.strftime("..%Y_%m_%d_%H_%M_%S.%N");
    let version = (0..)
        .map(|count| directory.join(if count == 0 { stamp.to_string() } else { format!("{stamp}.{count}") }))
        .find(|path| !path.exists());
    let Some(version) = version else { return Ok(()) };
    make_directory(&version)?;
    if group.is_some() {
        let owned = chown(&version, None, group);
        let marked = owned.and_then(|()| fs::set_permissions(&version, fs::Permissions::from_mode(0o755 | SET_GROUP)));
        marked.map_err(file_error(&version))?;
    }
    for (path, file) in files {
        let to = version.join(normal(path));
        if let Some(above) = to.parent() {
            make_directory(above)?;
        }
        write_file(&to, file, group).map_err(file_error(&to))?;
    }
    let next = directory.join("..data_tmp");
    let link = version.file_name().unwrap_or_default();
    let turned = fs::remove_file(&next).or_else(unless_missing).and_then(|()| symlink(link, &next));
    turned.and_then(|()| fs::rename(&next, &data)).map_err(file_error(&data))?;

    let names: BTreeSet<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for name in &names {
        let shown = directory.join(name);
        if fs::symlink_metadata(&shown).is_err() {
            symlink(Path::new(DATA).join(name), &shown).map_err(file_error(&shown))?;
        }
    }
    for entry in fs::read_dir(directory).map_err(file_error(directory))?.flatten() {
        let name = entry.file_name();
        let is_shown = name.to_str().is_some_and(|name| names.contains(name) || name == DATA);
        if !is_shown && entry.path() != version {
            let path = entry.path();
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed = if is_directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.or_else(unless_missing).map_err(file_error(&path))?;
        }
    }
    Ok(())
}

/// Brings a volume that was written before up to date; its files stay their group's.
pub(super) fn rewrite(directory: &Path, files: &BTreeMap<String, File>, now: Timestamp) -> Result<()> {
    let found = fs::metadata(directory.join(DATA)).ok().filter(|found| found.mode() & SET_GROUP != 0);
    let group = found.map(|found| found.gid());
    write(directory, files, group, now)
}

fn unless_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// A file's permissions: where the volume belongs to a group, that may read what the owner may.
fn mode(file: &File, group: Option<u32>) -> u32 {
    if group.is_some() { file.mode | (file.mode & 0o400) >> 3 } else { file.mode }
}

fn write_file(path: &Path, file: &File, group: Option<u32>) -> io::Result<()> {
    let mut opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    opened.write_all(&file.content)?;
    if group.is_some() {
        chown(path, None, group)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode(file, group)))
}

/// The files in a directory, with their permissions.
fn read(directory: &Path) -> io::Result<BTreeMap<String, File>> {
    let mut files = BTreeMap::new();
    let mut left = vec![(directory.to_path_buf(), String::new())];
    while let Some((path, name)) = left.pop() {
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            let own = entry.file_name().to_string_lossy().into_owned();
            let full = if name.is_empty() { own } else { format!("{name}/{own}") };
            if entry.file_type()?.is_dir() {
                left.push((entry.path(), full));
            } else {
                let mode = entry.metadata()?.permissions().mode() & 0o7777;
                files.insert(full, File { content: fs::read(entry.path())?.into(), mode });
            }
        }
    }
    Ok(files)
}

/// Makes an empty directory that everybody may write to, unless it is there.
pub(super) fn make_shared(directory: &Path, group: Option<u32>) -> Result<()> {
    if directory.exists() {
        return Ok(());
    }
    make_directory(directory)?;
    let mode = if group.is_some() { 0o777 | SET_GROUP } else { 0o777 };
    let made = chown(directory, None, group);
    made.and_then(|()| fs::set_permissions(directory, fs::Permissions::from_mode(mode))).map_err(file_error(directory))
}

/// The part of a volume that a container mounts: a directory is made where there is nothing.
///
/// # Errors
/// Where it cannot be made, or a link in it leads out of the volume.
pub(super) fn part(volume: &Path, sub_path: &str) -> Result<PathBuf> {
    let sub_path = normal(sub_path);
    if sub_path.is_empty() {
        return Ok(volume.to_path_buf());
    }
    let root = volume.canonicalize().map_err(file_error(volume))?;
    let wanted = root.join(&sub_path);
    if fs::symlink_metadata(&wanted).is_err() {
        // What lies above may be a link: it is looked at before something is made behind it.
        let above = wanted.ancestors().skip(1).find(|path| path.exists()).unwrap_or(&root).to_path_buf();
        inside(&root, &above)?;
        make_directory(&wanted)?;
        // Whoever may write to the volume may write to what is made in it.
        let mode = fs::metadata(&root).map_err(file_error(&root))?.permissions();
        for made in wanted.ancestors().take_while(|path| *path != above) {
            fs::set_permissions(made, mode.clone()).map_err(file_error(made))?;
        }
    }
    inside(&root, &wanted)
}

fn inside(root: &Path, path: &Path) -> Result<PathBuf> {
    let found = path.canonicalize().map_err(file_error(path))?;
    if found.starts_with(root) {
        return Ok(found);
    }
    let (path, root) = (path.display(), root.display());
    Err(RuntimeError::Create(format!("subpath {path} not within volume path {root}")))
}

/// What there is at a path.
pub(super) fn kind(path: &Path) -> Result<Option<PathKind>> {
    let found = match fs::metadata(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        other => other.map_err(file_error(path))?.file_type(),
    };
    Ok(Some(match () {
        () if found.is_dir() => PathKind::Directory,
        () if found.is_file() => PathKind::File,
        () if found.is_socket() => PathKind::Socket,
        () if found.is_char_device() => PathKind::CharDevice,
        () if found.is_block_device() => PathKind::BlockDevice,
        () => PathKind::Other,
    }))
}

/// The regular files in a directory, by name; `None` where there is no such directory.
pub(super) fn read_directory(path: &Path) -> Result<Option<BTreeMap<String, Bytes>>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(file_error(path))?,
    };
    let mut files = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(file_error(path))?;
        // One that is removed meanwhile is none.
        if kind(&entry.path())? == Some(PathKind::File)
            && let Ok(content) = fs::read(entry.path())
        {
            files.insert(entry.file_name().to_string_lossy().into_owned(), content.into());
        }
    }
    Ok(Some(files))
}

/// Makes a directory, with those above it, or an empty file.
pub(super) fn make(path: &Path, kind: PathKind) -> Result<()> {
    if kind == PathKind::Directory {
        return make_directory(path);
    }
    let made = fs::OpenOptions::new().create(true).append(true).mode(0o644).open(path);
    made.map(drop).map_err(file_error(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that is gone when the test is over.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("orchestrion-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn files(list: &[(&str, &str)]) -> BTreeMap<String, File> {
        list.iter().map(|(path, text)| ((*path).to_owned(), File::new(text.to_string()))).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_version_replaces_the_old_one_at_once() {
        let scratch = Scratch::new("swap");
        let volume = &scratch.0;
        write(volume, &files(&[("a", "1"), ("sub/b", "1")]), None, at(0)).unwrap();
        assert_eq!(names(volume), ["..1970_01_01_00_00_00.000000000", "..data", "a", "sub"]);
        assert_eq!(fs::read_to_string(volume.join("sub/b")).unwrap(), "1");
        // Whoever holds on to the old version goes on seeing all of it.
        let old = fs::read_link(volume.join(DATA)).unwrap();
        write(volume, &files(&[("a", "2"), ("c", "2")]), None, at(1)).unwrap();
        assert_ne!(fs::read_link(volume.join(DATA)).unwrap(), old);
        assert_eq!(names(volume), ["..1970_01_01_00_00_01.000000000", "..data", "a", "c"]);
        assert_eq!(fs::read_to_string(volume.join("a")).unwrap(), "2");
        // What has not changed is not written again, and two versions of one moment do not meet.
        let same = fs::read_link(volume.join(DATA)).unwrap();
        write(volume, &files(&[("a", "2"), ("c", "2")]), None, at(9)).unwrap();
        assert_eq!(fs::read_link(volume.join(DATA)).unwrap(), same);
        write(volume, &files(&[("a", "3")]), None, at(1)).unwrap();
        assert_eq!(fs::read_to_string(volume.join("a")).unwrap(), "3");
    }

    #[test]
    fn a_sub_path_stays_within_its_volume() {
        let scratch = Scratch::new("within");
        let volume = scratch.0.join("volume");
        make_shared(&volume, None).unwrap();
        let made = part(&volume, "new/deep").unwrap();
        for path in [&made, made.parent().unwrap()] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, 0o777, "as the volume's own");
        }
        symlink("/etc", volume.join("out")).unwrap();
        assert!(part(&volume, "out").is_err());
        assert!(part(&volume, "out/hostname").is_err());
        assert!(part(&volume, "out/made-by-a-test").is_err());
        assert!(!Path::new("/etc/made-by-a-test").exists());
        assert_eq!(part(&volume, "../../etc").unwrap(), volume.canonicalize().unwrap().join("etc"));
    }
}

//! What pods keep on the disk.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bollard::query_parameters::ListContainersOptionsBuilder;

use super::error::failed;
use super::pod_files::file_error;
use super::{DockerRuntime, blocking, label, volume};
use crate::runtime::{ContainerId, DiskUsage, Medium, PodDisk, Result, Runtime, SandboxId};

/// The unit in which the kernel counts what a file takes.
const BLOCK: u64 = 512;

impl DockerRuntime {
    pub(super) async fn measure_disk(&self, sandbox: &SandboxId) -> Result<PodDisk> {
        let uid = self.sandbox_status(sandbox).await?.uid;
        let mut own = self.labels(label::CONTAINER);
        own.extend(label::labels([(label::SANDBOX_ID, sandbox.as_str())]));
        let options =
            ListContainersOptionsBuilder::default().all(true).size(true).filters(&label::filter(&own)).build();
        let found = self.docker().list_containers(Some(options)).await;
        let found = found.map_err(|error| failed("measure what containers have written", error))?;
        let written: Vec<(String, u64)> = found
            .into_iter()
            .filter_map(|one| Some((one.id?, one.size_rw.and_then(|size| u64::try_from(size).ok()).unwrap_or(0))))
            .collect();
        let (logs, files) = (self.engine().root().join("containers"), self.pod_files(&uid));
        blocking(move || {
            let containers = written.into_iter().map(|(id, bytes)| {
                // Only root may look there: what cannot be seen is not counted.
                let log = fs::metadata(logs.join(&id).join(format!("{id}-json.log")));
                let log = log.map(|found| DiskUsage { bytes: taken(&found), inodes: 1 }).unwrap_or_default();
                (ContainerId::new(id), DiskUsage { bytes, inodes: 0 }, log)
            });
            let mut volumes = Vec::new();
            for medium in [Medium::Disk, Medium::Memory] {
                let Ok(entries) = fs::read_dir(files.volume("", medium)) else { continue };
                for entry in entries.flatten() {
                    volumes.push((entry.file_name().to_string_lossy().into_owned(), walk(&entry.path())));
                }
            }
            volumes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            Ok(PodDisk { containers: containers.collect(), volumes })
        })
        .await
    }
}

impl DockerRuntime {
    pub(super) async fn empty_directories(&self, sandbox: &SandboxId) -> Result<()> {
        let uid = match self.sandbox_status(sandbox).await {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?.uid,
        };
        let files = self.pod_files(&uid);
        blocking(move || {
            for medium in [Medium::Disk, Medium::Memory] {
                for entry in fs::read_dir(files.volume("", medium)).into_iter().flatten().flatten() {
                    // Files that the agent keeps go through the link; a directory that began empty has none.
                    let directory = entry.path();
                    if fs::symlink_metadata(directory.join(volume::DATA)).is_err() {
                        fs::remove_dir_all(&directory).map_err(file_error(&directory))?;
                    }
                }
            }
            Ok(())
        })
        .await
    }
}

/// What a file takes of the disk.
fn taken(found: &fs::Metadata) -> u64 {
    found.blocks() * BLOCK
}

/// What a directory takes with all that is in it. What goes while it is looked at is not counted.
fn walk(directory: &Path) -> DiskUsage {
    let mut usage = DiskUsage::default();
    let mut left: Vec<PathBuf> = vec![directory.to_path_buf()];
    while let Some(path) = left.pop() {
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        usage += DiskUsage { bytes: taken(&found), inodes: 1 };
        if found.is_dir() {
            left.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_takes_what_is_in_it() {
        let directory = std::env::temp_dir().join(format!("orchestrion-walk-{}", std::process::id()));
        fs::create_dir_all(directory.join("below")).expect("a directory");
        fs::write(directory.join("below/file"), vec![1; 100_000]).expect("a file");
        let usage = walk(&directory);
        fs::remove_dir_all(&directory).expect("removed");
        assert_eq!(usage.inodes, 3);
        assert!((100_000..200_000).contains(&usage.bytes), "{usage:?}");
        assert_eq!(walk(&directory), DiskUsage::default());
    }
}

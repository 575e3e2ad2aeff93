//! Where the files of a pod lie on the node.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::DockerCluster;
use crate::runtime::files::normal;
use crate::runtime::{Medium, Result, RuntimeError, SandboxConfig};

/// A file system in memory that every Linux has.
pub(super) const MEMORY: &str = "/dev/shm";

pub(super) fn file_error(path: &Path) -> impl Fn(io::Error) -> RuntimeError {
    let path = path.display().to_string();
    move |source| RuntimeError::File { path: path.clone(), source }
}

/// A name as one part of a path.
pub(super) fn part(name: &str) -> String {
    normal(name).replace('/', "_")
}

/// Makes a directory, and those above it.
pub(super) fn make_directory(path: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(file_error(path))
}

/// The files of one pod.
#[derive(Clone, Debug)]
pub(super) struct PodFiles {
    /// On disk.
    directory: PathBuf,
    /// In memory.
    memory: PathBuf,
    /// Where all files of the cluster are.
    clusters: [PathBuf; 2],
}

impl PodFiles {
    pub(super) fn new(cluster: &DockerCluster, node: &str, uid: &str) -> Self {
        let below: PathBuf = [&part(node), "pods", &part(uid)].iter().collect();
        let clusters = [cluster.directory(), Path::new(MEMORY).join("orchestrion").join(cluster.part())];
        let [directory, memory] = [0, 1].map(|at| clusters[at].join(&below));
        Self { directory, memory, clusters }
    }

    /// A volume's directory.
    pub(super) fn volume(&self, name: &str, medium: Medium) -> PathBuf {
        let pod = match medium {
            Medium::Disk => &self.directory,
            Medium::Memory => &self.memory,
        };
        pod.join("volumes").join(part(name))
    }

    pub(super) fn hosts(&self) -> PathBuf {
        self.directory.join("hosts")
    }

    pub(super) fn resolv_conf(&self) -> PathBuf {
        self.directory.join("resolv.conf")
    }

    /// Makes the pod's directory and the files of `/etc` that all its containers see.
    pub(super) fn write(&self, config: &SandboxConfig, ip: std::net::IpAddr) -> Result<()> {
        make_directory(&self.directory)?;
        for cluster in &self.clusters {
            // Others on this machine have no business in it.
            make_directory(cluster)?;
            fs::set_permissions(cluster, fs::Permissions::from_mode(0o700)).map_err(file_error(cluster))?;
        }
        let write = |path: PathBuf, text: String| fs::write(&path, text).map_err(file_error(&path));
        let node = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let hosts = match config.host_network {
            Some(_) => {
                let common = config.hosts_file(None);
                let (head, aliases) = common.split_once("fe00::2\tip6-allrouters\n").unwrap_or_default();
                let title = head.lines().next().unwrap_or_default().replace("file.", "file (host network).");
                format!("{title}\n{}{aliases}", node("/etc/hosts"))
            }
            None => config.hosts_file(Some(ip)),
        };
        let dns = &config.dns;
        let default = dns.servers.is_empty() && dns.searches.is_empty() && dns.options.is_empty();
        let resolv = if default { node("/etc/resolv.conf") } else { dns.resolv_conf() };
        write(self.hosts(), hosts)?;
        write(self.resolv_conf(), resolv)
    }

    /// Makes the file that a container's termination message goes to.
    pub(super) fn message(&self, container: &str, attempt: u32) -> Result<PathBuf> {
        let directory = self.directory.join("containers").join(part(container));
        make_directory(&directory)?;
        let path = directory.join(attempt.to_string());
        fs::write(&path, "").map_err(file_error(&path))?;
        // Whoever the container runs as may write to it.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).map_err(file_error(&path))?;
        Ok(path)
    }

    /// Removes everything, and the directories above that are empty then.
    pub(super) fn remove(&self) -> Result<()> {
        for directory in [&self.directory, &self.memory] {
            match fs::remove_dir_all(directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file_error(directory)(error)),
                _ => {}
            }
            // `pods`, the node, the cluster, the root: as far as nobody else has something there.
            for above in directory.ancestors().skip(1).take(4) {
                if fs::remove_dir(above).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }
}

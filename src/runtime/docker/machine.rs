//! What the machine has and what of it is free, as the kernel tells it.
//!
//! Source of how memory counts: what `memory.available` means to a kubelet
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/>).

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::pod_files::file_error;
use super::{DockerRuntime, blocking};
use crate::runtime::{Filesystem, MachineStats, Result, RuntimeError};

/// How many ticks of CPU time the kernel counts a second, on every Linux that Docker runs on.
const TICKS: u64 = 100;

impl DockerRuntime {
    pub(super) async fn measure_machine(&self) -> Result<MachineStats> {
        let (now, cluster) = (self.now(), self.cluster().clone());
        let images = self.engine().root().to_path_buf();
        blocking(move || {
            let files = cluster.directory();
            let (on, node_disk) = nearest(&files)?;
            let (images_on, image_disk) = nearest(&images)?;
            let memory = memory(&read("/proc/meminfo")?);
            let (booted_at, cpu_nanos) = cpu(&read("/proc/stat")?);
            let number = |path: &str| read(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
            let most = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"].into_iter().filter_map(number);
            Ok(MachineStats {
                at: now,
                booted_at: booted_at.unwrap_or(now),
                cpu_nanos,
                memory_capacity: memory.capacity,
                memory_used: memory.used,
                memory_total: memory.total,
                node_disk,
                image_disk: (device(&on) != device(&images_on)).then_some(image_disk),
                processes_max: most.min().unwrap_or(0),
                processes: processes(&read("/proc/loadavg")?),
            })
        })
        .await
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(file_error(Path::new(path)))
}

fn device(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|found| found.dev())
}

/// The disk that a path is on or will be on, and the nearest path above it that exists.
fn nearest(path: &Path) -> Result<(PathBuf, Filesystem)> {
    let mut failure = None;
    for above in path.ancestors() {
        match rustix::fs::statvfs(above) {
            Ok(found) => {
                let filesystem = Filesystem {
                    capacity: found.f_blocks.saturating_mul(found.f_frsize),
                    available: found.f_bavail.saturating_mul(found.f_frsize),
                    inodes: found.f_files,
                    inodes_free: found.f_ffree,
                };
                return Ok((above.to_path_buf(), filesystem));
            }
            Err(error) => failure = Some(file_error(above)(error.into())),
        }
    }
    Err(failure.unwrap_or_else(|| RuntimeError::State(format!("{} is on no disk", path.display()))))
}

#[derive(Debug, PartialEq, Eq)]
struct Memory {
    capacity: u64,
    used: u64,
    total: u64,
}

/// Memory from `/proc/meminfo`: what is used, without the cached files that nobody has touched for long.
fn memory(text: &str) -> Memory {
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        number.unwrap_or(0).saturating_mul(1024)
    };
    let capacity = of("MemTotal");
    let total = capacity.saturating_sub(of("MemFree"));
    Memory { capacity, used: total.saturating_sub(of("Inactive(file)")), total }
}

/// When the machine was started, and the CPU time used since, from `/proc/stat`.
fn cpu(text: &str) -> (Option<Timestamp>, u64) {
    let numbers = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().map(|number| number.parse::<u64>().unwrap_or(0)).collect::<Vec<_>>()
    };
    // user, nice, system, idle, iowait, irq, softirq, steal; guests count as user already.
    let busy: u64 =
        numbers("cpu ").iter().take(8).enumerate().filter(|(at, _)| ![3, 4].contains(at)).map(|(_, n)| n).sum();
    let booted = numbers("btime ").first().and_then(|seconds| i64::try_from(*seconds).ok());
    let booted = booted.and_then(|seconds| Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_secs(seconds)).ok());
    (booted, busy.saturating_mul(1_000_000_000 / TICKS))
}

/// How many processes and threads there are, from `/proc/loadavg`: `0.20 0.18 0.12 1/80 11206`.
fn processes(text: &str) -> u64 {
    let counts = text.split_whitespace().nth(3).and_then(|counts| counts.split_once('/'));
    counts.and_then(|(_, all)| all.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_texts_are_read() {
        let text =
            "MemTotal:       1000 kB\nMemFree:         300 kB\nInactive:        900 kB\nInactive(file):  200 kB\n";
        let expected = Memory { capacity: 1_024_000, used: 512_000, total: 716_800 };
        assert_eq!(memory(text), expected);
        let text = "cpu  100 10 40 9999 999 1 2 3 50 60\ncpu0 1 1 1 1\nbtime 1700000000\n";
        assert_eq!(cpu(text), (Timestamp::from_second(1_700_000_000).ok(), 1_560_000_000));
        assert_eq!(processes("0.20 0.18 0.12 1/80 11206\n"), 80);
        assert_eq!(processes(""), 0);
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_on_the_disk_of_the_one_above() {
        let (on, disk) = nearest(&std::env::temp_dir().join("no/such/directory")).expect("a disk");
        assert!(on.exists() && disk.capacity >= disk.available, "{on:?} {disk:?}");
    }
}

//! What a process holds and has spent, as Linux counts it.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

/// The resident memory of a process (`self`, or its number) in bytes.
pub(crate) fn resident(process: impl Display) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or_default() * 1024
}

/// The time that a process (`self`, or its number) has spent on processors.
pub(crate) fn spent(process: impl Display) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let of = |task: &Path| {
        let text = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|first| first.parse().ok()).map(Duration::from_nanos).unwrap_or_default()
    };
    tasks.map(|task| of(&task.path())).sum()
}

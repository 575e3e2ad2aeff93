//! What containers use.

use bollard::models::{ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures::StreamExt;
use jiff::Timestamp;

use super::error::{failed, is_missing};
use super::{DockerRuntime, not_found};
use crate::runtime::{ContainerId, ContainerStats, Result, RuntimeError};

impl DockerRuntime {
    pub(super) async fn measure(&self, id: &ContainerId) -> Result<ContainerStats> {
        if !self.status_of(id).await?.is_running() {
            return Err(RuntimeError::State(format!("container {id} is not running")));
        }
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut told = std::pin::pin!(self.docker().stats(id.as_str(), Some(options)));
        match told.next().await {
            Some(Ok(found)) => Ok(stats(&found, self.now())),
            Some(Err(error)) if is_missing(&error) => Err(not_found("container", id.as_str())),
            Some(Err(error)) => Err(failed(format!("measure container {id}"), error)),
            None => Err(not_found("container", id.as_str())),
        }
    }
}

fn stats(found: &ContainerStatsResponse, now: Timestamp) -> ContainerStats {
    let at = found.read.as_ref().and_then(|text| text.parse::<Timestamp>().ok()).filter(|at| at.as_second() > 0);
    let used = found.cpu_stats.as_ref().and_then(|stats| stats.cpu_usage.as_ref()).and_then(|usage| usage.total_usage);
    let memory = found.memory_stats.as_ref();
    ContainerStats {
        at: at.unwrap_or(now),
        cpu_nanos: used.unwrap_or(0),
        memory_bytes: memory.map_or(0, working_set),
        memory_total_bytes: memory.and_then(|memory| memory.usage).unwrap_or(0),
        processes: found.pids_stats.as_ref().and_then(|pids| pids.current).unwrap_or(0),
    }
}

/// What is in use without the cached files that nobody has touched for long.
fn working_set(memory: &ContainerMemoryStats) -> u64 {
    let of = |name: &str| memory.stats.as_ref().and_then(|stats| stats.get(name)).copied();
    // The two versions of cgroups call it differently.
    let cached = of("total_inactive_file").or_else(|| of("inactive_file")).unwrap_or(0);
    memory.usage.unwrap_or(0).saturating_sub(cached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_s_answer_is_read() {
        let found: ContainerStatsResponse = serde_json::from_value(serde_json::json!({
            "read": "2026-01-01T00:00:02Z",
            "cpu_stats": { "cpu_usage": { "total_usage": 1_500_000_000_u64 } },
            "memory_stats": { "usage": 5000, "stats": { "inactive_file": 1000, "total_inactive_file": 2000 } },
            "pids_stats": { "current": 3 },
        }))
        .unwrap();
        let stats = stats(&found, Timestamp::UNIX_EPOCH);
        assert_eq!((stats.at.to_string().as_str(), stats.cpu_nanos), ("2026-01-01T00:00:02Z", 1_500_000_000));
        assert_eq!((stats.memory_bytes, stats.memory_total_bytes, stats.processes), (3000, 5000, 3));
    }
}

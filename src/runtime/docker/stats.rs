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
        // The engine measures twice, a second apart, to tell how much is in use now.
        let options = StatsOptionsBuilder::default().stream(false).one_shot(false).build();
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
    let time =
        |text: Option<&String>| text.and_then(|text| text.parse::<Timestamp>().ok()).filter(|at| at.as_second() > 0);
    let used = |stats: &Option<bollard::models::ContainerCpuStats>| {
        stats.as_ref().and_then(|stats| stats.cpu_usage.as_ref()).and_then(|usage| usage.total_usage).unwrap_or(0)
    };
    let (before, at) = (time(found.preread.as_ref()), time(found.read.as_ref()).unwrap_or(now));
    let (used_before, cpu_nanos) = (used(&found.precpu_stats), used(&found.cpu_stats));
    let passed = before.and_then(|before| u128::try_from(at.duration_since(before).as_nanos()).ok()).unwrap_or(0);
    let rate = (u128::from(cpu_nanos.saturating_sub(used_before)) * 1_000_000_000).checked_div(passed).unwrap_or(0);
    ContainerStats {
        at,
        cpu_nanos,
        cpu_nano_cores: u64::try_from(rate).unwrap_or(u64::MAX),
        memory_bytes: found.memory_stats.as_ref().map_or(0, working_set),
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
    fn use_is_reckoned_from_two_measurements() {
        let found: ContainerStatsResponse = serde_json::from_value(serde_json::json!({
            "preread": "2026-01-01T00:00:00Z", "read": "2026-01-01T00:00:02Z",
            "precpu_stats": { "cpu_usage": { "total_usage": 1_000_000_000_u64 } },
            "cpu_stats": { "cpu_usage": { "total_usage": 1_500_000_000_u64 } },
            "memory_stats": { "usage": 5000, "stats": { "inactive_file": 1000, "total_inactive_file": 2000 } },
        }))
        .unwrap();
        let stats = stats(&found, Timestamp::UNIX_EPOCH);
        assert_eq!((stats.cpu_nanos, stats.cpu_nano_cores), (1_500_000_000, 250_000_000));
        assert_eq!(stats.memory_bytes, 3000);
    }
}

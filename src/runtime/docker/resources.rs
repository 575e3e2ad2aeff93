//! Requests and limits as settings of a container's cgroup.

use bollard::models::HostConfig;
use k8s_openapi::api::core::v1::ResourceRequirements;

use crate::api::Quantity;
use crate::api::rules::resources::amount_of;

/// What a whole CPU counts for against others.
const SHARES_PER_CPU: i64 = 1024;
const LEAST_SHARES: i64 = 2;
/// The time in which a container may use up its quota, in microseconds.
const PERIOD: i64 = 100_000;
const LEAST_QUOTA: i64 = 1_000;

/// Sets what a container may use, as the kubelet reckons it.
pub(super) fn apply(resources: &ResourceRequirements, host: &mut HostConfig) {
    let milli = |name: &str, amounts| amount_of(amounts, name).map(Quantity::milli_value);
    let (requests, limits) = (resources.requests.as_ref(), resources.limits.as_ref());
    let limit = milli("cpu", limits).filter(|limit| *limit > 0);
    // A limit without a request stands for both.
    let request = milli("cpu", requests).or(limit).unwrap_or(0);
    host.cpu_shares = Some((request.saturating_mul(SHARES_PER_CPU) / 1000).max(LEAST_SHARES));
    if let Some(limit) = limit {
        host.cpu_period = Some(PERIOD);
        host.cpu_quota = Some((limit.saturating_mul(PERIOD) / 1000).max(LEAST_QUOTA));
    }
    if let Some(memory) = amount_of(limits, "memory").map(Quantity::value).filter(|memory| *memory > 0) {
        host.memory = Some(memory);
        host.memory_swap = Some(memory); // memory and swap together: no swap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(resources: serde_json::Value) -> HostConfig {
        let mut host = HostConfig::default();
        apply(&serde_json::from_value(resources).unwrap(), &mut host);
        host
    }

    #[test]
    fn requests_weigh_and_limits_bound() {
        let host = applied(serde_json::json!({
            "requests": { "cpu": "250m" }, "limits": { "cpu": "1500m", "memory": "64Mi" },
        }));
        assert_eq!((host.cpu_shares, host.cpu_quota, host.cpu_period), (Some(256), Some(150_000), Some(100_000)));
        assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(64 << 20)));
    }

    #[test]
    fn what_is_not_said_is_not_bounded() {
        let host = applied(serde_json::json!({}));
        assert_eq!((host.cpu_shares, host.cpu_quota, host.memory), (Some(2), None, None));
        let host = applied(serde_json::json!({ "limits": { "cpu": "5m" } }));
        assert_eq!((host.cpu_shares, host.cpu_quota), (Some(5), Some(1000)), "the kernel takes no smaller quota");
    }
}

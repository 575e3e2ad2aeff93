//! What a container may use, in the kernel's units.

use k8s_openapi::api::core::v1::ResourceRequirements;

use crate::api::Quantity;
use crate::api::rules::resources::amount_of;

/// What a whole CPU counts for against others.
const SHARES_PER_CPU: i64 = 1024;
const LEAST_SHARES: i64 = 2;
const LEAST_QUOTA: i64 = 1_000;

/// What a container may use, in the units of the kernel: what a runtime has set, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How much its demand for processors weighs against that of others: 1,024 for each whole one that it requests.
    pub cpu_shares: i64,
    /// Microseconds of processor time in each [`Limits::CPU_PERIOD`]; `None` where there is no bound.
    pub cpu_quota: Option<i64>,
    /// Bytes of memory; `None` where there is no bound.
    pub memory: Option<i64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cpu_shares: LEAST_SHARES, cpu_quota: None, memory: None }
    }
}

impl Limits {
    /// The time in which a container may use up its quota, in microseconds.
    pub const CPU_PERIOD: i64 = 100_000;

    /// Requests and limits as the kubelet reckons them.
    pub fn of(resources: &ResourceRequirements) -> Self {
        let milli = |amounts| amount_of(amounts, "cpu").map(Quantity::milli_value);
        let limit = milli(resources.limits.as_ref()).filter(|limit| *limit > 0);
        // A limit without a request stands for both.
        let request = milli(resources.requests.as_ref()).or(limit).unwrap_or(0);
        Self {
            cpu_shares: (request.saturating_mul(SHARES_PER_CPU) / 1000).max(LEAST_SHARES),
            cpu_quota: limit.map(|limit| (limit.saturating_mul(Self::CPU_PERIOD) / 1000).max(LEAST_QUOTA)),
            memory: amount_of(resources.limits.as_ref(), "memory").map(Quantity::value).filter(|memory| *memory > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(resources: serde_json::Value) -> Limits {
        Limits::of(&serde_json::from_value(resources).unwrap())
    }

    #[test]
    fn requests_weigh_and_limits_bound() {
        let limits = of(serde_json::json!({
            "requests": { "cpu": "250m" }, "limits": { "cpu": "1500m", "memory": "64Mi" },
        }));
        assert_eq!(limits, Limits { cpu_shares: 256, cpu_quota: Some(150_000), memory: Some(64 << 20) });
    }

    #[test]
    fn what_is_not_said_is_not_bounded() {
        assert_eq!(of(serde_json::json!({})), Limits::default());
        let limits = of(serde_json::json!({ "limits": { "cpu": "5m" } }));
        assert_eq!((limits.cpu_shares, limits.cpu_quota), (5, Some(1000)), "the kernel takes no smaller quota");
    }
}

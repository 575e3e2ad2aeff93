//! What a container may use, as settings of the engine.

use bollard::models::{ContainerUpdateBody, HostConfig};

use crate::runtime::Limits;

/// Sets it for a container that is made.
pub(super) fn apply(limits: Limits, host: &mut HostConfig) {
    host.cpu_shares = Some(limits.cpu_shares);
    host.cpu_period = limits.cpu_quota.map(|_| Limits::CPU_PERIOD);
    host.cpu_quota = limits.cpu_quota;
    host.memory = limits.memory;
    host.memory_swap = limits.memory; // memory and swap together: no swap
}

/// Sets it for one that is there.
pub(super) fn update(limits: Limits) -> ContainerUpdateBody {
    ContainerUpdateBody {
        cpu_shares: Some(limits.cpu_shares),
        cpu_period: limits.cpu_quota.map(|_| Limits::CPU_PERIOD),
        cpu_quota: limits.cpu_quota,
        memory: limits.memory,
        memory_swap: limits.memory,
        ..ContainerUpdateBody::default()
    }
}

/// What is set.
pub(super) fn read(host: &HostConfig) -> Limits {
    let some = |value: Option<i64>| value.filter(|value| *value > 0);
    Limits {
        cpu_shares: some(host.cpu_shares).unwrap_or(Limits::default().cpu_shares),
        cpu_quota: some(host.cpu_quota),
        memory: some(host.memory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_read_again() {
        for limits in [Limits::default(), Limits { cpu_shares: 256, cpu_quota: Some(150_000), memory: Some(64 << 20) }]
        {
            let mut host = HostConfig::default();
            apply(limits, &mut host);
            assert_eq!(read(&host), limits);
            assert_eq!(host.memory, host.memory_swap);
        }
    }
}

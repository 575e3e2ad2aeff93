//! What a Deployment asks for.

use std::sync::LazyLock;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::LabelSelector;

/// What a Deployment asks for, in numbers.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) replicas: i32,
    pub(super) min_ready_seconds: i32,
    pub(super) paused: bool,
    /// Whether pods are replaced step by step, and not all at once.
    pub(super) rolling: bool,
    /// By how many pods a rollout may exceed `replicas`, rounded up and not fenced: what the new ReplicaSet is
    /// sized by.
    pub(super) stated_surge: i32,
    /// By how many pods a rollout may exceed `replicas`.
    pub(super) max_surge: i32,
    /// By how many available pods a rollout may fall short of `replicas`.
    pub(super) max_unavailable: i32,
    /// How long a rollout may make no progress.
    pub(super) deadline: Option<Duration>,
    /// How many old ReplicaSets are kept.
    pub(super) history: Option<usize>,
    pub(super) selector: Option<LabelSelector>,
}

impl Wanted {
    pub(super) fn by(deployment: &Deployment) -> Self {
        static NONE: LazyLock<DeploymentSpec> = LazyLock::new(DeploymentSpec::default);
        let spec = deployment.spec.as_ref().unwrap_or(&NONE);
        let strategy = spec.strategy.as_ref();
        let replicas = spec.replicas.unwrap_or(1);
        let rolling = strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("Recreate");
        let limits = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let stated_surge = resolve(limits.and_then(|limits| limits.max_surge.as_ref()), replicas, true);
        let unavailable = resolve(limits.and_then(|limits| limits.max_unavailable.as_ref()), replicas, false);
        let (max_surge, max_unavailable) = fenced(stated_surge, unavailable);
        let limited = |limit: Option<i32>| limit.filter(|limit| *limit != i32::MAX);
        Self {
            replicas,
            min_ready_seconds: spec.min_ready_seconds.unwrap_or_default(),
            paused: spec.paused.unwrap_or_default(),
            rolling,
            stated_surge,
            max_surge: if rolling { max_surge } else { 0 },
            max_unavailable: if rolling && replicas > 0 { max_unavailable.min(replicas) } else { 0 },
            deadline: limited(spec.progress_deadline_seconds)
                .map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or_default())),
            history: limited(spec.revision_history_limit).map(|limit| usize::try_from(limit).unwrap_or_default()),
            selector: LabelSelector::try_from(&spec.selector).ok(),
        }
    }
}

/// With neither surge nor unavailability a rollout could not take a step: one pod may then be unavailable.
fn fenced(surge: i32, unavailable: i32) -> (i32, i32) {
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

/// A number, or a percentage of `total` rounded up or down.
fn resolve(value: Option<&IntOrString>, total: i32, up: bool) -> i32 {
    match value {
        None => 0,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => {
            let percent = text.strip_suffix('%').and_then(|text| text.parse::<i64>().ok()).unwrap_or_default();
            let share = percent * i64::from(total);
            let rounded = if up { (share + 99).div_euclid(100) } else { share.div_euclid(100) };
            i32::try_from(rounded).unwrap_or(i32::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn surge_rounds_up_and_unavailability_down() {
        let cases = [
            (10, json!("25%"), json!("25%"), (3, 2)),
            (3, json!(1), json!(0), (1, 0)),
            (4, json!(0), json!("20%"), (0, 1)),
            (2, json!("0%"), json!("10%"), (0, 1)),
            (2, json!(0), json!(5), (0, 2)),
            (0, json!("25%"), json!("25%"), (0, 0)),
        ];
        for (replicas, surge, unavailable, expected) in cases {
            let deployment: Deployment = serde_json::from_value(json!({ "metadata": {}, "spec": {
                "replicas": replicas, "selector": {}, "template": {},
                "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": surge, "maxUnavailable": unavailable } },
            }}))
            .unwrap();
            let wanted = Wanted::by(&deployment);
            assert_eq!((wanted.max_surge, wanted.max_unavailable), expected, "{replicas} {surge} {unavailable}");
        }
    }
}

//! `DefaultTolerationSeconds`: a pod stays five minutes on a node that has failed.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Pod, Toleration};

use crate::api::{Admission, ApiError, Draft, Operation, Review};

const FAILURES: &[&str] = &["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
const NO_EXECUTE: &str = "NoExecute";
const SECONDS: i64 = 300;

#[derive(Debug)]
pub(super) struct DefaultTolerationSeconds;

#[async_trait]
impl Admission for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.writes::<Pod>(&[Operation::Create, Operation::Update])
    }

    async fn admit(&self, _review: &Review<'_>, object: Option<&mut Draft>) -> Result<(), ApiError> {
        let Some(object) = object else { return Ok(()) };
        let Some(pod) = object.typed::<Pod>() else { return Ok(()) };
        let given = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
        let tolerates = |taint: &str| {
            given.iter().any(|toleration| {
                let all = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
                let effect = toleration.effect.as_deref() == Some(NO_EXECUTE) || all(&toleration.effect);
                effect && (all(&toleration.key) || toleration.key.as_deref() == Some(taint))
            })
        };
        let missing: Vec<_> = FAILURES.iter().filter(|taint| !tolerates(taint)).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        if let Some(pod) = object.typed_mut::<Pod>() {
            let tolerations = pod.spec.get_or_insert_default().tolerations.get_or_insert_default();
            tolerations.reserve_exact(missing.len()); // most pods have no others, ever
            tolerations.extend(missing.into_iter().map(|taint| Toleration {
                key: Some(taint.to_owned()),
                operator: Some("Exists".to_owned()),
                effect: Some(NO_EXECUTE.to_owned()),
                toleration_seconds: Some(SECONDS),
                ..Toleration::default()
            }));
        }
        Ok(())
    }
}

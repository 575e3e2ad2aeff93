//! Tokens of service accounts, for projected volumes.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount, ServiceAccountTokenProjection};
use serde_json::{Value, json};

use crate::api::Draft;
use crate::node::env::ConfigError;
use crate::node::machine::Machine;
use crate::runtime::File;

/// How long a token lives, where the pod does not say.
const LIFETIME: i64 = 3600;

/// A token of the pod's service account: the one that is there, unless most of its life is over.
pub(super) async fn token(
    machine: &Arc<Machine>,
    pod: &Pod,
    wanted: &ServiceAccountTokenProjection,
    before: Option<File>,
) -> Result<Vec<u8>, ConfigError> {
    let now = machine.clock().now();
    if let Some(before) = before.filter(|file| is_fresh(&file.content, now)) {
        return Ok(before.content.to_vec());
    }
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
    let account = account.filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned());
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: wanted.audience.clone().filter(|audience| !audience.is_empty()).map(|audience| vec![audience]),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
            expiration_seconds: Some(wanted.expiration_seconds.unwrap_or(LIFETIME)),
        }),
        ..TokenRequest::default()
    };
    let accounts = machine.client.api::<ServiceAccount>(&namespace);
    match accounts.dynamic().create_sub(&account, "token", Draft::new(request)).await {
        Ok(answer) => {
            let answer = answer.typed::<TokenRequest>().map_err(|error| ConfigError(error.to_string()))?;
            let token = answer.status.as_ref().and_then(|status| status.token.clone());
            Ok(token.unwrap_or_default().into_bytes())
        }
        // The server issues no tokens at all: there is no account that it could not find.
        Err(error)
            if error.is_not_found() && error.status().details.as_ref().is_none_or(|about| about.name.is_none()) =>
        {
            Ok(unsigned(machine, pod, &account, wanted, now).into_bytes())
        }
        Err(error) => Err(ConfigError(format!("failed to fetch token: {error}"))),
    }
}

/// Whether less than four fifths of a token's life are over.
fn is_fresh(token: &[u8], now: Timestamp) -> bool {
    let claims = token.split(|byte| *byte == b'.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Option<Value> = claims.and_then(|json| serde_json::from_slice(&json).ok());
    let time = |name: &str| claims.as_ref().and_then(|claims| claims.get(name)).and_then(Value::as_i64);
    match (time("iat"), time("exp")) {
        (Some(issued), Some(expires)) => {
            now.as_second() < issued.saturating_add(expires.saturating_sub(issued) / 5 * 4)
        }
        _ => false,
    }
}

/// Who the pod is, for clusters whose server issues no tokens. Nobody takes it as a credential.
fn unsigned(
    machine: &Machine,
    pod: &Pod,
    account: &str,
    wanted: &ServiceAccountTokenProjection,
    now: Timestamp,
) -> String {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let issuer = format!("https://kubernetes.default.svc.{}", machine.config.cluster_domain);
    let claims = json!({
        "aud": [wanted.audience.as_deref().unwrap_or(&issuer)],
        "exp": now.as_second() + wanted.expiration_seconds.unwrap_or(LIFETIME),
        "iat": now.as_second(),
        "iss": issuer,
        "kubernetes.io": {
            "namespace": namespace,
            "node": { "name": machine.config.name },
            "pod": { "name": pod.metadata.name, "uid": pod.metadata.uid },
            "serviceaccount": { "name": account },
        },
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
    });
    format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_when_four_fifths_of_its_life_are_over() {
        let token = format!("x.{}.x", URL_SAFE_NO_PAD.encode(r#"{"iat":1000,"exp":2000}"#));
        assert!(is_fresh(token.as_bytes(), Timestamp::from_second(1799).unwrap()));
        assert!(!is_fresh(token.as_bytes(), Timestamp::from_second(1800).unwrap()));
        assert!(!is_fresh(b"nonsense", Timestamp::UNIX_EPOCH));
    }
}

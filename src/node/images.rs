//! Fetching images as pods ask for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use k8s_openapi::api::core::v1::{Container, Pod, Secret};

use super::machine::Machine;
use super::restart::Backoff;
use crate::api::GoDuration;
use crate::client::EventType;
use crate::runtime::{Credential, Image, RuntimeError};

/// After a failure that the next attempt may not share, so long passes before it.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// Why an image is not there.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Makes sure that a container's image is present, as its pull policy has it.
pub(super) async fn ensure(
    machine: &Machine,
    pod: &Pod,
    container: &Container,
    pulls: &Mutex<Backoff>,
) -> Result<Image, Missing> {
    let name = container.image.as_deref().unwrap_or_default();
    let tell = |kind, reason, message: String| machine.container_event(pod, &container.name, kind, reason, message);
    let invalid = |error: RuntimeError| {
        let message = format!("Failed to apply default image tag \"{name}\": {error}");
        tell(EventType::Warning, "InspectFailed", message.clone());
        Missing { reason: "InvalidImageName", message }
    };
    let present = machine.runtime.image(name).await.map_err(invalid)?;
    match (container.image_pull_policy.as_deref(), present) {
        (Some("Never" | "IfNotPresent"), Some(image)) => {
            let message =
                format!("Container image \"{name}\" already present on machine and can be accessed by the pod");
            tell(EventType::Normal, "Pulled", message);
            return Ok(image);
        }
        (Some("Never"), None) => {
            let message = format!("Container image \"{name}\" is not present with pull policy of Never");
            tell(EventType::Warning, "ErrImageNeverPull", message.clone());
            return Err(Missing { reason: "ErrImageNeverPull", message });
        }
        _ => {}
    }
    pull(machine, pod, container, name, pulls).await
}

async fn pull(
    machine: &Machine,
    pod: &Pod,
    container: &Container,
    name: &str,
    pulls: &Mutex<Backoff>,
) -> Result<Image, Missing> {
    let clock = machine.clock();
    let tell = |kind, reason, message: String| machine.container_event(pod, &container.name, kind, reason, message);
    let locked = || pulls.lock().unwrap_or_else(PoisonError::into_inner);
    if locked().until_since_update(name, clock.now()).is_some() {
        let message = format!("Back-off pulling image \"{name}\"");
        tell(EventType::Normal, "BackOff", message.clone());
        return Err(Missing { reason: "ImagePullBackOff", message });
    }
    tell(EventType::Normal, "Pulling", format!("Pulling image \"{name}\""));
    let credentials = credentials(machine, pod).await;
    let begun = clock.now();
    match machine.runtime.pull_image(name, &credentials).await {
        Ok(image) => {
            let millis = u64::try_from(clock.since(begun).as_millis()).unwrap_or(u64::MAX);
            let took = GoDuration(Duration::from_millis(millis));
            let size = image.size;
            tell(
                EventType::Normal,
                "Pulled",
                format!(
                    "Successfully pulled image \"{name}\" in {took} ({took} including waiting). Image size: {size} bytes."
                ),
            );
            Ok(image)
        }
        Err(error) => {
            tell(EventType::Warning, "Failed", format!("Failed to pull image \"{name}\": {error}"));
            let now = clock.now();
            locked().lengthen(name, now, now);
            Err(Missing { reason: "ErrImagePull", message: error.to_string() })
        }
    }
}

/// The credentials of the pod's `imagePullSecrets`. Those that cannot be read are as none.
async fn credentials(machine: &Machine, pod: &Pod) -> Vec<Credential> {
    let references = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    let secrets = machine.client.api::<Secret>(pod.metadata.namespace.as_deref().unwrap_or_default());
    let mut credentials = Vec::new();
    for reference in references {
        match secrets.get(&reference.name).await {
            Ok(secret) => credentials.extend(parse(&secret).unwrap_or_default()),
            Err(error) => {
                let name = &reference.name;
                let message = format!(
                    "Unable to retrieve some image pull secrets ({name}); attempting to pull the image may not succeed."
                );
                machine.event(pod, EventType::Warning, "FailedToRetrieveImagePullSecret", message);
                tracing::debug!(name, %error, "image pull secret not read");
            }
        }
    }
    credentials
}

/// The credentials in a Secret of type `kubernetes.io/dockerconfigjson`.
fn parse(secret: &Arc<Secret>) -> Option<Vec<Credential>> {
    let config = secret.data.as_ref()?.get(".dockerconfigjson")?;
    let config: serde_json::Value = serde_json::from_slice(&config.0).ok()?;
    let auths = config.get("auths")?.as_object()?;
    let credentials = auths.iter().filter_map(|(registry, auth)| {
        let text = |name: &str| auth.get(name).and_then(serde_json::Value::as_str);
        let (username, password) = match (text("username"), text("password")) {
            (Some(username), Some(password)) => (username.to_owned(), password.to_owned()),
            _ => {
                let decoded = base64::engine::general_purpose::STANDARD.decode(text("auth")?).ok()?;
                let (username, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
                (username.to_owned(), password.to_owned())
            }
        };
        Some(Credential { registry: registry.clone(), username, password })
    });
    Some(credentials.collect())
}

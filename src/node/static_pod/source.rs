//! Manifests in a directory of the node, as pods.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodStatus, Toleration, Volume};

use super::{HASH, SEEN, SOURCE};
use crate::api::field::FieldErrors;
use crate::api::{Kind, Surroundings, manifest};
use crate::random::Random;

/// The pods of all manifests, by UID. What is no manifest of a pod is logged and left out; so are hidden files.
pub(super) fn pods(files: &BTreeMap<String, Bytes>, directory: &str, node: &str) -> BTreeMap<String, Pod> {
    let mut pods = BTreeMap::new();
    for (name, content) in files.iter().filter(|(name, _)| !name.starts_with('.')) {
        let path = format!("{}/{name}", directory.trim_end_matches('/'));
        match read(content, &path, node) {
            Ok(pod) => drop(pods.insert(pod.metadata.uid.clone().unwrap_or_default(), pod)),
            Err(error) => tracing::error!(path, error, "can't process manifest file"),
        }
    }
    pods
}

fn read(content: &[u8], path: &str, node: &str) -> Result<Pod, String> {
    let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
    let json = manifest::yaml_to_json(text).map_err(|error| error.to_string())?;
    let mut pod: Pod = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    let name = pod.metadata.name.clone().unwrap_or_default();
    if name.is_empty() {
        return Err("invalid pod: name is needed for the pod".to_owned());
    }
    let meta = &mut pod.metadata;
    let given = meta.uid.clone().filter(|uid| !uid.is_empty());
    // Another content, node or file is another pod.
    let uid = given.unwrap_or_else(|| {
        let content = format!("{}\nhost:{node}\nfile:{path}", String::from_utf8_lossy(&json));
        Random::seeded(0).fork(&content).uid().replace('-', "")
    });
    meta.name = Some(format!("{name}-{}", node.to_lowercase()));
    meta.namespace.get_or_insert_with(|| "default".to_owned());
    let annotations = meta.annotations.get_or_insert_default();
    annotations.insert(HASH.to_owned(), uid.clone());
    annotations.insert(SOURCE.to_owned(), "file".to_owned());
    meta.uid = Some(uid);
    let spec = pod.spec.get_or_insert_default();
    spec.node_name = Some(node.to_owned());
    // It stays whatever becomes of its node.
    spec.tolerations.get_or_insert_default().push(Toleration {
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        ..Toleration::default()
    });
    let kind = Kind::of::<Pod>();
    kind.strategy().default(&mut pod);
    let mut errors = FieldErrors::default();
    kind.strategy().validate(&pod, &Surroundings::default(), &mut errors);
    if !errors.is_empty() {
        return Err(format!("invalid pod: {errors}"));
    }
    if let Some(resource) = reference(&pod) {
        return Err(format!("static pods may not reference {resource}"));
    }
    pod.status = Some(PodStatus { phase: Some("Pending".to_owned()), ..PodStatus::default() });
    Ok(pod)
}

/// The pod, first seen now.
pub(super) fn seen(mut pod: Pod, now: Timestamp) -> Pod {
    pod.metadata.annotations.get_or_insert_default().insert(SEEN.to_owned(), now.to_string());
    pod
}

/// What of the API the pod depends on, which a static one may not.
fn reference(pod: &Pod) -> Option<&'static str> {
    let spec = pod.spec.as_ref()?;
    if spec.service_account_name.as_ref().is_some_and(|name| !name.is_empty()) {
        return Some("serviceaccounts");
    }
    let containers = || spec.init_containers.iter().flatten().chain(&spec.containers);
    let from = |which: fn(&Container) -> bool| containers().any(which);
    let volume = |which: fn(&Volume) -> bool| spec.volumes.iter().flatten().any(which);
    let projects = |volume: &Volume, which: fn(&k8s_openapi::api::core::v1::VolumeProjection) -> bool| {
        volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()).any(which)
    };
    let secrets = spec.image_pull_secrets.as_ref().is_some_and(|secrets| !secrets.is_empty())
        || from(|container| {
            let env = container.env.iter().flatten().filter_map(|env| env.value_from.as_ref());
            env.into_iter().any(|from| from.secret_key_ref.is_some())
                || container.env_from.iter().flatten().any(|from| from.secret_ref.is_some())
        })
        || volume(|volume| volume.secret.is_some())
        || spec.volumes.iter().flatten().any(|volume| projects(volume, |source| source.secret.is_some()));
    if secrets {
        return Some("secrets");
    }
    let maps = from(|container| {
        let env = container.env.iter().flatten().filter_map(|env| env.value_from.as_ref());
        env.into_iter().any(|from| from.config_map_key_ref.is_some())
            || container.env_from.iter().flatten().any(|from| from.config_map_ref.is_some())
    }) || volume(|volume| volume.config_map.is_some())
        || spec.volumes.iter().flatten().any(|volume| projects(volume, |source| source.config_map.is_some()));
    if maps {
        return Some("configmaps");
    }
    if spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty()) {
        return Some("resourceclaims");
    }
    if volume(|volume| volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some()) {
        return Some("persistentvolumeclaims");
    }
    let tokens = |source: &k8s_openapi::api::core::v1::VolumeProjection| source.service_account_token.is_some();
    spec.volumes.iter().flatten().any(|volume| projects(volume, tokens)).then_some("serviceaccounts")
}

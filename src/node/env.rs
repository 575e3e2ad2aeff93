//! The environment of containers: literals, `$(VAR)`, references.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, Pod, Secret};

use super::pod_worker::state::{self, Declared};
use crate::api::rules::resources::{Amounts, amount, amount_of};
use crate::api::{ApiError, Quantity};
use crate::client::Client;

/// A container cannot be configured as the pod asks: reason `CreateContainerConfigError`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct ConfigError(pub(super) String);

impl From<ApiError> for ConfigError {
    fn from(error: ApiError) -> Self {
        Self(error.message().to_owned())
    }
}

/// Facts about pod and node that a container can ask for.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) pod: &'a Pod,
    pub(super) pod_ips: &'a [IpAddr],
    pub(super) host_ip: IpAddr,
    /// What the node offers: stands for limits that are not set.
    pub(super) allocatable: &'a Amounts,
}

impl Facts<'_> {
    /// The value of a field of the pod, as the downward API names it; `None` where there is no such field.
    pub(super) fn field(&self, path: &str) -> Option<String> {
        let meta = &self.pod.metadata;
        let spec = self.pod.spec.as_ref()?;
        let keyed = |map: &Option<BTreeMap<String, String>>, key: &str| {
            map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default()
        };
        if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
            return match map {
                "metadata.labels" => Some(keyed(&meta.labels, key)),
                "metadata.annotations" => Some(keyed(&meta.annotations, key)),
                _ => None,
            };
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Some(match path {
            "metadata.name" => text(&meta.name),
            "metadata.namespace" => text(&meta.namespace),
            "metadata.uid" => text(&meta.uid),
            "metadata.labels" => listed(meta.labels.as_ref()),
            "metadata.annotations" => listed(meta.annotations.as_ref()),
            "spec.nodeName" => text(&spec.node_name),
            "spec.serviceAccountName" => text(&spec.service_account_name),
            "status.hostIP" | "status.hostIPs" => self.host_ip.to_string(),
            "status.podIP" => self.pod_ips.first().map(ToString::to_string).unwrap_or_default(),
            "status.podIPs" => self.pod_ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            _ => return None,
        })
    }

    /// An amount of a container's resources (`limits.cpu`), in units of `divisor`, rounded up.
    pub(super) fn resource(&self, container: &Container, resource: &str, divisor: Option<&str>) -> Option<String> {
        let (bound, name) = resource.split_once('.')?;
        let resources = container.resources.as_ref();
        let limit = resources.and_then(|all| amount_of(all.limits.as_ref(), name)).filter(|amount| !amount.is_zero());
        let value = match bound {
            "limits" => limit.or_else(|| amount_of(Some(self.allocatable), name)),
            "requests" => resources.and_then(|all| amount_of(all.requests.as_ref(), name)).or(limit),
            _ => return None,
        };
        let value = value.unwrap_or(Quantity::ZERO);
        let divisor = divisor.filter(|text| !text.is_empty() && *text != "0");
        let divisor = divisor.map_or(Quantity::from_milli(1000), |text| {
            amount(&k8s_openapi::apimachinery::pkg::api::resource::Quantity(text.to_owned()))
        });
        let (value, divisor) = (value.milli_value(), divisor.milli_value().max(1));
        Some((value / divisor + i64::from(value % divisor > 0)).to_string())
    }
}

/// Labels or annotations as the downward API writes them: a line `key="value"` each.
fn listed(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<_> = map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}")).collect();
    lines.join("\n")
}

/// Reads ConfigMaps and Secrets of one namespace, each at most once.
#[derive(Debug)]
pub(super) struct Sources {
    client: Client,
    namespace: String,
    maps: BTreeMap<String, Option<std::sync::Arc<ConfigMap>>>,
    secrets: BTreeMap<String, Option<std::sync::Arc<Secret>>>,
}

impl Sources {
    pub(super) fn new(client: &Client, namespace: &str) -> Self {
        let (maps, secrets) = Default::default();
        Self { client: client.clone(), namespace: namespace.to_owned(), maps, secrets }
    }

    /// The content of a ConfigMap; `None` where it does not exist and may be missing.
    pub(super) async fn config_map(
        &mut self,
        name: &str,
        optional: bool,
    ) -> Result<Option<BTreeMap<String, Vec<u8>>>, ConfigError> {
        if !self.maps.contains_key(name) {
            let found = self.client.api::<ConfigMap>(&self.namespace).get_opt(name).await?;
            self.maps.insert(name.to_owned(), found);
        }
        let Some(map) = self.maps.get(name).and_then(Option::as_ref) else {
            return missing(optional, || format!("configmap {name:?} not found"));
        };
        let texts = map.data.iter().flatten().map(|(key, text)| (key.clone(), text.clone().into_bytes()));
        let binary = map.binary_data.iter().flatten().map(|(key, bytes)| (key.clone(), bytes.0.clone()));
        Ok(Some(texts.chain(binary).collect()))
    }

    /// The content of a Secret; `None` where it does not exist and may be missing.
    pub(super) async fn secret(
        &mut self,
        name: &str,
        optional: bool,
    ) -> Result<Option<BTreeMap<String, Vec<u8>>>, ConfigError> {
        if !self.secrets.contains_key(name) {
            let found = self.client.api::<Secret>(&self.namespace).get_opt(name).await?;
            self.secrets.insert(name.to_owned(), found);
        }
        let Some(secret) = self.secrets.get(name).and_then(Option::as_ref) else {
            return missing(optional, || format!("secret {name:?} not found"));
        };
        Ok(Some(secret.data.iter().flatten().map(|(key, bytes)| (key.clone(), bytes.0.clone())).collect()))
    }
}

fn missing<T>(optional: bool, message: impl FnOnce() -> String) -> Result<Option<T>, ConfigError> {
    if optional { Ok(None) } else { Err(ConfigError(message())) }
}

/// The environment of a container, which begins with the variables of `services`.
pub(super) async fn environment(
    container: &Container,
    facts: &Facts<'_>,
    services: BTreeMap<String, String>,
    sources: &mut Sources,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut result = services;
    let mut order: Vec<String> = result.keys().cloned().collect();
    let mut set = |result: &mut BTreeMap<String, String>, name: String, value: String| {
        if result.insert(name.clone(), value).is_none() {
            order.push(name);
        }
    };
    for from in container.env_from.iter().flatten() {
        let content = match (&from.config_map_ref, &from.secret_ref) {
            (Some(map), _) => sources.config_map(&map.name, map.optional == Some(true)).await?,
            (_, Some(secret)) => sources.secret(&secret.name, secret.optional == Some(true)).await?,
            _ => None,
        };
        let prefix = from.prefix.as_deref().unwrap_or_default();
        for (key, value) in content.into_iter().flatten() {
            set(&mut result, format!("{prefix}{key}"), String::from_utf8_lossy(&value).into_owned());
        }
    }
    // References see what was set before them, not the Services' variables twice over.
    for variable in container.env.iter().flatten() {
        if let Some(value) = value_of(variable, container, facts, &result, sources).await? {
            set(&mut result, variable.name.clone(), value);
        }
    }
    Ok(order.into_iter().filter_map(|name| result.remove_entry(&name)).collect())
}

async fn value_of(
    variable: &EnvVar,
    container: &Container,
    facts: &Facts<'_>,
    known: &BTreeMap<String, String>,
    sources: &mut Sources,
) -> Result<Option<String>, ConfigError> {
    let Some(from) = &variable.value_from else {
        return Ok(Some(expand(variable.value.as_deref().unwrap_or_default(), |name| known.get(name).cloned())));
    };
    let namespace = facts.pod.metadata.namespace.as_deref().unwrap_or_default();
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    if let Some(field) = &from.field_ref {
        let value = facts.field(&field.field_path);
        return value.map(Some).ok_or_else(|| ConfigError(format!("unsupported fieldPath: {}", field.field_path)));
    }
    if let Some(wanted) = &from.resource_field_ref {
        let of = match &wanted.container_name {
            Some(name) if !name.is_empty() => facts.pod.spec.as_ref().and_then(|spec| state::container(spec, name)),
            _ => None,
        };
        let of = of.map_or(Declared::InSpec(container), |(_, container)| container);
        let divisor = wanted.divisor.as_ref().map(|divisor| divisor.0.as_str());
        let value = facts.resource(&of, &wanted.resource, divisor);
        return value
            .map(Some)
            .ok_or_else(|| ConfigError(format!("unsupported container resource : {}", wanted.resource)));
    }
    if let Some(key) = &from.config_map_key_ref {
        let optional = key.optional == Some(true);
        let content = sources.config_map(&key.name, optional).await?;
        return match content.as_ref().and_then(|content| content.get(&key.key)) {
            Some(value) => Ok(Some(text(value))),
            None => {
                missing(optional, || format!("couldn't find key {} in ConfigMap {namespace}/{}", key.key, key.name))
            }
        };
    }
    if let Some(key) = &from.secret_key_ref {
        let optional = key.optional == Some(true);
        let content = sources.secret(&key.name, optional).await?;
        return match content.as_ref().and_then(|content| content.get(&key.key)) {
            Some(value) => Ok(Some(text(value))),
            None => missing(optional, || format!("couldn't find key {} in Secret {namespace}/{}", key.key, key.name)),
        };
    }
    Ok(Some(String::new()))
}

/// Replaces `$(NAME)` by what `value` knows; `$$` is a dollar sign, and unknown names stay as they are.
pub(super) fn expand(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let (mut expanded, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            expanded.push_str(&value(name).unwrap_or_else(|| format!("$({name})")));
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_variables_are_expanded_as_upstream_does() {
        let value = |name: &str| (name == "A").then(|| "x".to_owned());
        for (text, expanded) in
            [("$(A)", "x"), ("$$(A)", "$(A)"), ("$(B)", "$(B)"), ("a$(A)b$", "axb$"), ("$(A", "$(A"), ("$A $$", "$A $")]
        {
            assert_eq!(expand(text, value), expanded, "{text}");
        }
    }
}

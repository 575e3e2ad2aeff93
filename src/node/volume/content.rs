//! What is in a volume, by its type.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, KeyToPath, PersistentVolume, PersistentVolumeClaim, Pod, Volume, VolumeProjection,
};

use super::Source;
use crate::node::env::{ConfigError, Sources};
use crate::node::machine::Machine;
use crate::node::pod_worker::state::container;
use crate::runtime::{File, FileTree, Medium, MountSource, PathKind};

type Files = BTreeMap<String, File>;

/// Sets up a volume. Files that were set up before are replaced at once.
pub(super) async fn set_up(
    machine: &Arc<Machine>,
    pod: &Pod,
    volume: &Volume,
    before: Option<&Source>,
) -> Result<Source, ConfigError> {
    if let Some(claim) = &volume.persistent_volume_claim {
        return claimed(machine, pod, &claim.claim_name, claim.read_only == Some(true)).await;
    }
    let before = match before {
        Some(Source::Files(before)) => Some(before),
        _ => None,
    };
    files(machine, pod, volume, before).await.map(Source::Files)
}

async fn files(
    machine: &Arc<Machine>,
    pod: &Pod,
    volume: &Volume,
    before: Option<&MountSource>,
) -> Result<MountSource, ConfigError> {
    if let Some(path) = &volume.host_path {
        super::host_path::check(&*machine.runtime, &path.path, path.type_.as_deref().unwrap_or_default()).await?;
        return Ok(MountSource::Host(path.path.clone()));
    }
    let tree = match before {
        Some(MountSource::Files(tree) | MountSource::Directory(tree, _)) => tree.clone(),
        _ => FileTree::default(),
    };
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut sources = Sources::new(&machine.client, namespace);
    let files = if let Some(map) = &volume.config_map {
        let content = sources.config_map(&map.name, map.optional == Some(true)).await?;
        let (items, mode) = (map.items.as_deref(), map.default_mode);
        keyed(content, items, mode, map.optional == Some(true), "configmap", &map.name)?
    } else if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        let content = sources.secret(name, secret.optional == Some(true)).await?;
        let (items, mode) = (secret.items.as_deref(), secret.default_mode);
        keyed(content, items, mode, secret.optional == Some(true), "secret", name)?
    } else if let Some(downward) = &volume.downward_api {
        downward_files(machine, pod, downward.items.as_deref().unwrap_or_default(), downward.default_mode)?
    } else if let Some(projected) = &volume.projected {
        let mut files = Files::new();
        for source in projected.sources.iter().flatten() {
            files.extend(projection(machine, pod, source, projected.default_mode, &mut sources, &tree).await?);
        }
        files
    } else {
        // An emptyDir, or a kind of storage that this node has no driver for: a directory that lives with the pod.
        tree.make_directory("");
        let medium = volume.empty_dir.as_ref().and_then(|empty| empty.medium.as_deref());
        let medium = if medium == Some("Memory") { Medium::Memory } else { Medium::Disk };
        return Ok(MountSource::Directory(tree, medium));
    };
    tree.replace(files);
    Ok(MountSource::Files(tree))
}

async fn projection(
    machine: &Arc<Machine>,
    pod: &Pod,
    source: &VolumeProjection,
    mode: Option<i32>,
    sources: &mut Sources,
    before: &FileTree,
) -> Result<Files, ConfigError> {
    if let Some(map) = &source.config_map {
        let optional = map.optional == Some(true);
        let content = sources.config_map(&map.name, optional).await?;
        return keyed(content, map.items.as_deref(), mode, optional, "configmap", &map.name);
    }
    if let Some(secret) = &source.secret {
        let optional = secret.optional == Some(true);
        let content = sources.secret(&secret.name, optional).await?;
        return keyed(content, secret.items.as_deref(), mode, optional, "secret", &secret.name);
    }
    if let Some(downward) = &source.downward_api {
        return downward_files(machine, pod, downward.items.as_deref().unwrap_or_default(), mode);
    }
    if let Some(wanted) = &source.service_account_token {
        let token = super::token::token(machine, pod, wanted, before.read(&wanted.path)).await?;
        return Ok([(wanted.path.clone(), file(token, mode))].into());
    }
    Ok(Files::new())
}

fn file(content: Vec<u8>, mode: Option<i32>) -> File {
    File { content: content.into(), mode: mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o644) }
}

/// The keys of a ConfigMap or Secret as files: all, or the items at their paths.
fn keyed(
    content: Option<BTreeMap<String, Vec<u8>>>,
    items: Option<&[KeyToPath]>,
    mode: Option<i32>,
    optional: bool,
    what: &str,
    name: &str,
) -> Result<Files, ConfigError> {
    let content = content.unwrap_or_default();
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return Ok(content.into_iter().map(|(key, value)| (key, file(value, mode))).collect());
    };
    let mut files = Files::new();
    for item in items {
        match content.get(&item.key) {
            Some(value) => drop(files.insert(item.path.clone(), file(value.clone(), item.mode.or(mode)))),
            None if optional => {}
            None => {
                return Err(ConfigError(format!("{what} \"{name}\" references non-existent {what} key: {}", item.key)));
            }
        }
    }
    Ok(files)
}

fn downward_files(
    machine: &Machine,
    pod: &Pod,
    items: &[DownwardAPIVolumeFile],
    mode: Option<i32>,
) -> Result<Files, ConfigError> {
    let facts = machine.facts(pod, None);
    let mut files = Files::new();
    for item in items {
        let value = if let Some(field) = &item.field_ref {
            facts.field(&field.field_path).ok_or_else(|| format!("unsupported fieldPath: {}", field.field_path))
        } else if let Some(wanted) = &item.resource_field_ref {
            let name = wanted.container_name.as_deref().unwrap_or_default();
            let found = pod.spec.as_ref().and_then(|spec| container(spec, name));
            let divisor = wanted.divisor.as_ref().map(|divisor| divisor.0.as_str());
            found
                .and_then(|(_, container)| facts.resource(&container, &wanted.resource, divisor))
                .ok_or_else(|| format!("unsupported container resource : {}", wanted.resource))
        } else {
            continue;
        };
        let value = value.map_err(ConfigError)?;
        files.insert(item.path.clone(), file(value.into_bytes(), item.mode.or(mode)));
    }
    Ok(files)
}

/// What a claim's volume has: a path of the node that it names, or else one under the volume's own name.
async fn claimed(machine: &Arc<Machine>, pod: &Pod, name: &str, read_only: bool) -> Result<Source, ConfigError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let claim = machine.client.api::<PersistentVolumeClaim>(namespace).get(name).await?;
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).filter(|name| !name.is_empty());
    let Some(name) = volume else { return Err(ConfigError(format!("PVC {namespace}/{name} is not bound"))) };
    let volume = machine.client.all::<PersistentVolume>().get_opt(&name).await?;
    let spec = volume.as_ref().and_then(|volume| volume.spec.as_ref());
    let host = spec.and_then(|spec| spec.host_path.as_ref());
    let local = spec.and_then(|spec| spec.local.as_ref());
    let path = match (host, local) {
        (Some(host), _) => {
            super::host_path::check(&*machine.runtime, &host.path, host.type_.as_deref().unwrap_or_default()).await?;
            host.path.clone()
        }
        (None, Some(local)) => local.path.clone(),
        (None, None) => format!("/var/lib/kubelet/volumes/{name}"),
    };
    let block = spec.and_then(|spec| spec.volume_mode.as_deref()) == Some("Block");
    if !block && local.is_none() {
        return Ok(Source::Files(MountSource::Host(path)));
    }
    let found = machine.runtime.host_path(&path).await.map_err(|error| ConfigError(error.to_string()))?;
    match found {
        None => Err(ConfigError(format!("path {path:?} does not exist"))),
        Some(PathKind::BlockDevice) if block => Ok(Source::Device { path, read_only }),
        Some(_) if block => Err(ConfigError(format!("path {path:?} is not a block device"))),
        Some(_) => Ok(Source::Files(MountSource::Host(path))),
    }
}

//! Volumes: files that a pod's containers share.

mod content;
mod host_path;
mod token;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod};

use super::env::{ConfigError, expand};
use super::machine::Machine;
use crate::runtime::{Device, Mount, MountSource, Runtime, SandboxId};

/// What a volume that is set up has.
#[derive(Debug)]
enum Source {
    /// Files to mount.
    Files(MountSource),
    /// A block device of the node.
    Device { path: String, read_only: bool },
}

/// The volumes of a pod that are set up, by name.
#[derive(Debug, Default)]
pub(super) struct Volumes(BTreeMap<String, Source>);

impl Volumes {
    /// Sets up all volumes of a pod; `earlier` ones keep their files, which are brought up to date.
    ///
    /// # Errors
    /// The volume that could not be set up, and why.
    pub(super) async fn set_up(
        machine: &Arc<Machine>,
        pod: &Pod,
        earlier: &Self,
    ) -> Result<Self, (String, ConfigError)> {
        let mut volumes = BTreeMap::new();
        let spec = pod.spec.as_ref();
        for volume in spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            let before = earlier.0.get(&volume.name);
            let source = content::set_up(machine, pod, volume, before).await;
            let source = source.map_err(|error| (volume.name.clone(), error))?;
            volumes.insert(volume.name.clone(), source);
        }
        Ok(Self(volumes))
    }

    /// Has the containers of a sandbox see the files as they are now.
    pub(super) async fn show(&self, runtime: &dyn Runtime, sandbox: &SandboxId) {
        for (name, source) in &self.0 {
            if let Source::Files(MountSource::Files(files)) = source
                && let Err(error) = runtime.refresh_files(sandbox, name, files).await
            {
                tracing::warn!(%error, volume = name, "files of a volume not brought up to date");
            }
        }
    }

    /// The mounts of a container.
    pub(super) fn mounts(&self, container: &Container, env: &[(String, String)]) -> Result<Vec<Mount>, ConfigError> {
        let value = |name: &str| env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let mounts = container.volume_mounts.iter().flatten().map(|mount| {
            let source = match self.0.get(&mount.name) {
                Some(Source::Files(source)) => source,
                Some(Source::Device { .. }) => {
                    let name = &mount.name;
                    return Err(ConfigError(format!(
                        "volume {name} has volumeMode Block, but is specified in volumeMounts"
                    )));
                }
                None => return Err(unknown(&mount.name, "volume", container)),
            };
            let sub_path = match mount.sub_path_expr.as_deref().filter(|text| !text.is_empty()) {
                Some(expression) => expanded(expression, value)?,
                None => mount.sub_path.clone().unwrap_or_default(),
            };
            if sub_path.starts_with('/') {
                return Err(ConfigError(format!("error SubPath `{sub_path}` must not be an absolute path")));
            }
            if sub_path.split('/').any(|part| part == "..") {
                return Err(ConfigError(format!("unable to provision SubPath `{sub_path}`: must not contain '..'")));
            }
            Ok(Mount {
                volume: mount.name.clone(),
                path: mount.mount_path.clone(),
                source: source.clone(),
                sub_path,
                read_only: mount.read_only == Some(true),
                propagation: mount.mount_propagation.clone().unwrap_or_default(),
            })
        });
        mounts.collect()
    }

    /// The block devices of a container.
    pub(super) fn devices(&self, container: &Container) -> Result<Vec<Device>, ConfigError> {
        let devices = container.volume_devices.iter().flatten().map(|device| match self.0.get(&device.name) {
            Some(Source::Device { path, read_only }) => {
                Ok(Device { path: device.device_path.clone(), source: path.clone(), read_only: *read_only })
            }
            Some(Source::Files(_)) => {
                let name = &device.name;
                Err(ConfigError(format!("volume {name} has volumeMode Filesystem, but is specified in volumeDevices")))
            }
            None => Err(unknown(&device.name, "block volume", container)),
        });
        devices.collect()
    }

    /// Whether any of a pod's volumes shows content that changes.
    pub(super) fn change(pod: &Pod) -> bool {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        volumes.into_iter().any(|volume| {
            volume.config_map.is_some()
                || volume.secret.is_some()
                || volume.downward_api.is_some()
                || volume.projected.is_some()
        })
    }
}

/// A `subPathExpr` with its variables, all of which must say something.
fn expanded(expression: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, ConfigError> {
    let missing = RefCell::new(BTreeSet::new());
    let text = expand(expression, |name| {
        let found = value(name).filter(|value| !value.is_empty());
        if found.is_none() {
            missing.borrow_mut().insert(name.to_owned());
        }
        found
    });
    let missing: Vec<_> = missing.into_inner().into_iter().collect();
    if missing.is_empty() { Ok(text) } else { Err(ConfigError(format!("missing value for {}", missing.join(", ")))) }
}

fn unknown(name: &str, what: &str, container: &Container) -> ConfigError {
    let container = &container.name;
    ConfigError(format!("cannot find {what} \"{name}\" to mount into container \"{container}\""))
}

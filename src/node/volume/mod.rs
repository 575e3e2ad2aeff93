//! Volumes: files that a pod's containers share.

mod content;
mod token;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod};

use super::env::{ConfigError, expand};
use super::machine::Machine;
use crate::runtime::{Mount, MountSource, Runtime, SandboxId};

/// The volumes of a pod that are set up, by name.
#[derive(Debug, Default)]
pub(super) struct Volumes(BTreeMap<String, MountSource>);

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
            if let MountSource::Files(files) = source
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
            let Some(source) = self.0.get(&mount.name) else {
                let (name, container) = (&mount.name, &container.name);
                return Err(ConfigError(format!(
                    "cannot find volume \"{name}\" to mount into container \"{container}\""
                )));
            };
            let expression = mount.sub_path_expr.as_deref().map(|text| expand(text, value));
            Ok(Mount {
                volume: mount.name.clone(),
                path: mount.mount_path.clone(),
                source: source.clone(),
                sub_path: expression.or_else(|| mount.sub_path.clone()).unwrap_or_default(),
                read_only: mount.read_only == Some(true),
                propagation: mount.mount_propagation.clone().unwrap_or_default(),
            })
        });
        mounts.collect()
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

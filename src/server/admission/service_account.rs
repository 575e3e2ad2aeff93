//! `ServiceAccount`: the account that a pod runs under, and the volume with its token.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, Container, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath, ObjectFieldSelector, Pod,
    ProjectedVolumeSource, ServiceAccount, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};

use super::forbidden;
use crate::api::{Admission, ApiError, Draft, GroupResource, Key, Kind, Object, Operation, Review};
use crate::random::Random;
use crate::store::{Scope, Store, StoreError, StoreEvent};

const DEFAULT: &str = "default";
/// How long a pod waits for the account `default`, which a controller makes with its namespace: upstream looks ten
/// times, a tenth to a fifth of a second apart.
const PATIENCE: Duration = Duration::from_millis(1500);
const MIRROR: &str = "kubernetes.io/config.mirror";
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME: &str = "kube-api-access-";
/// An hour and a little, so that kubelets that renew after 80 % of an hour are never late.
const TOKEN_SECONDS: i64 = 3607;

#[derive(Debug)]
pub(super) struct ServiceAccounts {
    store: Arc<dyn Store>,
    random: Random,
    accounts: GroupResource,
    /// Whether accounts must exist and tokens are mounted.
    strict: bool,
}

impl ServiceAccounts {
    pub(super) fn new(store: Arc<dyn Store>, random: Random, strict: bool) -> Self {
        Self { store, random, accounts: Kind::of::<ServiceAccount>().resource(), strict }
    }

    /// The account under `key`, when it comes where it is one that comes by itself.
    async fn find(&self, key: &Key) -> Result<Option<Object>, StoreError> {
        let found = self.store.get(key).await?;
        if found.is_some() || !self.strict || key.name() != DEFAULT {
            return Ok(found);
        }
        // What comes between this look and the watch is in neither without the revision.
        let revision = self.store.revision().await?;
        if let Some(found) = self.store.get(key).await? {
            return Ok(Some(found));
        }
        let scope = Scope::namespace(self.accounts.clone(), key.namespace());
        let mut changes = self.store.watch(&scope, revision).await?;
        let comes = async {
            while let Some(event) = changes.next().await {
                if let StoreEvent::Change(change) = event?
                    && !change.deleted
                    && change.object.key() == *key
                {
                    return Ok(Some(change.object.clone()));
                }
            }
            Ok(None)
        };
        tokio::time::timeout(PATIENCE, comes).await.unwrap_or(Ok(None))
    }

    /// Adds the volume with token, certificate and namespace to every container that has nothing in its place.
    fn mount_token(&self, pod: &mut Pod) {
        let spec = pod.spec.get_or_insert_default();
        let taken: Vec<_> = spec.volumes.iter().flatten().map(|volume| volume.name.clone()).collect();
        let own = taken.iter().find(|name| name.starts_with(VOLUME)).cloned();
        let name = own.clone().unwrap_or_else(|| {
            loop {
                let name = format!("{VOLUME}{}", self.random.suffix(5));
                if !taken.contains(&name) {
                    break name;
                }
            }
        });
        let mut needed = false;
        let mut mount = |container: &mut Container| {
            let mounts = container.volume_mounts.get_or_insert_default();
            if !mounts.iter().any(|mount| mount.mount_path == MOUNT) {
                needed = true;
                mounts.reserve_exact(1);
                mounts.push(VolumeMount {
                    name: name.clone(),
                    read_only: Some(true),
                    mount_path: MOUNT.to_owned(),
                    ..VolumeMount::default()
                });
            }
        };
        spec.init_containers.iter_mut().flatten().for_each(&mut mount);
        spec.containers.iter_mut().for_each(&mut mount);
        if needed && own.is_none() {
            let volumes = spec.volumes.get_or_insert_default();
            volumes.reserve_exact(1); // they are large, and there will be no other
            volumes.push(token_volume(name));
        }
    }
}

fn token_volume(name: String) -> Volume {
    let namespace = DownwardAPIVolumeFile {
        path: "namespace".to_owned(),
        field_ref: Some(ObjectFieldSelector {
            api_version: Some("v1".to_owned()),
            field_path: "metadata.namespace".to_owned(),
        }),
        ..DownwardAPIVolumeFile::default()
    };
    let sources = vec![
        VolumeProjection {
            service_account_token: Some(ServiceAccountTokenProjection {
                path: "token".to_owned(),
                expiration_seconds: Some(TOKEN_SECONDS),
                audience: None,
            }),
            ..VolumeProjection::default()
        },
        VolumeProjection {
            config_map: Some(ConfigMapProjection {
                name: "kube-root-ca.crt".to_owned(),
                items: Some(vec![KeyToPath { key: "ca.crt".to_owned(), path: "ca.crt".to_owned(), mode: None }]),
                optional: None,
            }),
            ..VolumeProjection::default()
        },
        VolumeProjection {
            downward_api: Some(DownwardAPIProjection { items: Some(vec![namespace]) }),
            ..VolumeProjection::default()
        },
    ];
    Volume {
        name,
        projected: Some(ProjectedVolumeSource { sources: Some(sources), default_mode: Some(0o644) }),
        ..Volume::default()
    }
}

#[async_trait]
impl Admission for ServiceAccounts {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.writes::<Pod>(&[Operation::Create])
    }

    async fn admit(&self, review: &Review<'_>, object: Option<&mut Draft>) -> Result<(), ApiError> {
        let Some(object) = object else { return Ok(()) };
        let Some(pod) = object.typed_mut::<Pod>() else { return Ok(()) };
        let spec = pod.spec.get_or_insert_default();
        let given = spec.service_account_name.clone().filter(|name| !name.is_empty());
        if pod.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR)) {
            return match given {
                Some(_) => Err(forbidden(review, Some(object), "a mirror pod may not reference service accounts")),
                None => Ok(()),
            };
        }
        let name = given.unwrap_or_else(|| DEFAULT.to_owned());
        spec.service_account_name = Some(name.clone());
        spec.service_account = Some(name.clone());

        let namespace = review.target.namespace();
        let stored = self.find(&Key::new(self.accounts.clone(), namespace, &name)).await?;
        let account = stored.as_ref().and_then(|object| object.as_typed::<ServiceAccount>());
        let Some(account) = account else {
            return match self.strict {
                true => Err(forbidden(
                    review,
                    Some(object),
                    format!("error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found"),
                )),
                false => Ok(()),
            };
        };
        if spec.image_pull_secrets.as_ref().is_none_or(Vec::is_empty) {
            spec.image_pull_secrets.clone_from(&account.image_pull_secrets);
        }
        let automount =
            spec.automount_service_account_token.or(account.automount_service_account_token).unwrap_or(true);
        if self.strict && automount {
            self.mount_token(pod);
        }
        Ok(())
    }
}

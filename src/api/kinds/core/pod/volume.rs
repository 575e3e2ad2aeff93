//! Volumes of pods: defaults and rules.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, ProjectedVolumeSource, Volume};

use crate::api::Quantity;
use crate::api::field::{FieldErrors, Path};
use crate::api::rules::image::default_pull_policy;
use crate::api::rules::{complain, given, inclusive, name, one_of, path as paths, present};

use super::defaults::{default_field_ref, text, zero};
use super::environment;

/// Mode of files in volumes: 0644.
const FILE_MODE: i32 = 0o644;

/// Fills in a volume.
pub(super) fn default_volume(volume: &mut Volume) {
    if (Volume { name: volume.name.clone(), ..Volume::default() }) == *volume {
        volume.empty_dir = Some(Default::default());
    }
    if let Some(source) = &mut volume.secret {
        source.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(source) = &mut volume.config_map {
        source.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(source) = &mut volume.downward_api {
        source.default_mode.get_or_insert(FILE_MODE);
        source.items.iter_mut().flatten().for_each(default_downward_file);
    }
    if let Some(source) = &mut volume.projected {
        default_projected(source);
    }
    if let Some(source) = &mut volume.host_path {
        source.type_.get_or_insert_default();
    }
    if let Some(source) = &mut volume.image {
        text(&mut source.pull_policy, default_pull_policy(source.reference.as_deref().unwrap_or_default()));
    }
    if let Some(template) = volume.ephemeral.as_mut().and_then(|source| source.volume_claim_template.as_mut()) {
        template.spec.volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
    }
    if let Some(source) = &mut volume.iscsi {
        text(&mut source.iscsi_interface, "default");
    }
    if let Some(source) = &mut volume.rbd {
        text(&mut source.pool, "rbd");
        text(&mut source.user, "admin");
        text(&mut source.keyring, "/etc/ceph/keyring");
    }
    if let Some(source) = &mut volume.azure_disk {
        text(&mut source.caching_mode, "ReadWrite");
        text(&mut source.fs_type, "ext4");
        text(&mut source.kind, "Shared");
        source.read_only.get_or_insert(false);
    }
    if let Some(source) = &mut volume.scale_io {
        text(&mut source.storage_mode, "ThinProvisioned");
        text(&mut source.fs_type, "xfs");
    }
}

fn default_projected(source: &mut ProjectedVolumeSource) {
    source.default_mode.get_or_insert(FILE_MODE);
    for projection in source.sources.iter_mut().flatten() {
        if let Some(token) = &mut projection.service_account_token {
            token.expiration_seconds.get_or_insert(3600);
        }
        let downward = projection.downward_api.as_mut().and_then(|source| source.items.as_mut());
        downward.into_iter().flatten().for_each(default_downward_file);
    }
}

fn default_downward_file(file: &mut DownwardAPIVolumeFile) {
    if let Some(field) = &mut file.field_ref {
        default_field_ref(field);
    }
    if let Some(resource) = &mut file.resource_field_ref {
        resource.divisor.get_or_insert_with(zero);
    }
}

/// What a file in a volume can take from its pod.
const POD_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Types of paths on the host.
const HOST_PATH_TYPES: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// Checks volumes; answers the good ones by name. `pod` is the pod's name, where it has one.
pub(super) fn volumes<'a>(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    volumes: &'a [Volume],
    pod: Option<&str>,
) -> BTreeMap<&'a str, &'a Volume> {
    let mut good = BTreeMap::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = path.index(index);
        let before = errors.len();
        source(errors, &path, volume, pod);
        let name_path = path.child("name");
        if volume.name.is_empty() {
            errors.required(&name_path, "");
        } else {
            complain(errors, &name_path, &volume.name, name::dns_label(&volume.name));
        }
        if good.contains_key(volume.name.as_str()) {
            errors.duplicate(&name_path, &volume.name);
        }
        if errors.len() == before {
            good.insert(volume.name.as_str(), volume);
        }
    }
    good
}

/// The sources that a volume names, in upstream's order.
fn named_sources(volume: &Volume) -> Vec<&'static str> {
    [
        ("emptyDir", volume.empty_dir.is_some()),
        ("hostPath", volume.host_path.is_some()),
        ("gitRepo", volume.git_repo.is_some()),
        ("gcePersistentDisk", volume.gce_persistent_disk.is_some()),
        ("awsElasticBlockStore", volume.aws_elastic_block_store.is_some()),
        ("secret", volume.secret.is_some()),
        ("nfs", volume.nfs.is_some()),
        ("iscsi", volume.iscsi.is_some()),
        ("glusterfs", volume.glusterfs.is_some()),
        ("flocker", volume.flocker.is_some()),
        ("persistentVolumeClaim", volume.persistent_volume_claim.is_some()),
        ("rbd", volume.rbd.is_some()),
        ("cinder", volume.cinder.is_some()),
        ("cephFS", volume.cephfs.is_some()),
        ("quobyte", volume.quobyte.is_some()),
        ("downwarAPI", volume.downward_api.is_some()),
        ("fc", volume.fc.is_some()),
        ("flexVolume", volume.flex_volume.is_some()),
        ("configMap", volume.config_map.is_some()),
        ("azureFile", volume.azure_file.is_some()),
        ("vsphereVolume", volume.vsphere_volume.is_some()),
        ("photonPersistentDisk", volume.photon_persistent_disk.is_some()),
        ("portworxVolume", volume.portworx_volume.is_some()),
        ("azureDisk", volume.azure_disk.is_some()),
        ("storageos", volume.storageos.is_some()),
        ("projected", volume.projected.is_some()),
        ("scaleIO", volume.scale_io.is_some()),
        ("csi", volume.csi.is_some()),
        ("ephemeral", volume.ephemeral.is_some()),
        ("image", volume.image.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, set)| set.then_some(name))
    .collect()
}

fn source(errors: &mut FieldErrors, path: &Path<'_>, volume: &Volume, pod: Option<&str>) {
    let sources = named_sources(volume);
    let Some((first, others)) = sources.split_first() else {
        return errors.required(path, "must specify a volume type");
    };
    check_source(errors, path, volume, first, pod);
    for other in others {
        errors.forbidden(&path.child(other), "may not specify more than 1 volume type");
    }
}

/// Checks the source that comes first: upstream looks no further into a volume with several.
fn check_source(errors: &mut FieldErrors, parent: &Path<'_>, volume: &Volume, first: &str, pod: Option<&str>) {
    let path = parent.child(first);
    let required = |errors: &mut FieldErrors, field: &str, value: &str| present(errors, &path.child(field), value);
    match first {
        "emptyDir" => {
            let limit = volume.empty_dir.as_ref().and_then(|source| source.size_limit.as_ref());
            if limit.is_some_and(|limit| Quantity::try_from(limit).is_ok_and(Quantity::is_negative)) {
                errors.forbidden(&path.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
            }
        }
        "hostPath" => {
            let Some(source) = &volume.host_path else { return };
            required(errors, "path", &source.path);
            paths::no_backsteps(errors, &path.child("path"), &source.path);
            let kind = given(&source.type_);
            if !HOST_PATH_TYPES.contains(&kind) {
                errors.not_supported(&path.child("type"), kind, HOST_PATH_TYPES);
            }
        }
        "gitRepo" => {
            let Some(source) = &volume.git_repo else { return };
            required(errors, "repository", &source.repository);
            paths::descending(errors, &path.child("directory"), given(&source.directory));
        }
        "secret" => {
            let Some(source) = &volume.secret else { return };
            required(errors, "secretName", given(&source.secret_name));
            check_mode(errors, &path.child("defaultMode"), source.default_mode);
            keys_to_paths(errors, &path.child("items"), source.items.as_deref());
        }
        "configMap" => {
            let Some(source) = &volume.config_map else { return };
            required(errors, "name", &source.name);
            check_mode(errors, &path.child("defaultMode"), source.default_mode);
            keys_to_paths(errors, &path.child("items"), source.items.as_deref());
        }
        "nfs" => {
            let Some(source) = &volume.nfs else { return };
            required(errors, "server", &source.server);
            required(errors, "path", &source.path);
            if !source.path.starts_with('/') {
                errors.invalid(&path.child("path"), &source.path, "must be an absolute path");
            }
        }
        "persistentVolumeClaim" => {
            let name = volume.persistent_volume_claim.as_ref().map_or("", |source| &source.claim_name);
            required(errors, "claimName", name);
        }
        "downwarAPI" => {
            let Some(source) = &volume.downward_api else { return };
            let path = parent.child("downwardAPI");
            check_mode(errors, &path.child("defaultMode"), source.default_mode);
            for file in source.items.iter().flatten() {
                downward_file(errors, &path, file);
            }
        }
        "projected" => {
            if let Some(source) = &volume.projected {
                check_mode(errors, &path.child("defaultMode"), source.default_mode);
                projected(errors, &path, source);
            }
        }
        "csi" => {
            let Some(source) = &volume.csi else { return };
            if source.driver.is_empty() {
                return errors.required(&path.child("driver"), "");
            }
            if source.driver.len() > name::LABEL_MAX {
                errors.too_long(&path.child("driver"), name::LABEL_MAX);
            }
            let complaints = name::dns_subdomain(&source.driver.to_lowercase());
            complain(errors, &path.child("driver"), &source.driver, complaints);
        }
        "ephemeral" => {
            if volume.ephemeral.as_ref().is_some_and(|source| source.volume_claim_template.is_none()) {
                errors.required(&path.child("volumeClaimTemplate"), "");
            }
            if let Some(pod) = pod.filter(|_| !volume.name.is_empty()) {
                let claim = format!("{pod}-{}", volume.name);
                for complaint in name::dns_subdomain(&claim) {
                    let text = format!("PVC name {claim:?}: {complaint}");
                    errors.invalid(&parent.child("name"), &volume.name, text);
                }
            }
        }
        "image" => {
            let Some(source) = &volume.image else { return };
            required(errors, "reference", given(&source.reference));
            let policy = source.pull_policy.as_deref();
            one_of(errors, &path.child("pullPolicy"), policy, &["Always", "IfNotPresent", "Never"]);
        }
        _ => remote_source(errors, &path, volume),
    }
}

/// Sources that nothing in this crate mounts: what they require.
fn remote_source(errors: &mut FieldErrors, path: &Path<'_>, volume: &Volume) {
    let mut needs: Vec<(&str, &str)> = Vec::new();
    if let Some(source) = &volume.gce_persistent_disk {
        needs.push(("pdName", &source.pd_name));
    }
    if let Some(source) = &volume.aws_elastic_block_store {
        needs.push(("volumeID", &source.volume_id));
    }
    if let Some(source) = &volume.iscsi {
        needs.extend([("targetPortal", source.target_portal.as_str()), ("iqn", &source.iqn)]);
        if !(0..=255).contains(&source.lun) {
            errors.invalid(&path.child("lun"), source.lun, inclusive(0, 255));
        }
    }
    if let Some(source) = &volume.glusterfs {
        needs.extend([("endpoints", source.endpoints.as_str()), ("path", &source.path)]);
    }
    if let Some(source) = &volume.rbd {
        needs.push(("image", &source.image));
        if source.monitors.is_empty() {
            errors.required(&path.child("monitors"), "");
        }
    }
    if let Some(source) = &volume.cinder {
        needs.push(("volumeID", &source.volume_id));
    }
    if volume.cephfs.as_ref().is_some_and(|source| source.monitors.is_empty()) {
        errors.required(&path.child("monitors"), "");
    }
    if let Some(source) = &volume.flex_volume {
        needs.push(("driver", &source.driver));
    }
    if let Some(source) = &volume.azure_file {
        needs.extend([("secretName", source.secret_name.as_str()), ("shareName", &source.share_name)]);
    }
    if let Some(source) = &volume.vsphere_volume {
        needs.push(("volumePath", &source.volume_path));
    }
    if let Some(source) = &volume.portworx_volume {
        needs.push(("volumeID", &source.volume_id));
    }
    if let Some(source) = &volume.azure_disk {
        needs.extend([("diskName", source.disk_name.as_str()), ("diskURI", &source.disk_uri)]);
    }
    if let Some(source) = &volume.scale_io {
        let volume = given(&source.volume_name);
        needs.extend([("gateway", source.gateway.as_str()), ("system", &source.system), ("volumeName", volume)]);
    }
    for (field, value) in needs {
        present(errors, &path.child(field), value);
    }
}

fn check_mode(errors: &mut FieldErrors, path: &Path<'_>, mode: Option<i32>) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        errors.invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

fn keys_to_paths(errors: &mut FieldErrors, path: &Path<'_>, items: Option<&[KeyToPath]>) {
    for (index, item) in items.unwrap_or_default().iter().enumerate() {
        let path = path.index(index);
        present(errors, &path.child("key"), &item.key);
        present(errors, &path.child("path"), &item.path);
        paths::descending_not_dotted(errors, &path.child("path"), &item.path);
        check_mode(errors, &path.child("mode"), item.mode);
    }
}

fn downward_file(errors: &mut FieldErrors, path: &Path<'_>, file: &DownwardAPIVolumeFile) {
    present(errors, &path.child("path"), &file.path);
    paths::descending_not_dotted(errors, &path.child("path"), &file.path);
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(field), resource) => {
            environment::field_ref(errors, &path.child("fieldRef"), field, POD_FIELDS);
            if resource.is_some() {
                let text = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.invalid(path, "resource", text);
            }
        }
        (None, Some(resource)) => {
            environment::resource_field_ref(errors, &path.child("resourceFieldRef"), resource, true);
        }
        (None, None) => errors.required(path, "one of fieldRef and resourceFieldRef is required"),
    }
    check_mode(errors, &path.child("mode"), file.mode);
}

fn projected(errors: &mut FieldErrors, path: &Path<'_>, volume: &ProjectedVolumeSource) {
    let mut taken: Vec<&str> = Vec::new();
    for (index, source) in volume.sources.iter().flatten().enumerate() {
        let item = path.child("sources");
        let item = item.index(index);
        let mut kinds = 0;
        let claim = |errors: &mut FieldErrors, path_in_volume: &'_ str, shown: &str, taken: &[&str]| {
            if !path_in_volume.is_empty() && taken.contains(&path_in_volume) {
                errors.invalid(path, shown, "conflicting duplicate paths");
            }
        };
        let secret = source.secret.as_ref().map(|source| ("secret", &source.name, &source.items));
        let config_map = source.config_map.as_ref().map(|source| ("configMap", &source.name, &source.items));
        for (field, name, items) in [secret, config_map].into_iter().flatten() {
            kinds += 1;
            let path = item.child(field);
            present(errors, &path.child("name"), name);
            keys_to_paths(errors, &path.child("items"), items.as_deref());
            for key in items.iter().flatten() {
                claim(errors, &key.path, name, &taken);
                taken.push(&key.path);
            }
        }
        if let Some(source) = &source.downward_api {
            kinds += 1;
            for file in source.items.iter().flatten() {
                downward_file(errors, &item.child("downwardAPI"), file);
                claim(errors, &file.path, &file.path, &taken);
                taken.push(&file.path);
            }
        }
        if let Some(token) = &source.service_account_token {
            kinds += 1;
            let expiration = item.child("serviceAccountToken");
            let expiration = expiration.child("expirationSeconds");
            let seconds = token.expiration_seconds.unwrap_or(0);
            if seconds < 600 {
                errors.invalid(&expiration, seconds, "may not specify a duration less than 10 minutes");
            } else if seconds > 1 << 32 {
                errors.invalid(&expiration, seconds, "may not specify a duration larger than 2^32 seconds");
            }
            present(errors, &path.child("path"), &token.path);
            paths::descending_not_dotted(errors, &path.child("path"), &token.path);
        }
        kinds += usize::from(source.cluster_trust_bundle.is_some()) + usize::from(source.pod_certificate.is_some());
        if kinds > 1 {
            errors.forbidden(&item, "may not specify more than 1 volume type");
        }
    }
}

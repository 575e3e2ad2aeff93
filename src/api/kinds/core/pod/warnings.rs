//! Advice on pods and templates.
//!
//! Source: `pkg/api/pod/warnings.go`.

use k8s_openapi::api::core::v1::{PodAffinityTerm, PodSpec, Volume};

use crate::api::field::Path;
use crate::api::rules::given;
use crate::api::rules::resources::amount_of;

use super::container::each_container;

/// Labels of nodes that have other names now.
const OLD_LABELS: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
];

/// Advice on the spec of a pod or template at `path`, whose labels are given.
pub(crate) fn of_spec(path: &Path<'_>, spec: &PodSpec) -> Vec<String> {
    let mut warnings = Vec::new();
    for (key, text) in OLD_LABELS {
        if spec.node_selector.as_ref().is_some_and(|labels| labels.contains_key(*key)) {
            warnings.push(format!("{}: {text}", path.child("nodeSelector").key(key)));
        }
    }
    selectors(path, spec, &mut warnings);
    if spec.termination_grace_period_seconds.is_some_and(|period| period < 0) {
        let path = path.child("terminationGracePeriodSeconds");
        warnings.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    let secrets = spec.image_pull_secrets.as_deref().unwrap_or_default();
    for (index, secret) in secrets.iter().enumerate() {
        let path = path.child("imagePullSecrets");
        if secret.name.is_empty() {
            warnings.push(format!("{}: invalid empty name {:?}", path.index(index).child("name"), secret.name));
        }
    }
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        let path = path.child("volumes");
        old_volume(&path.index(index), volume, &mut warnings);
    }
    each_container(spec, path, |container, path| {
        let variables = container.env.as_deref().unwrap_or_default();
        for (index, variable) in variables.iter().enumerate() {
            if variables[..index].iter().any(|other| other.name == variable.name) {
                let path = path.child("env");
                let name = &variable.name;
                let text = format!("hides previous definition of {name:?}, which may be dropped when using apply");
                warnings.push(format!("{}: {text}", path.index(index)));
            }
        }
        let ports = container.ports.as_deref().unwrap_or_default();
        for (index, port) in ports.iter().enumerate() {
            let same = |other: &&k8s_openapi::api::core::v1::ContainerPort| {
                other.container_port == port.container_port
                    && other.protocol == port.protocol
                    && other.host_port.unwrap_or(0) == port.host_port.unwrap_or(0)
                    && other.host_ip == port.host_ip
            };
            if let Some(first) = ports[..index].iter().position(|other| same(&other)) {
                let path = path.child("ports");
                warnings.push(format!("{}: duplicate port definition with {}", path.index(index), path.index(first)));
            }
        }
        for (field, amounts) in container
            .resources
            .iter()
            .flat_map(|resources| [("limits", &resources.limits), ("requests", &resources.requests)])
        {
            for name in ["memory", "ephemeral-storage"] {
                if let Some(amount) = amount_of(amounts.as_ref(), name).filter(|amount| !amount.is_whole()) {
                    let path = path.child("resources");
                    let text = format!("fractional byte value {:?} is invalid, must be an integer", amount.to_string());
                    warnings.push(format!("{}: {text}", path.child(field).key(name)));
                }
            }
        }
    });
    warnings
}

/// Selectors that are missing match nothing.
fn selectors(path: &Path<'_>, spec: &PodSpec, warnings: &mut Vec<String>) {
    const TEXT: &str = "a null labelSelector results in matching no pod";
    for (index, constraint) in spec.topology_spread_constraints.iter().flatten().enumerate() {
        if constraint.label_selector.is_none() {
            let path = path.child("topologySpreadConstraints");
            warnings.push(format!("{}: {TEXT}", path.index(index).child("labelSelector")));
        }
        if let Some((key, text)) = OLD_LABELS.iter().find(|(key, _)| *key == constraint.topology_key) {
            let path = path.child("topologySpreadConstraints");
            warnings.push(format!("{}: {key} is {text}", path.index(index).child("topologyKey")));
        }
    }
    let mut check = |path: String, term: &PodAffinityTerm| {
        if term.label_selector.is_none() {
            warnings.push(format!("{path}.labelSelector: {TEXT}"));
        }
    };
    let Some(affinity) = &spec.affinity else { return };
    let together = affinity.pod_affinity.as_ref().map(|affinity| {
        (
            "podAffinity",
            affinity.required_during_scheduling_ignored_during_execution.as_deref(),
            affinity.preferred_during_scheduling_ignored_during_execution.as_deref(),
        )
    });
    let apart = affinity.pod_anti_affinity.as_ref().map(|affinity| {
        (
            "podAntiAffinity",
            affinity.required_during_scheduling_ignored_during_execution.as_deref(),
            affinity.preferred_during_scheduling_ignored_during_execution.as_deref(),
        )
    });
    for (field, required, preferred) in [together, apart].into_iter().flatten() {
        let path = path.child("affinity").child(field).to_string();
        for (index, term) in required.unwrap_or_default().iter().enumerate() {
            check(format!("{path}.requiredDuringSchedulingIgnoredDuringExecution[{index}]"), term);
        }
        for (index, weighted) in preferred.unwrap_or_default().iter().enumerate() {
            let path = format!("{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}].podAffinityTerm");
            check(path, &weighted.pod_affinity_term);
        }
    }
}

fn old_volume(path: &Path<'_>, volume: &Volume, warnings: &mut Vec<String>) {
    for (field, set, text) in [
        (
            "photonPersistentDisk",
            volume.photon_persistent_disk.is_some(),
            "deprecated in v1.11, non-functional in v1.16+",
        ),
        ("gitRepo", volume.git_repo.is_some(), "deprecated in v1.11, and disabled by default in v1.33+"),
        ("scaleIO", volume.scale_io.is_some(), "deprecated in v1.16, non-functional in v1.22+"),
        ("flocker", volume.flocker.is_some(), "deprecated in v1.22, non-functional in v1.25+"),
        ("storageOS", volume.storageos.is_some(), "deprecated in v1.22, non-functional in v1.25+"),
        ("quobyte", volume.quobyte.is_some(), "deprecated in v1.22, non-functional in v1.25+"),
        ("glusterfs", volume.glusterfs.is_some(), "deprecated in v1.25, non-functional in v1.26+"),
        ("cephfs", volume.cephfs.is_some(), "deprecated in v1.28, non-functional in v1.31+"),
        ("rbd", volume.rbd.is_some(), "deprecated in v1.28, non-functional in v1.31+"),
    ] {
        if set {
            warnings.push(format!("{}: {text}", path.child(field)));
        }
    }
}

/// Advice on a workload whose name is no DNS label: its pods get it as part of their names.
pub(crate) fn of_workload_name(name: &Option<String>) -> Option<String> {
    let complaints = crate::api::rules::name::dns_label(given(name));
    (!complaints.is_empty()).then(|| {
        format!(
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [{}]",
            complaints.join(" ")
        )
    })
}

/// Advice on a pod whose name is no DNS label.
pub(super) fn of_pod_name(name: &Option<String>) -> Option<String> {
    let complaints = crate::api::rules::name::dns_label(given(name));
    (!complaints.is_empty()).then(|| {
        format!(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [{}]",
            complaints.join(" ")
        )
    })
}

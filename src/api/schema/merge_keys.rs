//! How a strategic merge patch treats the fields of the built-in types: which lists are merged, and by what key.
//!
//! Source: the `patchStrategy` and `patchMergeKey` tags of `k8s.io/api`, shown as `x-kubernetes-patch-strategy` and
//! `x-kubernetes-patch-merge-key` in the published schemas.

use std::borrow::Cow;

/// What a patch does with the value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Merges objects field by field; replaces lists and everything else.
    Plain,
    /// As [`Merge::Plain`], for a union: the patch says which fields remain.
    RetainKeys,
    /// Replaces even objects.
    Replace,
    /// Merges a list of objects that are the same where this field is.
    By(&'static str),
    /// As [`Merge::By`], and each object is a union.
    ByRetainingKeys(&'static str),
    /// Merges a list of plain values: each stands in it once.
    Set,
}

impl Merge {
    /// `x-kubernetes-patch-strategy`
    pub const fn strategy(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::RetainKeys => Some("retainKeys"),
            Self::Replace => Some("replace"),
            Self::By(_) | Self::Set => Some("merge"),
            Self::ByRetainingKeys(_) => Some("merge,retainKeys"),
        }
    }

    /// `x-kubernetes-patch-merge-key`
    pub const fn key(self) -> Option<&'static str> {
        match self {
            Self::By(key) | Self::ByRetainingKeys(key) => Some(key),
            _ => None,
        }
    }

    /// Whether a list is merged rather than replaced.
    pub const fn merges_list(self) -> bool {
        matches!(self, Self::By(_) | Self::ByRetainingKeys(_) | Self::Set)
    }
}

use Merge::{By, ByRetainingKeys, Plain, Replace, RetainKeys, Set};

/// Type, field, the type that it holds (or its elements are; empty where nothing below matters), and how it merges.
/// `spec` and `status` of a kind and every `metadata` follow from their names, see [`field`].
const FIELDS: &[(&str, &str, &str, Merge)] = &[
    ("Container", "env", "EnvVar", By("name")),
    ("Container", "ports", "ContainerPort", By("containerPort")),
    ("Container", "volumeDevices", "VolumeDevice", By("devicePath")),
    ("Container", "volumeMounts", "VolumeMount", By("mountPath")),
    ("ContainerStatus", "allocatedResourcesStatus", "ResourceStatus", By("name")),
    ("ContainerStatus", "volumeMounts", "VolumeMountStatus", By("mountPath")),
    ("EphemeralContainer", "env", "EnvVar", By("name")),
    ("EphemeralContainer", "ports", "ContainerPort", By("containerPort")),
    ("EphemeralContainer", "volumeDevices", "VolumeDevice", By("devicePath")),
    ("EphemeralContainer", "volumeMounts", "VolumeMount", By("mountPath")),
    ("PodSpec", "containers", "Container", By("name")),
    ("PodSpec", "ephemeralContainers", "EphemeralContainer", By("name")),
    ("PodSpec", "hostAliases", "HostAlias", By("ip")),
    ("PodSpec", "imagePullSecrets", "LocalObjectReference", By("name")),
    ("PodSpec", "initContainers", "Container", By("name")),
    ("PodSpec", "resourceClaims", "PodResourceClaim", ByRetainingKeys("name")),
    ("PodSpec", "schedulingGates", "PodSchedulingGate", By("name")),
    ("PodSpec", "topologySpreadConstraints", "TopologySpreadConstraint", By("topologyKey")),
    ("PodSpec", "volumes", "Volume", ByRetainingKeys("name")),
    ("PodStatus", "conditions", "PodCondition", By("type")),
    ("PodStatus", "hostIPs", "HostIP", By("ip")),
    ("PodStatus", "podIPs", "PodIP", By("ip")),
    ("PodStatus", "resourceClaimStatuses", "PodResourceClaimStatus", ByRetainingKeys("name")),
    ("PodTemplate", "template", "PodTemplateSpec", Plain),
    ("PodTemplateSpec", "spec", "PodSpec", Plain),
    ("Volume", "ephemeral", "EphemeralVolumeSource", Plain),
    ("EphemeralVolumeSource", "volumeClaimTemplate", "PersistentVolumeClaimTemplate", Plain),
    ("ObjectMeta", "finalizers", "", Set),
    ("ObjectMeta", "ownerReferences", "OwnerReference", By("uid")),
    ("ComponentStatus", "conditions", "ComponentCondition", By("type")),
    ("NamespaceStatus", "conditions", "NamespaceCondition", By("type")),
    ("NodeSpec", "podCIDRs", "", Set),
    ("NodeStatus", "addresses", "NodeAddress", By("type")),
    ("NodeStatus", "conditions", "NodeCondition", By("type")),
    ("PersistentVolumeClaimStatus", "conditions", "PersistentVolumeClaimCondition", By("type")),
    ("ReplicationControllerSpec", "template", "PodTemplateSpec", Plain),
    ("ReplicationControllerStatus", "conditions", "ReplicationControllerCondition", By("type")),
    ("ServiceAccount", "secrets", "ObjectReference", By("name")),
    ("ServiceSpec", "ports", "ServicePort", By("port")),
    ("ServiceStatus", "conditions", "Condition", By("type")),
    ("DaemonSetSpec", "template", "PodTemplateSpec", Plain),
    ("DaemonSetStatus", "conditions", "DaemonSetCondition", By("type")),
    ("DeploymentSpec", "strategy", "DeploymentStrategy", RetainKeys),
    ("DeploymentSpec", "template", "PodTemplateSpec", Plain),
    ("DeploymentStatus", "conditions", "DeploymentCondition", By("type")),
    ("ReplicaSetSpec", "template", "PodTemplateSpec", Plain),
    ("ReplicaSetStatus", "conditions", "ReplicaSetCondition", By("type")),
    ("StatefulSetSpec", "template", "PodTemplateSpec", Plain),
    ("StatefulSetStatus", "conditions", "StatefulSetCondition", By("type")),
    ("CronJobSpec", "jobTemplate", "JobTemplateSpec", Plain),
    ("JobTemplateSpec", "spec", "JobSpec", Plain),
    ("JobSpec", "template", "PodTemplateSpec", Plain),
    ("JobStatus", "conditions", "JobCondition", By("type")),
    ("HorizontalPodAutoscalerStatus", "conditions", "HorizontalPodAutoscalerCondition", By("type")),
    ("PodDisruptionBudgetSpec", "selector", "LabelSelector", Replace),
    ("PodDisruptionBudgetStatus", "conditions", "Condition", By("type")),
    ("ServiceCIDRStatus", "conditions", "Condition", By("type")),
    ("CSINodeSpec", "drivers", "CSINodeDriver", By("name")),
    ("ResourceClaimStatus", "reservedFor", "ResourceClaimConsumerReference", By("uid")),
    ("FlowSchemaStatus", "conditions", "FlowSchemaCondition", By("type")),
    ("PriorityLevelConfigurationStatus", "conditions", "PriorityLevelConfigurationCondition", By("type")),
    ("MutatingWebhookConfiguration", "webhooks", "MutatingWebhook", By("name")),
    ("ValidatingWebhookConfiguration", "webhooks", "ValidatingWebhook", By("name")),
    ("MutatingWebhook", "matchConditions", "MatchCondition", By("name")),
    ("ValidatingWebhook", "matchConditions", "MatchCondition", By("name")),
    ("MutatingAdmissionPolicySpec", "matchConditions", "MatchCondition", By("name")),
    ("ValidatingAdmissionPolicySpec", "matchConditions", "MatchCondition", By("name")),
    ("ValidatingAdmissionPolicySpec", "variables", "Variable", By("name")),
    ("APIServiceStatus", "conditions", "APIServiceCondition", By("type")),
];

/// Lists whose elements are told apart by more fields than the one that patches merge by.
const LIST_KEYS: &[(&str, &str, &[&str])] = &[
    ("Container", "ports", &["containerPort", "protocol"]),
    ("EphemeralContainer", "ports", &["containerPort", "protocol"]),
    ("PodSpec", "topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("ServiceSpec", "ports", &["port", "protocol"]),
];

/// What a field of a type holds and how it merges. `of` and the answer are names as `PodSpec`; empty for types below
/// which nothing special is known.
///
/// ```
/// use orchestrion::api::schema::merge_keys::{Merge, field};
/// assert_eq!(field("Deployment", "spec").0, "DeploymentSpec");
/// assert_eq!(field("PodSpec", "containers"), ("Container".into(), Merge::By("name")));
/// assert_eq!(field("PodSpec", "tolerations"), ("".into(), Merge::Plain));
/// ```
pub fn field(of: &str, name: &str) -> (Cow<'static, str>, Merge) {
    if let Some((_, _, holds, merge)) = FIELDS.iter().find(|row| (row.0, row.1) == (of, name)) {
        return (Cow::Borrowed(holds), *merge);
    }
    let holds = match name {
        "metadata" if !of.is_empty() => Cow::Borrowed("ObjectMeta"),
        "spec" if !of.is_empty() => Cow::Owned(format!("{of}Spec")),
        "status" if !of.is_empty() => Cow::Owned(format!("{of}Status")),
        _ => Cow::Borrowed(""),
    };
    (holds, Plain)
}

/// `x-kubernetes-list-map-keys` of a list that is merged by key.
pub fn list_keys(of: &str, name: &str) -> Vec<&'static str> {
    let several = LIST_KEYS.iter().find(|row| (row.0, row.1) == (of, name)).map(|row| row.2.to_vec());
    several.unwrap_or_else(|| field(of, name).1.key().into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The fields that upstream's v1.36 tags with a patch strategy, of the types of stable groups: type, field,
    /// strategy, key.
    const UPSTREAM: &str = "
        APIServiceStatus conditions merge type
        CSINodeSpec drivers merge name
        ComponentStatus conditions merge type
        Container env merge name
        Container ports merge containerPort
        Container volumeDevices merge devicePath
        Container volumeMounts merge mountPath
        ContainerStatus allocatedResourcesStatus merge name
        ContainerStatus volumeMounts merge mountPath
        DaemonSetStatus conditions merge type
        DeploymentSpec strategy retainKeys
        DeploymentStatus conditions merge type
        EphemeralContainer env merge name
        EphemeralContainer ports merge containerPort
        EphemeralContainer volumeDevices merge devicePath
        EphemeralContainer volumeMounts merge mountPath
        FlowSchemaStatus conditions merge type
        HorizontalPodAutoscalerStatus conditions merge type
        JobStatus conditions merge type
        MutatingAdmissionPolicySpec matchConditions merge name
        MutatingWebhook matchConditions merge name
        MutatingWebhookConfiguration webhooks merge name
        NamespaceStatus conditions merge type
        NodeSpec podCIDRs merge
        NodeStatus addresses merge type
        NodeStatus conditions merge type
        ObjectMeta finalizers merge
        ObjectMeta ownerReferences merge uid
        PersistentVolumeClaimStatus conditions merge type
        PodDisruptionBudgetSpec selector replace
        PodDisruptionBudgetStatus conditions merge type
        PodSpec containers merge name
        PodSpec ephemeralContainers merge name
        PodSpec hostAliases merge ip
        PodSpec imagePullSecrets merge name
        PodSpec initContainers merge name
        PodSpec resourceClaims merge,retainKeys name
        PodSpec schedulingGates merge name
        PodSpec topologySpreadConstraints merge topologyKey
        PodSpec volumes merge,retainKeys name
        PodStatus conditions merge type
        PodStatus hostIPs merge ip
        PodStatus podIPs merge ip
        PodStatus resourceClaimStatuses merge,retainKeys name
        PriorityLevelConfigurationStatus conditions merge type
        ReplicaSetStatus conditions merge type
        ReplicationControllerStatus conditions merge type
        ResourceClaimStatus reservedFor merge uid
        ServiceAccount secrets merge name
        ServiceCIDRStatus conditions merge type
        ServiceSpec ports merge port
        ServiceStatus conditions merge type
        StatefulSetStatus conditions merge type
        ValidatingAdmissionPolicySpec matchConditions merge name
        ValidatingAdmissionPolicySpec variables merge name
        ValidatingWebhook matchConditions merge name
        ValidatingWebhookConfiguration webhooks merge name
    ";

    #[test]
    fn the_fields_that_merge_are_those_that_upstream_tags() {
        let ours = FIELDS.iter().filter_map(|(of, field, _, merge)| {
            let words = [Some(*of), Some(*field), Some(merge.strategy()?), merge.key()];
            Some(words.into_iter().flatten().collect::<Vec<_>>().join(" "))
        });
        let upstream = UPSTREAM.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
        let (ours, upstream): (BTreeSet<_>, BTreeSet<_>) = (ours.collect(), upstream.collect());
        assert_eq!(ours.symmetric_difference(&upstream).collect::<Vec<_>>(), Vec::<&String>::new());
    }

    #[test]
    fn lists_that_upstream_only_keys_for_server_side_apply_are_replaced() {
        for (of, name) in [
            ("CertificateSigningRequestStatus", "conditions"),
            ("ResourceRequirements", "claims"),
            ("PodSpec", "tolerations"),
            ("ServiceAccount", "imagePullSecrets"),
        ] {
            assert_eq!(field(of, name).1, Plain, "{of}.{name}");
        }
    }
}

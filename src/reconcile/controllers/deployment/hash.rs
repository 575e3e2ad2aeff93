//! The hash by which a ReplicaSet is named after its pod template.

use k8s_openapi::api::core::v1::PodTemplateSpec;

/// The label that tells the pods of one ReplicaSet from those of another.
pub(super) const LABEL: &str = "pod-template-hash";

/// The characters of hashes: as of generated names.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The hash of a pod template. `collisions` counts how often a hash turned out to be taken by another template.
///
/// FNV-1a as upstream has it, but over the template's JSON: upstream's is over a dump of Go's memory.
pub(super) fn of(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let mut bytes = serde_json::to_vec(template).unwrap_or_default();
    if let Some(collisions) = collisions {
        bytes.extend(collisions.to_le_bytes());
    }
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

/// Whether two templates are the same but for the hash label.
pub(super) fn same_template(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    a.spec == b.spec && without_hash(a) == without_hash(b)
}

fn without_hash(template: &PodTemplateSpec) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
    let mut meta = template.metadata.clone().unwrap_or_default();
    if let Some(labels) = &mut meta.labels {
        labels.remove(LABEL);
    }
    meta.labels = meta.labels.filter(|labels| !labels.is_empty());
    meta
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collision_changes_the_hash() {
        let template = PodTemplateSpec::default();
        assert_eq!(of(&template, None), of(&template, None));
        assert_ne!(of(&template, None), of(&template, Some(1)));
        assert!(of(&template, None).bytes().all(|byte| ALPHABET.contains(&byte)));
    }
}

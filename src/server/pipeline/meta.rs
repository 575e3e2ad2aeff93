//! The metadata that is the server's.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::field::Path;
use crate::api::{ApiError, Call, Draft, FieldErrors, GroupKind, Kind, Object, Target};
use crate::server::error;

/// The longest beginning of a generated name: a label less the suffix.
const PREFIX_MAX: usize = 63 - SUFFIX;
const SUFFIX: usize = 5;

/// Forgets what clients may not set on creation.
pub(super) fn wipe(meta: &mut ObjectMeta) {
    meta.creation_timestamp = None;
    meta.deletion_timestamp = None;
    meta.deletion_grace_period_seconds = None;
    meta.uid = None;
    meta.self_link = None;
    meta.managed_fields = None;
}

/// The namespace of the request becomes that of the object.
pub(super) fn enter_namespace(meta: &mut ObjectMeta, target: &Target) -> Result<(), ApiError> {
    if !target.kind.namespaced {
        meta.namespace = None;
        return Ok(());
    }
    match meta.namespace.as_deref().unwrap_or_default() {
        given if given == target.namespace() => Ok(()),
        "" => {
            meta.namespace = Some(target.namespace().to_owned());
            Ok(())
        }
        _ => Err(error::namespace_mismatch()),
    }
}

/// The name of the object must be the one that was asked for.
pub(super) fn check_name(meta: &ObjectMeta, name: &str) -> Result<(), ApiError> {
    match meta.name.as_deref().unwrap_or_default() {
        given if given == name => Ok(()),
        "" => Err(error::name_undeterminable()),
        given => Err(error::name_mismatch(given, name)),
    }
}

/// Whether the server is to make the name up.
pub(super) fn wants_name(meta: &ObjectMeta) -> bool {
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    !given(&meta.name) && given(&meta.generate_name)
}

/// A name with that beginning. `suffix` makes random ends.
pub(super) fn generated(prefix: &str, suffix: impl FnOnce(usize) -> String) -> String {
    let end = (0..=prefix.len().min(PREFIX_MAX)).rev().find(|end| prefix.is_char_boundary(*end)).unwrap_or_default();
    format!("{}{}", &prefix[..end], suffix(SUFFIX))
}

/// Keeps what an update may not change, before the strategy sees the object.
pub(super) fn keep(new: &mut ObjectMeta, old: &ObjectMeta) {
    new.generation = old.generation;
    if new.uid.as_deref().is_none_or(str::is_empty) {
        new.uid.clone_from(&old.uid);
    }
    new.creation_timestamp.clone_from(&old.creation_timestamp);
    if old.deletion_timestamp.is_some() {
        new.deletion_timestamp.clone_from(&old.deletion_timestamp);
    }
    if new.deletion_grace_period_seconds.is_none() {
        new.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
    }
    new.self_link = None;
    new.managed_fields = None;
}

/// The version that an update was made from must be the stored one; an update without version is taken as one of
/// the stored one, where the kind allows that.
pub(super) fn check_version(kind: &Kind, new: &mut ObjectMeta, old: &Object) -> Result<(), ApiError> {
    let given = new.resource_version.as_deref().unwrap_or_default();
    let version = match given {
        "" => 0,
        text => text
            .parse::<u64>()
            .map_err(|_| error::plain(format!("strconv.ParseUint: parsing {text:?}: invalid syntax")))?,
    };
    if version == 0 && kind.strategy().allows_unconditional_update() {
        new.resource_version.clone_from(&old.meta().resource_version);
        return Ok(());
    }
    if version == 0 {
        let mut errors = FieldErrors::new();
        let metadata = Path::new("metadata");
        errors.invalid(&metadata.child("resourceVersion"), 0, "must be specified for an update");
        let resource = kind.resource();
        // Upstream shows the resource where the kind should stand.
        let shown = GroupKind { group: resource.group().to_owned(), kind: resource.resource().to_owned() };
        return Err(ApiError::invalid(&shown, old.name(), &errors));
    }
    if version != old.revision().get() {
        return Err(ApiError::modified(&kind.resource(), old.name()));
    }
    // The same number may have been written differently.
    new.resource_version.clone_from(&old.meta().resource_version);
    Ok(())
}

/// A UID that the caller names must be the object's.
pub(in crate::server) fn check_uid(kind: &Kind, wanted: Option<&str>, object: &Object) -> Result<(), ApiError> {
    match wanted.filter(|uid| !uid.is_empty()) {
        Some(wanted) if wanted != object.uid() => Err(ApiError::conflict(
            &kind.resource(),
            object.name(),
            format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {}", object.uid()),
        )),
        _ => Ok(()),
    }
}

/// Warns of an owner that is named twice, and names it once.
pub(super) fn one_owner_each(meta: &mut ObjectMeta, call: &Call, admitted: bool) {
    let Some(owners) = meta.owner_references.as_mut().filter(|owners| owners.len() > 1) else { return };
    let before = owners.len();
    let mut seen = std::collections::BTreeSet::new();
    let mut twice = Vec::new();
    owners.retain(|owner| {
        let new = seen.insert(owner.uid.clone());
        if !new && !twice.contains(&owner.uid) {
            twice.push(owner.uid.clone());
        }
        new
    });
    if owners.len() < before {
        let when = if admitted { " after mutating admission" } else { "" };
        call.warn(format!(
            ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in \
             1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) \
             observed: {}",
            twice.join(", ")
        ));
    }
}

/// An object that an update is to create: its name is the one of the URL, and it has no version yet.
pub(in crate::server) fn wipe_version(draft: &mut Draft, name: &str) -> Result<(), ApiError> {
    check_name(draft.meta(), name)?;
    draft.meta_mut().resource_version = None;
    Ok(())
}

//! Patch: an update made from the stored version.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::decode::{Arena, Document};
use crate::api::field::Path;
use crate::api::{
    ApiError, Call, Draft, FieldErrors, FieldValidation, GroupKind, KindRef, Object, Patch, Reason, Target,
    WriteOptions,
};
use crate::server::convert::from_stored;
use crate::server::patch;
use crate::server::pipeline::{Inner, Part, Pipeline};
use crate::server::subresource::{self, scale};

impl Inner {
    pub(in crate::server) async fn patch(
        &self,
        call: &Call,
        target: &Target,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        if matches!(patch, Patch::Apply { .. }) {
            return Err(ApiError::new(
                Reason::UnsupportedMediaType,
                "server-side apply is not supported yet - accepted media types include: application/json-patch+json, \
                 application/merge-patch+json, application/strategic-merge-patch+json",
            ));
        }
        if target.subresource == scale::NAME {
            // Boxed: every patch would have room for it.
            return Box::pin(self.patch_scale(call, target, patch, options)).await;
        }
        let part = subresource::part(target).ok_or_else(crate::server::error::no_such_resource)?;
        let stored = self.stored_target(target)?;
        let mut propose = |old: &Object| {
            let current = from_stored(&target.kind, old.clone())?;
            let new = patched(&target.kind, &current, patch, options.field_validation, call)?;
            if part == Part::Main {
                self.check_spoken(target, &new, Some(old))?;
            }
            self.to_stored(new)
        };
        let updated = Pipeline::new(self, call, &stored, options.dry_run).update(part, &mut propose).await?;
        from_stored(&target.kind, updated)
    }
}

/// The object that a patch makes of another.
pub(in crate::server) fn patched(
    kind: &KindRef,
    current: &Object,
    patch: &Patch,
    validation: FieldValidation,
    call: &Call,
) -> Result<Draft, ApiError> {
    if let Some(draft) = with_other_metadata(kind, current, patch, validation, call) {
        return Ok(draft);
    }
    // A merge patch needs no values of its own: it joins two documents that are there. The other forms do.
    let arena = Arena::default();
    let (value, json);
    let document = match patch {
        Patch::Merge(changes) => {
            patch::check_merge(changes)?;
            json = current.json();
            let mut document = Document::read(&arena, &json)?;
            document.merge(changes);
            document
        }
        _ => {
            value = patch::apply(patch, &current.to_value()?, kind)?;
            Document::of(&arena, &value)
        }
    };
    let refuse = |why: String| refused(&document.to_value(), why);
    for (field, expected) in [("apiVersion", kind.api_version()), ("kind", kind.kind.clone())] {
        if document.text(field) != Some(&expected) {
            return Err(refuse(format!("{field} may not be changed: this is a {} {}", kind.api_version(), kind.kind)));
        }
    }
    let decoded = kind.strategy().read(&document).and_then(|decoded| decoded.accept(validation, call));
    Ok(Draft::of(kind.clone(), decoded.map_err(|error| refuse(error.to_string()))?))
}

/// What a merge patch of the metadata alone (labels, annotations, finalizers: most patches) makes of an object, whose
/// content then need not be made anew. `None` where it is another patch, and where the outcome is no good: why, whoever
/// looks at the whole can tell.
fn with_other_metadata(
    kind: &KindRef,
    current: &Object,
    patch: &Patch,
    validation: FieldValidation,
    call: &Call,
) -> Option<Draft> {
    #[derive(Deserialize)]
    struct Header {
        metadata: ObjectMeta,
    }
    let Patch::Merge(changes) = patch else { return None };
    let fields = changes.as_object()?;
    let known = current.kind().ptr_eq(kind);
    if !known || fields.len() != 1 || !fields.get("metadata")?.is_object() {
        return None;
    }
    if let Some(draft) = with_other_texts(current, fields.get("metadata")?) {
        return Some(draft);
    }
    let own = serde_json::to_value(current.meta()).map(|meta| json!({ "metadata": meta })).ok()?;
    let arena = Arena::default();
    let mut document = Document::of(&arena, &own);
    document.merge(changes);
    let decoded = document.decode::<Header>().ok()?.accept(validation, call).ok()?;
    let mut draft = current.draft();
    *draft.meta_mut() = decoded.metadata;
    Some(draft)
}

/// What a merge patch of labels and annotations makes of an object; `None` where it is another one.
fn with_other_texts(current: &Object, changes: &Value) -> Option<Draft> {
    let (mut maps, mut draft) = (Vec::new(), current.draft());
    for (field, entries) in changes.as_object()? {
        let entries = entries.as_object()?;
        if !["labels", "annotations"].contains(&field.as_str())
            || !entries.values().all(|value| value.is_string() || value.is_null())
        {
            return None;
        }
        maps.push((field.as_str(), entries));
    }
    let meta = draft.meta_mut();
    for (field, entries) in maps {
        let texts = if field == "labels" { &mut meta.labels } else { &mut meta.annotations };
        let texts = texts.get_or_insert_default();
        for (name, value) in entries {
            match value.as_str() {
                Some(text) => drop(texts.insert(name.clone(), text.to_owned())),
                None => drop(texts.remove(name)),
            }
        }
    }
    Some(draft)
}

/// The patch made something that is no object of the kind.
fn refused(value: &Value, why: String) -> ApiError {
    let mut errors = FieldErrors::new();
    errors.invalid(&Path::new("patch"), value.to_string(), why);
    ApiError::invalid(&GroupKind { group: String::new(), kind: String::new() }, "", &errors)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::core::v1::ConfigMap;
    use proptest::prelude::*;

    use super::*;
    use crate::api::Revision;

    fn texts<T: proptest::strategy::Strategy>(
        value: T,
    ) -> impl proptest::strategy::Strategy<Value = BTreeMap<String, T::Value>> {
        prop::collection::btree_map("[ab]", value, 0..3)
    }

    proptest! {
        #[test]
        fn the_short_way_of_labels_and_annotations_is_that_of_a_merge_patch(
            own in prop::option::of(texts("[xy]")),
            labels in texts(prop::option::of("[xy]")),
            annotations in texts(prop::option::of("[xy]")),
        ) {
            let mut map = ConfigMap::default();
            map.metadata.labels = own;
            let current = Draft::new(map).seal(Revision::from(1));
            let changes = json!({ "labels": labels, "annotations": annotations });
            let short = with_other_texts(&current, &changes).expect("such a patch has a short way");

            let mut whole = current.to_value().unwrap();
            json_patch::merge(&mut whole, &json!({ "metadata": changes }));
            let whole: ConfigMap = serde_json::from_value(whole).unwrap();
            prop_assert_eq!(short.typed::<ConfigMap>(), Some(&whole));
        }
    }

    #[test]
    fn a_patch_of_more_has_no_short_way() {
        let current = Draft::new(ConfigMap::default()).seal(Revision::from(1));
        for changes in [json!({ "labels": null }), json!({ "labels": { "a": 1 } }), json!({ "finalizers": ["a/b"] })] {
            assert!(with_other_texts(&current, &changes).is_none(), "{changes}");
        }
    }
}

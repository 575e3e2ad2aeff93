//! Applying manifests: create what is missing, change what differs, remove what was applied before and is no longer
//! said. What others have set meanwhile stays.

use serde_json::{Map, Value, json};

use super::Client;
use crate::api::manifest::{self, ManifestError};
use crate::api::schema::merge_keys::{self, Merge};
use crate::api::{ApiError, Draft, Object, Patch, WriteOptions};

/// Where an object remembers what was last applied, as kubectl does.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const MANAGER: &str = "kubectl-client-side-apply";
/// How often an object may come or go between a look and a write.
const ATTEMPTS: usize = 5;

/// What applying an object did.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// There was none.
    Created(Object),
    /// It differed.
    Configured(Object),
    /// It was as it should be.
    Unchanged(Object),
}

impl Applied {
    /// The object as it is now.
    pub fn object(&self) -> &Object {
        match self {
            Self::Created(object) | Self::Configured(object) | Self::Unchanged(object) => object,
        }
    }
}

/// Why a manifest was not applied.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// It cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The API refused one of its objects; those before it are applied.
    #[error("line {line}: {source}")]
    Refused {
        /// Where the object stands.
        line: usize,
        /// Why.
        source: ApiError,
    },
}

impl Client {
    /// Applies every object of a YAML or JSON manifest, in order; those that do not say in which namespace they live
    /// go to `namespace`.
    ///
    /// ```
    /// # async fn run(client: orchestrion::client::Client) -> Result<(), orchestrion::client::ApplyError> {
    /// let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n";
    /// for applied in client.apply_manifest(manifest, "default").await? {
    ///     println!("{:?}", applied.object());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Where the manifest cannot be read (then nothing is applied), or an object is refused.
    pub async fn apply_manifest(&self, manifest: &str, namespace: &str) -> Result<Vec<Applied>, ApplyError> {
        let mut applied = Vec::new();
        for entry in manifest::read(manifest, self.backend().kinds())? {
            let done = self.apply(entry.draft, namespace).await;
            applied.push(done.map_err(|source| ApplyError::Refused { line: entry.line, source })?);
        }
        Ok(applied)
    }

    /// Deletes every object of a manifest, the last first. Those that are not there are passed over.
    ///
    /// # Errors
    /// Where the manifest cannot be read, or a deletion is refused.
    pub async fn delete_manifest(&self, manifest: &str, namespace: &str) -> Result<(), ApplyError> {
        for entry in manifest::read(manifest, self.backend().kinds())?.into_iter().rev() {
            let meta = entry.draft.meta();
            let api = self.dynamic(entry.draft.kind().clone(), meta.namespace.as_deref().unwrap_or(namespace));
            match api.delete(meta.name.as_deref().unwrap_or_default(), &Default::default()).await {
                Err(source) if !source.is_not_found() => return Err(ApplyError::Refused { line: entry.line, source }),
                _ => {}
            }
        }
        Ok(())
    }

    /// Applies one object, as `kubectl apply` does on the client's side.
    ///
    /// # Errors
    /// Where the API refuses.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it open whether the object was written.
    pub async fn apply(&self, mut object: Draft, namespace: &str) -> Result<Applied, ApiError> {
        let kind = object.kind().clone();
        if kind.namespaced && object.meta().namespace.is_none() {
            object.meta_mut().namespace = Some(namespace.to_owned());
        }
        let api = self.dynamic(kind.clone(), object.meta().namespace.as_deref().unwrap_or_default());
        let options = WriteOptions { field_manager: Some(MANAGER.to_owned()), ..WriteOptions::default() };
        let Some(name) = object.meta().name.clone() else {
            return api.create(object, &options).await.map(Applied::Created);
        };
        if let Some(annotations) = &mut object.meta_mut().annotations {
            annotations.remove(LAST_APPLIED);
        }
        let stated = sorted(object.body().to_value().map_err(ApiError::internal)?);
        let mut remembered = stated.clone();
        if let Some(meta) = remembered.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.entry("annotations").or_insert_with(|| json!({}));
        }
        let remembered = format!("{}\n", sorted(remembered));
        object.meta_mut().annotations.get_or_insert_default().insert(LAST_APPLIED.to_owned(), remembered.clone());

        let mut attempt = 1;
        loop {
            let current = match api.get(&name).await {
                Err(error) if error.is_not_found() => match api.create(object.clone(), &options).await {
                    Err(error) if error.is_already_exists() && attempt < ATTEMPTS => {
                        attempt += 1;
                        continue;
                    }
                    created => return created.map(Applied::Created),
                },
                current => current?,
            };
            let before = current.meta().annotations.as_ref().and_then(|annotations| annotations.get(LAST_APPLIED));
            let before = before.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| json!({}));
            // Types that are known here have lists that merge by key; of others lists are replaced.
            let is_typed = kind.body_type() != std::any::TypeId::of::<crate::api::Dynamic>();
            let mut patch = changes(&before, &stated, is_typed.then_some(kind.kind.as_str()));
            patch["metadata"]["annotations"][LAST_APPLIED] = json!(remembered);
            let patch = if is_typed { Patch::Strategic(patch) } else { Patch::Merge(patch) };
            let patched = match api.patch(&name, "", patch, &options).await {
                Err(error) if (error.is_not_found() || error.is_conflict()) && attempt < ATTEMPTS => {
                    attempt += 1;
                    continue;
                }
                patched => patched?,
            };
            let same = patched.meta().resource_version == current.meta().resource_version;
            return Ok(if same { Applied::Unchanged(patched) } else { Applied::Configured(patched) });
        }
    }
}

/// The same value with all keys in order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        plain => plain,
    }
}

/// The patch that sets everything `stated` and removes what was stated `before` only. `of` is the type that says how
/// lists merge; nothing where that is not known.
fn changes(before: &Value, stated: &Value, of: Option<&str>) -> Value {
    let (Value::Object(before), Value::Object(stated)) = (before, stated) else { return stated.clone() };
    let mut patch = Map::new();
    for key in before.keys().filter(|key| !stated.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in stated {
        let old = before.get(key).unwrap_or(&Value::Null);
        let (holds, merge) = of.map_or((None, Merge::Plain), |of| {
            let (holds, merge) = merge_keys::field(of, key);
            (Some(holds), merge)
        });
        let value = match (value, merge) {
            (Value::Array(items), Merge::By(by)) => changed_items(old, items, holds.as_deref(), by, false),
            (Value::Array(items), Merge::ByRetainingKeys(by)) => changed_items(old, items, holds.as_deref(), by, true),
            (Value::Array(items), Merge::Set) => {
                let gone: Vec<_> = old.as_array().into_iter().flatten().filter(|item| !items.contains(item)).collect();
                if !gone.is_empty() {
                    patch.insert(format!("$deleteFromPrimitiveList/{key}"), json!(gone));
                }
                value.clone()
            }
            (Value::Object(_), Merge::RetainKeys) => retaining(changes(old, value, holds.as_deref()), value),
            (Value::Object(_), Merge::Replace) => value.clone(),
            (Value::Object(_), _) if old.is_object() => changes(old, value, holds.as_deref()),
            (Value::Object(_), _) => changes(&json!({}), value, holds.as_deref()),
            _ => value.clone(),
        };
        patch.insert(key.clone(), value);
    }
    Value::Object(patch)
}

/// A list whose items are the same where `by` is: what was in it before only is deleted.
fn changed_items(old: &Value, items: &[Value], of: Option<&str>, by: &str, retain: bool) -> Value {
    let old = old.as_array().map(Vec::as_slice).unwrap_or_default();
    let same = |a: &Value, b: &Value| a.get(by).is_some() && a.get(by) == b.get(by);
    let mut patch: Vec<_> = items
        .iter()
        .map(|item| {
            let empty = json!({});
            let before = old.iter().find(|before| same(before, item)).unwrap_or(&empty);
            let changed = changes(before, item, of);
            if retain { retaining(changed, item) } else { changed }
        })
        .collect();
    for gone in old.iter().filter(|before| !items.iter().any(|item| same(before, item))) {
        if let Some(key) = gone.get(by) {
            patch.push(json!({ "$patch": "delete", by: key }));
        }
    }
    Value::Array(patch)
}

/// Of a union only the fields stated remain.
fn retaining(mut patch: Value, stated: &Value) -> Value {
    if let (Some(patch), Some(stated)) = (patch.as_object_mut(), stated.as_object()) {
        patch.retain(|_, value| !value.is_null());
        patch.insert("$retainKeys".to_owned(), stated.keys().cloned().collect());
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_longer_stated_is_removed() {
        let before = json!({ "spec": {
            "paused": true,
            "template": { "spec": { "containers": [{ "name": "a", "image": "1", "tty": true }, { "name": "b" }] } },
        } });
        let stated = json!({ "spec": {
            "strategy": { "type": "Recreate" },
            "template": { "spec": { "containers": [{ "name": "a", "image": "2" }] } },
        } });
        assert_eq!(
            changes(&before, &stated, Some("Deployment")),
            json!({ "spec": {
                "paused": null,
                "strategy": { "type": "Recreate", "$retainKeys": ["type"] },
                "template": { "spec": { "containers": [
                    { "tty": null, "name": "a", "image": "2" },
                    { "$patch": "delete", "name": "b" },
                ] } },
            } })
        );
    }
}

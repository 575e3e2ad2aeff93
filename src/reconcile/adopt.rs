//! Who controls what: controller references, adoption and release.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::json;
use tokio::sync::OnceCell;

use super::{Context, Error};
use crate::api::{ApiType, LabelSelector, Patch};

/// The reference to the object's controller, where it has one.
pub fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}

/// The reference to the object's controller, where that is of type `K`.
pub fn controller_of_type<K: ApiType>(meta: &ObjectMeta) -> Option<&OwnerReference> {
    let owner = controller_of(meta).filter(|owner| owner.kind == K::KIND)?;
    // Mostly it is of the same version, too.
    let group = || owner.api_version.split_once('/').map_or("", |(group, _)| group);
    (owner.api_version == K::API_VERSION || group() == K::GROUP).then_some(owner)
}

/// Whether the object is controlled by the one with that UID.
pub fn is_controlled_by(meta: &ObjectMeta, uid: &str) -> bool {
    controller_of(meta).is_some_and(|owner| owner.uid == uid)
}

/// The reference by which what `owner` controls names it.
pub fn controller_reference<K: ApiType>(owner: &K) -> OwnerReference {
    let meta = owner.metadata();
    OwnerReference {
        api_version: K::API_VERSION.to_owned(),
        kind: K::KIND.to_owned(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The index by which informers find what an object controls: by its UID; and orphans, by [`orphans_of`].
pub const BY_CONTROLLER: &str = "controller";

/// The value under which [`BY_CONTROLLER`] keeps what nobody in `namespace` controls.
pub fn orphans_of(namespace: &str) -> String {
    format!("orphan/{namespace}")
}

/// What [`BY_CONTROLLER`] indexes an object by.
pub fn by_controller<K: ApiType>(object: &K) -> Vec<String> {
    let meta = object.metadata();
    vec![match controller_of(meta) {
        Some(owner) => owner.uid.clone(),
        None => orphans_of(meta.namespace.as_deref().unwrap_or_default()),
    }]
}

/// Everything in `namespace` that nobody controls.
pub fn orphans<K: ApiType>(ctx: &Context, namespace: &str) -> Vec<Arc<K>> {
    let informer = ctx.informers().of::<K>();
    informer.index(BY_CONTROLLER, by_controller);
    informer.by(BY_CONTROLLER, &orphans_of(namespace))
}

/// Everything in `namespace` that the object with that UID controls, and all orphans.
pub fn candidates<K: ApiType>(ctx: &Context, namespace: &str, uid: &str) -> Vec<Arc<K>> {
    let orphans = orphans(ctx, namespace);
    let mut all = ctx.informers().of::<K>().by(BY_CONTROLLER, uid);
    if !orphans.is_empty() {
        all.extend(orphans);
        all.sort_by(|a, b| a.metadata().name.cmp(&b.metadata().name));
    }
    all
}

/// Takes control of the orphans that `owner` selects, lets go of what it controls and no longer selects, and gives
/// what it controls now.
///
/// # Errors
/// Where the API refuses, or `owner` is no longer what it was.
pub async fn claim<O: ApiType, K: ApiType>(
    ctx: &Context,
    owner: &O,
    selector: &LabelSelector,
    among: Vec<Arc<K>>,
) -> Result<Vec<Arc<K>>, Error> {
    let meta = owner.metadata();
    let (uid, namespace) = (meta.uid.as_deref().unwrap_or_default(), meta.namespace.as_deref().unwrap_or_default());
    let objects = ctx.client().api::<K>(namespace);
    let may_adopt = OnceCell::new();
    let (mut claimed, mut failure) = (Vec::new(), None);
    for object in among {
        let of = object.metadata();
        let matches = selector.matches(of.labels.as_ref());
        let name = of.name.as_deref().unwrap_or_default();
        let controller = controller_of(of);
        if controller.is_some_and(|controller| controller.uid == uid) && matches {
            claimed.push(object);
            continue;
        }
        let mut owners = of.owner_references.clone().unwrap_or_default();
        match controller {
            Some(controller) if controller.uid != uid => continue,
            Some(_) if meta.deletion_timestamp.is_none() => owners.retain(|owner| owner.uid != uid),
            None if matches && meta.deletion_timestamp.is_none() && of.deletion_timestamp.is_none() => {
                if let Err(error) = may_adopt.get_or_try_init(|| still_there(ctx, owner)).await {
                    failure = Some(error);
                    continue;
                }
                owners.retain(|owner| owner.uid != uid);
                owners.push(controller_reference(owner));
            }
            _ => continue,
        }
        match objects.patch(name, set_owners(of, owners)).await {
            Ok(adopted) if matches => claimed.push(adopted),
            Ok(_) => {}
            // Gone, or another one of that name by now.
            Err(error) if error.is_not_found() || (!matches && error.is_invalid()) => {}
            Err(error) => failure = Some(error.into()),
        }
    }
    failure.map_or(Ok(claimed), Err)
}

/// The patch that gives exactly the object with that metadata, in that version, these owners. A merge patch, because
/// every kind takes one.
pub fn set_owners(meta: &ObjectMeta, owners: Vec<OwnerReference>) -> Patch {
    let owners = Some(owners).filter(|owners| !owners.is_empty());
    Patch::Merge(json!({ "metadata": {
        "uid": meta.uid, "resourceVersion": meta.resource_version, "ownerReferences": owners,
    } }))
}

/// Checks with the API itself that the owner is neither gone nor going: informers may be late, and what a deleted
/// owner adopts would go with it.
async fn still_there<O: ApiType>(ctx: &Context, owner: &O) -> Result<(), Error> {
    let meta = owner.metadata();
    let (namespace, name) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    let fresh = ctx.client().api::<O>(namespace).get(name).await?;
    if fresh.metadata().uid != meta.uid {
        return Err(Error::failed(format!("original {} {namespace}/{name} is gone", O::KIND)));
    }
    if let Some(time) = &fresh.metadata().deletion_timestamp {
        return Err(Error::failed(format!("{namespace}/{name} has just been deleted at {}", time.0)));
    }
    Ok(())
}

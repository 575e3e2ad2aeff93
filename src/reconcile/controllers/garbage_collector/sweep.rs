//! What becomes of one suspect.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::json;

use super::Collector;
use super::graph::{FOREGROUND, Fate, Node, ORPHAN};
use crate::api::{DeleteOptions, Object, Patch, Propagation, WriteOptions};
use crate::client::DynamicApi;
use crate::reconcile::adopt::set_owners;
use crate::reconcile::{Action, Error};

/// How an owner stands to its dependent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is there, and stays.
    Solid,
    /// It is gone.
    Dangling,
    /// It waits for its dependents to go first.
    Waiting,
}

impl Collector {
    /// Looks at one object.
    pub(super) async fn sweep(&self, uid: &str) -> Result<Action, Error> {
        let Some(node) = self.shared.graph(|graph| graph.node(uid).cloned()) else { return Ok(Action::Done) };
        if node.fate == Fate::Goes || (node.fate == Fate::Stays && self.is_safe(&node)) {
            return Ok(Action::Done);
        }
        let api = self.ctx.client().dynamic(node.kind.clone(), &node.namespace);
        let live = match api.get(&node.name).await {
            // The watch will say so too.
            Err(error) if error.is_not_found() => return Ok(Action::Done),
            live => live?,
        };
        if live.uid() != uid {
            return Ok(Action::Done);
        }
        match Fate::of(live.meta()) {
            Fate::Goes => Ok(Action::Done),
            Fate::GoesLast => self.go_last(&api, &live).await,
            Fate::Orphans => self.orphan(&api, &live).await,
            Fate::Stays => self.judge(&api, &live).await,
        }
    }

    /// Whether the graph shows all owners to be there, and to stay: if that changes, the graph will tell.
    fn is_safe(&self, node: &Node) -> bool {
        self.shared.graph(|graph| {
            let stays = |owner: &OwnerReference| graph.node(&owner.uid).is_some_and(|owner| owner.fate == Fate::Stays);
            node.owners.iter().all(stays)
        })
    }

    /// Lets an object go whose dependents are gone. Those that are not were looked at when it began to wait for them, and
    /// each that goes has it looked at again.
    async fn go_last(&self, api: &DynamicApi, live: &Object) -> Result<Action, Error> {
        if self.shared.graph(|graph| graph.blocking(live.uid()).next().is_some()) {
            return Ok(Action::Done);
        }
        without_finalizer(api, live.meta(), FOREGROUND).await
    }

    /// Lets go of the dependents of an object, and then of the object.
    async fn orphan(&self, api: &DynamicApi, live: &Object) -> Result<Action, Error> {
        let dependents: Vec<_> = self.shared.graph(|graph| {
            let all = graph.dependents(live.uid());
            all.map(|(_, node)| (node.kind.clone(), node.namespace.clone(), node.name.clone())).collect()
        });
        for (kind, namespace, name) in dependents {
            let api = self.ctx.client().dynamic(kind, &namespace);
            let dependent = match api.get(&name).await {
                Err(error) if error.is_not_found() => continue,
                dependent => dependent?,
            };
            self.drop_owners(&api, &dependent, |owner| owner.uid == live.uid()).await?;
        }
        without_finalizer(api, live.meta(), ORPHAN).await
    }

    /// Deletes an object none of whose owners stays, or drops those that do not.
    async fn judge(&self, api: &DynamicApi, live: &Object) -> Result<Action, Error> {
        let owners = live.meta().owner_references.clone().unwrap_or_default();
        let mut standings = Vec::new();
        for owner in &owners {
            match self.standing(owner, live).await? {
                Some(standing) => standings.push((owner.uid.clone(), standing)),
                None => return Ok(Action::Done),
            }
        }
        let any = |wanted| standings.iter().any(|(_, standing)| *standing == wanted);
        if owners.is_empty() || (any(Standing::Solid) && !any(Standing::Dangling) && !any(Standing::Waiting)) {
            return Ok(Action::Done);
        }
        if any(Standing::Solid) {
            let is_solid = |owner: &OwnerReference| standings.contains(&(owner.uid.clone(), Standing::Solid));
            self.drop_owners(api, live, |owner| !is_solid(owner)).await?;
            return Ok(Action::Done);
        }
        let (has_dependents, is_circle) = self.shared.graph(|graph| {
            let mut all = graph.dependents(live.uid()).peekable();
            (all.peek().is_some(), all.any(|(_, node)| node.fate == Fate::GoesLast))
        });
        let mut resource_version = live.meta().resource_version.clone();
        let propagation = if any(Standing::Waiting) && has_dependents {
            if is_circle {
                // Two that wait for each other would wait for ever.
                let unblocked =
                    owners.into_iter().map(|owner| OwnerReference { block_owner_deletion: Some(false), ..owner });
                let patch = set_owners(live.meta(), unblocked.collect());
                let patched = api.patch(live.name(), "", patch, &WriteOptions::default()).await?;
                resource_version = patched.meta().resource_version.clone();
            }
            Propagation::Foreground
        } else {
            let has = |name| live.meta().finalizers.iter().flatten().any(|finalizer| finalizer == name);
            match () {
                () if has(ORPHAN) => Propagation::Orphan,
                () if has(FOREGROUND) => Propagation::Foreground,
                () => Propagation::Background,
            }
        };
        let options = DeleteOptions {
            propagation: Some(propagation),
            uid: live.meta().uid.clone(),
            resource_version,
            ..DeleteOptions::default()
        };
        match api.delete(live.name(), &options).await {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(Action::Done),
        }
    }

    /// How an owner stands; `None` where nobody can tell: a cluster-scoped object cannot name an owner in a
    /// namespace, for it does not say in which.
    async fn standing(&self, owner: &OwnerReference, dependent: &Object) -> Result<Option<Standing>, Error> {
        let seen = self.shared.graph(|graph| graph.node(&owner.uid).map(|owner| owner.fate));
        if seen == Some(Fate::Stays) {
            return Ok(Some(Standing::Solid));
        }
        let Some(kind) = self.ctx.client().backend().kinds().by_api_version(&owner.api_version, &owner.kind) else {
            return Err(Error::failed(format!(
                "no matches for kind \"{}\" in version \"{}\"",
                owner.kind, owner.api_version
            )));
        };
        if kind.namespaced && dependent.namespace().is_empty() {
            return Ok(None);
        }
        let namespace = if kind.namespaced { dependent.namespace() } else { "" };
        match self.ctx.client().dynamic(kind, namespace).get(&owner.name).await {
            Err(error) if error.is_not_found() => Ok(Some(Standing::Dangling)),
            Err(error) => Err(error.into()),
            Ok(live) if live.uid() != owner.uid => Ok(Some(Standing::Dangling)),
            Ok(live) if Fate::of(live.meta()) == Fate::GoesLast => Ok(Some(Standing::Waiting)),
            Ok(_) => Ok(Some(Standing::Solid)),
        }
    }

    async fn drop_owners(
        &self,
        api: &DynamicApi,
        object: &Object,
        dropped: impl Fn(&OwnerReference) -> bool,
    ) -> Result<(), Error> {
        let mut owners = object.meta().owner_references.clone().unwrap_or_default();
        let before = owners.len();
        owners.retain(|owner| !dropped(owner));
        if owners.len() == before {
            return Ok(());
        }
        let patch = set_owners(object.meta(), owners);
        match api.patch(object.name(), "", patch, &WriteOptions::default()).await {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }
}

async fn without_finalizer(api: &DynamicApi, meta: &ObjectMeta, name: &str) -> Result<Action, Error> {
    let left: Vec<_> = meta.finalizers.iter().flatten().filter(|finalizer| *finalizer != name).collect();
    let patch = Patch::Merge(json!({ "metadata": {
        "uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": left,
    } }));
    match api.patch(meta.name.as_deref().unwrap_or_default(), "", patch, &WriteOptions::default()).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(Action::Done),
    }
}

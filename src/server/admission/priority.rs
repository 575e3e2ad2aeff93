//! `Priority`: the priority of a pod, by the name of its class.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::scheduling::v1::PriorityClass;

use super::forbidden;
use crate::api::{Admission, ApiError, Draft, GroupResource, Key, Operation, Review};
use crate::store::{Range, Scope, Store};

const LOWER: &str = "PreemptLowerPriority";

#[derive(Debug)]
pub(super) struct Priority {
    store: Arc<dyn Store>,
    classes: GroupResource,
}

/// What a class gives a pod.
struct Class {
    name: String,
    value: i32,
    policy: String,
}

impl Class {
    fn of(class: &PriorityClass) -> Self {
        Self {
            name: class.metadata.name.clone().unwrap_or_default(),
            value: class.value.unwrap_or(0),
            policy: class.preemption_policy.clone().unwrap_or_else(|| LOWER.to_owned()),
        }
    }
}

impl Priority {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, classes: GroupResource::new("scheduling.k8s.io", "priorityclasses") }
    }

    async fn named(&self, name: &str) -> Result<Option<Class>, ApiError> {
        let class = self.store.get(&Key::new(self.classes.clone(), "", name)).await?;
        Ok(class.as_ref().and_then(|class| class.as_typed()).map(Class::of))
    }

    /// The class of pods that name none: of the global defaults the lowest.
    async fn usual(&self) -> Result<Class, ApiError> {
        let page = self.store.list(&Scope::all(self.classes.clone()), &Range::default()).await?;
        let defaults = page.items.iter().filter_map(|class| class.as_typed::<PriorityClass>());
        let lowest = defaults.filter(|class| class.global_default == Some(true)).min_by_key(|class| class.value);
        Ok(lowest.map_or(Class { name: String::new(), value: 0, policy: LOWER.to_owned() }, Class::of))
    }
}

#[async_trait]
impl Admission for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.writes::<Pod>(&[Operation::Create, Operation::Update])
    }

    async fn admit(&self, review: &Review<'_>, object: Option<&mut Draft>) -> Result<(), ApiError> {
        let Some(object) = object else { return Ok(()) };
        let Some(pod) = object.typed::<Pod>() else { return Ok(()) };
        let spec = pod.spec.as_ref();
        let priority = spec.and_then(|spec| spec.priority);
        let policy = spec.and_then(|spec| spec.preemption_policy.clone());
        match review.operation {
            Operation::Create => {
                let name = spec.and_then(|spec| spec.priority_class_name.clone()).filter(|name| !name.is_empty());
                let class = match &name {
                    Some(name) => self.named(name).await?.ok_or_else(|| {
                        forbidden(review, Some(object), format!("no PriorityClass with name {name} was found"))
                    })?,
                    None => self.usual().await?,
                };
                if let Some(given) = priority.filter(|given| *given != class.value) {
                    let why = format!(
                        "the integer value of priority ({given}) must not be provided in pod spec; priority admission \
                         controller computed {} from the given PriorityClass name",
                        class.value
                    );
                    return Err(forbidden(review, Some(object), why));
                }
                if let Some(given) = policy.filter(|given| *given != class.policy) {
                    let why = format!(
                        "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority \
                         admission controller computed {} from the given PriorityClass name",
                        class.policy
                    );
                    return Err(forbidden(review, Some(object), why));
                }
                if let Some(spec) = object.typed_mut::<Pod>().and_then(|pod| pod.spec.as_mut()) {
                    spec.priority = Some(class.value);
                    spec.preemption_policy = Some(class.policy);
                    spec.priority_class_name = Some(class.name).filter(|name| !name.is_empty());
                }
            }
            // Nobody need repeat what was computed.
            Operation::Update if priority.is_none() || policy.is_none() => {
                let old = review.old.and_then(|old| old.as_typed::<Pod>()).and_then(|pod| pod.spec.as_ref());
                let new = object.typed_mut::<Pod>().and_then(|pod| pod.spec.as_mut());
                if let (Some(old), Some(new)) = (old, new) {
                    new.priority = new.priority.or(old.priority);
                    if new.preemption_policy.is_none() {
                        new.preemption_policy.clone_from(&old.preemption_policy);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

//! `eviction`: a deletion that a disruption budget may forbid.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::api::policy::v1::{Eviction, PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::binding::set_condition;
use crate::api::kinds::core::pod::{is_ready, is_terminal, phase};
use crate::api::rules::label::{selector_matches, selects_everything};
use crate::api::{
    ApiError, Call, DeleteOptions, Draft, GroupResource, Object, Operation, Propagation, Reason, Target, WriteOptions,
};
use crate::server::pipeline::{Inner, Part};
use crate::store::{Range, Scope};

const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
const BUDGET: &str = "DisruptionBudget";
const DISRUPTION_ALLOWED: &str = "DisruptionAllowed";
/// So many evictions of one budget may be unconfirmed by its controller.
const DISRUPTED_MAX: usize = 2000;

impl Inner {
    pub(super) async fn evict(
        &self,
        call: &Call,
        target: &Target,
        mut draft: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        let pods = self.pods()?;
        let pod = Target::one(pods, target.namespace(), target.name());
        let reviewed = pod.clone().sub("eviction");
        let pipeline = self.pipeline(call, &reviewed, options.dry_run);
        let review = pipeline.review(Operation::Create, None);
        let admitted = self.admission.admit(&review, Some(&mut draft)).await?;
        let eviction = super::expect::<Eviction>(&draft, "Eviction")?;
        if eviction.metadata.name.as_deref().is_some_and(|name| !name.is_empty() && name != target.name()) {
            return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
        }
        self.admission.validate(&review, Some(&draft)).await?;

        let asked = delete_options(eviction, options);
        loop {
            let object = self.read(&pod).await?;
            match self.evict_version(call, &pod, &object, &asked).await {
                // The version was ours to demand, not the caller's: look again.
                Err(error) if error.is_conflict() && asked.resource_version.is_none() => {}
                result => {
                    result?;
                    break;
                }
            }
        }
        let answer = draft.seal_as_is();
        admitted.settle(Some(&answer));
        Ok(answer)
    }

    /// Evicts a pod as it is in this version; a conflict says that it is no longer.
    async fn evict_version(
        &self,
        call: &Call,
        target: &Target,
        object: &Object,
        asked: &DeleteOptions,
    ) -> Result<(), ApiError> {
        let pod = object.as_typed::<Pod>().ok_or_else(|| ApiError::internal("a stored pod is no pod"))?;
        let over = is_terminal(pod) || pod.metadata.deletion_timestamp.is_some();
        let mut options = asked.clone();
        if over {
            return self.delete(call, target, &options).await.map(drop);
        }
        // A pod that has just become ready counts: what follows holds for this version only.
        options.resource_version.get_or_insert_with(|| object.revision().to_string());
        if phase(pod) != "Pending" {
            let budget = self.budget_of(pod).await?;
            if let Some(budget) = budget.filter(|budget| !may_go_unready(pod, budget)) {
                self.spend(call, &budget, target.name(), asked.dry_run).await?;
                options.resource_version.clone_from(&asked.resource_version);
            }
        }
        self.delete_disrupted(call, target, options).await
    }

    /// Notes on the pod why it goes, and deletes it.
    async fn delete_disrupted(&self, call: &Call, target: &Target, mut options: DeleteOptions) -> Result<(), ApiError> {
        if !options.dry_run {
            let wanted = options.clone();
            let mut noted = |old: &Object| {
                crate::server::verbs::precondition(&target.kind, &wanted, old)?;
                let mut new = old.draft();
                if let Some(pod) = new.typed_mut::<Pod>() {
                    let condition = PodCondition {
                        type_: "DisruptionTarget".to_owned(),
                        status: "True".to_owned(),
                        reason: Some("EvictionByEvictionAPI".to_owned()),
                        message: Some("Eviction API: evicting".to_owned()),
                        last_transition_time: Some(self.time()),
                        observed_generation: pod.metadata.generation,
                        ..PodCondition::default()
                    };
                    set_condition(pod.status.get_or_insert_default().conditions.get_or_insert_default(), condition);
                }
                Ok(new)
            };
            let noted = self.pipeline(call, target, false).amend(&mut noted).await?;
            if options.resource_version.is_some() {
                options.resource_version = Some(noted.revision().to_string());
            }
        }
        self.delete(call, target, &options).await.map(drop)
    }

    /// The disruption budget that covers a pod.
    async fn budget_of(&self, pod: &Pod) -> Result<Option<Object>, ApiError> {
        let Some(kind) = self.kinds.by_kind("policy", "v1", "PodDisruptionBudget") else { return Ok(None) };
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let page = self.store.list(&Scope::namespace(kind.stored().clone(), namespace), &Range::default()).await?;
        let mut covering = page.items.into_iter().filter(|object| {
            object
                .as_typed::<PodDisruptionBudget>()
                .and_then(|budget| budget.spec.as_ref()?.selector.as_ref())
                .is_some_and(|selector| {
                    // An empty selector of policy/v1 selects all pods of the namespace.
                    selects_everything(selector) || selector_matches(selector, pod.metadata.labels.as_ref())
                })
        });
        match (covering.next(), covering.next()) {
            (_, Some(_)) => Err(ApiError::new(
                Reason::Unknown,
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            )),
            (budget, None) => Ok(budget),
        }
    }

    /// Takes one disruption from a budget.
    async fn spend(&self, call: &Call, budget: &Object, pod: &str, dry_run: bool) -> Result<(), ApiError> {
        let target = Target::one(budget.kind().clone(), budget.namespace(), budget.name()).sub("status");
        let mut spent = |old: &Object| {
            let mut new = old.draft();
            if let Some(budget) = new.typed_mut::<PodDisruptionBudget>() {
                self.decrement(budget, pod)?;
            }
            Ok(new)
        };
        self.pipeline(call, &target, dry_run).update(Part::Status, &mut spent).await.map(drop)
    }

    fn decrement(&self, budget: &mut PodDisruptionBudget, pod: &str) -> Result<(), ApiError> {
        let name = budget.metadata.name.clone().unwrap_or_default();
        let status = budget.status.get_or_insert_default();
        let forbidden =
            |why: &str| Err(ApiError::forbidden(&GroupResource::new("policy", "poddisruptionbudget"), &name, why));
        if status.observed_generation.unwrap_or(0) < budget.metadata.generation.unwrap_or(0) {
            return Err(ApiError::too_many_requests(REFUSED, Duration::from_secs(10)).with_cause(
                BUDGET,
                "",
                format!("The disruption budget {name} is still being processed by the server."),
            ));
        }
        let allowed = status.disruptions_allowed.unwrap_or(0);
        if allowed < 0 {
            return forbidden("pdb disruptions allowed is negative");
        }
        if status.disrupted_pods.as_ref().is_some_and(|pods| pods.len() > DISRUPTED_MAX) {
            return forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
        }
        if allowed == 0 {
            return Err(ApiError::new(Reason::TooManyRequests, REFUSED).with_cause(
                BUDGET,
                "",
                format!(
                    "The disruption budget {name} needs {} healthy pods and has {} currently",
                    status.desired_healthy.unwrap_or(0),
                    status.current_healthy.unwrap_or(0)
                ),
            ));
        }
        status.disruptions_allowed = Some(allowed - 1);
        let now = self.time();
        if allowed == 1 {
            let conditions = status.conditions.get_or_insert_default();
            let before = conditions.iter().find(|condition| condition.type_ == DISRUPTION_ALLOWED);
            let since = before.filter(|condition| condition.status == "False");
            let condition = Condition {
                type_: DISRUPTION_ALLOWED.to_owned(),
                status: "False".to_owned(),
                reason: "InsufficientPods".to_owned(),
                message: String::new(),
                observed_generation: status.observed_generation,
                last_transition_time: since.map_or_else(|| now.clone(), |old| old.last_transition_time.clone()),
            };
            conditions.retain(|old| old.type_ != DISRUPTION_ALLOWED);
            conditions.push(condition);
        }
        // Its controller is not to count the pod as available any more.
        status.disrupted_pods.get_or_insert_default().insert(pod.to_owned(), now);
        Ok(())
    }
}

/// Whether a pod is unready and its budget lets it go for that.
fn may_go_unready(pod: &Pod, budget: &Object) -> bool {
    let Some(budget) = budget.as_typed::<PodDisruptionBudget>().filter(|_| !is_ready(pod)) else { return false };
    let policy = budget.spec.as_ref().and_then(|spec| spec.unhealthy_pod_eviction_policy.as_deref());
    let count = |of: fn(&PodDisruptionBudgetStatus) -> Option<i32>| budget.status.as_ref().and_then(of).unwrap_or(0);
    let (current, desired) = (count(|status| status.current_healthy), count(|status| status.desired_healthy));
    policy == Some("AlwaysAllow") || (current >= desired && desired > 0)
}

fn delete_options(eviction: &Eviction, options: &WriteOptions) -> DeleteOptions {
    let given = eviction.delete_options.clone().unwrap_or_default();
    let preconditions = given.preconditions.unwrap_or_default();
    DeleteOptions {
        grace_period: given.grace_period_seconds,
        propagation: given.propagation_policy.as_deref().and_then(Propagation::from_wire),
        uid: preconditions.uid,
        resource_version: preconditions.resource_version,
        dry_run: options.dry_run || given.dry_run.is_some_and(|dry_run| !dry_run.is_empty()),
    }
}

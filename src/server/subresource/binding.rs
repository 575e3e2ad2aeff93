//! `binding`: a scheduler's decision where a pod runs.

use k8s_openapi::api::core::v1::{Binding, Node, Pod, PodCondition};

use crate::api::field::Path;
use crate::api::{ApiError, Call, Draft, FieldErrors, GroupResource, Kind, Object, Operation, Target, WriteOptions};
use crate::server::pipeline::{Inner, check_uid};

/// Labels of a node that its pods get.
const TOPOLOGY: &[&str] = &["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

impl Inner {
    pub(super) async fn bind(
        &self,
        call: &Call,
        target: &Target,
        mut draft: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        let named = super::expect::<Binding>(&draft, "Binding")?.metadata.name.clone().unwrap_or_default();
        let name = if target.subresource.is_empty() { named.as_str() } else { target.name() };
        if !named.is_empty() && named != name {
            return Err(ApiError::bad_request("name in URL does not match name in Binding object"));
        }
        let pods = self.pods()?;
        let pod = Target::one(pods.clone(), target.namespace(), name).sub("binding");
        let pipeline = self.pipeline(call, &pod, options.dry_run);
        let review = pipeline.review(Operation::Create, None);
        let admitted = self.admission.admit(&review, Some(&mut draft)).await?;
        let binding = super::expect::<Binding>(&draft, "Binding")?;
        validate(binding, draft.kind(), name)?;
        self.admission.validate(&review, Some(&draft)).await?;

        let topology = self.topology_of(binding.target.name.as_deref().unwrap_or_default()).await?;
        let mut bound = |old: &Object| {
            check_uid(&pods, binding.metadata.uid.as_deref(), old)?;
            let mut new = old.draft();
            let pod = new.typed_mut::<Pod>().ok_or_else(|| ApiError::internal("a stored pod is no pod"))?;
            self.assign(pod, binding, &topology)
                .map_err(|why| ApiError::conflict(&GroupResource::new("", "pods/binding"), old.name(), why))?;
            Ok(new)
        };
        pipeline.amend(&mut bound).await?;
        let answer = draft.seal_as_is();
        admitted.settle(Some(&answer));
        Ok(answer)
    }

    /// Puts a pod on the node of a binding, or says why not.
    fn assign(&self, pod: &mut Pod, binding: &Binding, topology: &[(String, String)]) -> Result<(), String> {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let generation = pod.metadata.generation;
        let spec = pod.spec.get_or_insert_default();
        if pod.metadata.deletion_timestamp.is_some() {
            return Err(format!("pod {name} is being deleted, cannot be assigned to a host"));
        }
        if let Some(node) = spec.node_name.as_deref().filter(|node| !node.is_empty()) {
            return Err(format!("pod {name} is already assigned to node \"{node}\""));
        }
        if spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
            return Err(format!("pod {name} has non-empty .spec.schedulingGates"));
        }
        spec.node_name.clone_from(&binding.target.name);
        if let Some(annotations) = binding.metadata.annotations.clone().filter(|annotations| !annotations.is_empty()) {
            pod.metadata.annotations.get_or_insert_default().extend(annotations);
        }
        let labels = binding.metadata.labels.clone().into_iter().flatten().chain(topology.iter().cloned());
        for (key, value) in labels {
            pod.metadata.labels.get_or_insert_default().insert(key, value);
        }
        set_condition(
            pod.status.get_or_insert_default().conditions.get_or_insert_default(),
            PodCondition {
                type_: "PodScheduled".to_owned(),
                status: "True".to_owned(),
                last_transition_time: Some(self.time()),
                observed_generation: generation,
                ..PodCondition::default()
            },
        );
        Ok(())
    }

    async fn topology_of(&self, node: &str) -> Result<Vec<(String, String)>, ApiError> {
        let Some(kind) = self.kinds.by_kind("", "v1", "Node") else { return Ok(Vec::new()) };
        let node = self.find(&Target::one(kind, "", node)).await?;
        let labels =
            node.as_ref().and_then(|node| node.as_typed::<Node>()).and_then(|node| node.metadata.labels.as_ref());
        Ok(labels
            .into_iter()
            .flat_map(|labels| TOPOLOGY.iter().filter_map(|key| labels.get_key_value(*key)))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }
}

fn validate(binding: &Binding, kind: &Kind, name: &str) -> Result<(), ApiError> {
    let mut errors = FieldErrors::new();
    let target = Path::new("target");
    let of = binding.target.kind.as_deref().unwrap_or_default();
    if !["", "Node"].contains(&of) {
        errors.not_supported(&target.child("kind"), of, &["Node", "<empty>"]);
    }
    if binding.target.name.as_deref().is_none_or(str::is_empty) {
        errors.required(&target.child("name"), "");
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(&kind.group_kind(), name, &errors)) }
}

/// Sets a condition; the time of the last transition stays where the status does.
pub(super) fn set_condition(conditions: &mut Vec<PodCondition>, mut condition: PodCondition) {
    match conditions.iter_mut().find(|old| old.type_ == condition.type_) {
        Some(old) => {
            if old.status == condition.status {
                condition.last_transition_time.clone_from(&old.last_transition_time);
            }
            *old = condition;
        }
        None => {
            conditions.reserve_exact(1);
            conditions.push(condition);
        }
    }
}

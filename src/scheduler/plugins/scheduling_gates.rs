//! SchedulingGates: a pod with gates waits until they are gone.

use crate::scheduler::framework::{Gate, Plugin};
use crate::scheduler::snapshot::PodInfo;

/// Keeps pods with `spec.schedulingGates` out of the queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct SchedulingGates;

impl Plugin for SchedulingGates {
    fn name(&self) -> &'static str {
        "SchedulingGates"
    }

    fn as_gate(&self) -> Option<&dyn Gate> {
        Some(self)
    }
}

impl Gate for SchedulingGates {
    fn check(&self, pod: &PodInfo) -> Result<(), String> {
        let gates = pod.spec().into_iter().flat_map(|spec| spec.scheduling_gates.iter().flatten());
        let names: Vec<_> = gates.map(|gate| gate.name.as_str()).collect();
        if names.is_empty() { Ok(()) } else { Err(format!("waiting for scheduling gates: [{}]", names.join(" "))) }
    }
}

//! PrioritySort: important pods first.

use crate::scheduler::framework::{Plugin, Sort};
use crate::scheduler::snapshot::PodInfo;

/// Orders waiting pods by priority.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrioritySort;

impl Plugin for PrioritySort {
    fn name(&self) -> &'static str {
        "PrioritySort"
    }

    fn as_sort(&self) -> Option<&dyn Sort> {
        Some(self)
    }
}

impl Sort for PrioritySort {
    fn rank(&self, pod: &PodInfo) -> i64 {
        pod.priority().into()
    }
}

//! The chain of steps that a write goes through.

use std::fmt;
use std::sync::Arc;

use crate::api::{Admission, ApiError, Draft, Object, Review};

/// The steps, in order.
pub(in crate::server) struct Chain(Vec<Arc<dyn Admission>>);

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|step| step.name())).finish()
    }
}

/// A write that steps have admitted. Whatever way it ends, each of them is told: dropped, it has failed.
#[must_use]
pub(in crate::server) struct Admitted<'a> {
    steps: &'a [Arc<dyn Admission>],
    review: &'a Review<'a>,
}

impl Chain {
    pub(in crate::server) fn new(steps: Vec<Arc<dyn Admission>>) -> Self {
        Self(steps)
    }

    /// Lets every step change the object.
    pub(in crate::server) async fn admit<'a>(
        &'a self,
        review: &'a Review<'a>,
        mut object: Option<&mut Draft>,
    ) -> Result<Admitted<'a>, ApiError> {
        let mut admitted = Admitted { steps: &[], review };
        for (index, step) in self.0.iter().enumerate() {
            if step.handles(review) {
                step.admit(review, object.as_deref_mut()).await?;
            }
            admitted.steps = &self.0[..=index];
        }
        Ok(admitted)
    }

    /// Lets every step refuse.
    pub(in crate::server) async fn validate(
        &self,
        review: &Review<'_>,
        object: Option<&Draft>,
    ) -> Result<(), ApiError> {
        for step in self.0.iter().filter(|step| step.handles(review)) {
            step.validate(review, object).await?;
        }
        Ok(())
    }
}

impl Admitted<'_> {
    /// The write has taken place.
    pub(in crate::server) fn settle(mut self, stored: Option<&Object>) {
        self.tell(stored, false);
    }

    fn tell(&mut self, stored: Option<&Object>, failed: bool) {
        for step in std::mem::take(&mut self.steps).iter().filter(|step| step.handles(self.review)) {
            step.settled(self.review, stored, failed);
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.tell(None, true);
    }
}

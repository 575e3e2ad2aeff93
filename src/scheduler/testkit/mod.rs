//! What a scheduler decides on, made by hand, and what any [`Scheduler`](super::Scheduler) promises.
//!
//! [`TestNode`] and [`TestPod`] are short descriptions from which [`cluster`] and [`TestPod::info`] make the real
//! thing; [`placement`] holds the promises, one function each.

mod build;
pub mod placement;

pub use self::build::{TestNode, TestPod, cluster};

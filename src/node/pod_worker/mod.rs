//! Pod workers: each brings one pod to what its spec asks for.
//!
//! `plan` decides (a pure function of what is wanted and what is), `worker` acts and reports, one step at a time; the agent
//! holds each by its `handle`.

mod handle;
mod plan;
mod recall;
mod report;
mod start;
pub(super) mod state;
mod termination;
mod wanted;
mod worker;

pub(super) use handle::Handle;
pub(super) use state::Failure;

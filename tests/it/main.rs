//! Whole clusters, embedded: one binary, a module per capability. Time is virtual wherever the subject is not time
//! or a socket.

mod architecture;
mod bad_input;
mod compatibility;
mod determinism;
mod eviction;
mod kube_rs;
mod lifecycle;
mod metrics;
mod remote;
mod services;
mod tokens;

/// Counts what the tests allocate: `lifecycle` asks whether clusters leave memory behind.
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

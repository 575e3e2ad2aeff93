//! The Docker runtime against a real engine. `tests/docker/run` starts one and says where it is.

mod agent;
mod containers;
mod examples;
#[path = "../kubectl/harness.rs"]
#[allow(dead_code, reason = "shared with another binary, which needs all of it")]
mod harness;
mod kubectl;
mod misbehaviour;
mod nodes;
mod recovery;
mod runtime;
mod volumes;

//! What a node and its pods use: measured when somebody asks, and told as a kubelet tells it.
//!
//! `sample` turns counters into rates, `summary` puts together what is told, `serve` prints it at the kubelet's paths.

mod sample;
pub(super) mod serve;
pub(super) mod summary;

pub(super) use sample::Samples;

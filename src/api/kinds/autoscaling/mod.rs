//! The group `autoscaling`.

pub mod scale;

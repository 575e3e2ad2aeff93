//! The group `autoscaling`.

pub mod hpa_v1;
pub mod hpa_v2;
pub mod scale;

//! The group `policy`.

pub mod eviction;

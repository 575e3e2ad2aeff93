//! The core group.

pub mod config_map;
pub mod endpoints;
pub mod event;
pub mod namespace;
pub mod node;
pub mod secret;
pub mod service;
pub mod service_account;

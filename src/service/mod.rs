//! Service networking: addresses for Services, a proxy that carries their traffic, and DNS for their names.
//!
//! The parts stand alone: [`allocate::ServiceAllocator`] is an admission step that any server takes,
//! [`proxy`] and [`dns`] follow the API through a [`crate::client::Client`].
//!
//! In one process all of it lives on loopback addresses: see [`loopback`].

pub mod allocate;
#[cfg(feature = "dns")]
pub mod dns;
pub mod loopback;
pub mod proxy;
mod slice;

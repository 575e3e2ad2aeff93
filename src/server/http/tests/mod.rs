//! The front over a backend of a few ConfigMaps, driven in process.

mod crud;
mod fixture;
mod paths;
mod watching;

//! What a caller of the server sees.

mod admission;
mod authorization;
mod create;
mod delete;
mod fixture;
mod reading;
mod subresources;
mod update;

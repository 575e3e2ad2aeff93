//! What a caller of the server sees.

mod create;
mod delete;
mod fixture;
mod reading;
mod update;

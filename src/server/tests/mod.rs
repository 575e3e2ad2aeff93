//! What a caller of the server sees.

mod create;
mod fixture;

//! The real kubectl against the shipped `examples/cluster`: every command that the notes name, and the rest of
//! what people type daily.

mod accounts;
mod delete;
mod describe;
mod harness;
mod nodes;
mod objects;
mod pods;
mod rollout;
mod seed;
mod top;

//! Tests over the whole table, and what users see of single kinds.

mod behaviour;
mod table;

//! The verbs, one file each.

mod create;
mod delete;
mod get;
mod list;
mod patch;
mod update;
mod watch;

pub(super) use self::delete::precondition;
pub(super) use self::patch::patched;

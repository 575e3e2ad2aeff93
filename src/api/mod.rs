//! The object model, and the contracts between the parts.
//!
//! Everything else in the crate depends on this module, and it on nothing but [`crate::clock`] and
//! [`crate::random`]. The types of the objects themselves are `k8s-openapi`'s.

mod admission;
mod backend;
pub mod decode;
mod duration;
pub mod field;
mod handle;
mod key;
mod kind;
pub mod kinds;
pub mod manifest;
mod node_endpoint;
mod object;
mod quantity;
pub mod rules;
pub mod schema;
pub mod selector;
pub mod stats;
mod status;
mod strategy;
mod table;
mod verb;
mod watch;

pub use self::admission::{Admission, Operation, Review};
pub use self::backend::{Backend, Call, Deleted, List, Target, User};
pub use self::duration::{GoDuration, ParseDurationError};
pub use self::field::{FieldError, FieldErrors};
pub use self::key::{Key, NamespacedName, Revision};
pub use self::kind::{ALL_VERBS, Conversion, GroupKind, GroupResource, Kind, KindRef, Subresource};
pub use self::kinds::Kinds;
pub use self::node_endpoint::{
    Answer, ByteStream, Connect, Connection, ExecOptions, ExecSession, LogOptions, NodeDirectory, NodeEndpoint, Output,
    PodRef, TerminalSize,
};
#[cfg(feature = "http")]
pub(crate) use self::object::Printed;
pub use self::object::{ApiType, Body, Draft, Dynamic, Object, WrongKind};
pub use self::quantity::{Format, ParseQuantityError, Quantity};
pub use self::selector::{FieldSelector, LabelSelector};
pub use self::status::{ApiError, Reason};
pub use self::strategy::{AnyStrategy, NameRule, ScaleView, Strategy, Surroundings};
pub use self::table::{Cell, Column, human_duration};
pub use self::verb::{
    Consistency, DeleteOptions, FieldValidation, GetOptions, ListOptions, Patch, Propagation, WatchOptions,
    WriteOptions,
};
pub use self::watch::{WatchEvent, WatchStream};

//! Handles to what many threads use at once.

use std::ops::Deref;
use std::sync::Arc;

/// A handle that is cheap to clone. What is there for as long as the process is not counted: all threads would write to one
/// place for each of their calls, and wait for each other there.
#[derive(Debug)]
pub(super) enum Handle<T: 'static> {
    Static(&'static T),
    Counted(Arc<T>),
}

impl<T> Handle<T> {
    /// The same for as long as the process lives.
    pub(super) fn leaked(value: T) -> Self {
        Self::Static(Box::leak(Box::new(value)))
    }

    /// Whether both handles are of one value.
    pub(super) fn ptr_eq(&self, other: &Self) -> bool {
        std::ptr::eq::<T>(&**self, &**other)
    }
}

impl<T> From<T> for Handle<T> {
    fn from(value: T) -> Self {
        Self::Counted(Arc::new(value))
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Static(value) => Self::Static(value),
            Self::Counted(value) => Self::Counted(Arc::clone(value)),
        }
    }
}

impl<T> Deref for Handle<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Static(value) => value,
            Self::Counted(value) => value,
        }
    }
}

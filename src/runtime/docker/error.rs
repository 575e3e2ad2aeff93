//! What the engine says, as errors of the runtime.

use bollard::errors::Error;

use crate::runtime::RuntimeError;

/// The engine did not do what it was asked for.
pub(super) fn failed(operation: impl Into<String>, error: Error) -> RuntimeError {
    RuntimeError::Engine { operation: operation.into(), message: message(error) }
}

/// The engine's own words.
pub(super) fn message(error: Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } => error,
        other => other.to_string(),
    }
}

/// The status of an answer that is an error.
pub(super) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Whether what was named does not exist.
pub(super) fn is_missing(error: &Error) -> bool {
    status(error) == Some(404)
}

/// Takes it for done where somebody else is about to do it: whoever needs it done looks again.
pub(super) fn unless_under_way(result: Result<(), Error>, operation: &str) -> Result<(), RuntimeError> {
    match result {
        Err(Error::DockerResponseServerError { status_code: 409, message }) if message.contains("in progress") => {
            Ok(())
        }
        other => unless_done(other, operation),
    }
}

/// Takes it for done where what was named does not exist, or is in the wanted state already.
pub(super) fn unless_done(result: Result<(), Error>, operation: &str) -> Result<(), RuntimeError> {
    match result {
        Err(error) if !matches!(status(&error), Some(304 | 404)) => Err(failed(operation, error)),
        _ => Ok(()),
    }
}

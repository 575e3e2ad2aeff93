//! Errors that only the server makes, in upstream's words.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusDetails;

use crate::api::{ApiError, Reason};

/// A path, kind or subresource that is not served.
pub(super) fn no_such_resource() -> ApiError {
    ApiError::new(Reason::NotFound, "the server could not find the requested resource")
        .with_details(StatusDetails::default())
}

pub(super) fn namespace_mismatch() -> ApiError {
    ApiError::bad_request("the namespace of the provided object does not match the namespace sent on the request")
}

pub(super) fn name_undeterminable() -> ApiError {
    ApiError::bad_request("the name of the object (based on URL) was undeterminable: name must be provided")
}

pub(super) fn name_mismatch(object: &str, url: &str) -> ApiError {
    ApiError::bad_request(format!("the name of the object ({object}) does not match the name on the URL ({url})"))
}

/// An error that upstream passes on without making a `Status` of it: code 500, no reason.
pub(super) fn plain(message: impl Into<String>) -> ApiError {
    ApiError::new(Reason::Unknown, message)
}

//! The errors of API calls: Kubernetes' `Status`.

use std::fmt;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Status, StatusCause, StatusDetails};

use super::field::FieldErrors;
use super::kind::{GroupKind, GroupResource};

/// Why an API call failed: the `reason` of a `Status`, with its HTTP code.
///
/// See the [API conventions](https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#response-status-kind).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// No or wrong credentials.
    Unauthorized,
    /// The caller may not do this.
    Forbidden,
    /// No such object, kind or path.
    NotFound,
    /// An object of that name exists.
    AlreadyExists,
    /// The object has changed since it was read.
    Conflict,
    /// Gone for good.
    Gone,
    /// The object breaks rules; the causes say which fields.
    Invalid,
    /// The revision asked for has been compacted away.
    Expired,
    /// The server could not finish in time; trying again may help.
    ServerTimeout,
    /// The call's own time ran out.
    Timeout,
    /// Try again later (also: an eviction that a disruption budget forbids).
    TooManyRequests,
    /// The request makes no sense.
    BadRequest,
    /// The resource knows no such verb.
    MethodNotAllowed,
    /// No representation that the client accepts.
    NotAcceptable,
    /// The body is too large.
    RequestEntityTooLarge,
    /// The body's type is not understood.
    UnsupportedMediaType,
    /// A fault of the server.
    InternalError,
    /// The server cannot serve now.
    ServiceUnavailable,
    /// Anything else.
    Unknown,
}

/// Reasons with their wire names and HTTP codes: the one table for both directions.
const REASONS: &[(Reason, &str, u16)] = &[
    (Reason::Unauthorized, "Unauthorized", 401),
    (Reason::Forbidden, "Forbidden", 403),
    (Reason::NotFound, "NotFound", 404),
    (Reason::AlreadyExists, "AlreadyExists", 409),
    (Reason::Conflict, "Conflict", 409),
    (Reason::Gone, "Gone", 410),
    (Reason::Invalid, "Invalid", 422),
    (Reason::Expired, "Expired", 410),
    (Reason::ServerTimeout, "ServerTimeout", 500),
    (Reason::Timeout, "Timeout", 504),
    (Reason::TooManyRequests, "TooManyRequests", 429),
    (Reason::BadRequest, "BadRequest", 400),
    (Reason::MethodNotAllowed, "MethodNotAllowed", 405),
    (Reason::NotAcceptable, "NotAcceptable", 406),
    (Reason::RequestEntityTooLarge, "RequestEntityTooLarge", 413),
    (Reason::UnsupportedMediaType, "UnsupportedMediaType", 415),
    (Reason::InternalError, "InternalError", 500),
    (Reason::ServiceUnavailable, "ServiceUnavailable", 503),
    (Reason::Unknown, "", 500),
];

impl Reason {
    fn row(self) -> &'static (Reason, &'static str, u16) {
        REASONS.iter().find(|row| row.0 == self).unwrap_or(&REASONS[REASONS.len() - 1])
    }

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// The HTTP status code.
    pub fn code(self) -> u16 {
        self.row().2
    }

    /// The reason of that name on the wire.
    pub fn from_wire(name: &str) -> Self {
        REASONS.iter().find(|row| row.1 == name).map_or(Self::Unknown, |row| row.0)
    }
}

/// A failed API call. Carries the `Status` that a client on the wire would get, word for word.
///
/// ```
/// use orchestrion::api::{ApiError, Reason};
/// # use orchestrion::api::Kind;
/// # use k8s_openapi::api::core::v1::Pod;
/// let error = ApiError::not_found(&Kind::of::<Pod>().resource(), "web-0");
/// assert_eq!(error.to_string(), r#"pods "web-0" not found"#);
/// assert_eq!(error.reason(), Reason::NotFound);
/// assert_eq!(error.code(), 404);
/// ```
#[derive(Clone, PartialEq)]
pub struct ApiError(Box<Status>);

impl std::error::Error for ApiError {}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.message(), self.code(), self.0.reason.as_deref().unwrap_or_default())
    }
}

impl From<Status> for ApiError {
    fn from(status: Status) -> Self {
        Self(Box::new(status))
    }
}

impl ApiError {
    /// An error of that reason and message, with the reason's usual code.
    #[cold]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self(Box::new(Status {
            status: Some("Failure".to_owned()),
            code: Some(i32::from(reason.code())),
            reason: Some(reason.as_str().to_owned()).filter(|name| !name.is_empty()),
            message: Some(message.into()),
            ..Status::default()
        }))
    }

    #[cold]
    fn on(reason: Reason, resource: &GroupResource, name: &str, message: String) -> Self {
        let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Self::new(reason, message).with_details(StatusDetails {
            group: filled(resource.group()),
            kind: filled(resource.resource()),
            name: filled(name),
            ..StatusDetails::default()
        })
    }

    /// `pods "web-0" not found`
    #[cold]
    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::on(Reason::NotFound, resource, name, format!("{resource} \"{name}\" not found"))
    }

    /// `pods "web-0" already exists`
    #[cold]
    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::on(Reason::AlreadyExists, resource, name, format!("{resource} \"{name}\" already exists"))
    }

    /// No free name was found for a `generateName`.
    #[cold]
    pub fn generated_name_taken(resource: &GroupResource, name: &str) -> Self {
        let message = format!(
            "{resource} \"{name}\" already exists, the server was not able to generate a unique name for the object"
        );
        Self::on(Reason::AlreadyExists, resource, name, message).retry_after(Duration::from_secs(1))
    }

    /// `Operation cannot be fulfilled on pods "web-0": why`
    #[cold]
    pub fn conflict(resource: &GroupResource, name: &str, why: impl fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::on(Reason::Conflict, resource, name, message)
    }

    /// The conflict of an update that was made from an older version of the object.
    #[cold]
    pub fn modified(resource: &GroupResource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// `pods "web-0" is forbidden: why`
    #[cold]
    pub fn forbidden(resource: &GroupResource, name: &str, why: impl fmt::Display) -> Self {
        let message = if name.is_empty() {
            format!("{resource} is forbidden: {why}")
        } else {
            format!("{resource} \"{name}\" is forbidden: {why}")
        };
        Self::on(Reason::Forbidden, resource, name, message)
    }

    /// `Pod "web-0" is invalid: the mistakes`
    #[cold]
    pub fn invalid(kind: &GroupKind, name: &str, errors: &FieldErrors) -> Self {
        let mut message = format!("{kind} \"{name}\" is invalid");
        if !errors.is_empty() {
            message = format!("{message}: {errors}");
        }
        let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Self::new(Reason::Invalid, message).with_details(StatusDetails {
            group: filled(&kind.group),
            kind: filled(&kind.kind),
            name: filled(name),
            causes: Some(errors.causes()),
            ..StatusDetails::default()
        })
    }

    /// A request that makes no sense.
    #[cold]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    /// `create is not supported on resources of kind "pods"`
    #[cold]
    pub fn method_not_supported(resource: &GroupResource, action: &str) -> Self {
        let message = format!("{action} is not supported on resources of kind \"{resource}\"");
        Self::on(Reason::MethodNotAllowed, resource, "", message)
    }

    /// A revision that has been compacted away.
    #[cold]
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(Reason::Expired, message)
    }

    /// A fault of the server: `Internal error occurred: why`.
    #[cold]
    pub fn internal(why: impl fmt::Display) -> Self {
        let cause = StatusCause { message: Some(why.to_string()), ..StatusCause::default() };
        Self::new(Reason::InternalError, format!("Internal error occurred: {why}"))
            .with_details(StatusDetails { causes: Some(vec![cause]), ..StatusDetails::default() })
    }

    /// Try again later.
    #[cold]
    pub fn too_many_requests(message: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(Reason::TooManyRequests, message).retry_after(retry_after)
    }

    /// The same error with these details.
    #[must_use]
    pub fn with_details(mut self, details: StatusDetails) -> Self {
        self.0.details = Some(details);
        self
    }

    /// The same error with one more cause.
    #[must_use]
    pub fn with_cause(mut self, reason: &str, field: &str, message: impl Into<String>) -> Self {
        let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let details = self.0.details.get_or_insert_default();
        details.causes.get_or_insert_default().push(StatusCause {
            reason: filled(reason),
            field: filled(field),
            message: Some(message.into()),
        });
        self
    }

    /// The same error with advice when to try again (whole seconds).
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = i32::try_from(wait.as_secs()).unwrap_or(i32::MAX);
        self.0.details.get_or_insert_default().retry_after_seconds = Some(seconds);
        self
    }

    /// The `Status` as the wire carries it.
    pub fn status(&self) -> &Status {
        &self.0
    }

    /// Why the call failed.
    pub fn reason(&self) -> Reason {
        self.0.reason.as_deref().map_or(Reason::Unknown, Reason::from_wire)
    }

    /// The HTTP status code.
    pub fn code(&self) -> u16 {
        self.0.code.and_then(|code| u16::try_from(code).ok()).unwrap_or(500)
    }

    /// What a person is told.
    pub fn message(&self) -> &str {
        self.0.message.as_deref().unwrap_or_default()
    }

    /// Whether no such object exists.
    pub fn is_not_found(&self) -> bool {
        self.reason() == Reason::NotFound
    }

    /// Whether an object of that name exists.
    pub fn is_already_exists(&self) -> bool {
        self.reason() == Reason::AlreadyExists
    }

    /// Whether the object had changed since it was read.
    pub fn is_conflict(&self) -> bool {
        self.reason() == Reason::Conflict
    }

    /// Whether the object breaks rules.
    pub fn is_invalid(&self) -> bool {
        self.reason() == Reason::Invalid
    }

    /// Whether the revision asked for is no longer kept.
    pub fn is_expired(&self) -> bool {
        matches!(self.reason(), Reason::Expired | Reason::Gone)
    }
}

//! The verbs: a routed request becomes a call of the backend, and its outcome an answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, Version};
use serde_json::json;

use super::body::{self, Pieced};
use super::closing::Closing;
use super::negotiate::{self, Accepted};
use super::printing::Printer;
use super::query::{Query, refused};
use super::route::{ResourcePath, Verb};
use super::watch_stream;
use crate::api::decode;
use crate::api::field::Path;
use crate::api::{
    ApiError, Backend, Call, Consistency, Deleted, Draft, FieldErrors, FieldValidation, KindRef, ListOptions, Patch,
    Target,
};
use crate::clock::Clock;
use crate::random::Random;

/// How long a watch lasts at least that names no time itself (upstream's `--min-request-timeout`).
const MIN_WATCH: Duration = Duration::from_secs(1800);

/// Kinds whose deletion answers with the object even where it is gone; the others answer with a `Status`.
const RETURN_DELETED: &[&str] = &[
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "podtemplates",
    "resourcequotas",
    "serviceaccounts",
    "services",
];

/// A request for objects, ready to be carried out.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) backend: &'a dyn Backend,
    pub(crate) clock: Clock,
    pub(crate) random: &'a Random,
    pub(crate) call: &'a Call,
    pub(crate) verb: Verb,
    pub(crate) path: &'a ResourcePath,
    pub(crate) kind: KindRef,
    pub(crate) query: &'a Query,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) version: Version,
    /// Cancelled when long answers are to end.
    pub(crate) closing: Option<&'a Closing>,
}

impl Request<'_> {
    /// Carries the request out.
    pub(crate) async fn run(self, body: Bytes) -> Result<Response<Pieced>, ApiError> {
        let printer = Printer::of(Accepted::of(self.headers)?, self.query, self.clock.now())?;
        match self.verb {
            Verb::Get => self.get(&printer).await,
            Verb::List => {
                let list = self.backend.list(self.call, &self.target(), &self.query.list_options(&self.kind)?).await?;
                printer.list(&self.kind, list)
            }
            Verb::Watch => self.watch(printer).await,
            Verb::Create => self.create(&printer, body).await,
            Verb::Update => self.update(&printer, body).await,
            Verb::Patch => self.patch(&printer, body).await,
            Verb::Delete => self.delete(&printer, body).await,
            Verb::DeleteCollection => {
                let options = self.query.delete_options(&negotiate::to_json(self.headers, body)?)?;
                let matching = self.query.list_options(&self.kind)?;
                let list = self.backend.delete_collection(self.call, &self.target(), &options, &matching).await?;
                printer.list(&self.kind, list)
            }
        }
    }

    pub(crate) fn target(&self) -> Target {
        Target::one(self.kind.clone(), &self.path.namespace, &self.path.name).sub(&*self.path.subresource)
    }

    async fn get(&self, printer: &Printer) -> Result<Response<Pieced>, ApiError> {
        let options = self.query.get_options(&self.kind)?;
        let object = self.backend.get(self.call, &self.target(), &options).await?;
        printer.object(StatusCode::OK, &object)
    }

    async fn watch(&self, printer: Printer) -> Result<Response<Pieced>, ApiError> {
        let mut options = self.query.watch_options(&self.kind)?;
        // A spread, so that watches do not all begin anew at once.
        options.timeout.get_or_insert_with(|| self.random.jitter(MIN_WATCH, 1.0));
        let mut target = self.target();
        if !target.name().is_empty() {
            options.fields = format!("metadata.name={}", target.name())
                .parse()
                .map_err(|error| ApiError::bad_request(format!("{error}")))?;
            target = target.named("");
        }
        if self.query.tristate("sendInitialEvents") == Some(false) && options.from == Consistency::MostRecent {
            // From now on, without what exists.
            let newest = ListOptions { limit: Some(1), ..ListOptions::default() };
            options.from = Consistency::Exact(self.backend.list(self.call, &target, &newest).await?.revision);
        }
        let answer = watch_stream::Answer {
            kind: self.kind.clone(),
            printer,
            clock: self.clock,
            // The streams of HTTP/2 share a connection, and callers in this process need none.
            alone: self.closing.is_some() && self.version < Version::HTTP_2,
        };
        match self.backend.watch(self.call, &target, &options).await {
            Ok(events) => Ok(answer.of(events, self.closing)),
            Err(error) if error.is_expired() => Ok(answer.failed(error)),
            Err(error) => Err(error),
        }
    }

    async fn create(&self, printer: &Printer, body: Bytes) -> Result<Response<Pieced>, ApiError> {
        let options = self.query.write_options("CreateOptions")?;
        let draft = self.draft(body, options.field_validation)?;
        let object = self.backend.create(self.call, &self.target(), draft, &options).await?;
        let posted = if self.path.subresource.is_empty() { &self.path.resource } else { &self.path.subresource };
        if matches!(posted.as_str(), "binding" | "bindings" | "eviction") {
            // Upstream answers these with a bare success.
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
            });
            return printer.value(StatusCode::CREATED, &status);
        }
        printer.object(StatusCode::CREATED, &object)
    }

    async fn update(&self, printer: &Printer, body: Bytes) -> Result<Response<Pieced>, ApiError> {
        let options = self.query.write_options("UpdateOptions")?;
        let draft = self.draft(body, options.field_validation)?;
        let object = self.backend.update(self.call, &self.target(), draft, &options).await?;
        printer.object(StatusCode::OK, &object)
    }

    async fn patch(&self, printer: &Printer, body: Bytes) -> Result<Response<Pieced>, ApiError> {
        let options = self.query.write_options("PatchOptions")?;
        let force = self.query.tristate("force");
        let patch = negotiate::to_patch(self.headers, &body, force.unwrap_or_default())?;
        let mut errors = FieldErrors::default();
        match patch {
            Patch::Apply { .. } if options.field_manager.is_none() => {
                errors.required(&Path::new("fieldManager"), "is required for apply patch");
            }
            Patch::Apply { .. } => {}
            _ if force.is_some() => {
                errors.forbidden(&Path::new("force"), "may not be specified for non-apply patch");
            }
            _ => {}
        }
        refused("PatchOptions", &errors)?;
        let object = self.backend.patch(self.call, &self.target(), patch, &options).await?;
        printer.object(StatusCode::OK, &object)
    }

    async fn delete(&self, printer: &Printer, body: Bytes) -> Result<Response<Pieced>, ApiError> {
        let options = self.query.delete_options(&negotiate::to_json(self.headers, body)?)?;
        match self.backend.delete(self.call, &self.target(), &options).await? {
            Deleted::Pending(object) => printer.object(StatusCode::OK, &object),
            Deleted::Gone(object)
                if self.path.group.is_empty() && RETURN_DELETED.contains(&self.path.resource.as_str()) =>
            {
                printer.object(StatusCode::OK, &object)
            }
            Deleted::Gone(object) => {
                let mut details = json!({ "name": object.name(), "kind": self.path.resource, "uid": object.uid() });
                if !self.path.group.is_empty() {
                    details["group"] = json!(self.path.group);
                }
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
                });
                printer.value(StatusCode::OK, &status)
            }
        }
    }

    /// The kind of the bodies that this path takes: the subresource's own, or the kind itself.
    fn body_kind(&self) -> Result<KindRef, ApiError> {
        match self.kind.subresource(&self.path.subresource).and_then(|subresource| subresource.body) {
            None => Ok(self.kind.clone()),
            Some((group, version, kind)) => self
                .backend
                .kinds()
                .by_kind(group, version, kind)
                .ok_or_else(|| ApiError::internal(format!("no row for {kind} in the kinds table"))),
        }
    }

    fn draft(&self, body: Bytes, validation: FieldValidation) -> Result<Draft, ApiError> {
        let kind = self.body_kind()?;
        let json = negotiate::to_json(self.headers, body)?;
        decode::object(&kind, &json)?.accept_body(validation, self.call)
    }
}

/// Whether a query asks for an answer that is written without end.
pub(crate) fn is_long_running(verb: Verb, path: &ResourcePath) -> bool {
    verb == Verb::Watch || matches!(path.subresource.as_str(), "exec" | "attach" | "portforward" | "log" | "proxy")
}

/// The answer to a method that a path does not serve.
pub(crate) fn method_not_allowed() -> Response<Pieced> {
    let message = "the server does not allow this method on the requested resource";
    body::failure(&ApiError::new(crate::api::Reason::MethodNotAllowed, message))
}

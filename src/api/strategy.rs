//! What a kind does: the contract between the kinds table and the server.

use std::borrow::Cow;
use std::fmt::Debug;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use std::sync::Arc;

use super::decode::{Arena, Decoded, Document};
use super::field::FieldErrors;
use super::object::Body;
use super::status::ApiError;
use super::table::{Cell, Column};
use super::verb::Propagation;

/// What a strategy may know of its surroundings: everything else is a function of the objects.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The time of the request.
    pub now: Timestamp,
    /// Whether pods live on loopback addresses: relaxes the one rule of upstream that forbids loopback
    /// addresses in endpoints, and no other.
    pub loopback_network: bool,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self { now: Timestamp::UNIX_EPOCH, loopback_network: false }
    }
}

/// The behaviour of one kind in one version: pure functions of the new and the old object.
///
/// The server calls them in the order they stand here. Metadata that all kinds share (name, namespace,
/// labels, annotations, owner references, finalizers, `generation`, `uid`, `creationTimestamp`,
/// `deletionTimestamp`) is the server's; a strategy sees to the rest. Every method has a default, so that a plain
/// kind is a few lines:
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use orchestrion::api::Strategy;
///
/// #[derive(Debug)]
/// struct Plain;
///
/// impl Strategy for Plain {
///     type Object = ConfigMap;
/// }
/// ```
///
/// Source of the order: `k8s.io/apiserver/pkg/registry/rest/create.go` and `update.go`.
pub trait Strategy: Debug + Send + Sync + 'static {
    /// The type of the kind's objects.
    type Object: Body + Clone + PartialEq + DeserializeOwned;

    /// Fills in what the user left out. Idempotent; called for every decoded object.
    fn default(&self, _object: &mut Self::Object) {}

    /// Clears what a creator may not set (the status), and sets what the kind derives.
    fn prepare_create(&self, _object: &mut Self::Object, _around: &Surroundings) {}

    /// Restores what an update of the main resource may not change (the status).
    fn prepare_update(&self, _new: &mut Self::Object, _old: &Self::Object, _around: &Surroundings) {}

    /// Restores what an update of the status subresource may not change (everything but the status).
    /// Metadata is taken from the old object by the server, unless [`Strategy::status_carries_metadata`].
    fn prepare_status(&self, _new: &mut Self::Object, _old: &Self::Object, _around: &Surroundings) {}

    /// Whether two versions tell of different statuses, where the kind can tell: then nothing else is compared to find out
    /// whether an update of the status has anything to write.
    fn status_changes(&self, _new: &Self::Object, _old: &Self::Object) -> bool {
        false
    }

    /// Whether an update of the status may change labels, annotations and the like too: with the older kinds of
    /// upstream it may, and controllers and nodes count on it (the revision of a Deployment is written so).
    fn status_carries_metadata(&self) -> bool {
        false
    }

    /// Restores what an update of the subresource `name` may not change, where its body is the object itself
    /// and it is not the status: `pods/ephemeralcontainers`, `pods/resize`, `namespaces/finalize`. Metadata as
    /// in [`Strategy::prepare_status`].
    fn prepare_subresource(&self, _name: &str, _new: &mut Self::Object, _old: &Self::Object, _around: &Surroundings) {}

    /// What `metadata.generation` counts changes of. `None`: the kind has no generation.
    /// `Some(true)`: the new object differs from the old in what it counts (usually the spec).
    fn generation_changes(&self, _new: &Self::Object, _old: &Self::Object) -> Option<bool> {
        None
    }

    /// The rule that names of this kind follow.
    fn name_rule(&self) -> NameRule {
        NameRule::DnsSubdomain
    }

    /// Checks an object that is created (and, before [`Strategy::validate_update`], nothing else).
    fn validate(&self, _object: &Self::Object, _around: &Surroundings, _errors: &mut FieldErrors) {}

    /// Checks an update of the main resource: the new object as such, and what may not change.
    /// By default the checks of creation.
    fn validate_update(
        &self,
        new: &Self::Object,
        _old: &Self::Object,
        around: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        self.validate(new, around, errors);
    }

    /// Checks an update of the status subresource.
    fn validate_status(
        &self,
        _new: &Self::Object,
        _old: &Self::Object,
        _around: &Surroundings,
        _errors: &mut FieldErrors,
    ) {
    }

    /// Checks an update of a subresource as in [`Strategy::prepare_subresource`]. By default the checks of an
    /// update of the main resource.
    fn validate_subresource(
        &self,
        _name: &str,
        new: &Self::Object,
        old: &Self::Object,
        around: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        self.validate_update(new, old, around, errors);
    }

    /// Advice for the client (the `Warning` header). `old` is `None` on creation.
    fn warnings(&self, _new: &Self::Object, _old: Option<&Self::Object>) -> Vec<String> {
        Vec::new()
    }

    /// Whether an update may create the object (`PUT` to a name that does not exist).
    fn allows_create_on_update(&self) -> bool {
        false
    }

    /// Whether an update without `metadata.resourceVersion` is taken (unconditionally).
    fn allows_unconditional_update(&self) -> bool {
        true
    }

    /// The grace period of a deletion in seconds, where the kind is deleted gracefully: `None` deletes at
    /// once, `Some(0)` too. `asked` is what the client asked for.
    fn grace_period(&self, _object: &Self::Object, _asked: Option<i64>) -> Option<i64> {
        None
    }

    /// What happens to dependents where a deletion does not say; `None`: the kind knows no garbage collection.
    fn propagation(&self) -> Option<Propagation> {
        Some(Propagation::Background)
    }

    /// The value of a selectable field (one of `Kind::selectable`); empty where unset.
    fn field<'a>(&self, _object: &'a Self::Object, _field: &str) -> Cow<'a, str> {
        Cow::Borrowed("")
    }

    /// The columns of a table of such objects, as `kubectl get` prints them. By default name and time of creation.
    fn columns(&self) -> Vec<Column> {
        vec![Column::name(), Column::created_at()]
    }

    /// The cells of one row, as many as there are columns.
    fn cells(&self, object: &Self::Object, _now: Timestamp) -> Vec<Cell> {
        vec![Cell::name(object.meta()), Cell::created_at(object.meta())]
    }

    /// The `Scale` of the object, where the kind has the scale subresource.
    fn scale(&self, _object: &Self::Object) -> Option<ScaleView> {
        None
    }

    /// Sets the wanted number of replicas, where the kind has the scale subresource.
    fn set_scale(&self, _object: &mut Self::Object, _replicas: i32) {}

    /// Makes an object of a document. The default serves every type that deserialises.
    ///
    /// # Errors
    /// A bad request that names the field and what was expected.
    fn read(&self, document: &Document<'_>) -> Result<Decoded<Self::Object>, ApiError> {
        document.decode()
    }
}

/// The part of an object that the `scale` subresource shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScaleView {
    /// Wanted replicas.
    pub replicas: i32,
    /// Observed replicas.
    pub observed: i32,
    /// The selector in its text form.
    pub selector: String,
}

/// Rules for names of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// Lower case letters, digits, `-` and `.`, up to 253.
    DnsSubdomain,
    /// Lower case letters, digits and `-`, up to 63.
    DnsLabel,
    /// As a label, but beginning with a letter (services).
    DnsLabel1035,
    /// Anything that can stand as one path segment (RBAC).
    PathSegment,
}

/// A [`Strategy`] whose object type is erased: how the server calls it. Implemented for every strategy.
#[allow(missing_docs, reason = "each method is Strategy's of the same name")]
pub trait AnyStrategy: Debug + Send + Sync {
    fn read(&self, document: &Document<'_>) -> Result<Decoded<Arc<dyn Body>>, ApiError>;
    fn decode(&self, json: &[u8]) -> Result<Decoded<Arc<dyn Body>>, ApiError> {
        self.read(&Document::read(&Arena::default(), json)?)
    }
    fn default(&self, object: &mut dyn Body);
    fn prepare_create(&self, object: &mut dyn Body, around: &Surroundings);
    fn prepare_update(&self, new: &mut dyn Body, old: &dyn Body, around: &Surroundings);
    fn prepare_status(&self, new: &mut dyn Body, old: &dyn Body, around: &Surroundings);
    fn status_changes(&self, new: &dyn Body, old: &dyn Body) -> bool;
    fn status_carries_metadata(&self) -> bool;
    fn prepare_subresource(&self, name: &str, new: &mut dyn Body, old: &dyn Body, around: &Surroundings);
    fn validate_subresource(
        &self,
        name: &str,
        new: &dyn Body,
        old: &dyn Body,
        around: &Surroundings,
        errors: &mut FieldErrors,
    );
    fn generation_changes(&self, new: &dyn Body, old: &dyn Body) -> Option<bool>;
    fn has_generation(&self, object: &dyn Body) -> bool;
    fn name_rule(&self) -> NameRule;
    fn validate(&self, object: &dyn Body, around: &Surroundings, errors: &mut FieldErrors);
    fn validate_update(&self, new: &dyn Body, old: &dyn Body, around: &Surroundings, errors: &mut FieldErrors);
    fn validate_status(&self, new: &dyn Body, old: &dyn Body, around: &Surroundings, errors: &mut FieldErrors);
    fn warnings(&self, new: &dyn Body, old: Option<&dyn Body>) -> Vec<String>;
    fn allows_create_on_update(&self) -> bool;
    fn allows_unconditional_update(&self) -> bool;
    fn grace_period(&self, object: &dyn Body, asked: Option<i64>) -> Option<i64>;
    fn propagation(&self) -> Option<Propagation>;
    fn field<'a>(&self, object: &'a dyn Body, field: &str) -> Cow<'a, str>;
    fn columns(&self) -> Vec<Column>;
    fn cells(&self, object: &dyn Body, now: Timestamp) -> Vec<Cell>;
    fn scale(&self, object: &dyn Body) -> Option<ScaleView>;
    fn set_scale(&self, object: &mut dyn Body, replicas: i32);
}

/// Adapts a [`Strategy`] to [`AnyStrategy`].
#[derive(Debug)]
pub(crate) struct Erased<S>(pub(crate) S);

impl<S: Strategy> Erased<S> {
    /// A body of this kind. The server pairs bodies with kinds (`Draft::of` checks the type), so another
    /// type here is a mistake in the crate.
    fn cast(body: &dyn Body) -> &S::Object {
        body.as_any().downcast_ref().expect("a body is of its kind's type")
    }

    fn cast_mut(body: &mut dyn Body) -> &mut S::Object {
        body.as_any_mut().downcast_mut().expect("a body is of its kind's type")
    }
}

impl<S: Strategy> AnyStrategy for Erased<S> {
    fn read(&self, document: &Document<'_>) -> Result<Decoded<Arc<dyn Body>>, ApiError> {
        let decoded = self.0.read(document)?;
        Ok(Decoded { object: Arc::new(decoded.object), strict: decoded.strict })
    }
    fn default(&self, object: &mut dyn Body) {
        self.0.default(Self::cast_mut(object));
    }
    fn prepare_create(&self, object: &mut dyn Body, around: &Surroundings) {
        self.0.prepare_create(Self::cast_mut(object), around);
    }
    fn prepare_update(&self, new: &mut dyn Body, old: &dyn Body, around: &Surroundings) {
        self.0.prepare_update(Self::cast_mut(new), Self::cast(old), around);
    }
    fn prepare_status(&self, new: &mut dyn Body, old: &dyn Body, around: &Surroundings) {
        self.0.prepare_status(Self::cast_mut(new), Self::cast(old), around);
    }
    fn status_changes(&self, new: &dyn Body, old: &dyn Body) -> bool {
        self.0.status_changes(Self::cast(new), Self::cast(old))
    }
    fn status_carries_metadata(&self) -> bool {
        self.0.status_carries_metadata()
    }
    fn prepare_subresource(&self, name: &str, new: &mut dyn Body, old: &dyn Body, around: &Surroundings) {
        self.0.prepare_subresource(name, Self::cast_mut(new), Self::cast(old), around);
    }
    fn validate_subresource(
        &self,
        name: &str,
        new: &dyn Body,
        old: &dyn Body,
        around: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        self.0.validate_subresource(name, Self::cast(new), Self::cast(old), around, errors);
    }
    fn generation_changes(&self, new: &dyn Body, old: &dyn Body) -> Option<bool> {
        self.0.generation_changes(Self::cast(new), Self::cast(old))
    }
    fn has_generation(&self, object: &dyn Body) -> bool {
        self.0.generation_changes(Self::cast(object), Self::cast(object)).is_some()
    }
    fn name_rule(&self) -> NameRule {
        self.0.name_rule()
    }
    fn validate(&self, object: &dyn Body, around: &Surroundings, errors: &mut FieldErrors) {
        self.0.validate(Self::cast(object), around, errors);
    }
    fn validate_update(&self, new: &dyn Body, old: &dyn Body, around: &Surroundings, errors: &mut FieldErrors) {
        self.0.validate_update(Self::cast(new), Self::cast(old), around, errors);
    }
    fn validate_status(&self, new: &dyn Body, old: &dyn Body, around: &Surroundings, errors: &mut FieldErrors) {
        self.0.validate_status(Self::cast(new), Self::cast(old), around, errors);
    }
    fn warnings(&self, new: &dyn Body, old: Option<&dyn Body>) -> Vec<String> {
        self.0.warnings(Self::cast(new), old.map(Self::cast))
    }
    fn allows_create_on_update(&self) -> bool {
        self.0.allows_create_on_update()
    }
    fn allows_unconditional_update(&self) -> bool {
        self.0.allows_unconditional_update()
    }
    fn grace_period(&self, object: &dyn Body, asked: Option<i64>) -> Option<i64> {
        self.0.grace_period(Self::cast(object), asked)
    }
    fn propagation(&self) -> Option<Propagation> {
        self.0.propagation()
    }
    fn field<'a>(&self, object: &'a dyn Body, field: &str) -> Cow<'a, str> {
        self.0.field(Self::cast(object), field)
    }
    fn columns(&self) -> Vec<Column> {
        self.0.columns()
    }
    fn cells(&self, object: &dyn Body, now: Timestamp) -> Vec<Cell> {
        self.0.cells(Self::cast(object), now)
    }
    fn scale(&self, object: &dyn Body) -> Option<ScaleView> {
        self.0.scale(Self::cast(object))
    }
    fn set_scale(&self, object: &mut dyn Body, replicas: i32) {
        self.0.set_scale(Self::cast_mut(object), replicas);
    }
}

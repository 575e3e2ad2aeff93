//! [`Object`]: one immutable version of one object, and [`Draft`]: one that is not shared yet.

mod names;
mod printed;
#[cfg(test)]
mod tests;

use std::any::{Any, TypeId};
use std::fmt::{self, Debug};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use self::names::Names;
pub(crate) use self::printed::Printed;
use super::key::{Key, Revision};
use super::kind::{Kind, KindRef};
use super::status::ApiError;

/// A type of `k8s-openapi` that has object metadata: what `Api<K>` and strategies work on.
pub trait ApiType:
    k8s_openapi::Metadata<Ty = ObjectMeta>
    + Serialize
    + DeserializeOwned
    + Clone
    + Debug
    + Default
    + PartialEq
    + Send
    + Sync
    + super::schema::Published
    + 'static
{
}

impl<K> ApiType for K where
    K: k8s_openapi::Metadata<Ty = ObjectMeta>
        + Serialize
        + DeserializeOwned
        + Clone
        + Debug
        + Default
        + PartialEq
        + Send
        + Sync
        + super::schema::Published
        + 'static
{
}

/// The content of an object, of whatever type: one of `k8s-openapi`'s, or [`Dynamic`].
pub trait Body: Any + Debug + Send + Sync {
    /// Its metadata.
    fn meta(&self) -> &ObjectMeta;
    /// Its metadata, to change.
    fn meta_mut(&mut self) -> &mut ObjectMeta;
    /// A deep copy.
    fn copy(&self) -> Arc<dyn Body>;
    /// Its JSON form, with `apiVersion` and `kind`.
    fn to_json(&self) -> Result<Vec<u8>, serde_json::Error>;
    /// Its JSON form as a value, with `apiVersion` and `kind`.
    fn to_value(&self) -> Result<Value, serde_json::Error>;
    /// Whether `other` is of the same type and equal.
    fn same(&self, other: &dyn Body) -> bool;
    /// How large its type is, in bytes: by that stores tell how much memory many of them take beside their JSON.
    fn size(&self) -> usize {
        size_of_val(self)
    }
    /// For downcasts.
    fn as_any(&self) -> &dyn Any;
    /// For downcasts.
    fn as_any_mut(&mut self) -> &mut dyn Any;
    /// For downcasts of shared handles.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// Room for the JSON of most objects, in bytes: what would be copied several times as it grows is not.
const USUAL: usize = 4096;

macro_rules! body_boilerplate {
    () => {
        fn copy(&self) -> Arc<dyn Body> {
            Arc::new(self.clone())
        }
        fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
            let mut text = Vec::with_capacity(USUAL);
            serde_json::to_writer(&mut text, self)?;
            Ok(text)
        }
        fn to_value(&self) -> Result<Value, serde_json::Error> {
            // By way of the text: a second serializer for every type would cost more to compile than this to run.
            serde_json::from_slice(&self.to_json()?)
        }
        fn same(&self, other: &dyn Body) -> bool {
            other.as_any().downcast_ref::<Self>().is_some_and(|other| other == self)
        }
        fn as_any(&self) -> &dyn Any {
            self
        }
        fn as_any_mut(&mut self) -> &mut dyn Any {
            self
        }
        fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
            self
        }
    };
}

impl<K: ApiType> Body for K {
    fn meta(&self) -> &ObjectMeta {
        self.metadata()
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.metadata_mut()
    }
    body_boilerplate!();
}

/// An object of a kind that has no Rust type here: metadata, and the rest as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dynamic {
    /// Group and version: `example.com/v1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The metadata.
    pub metadata: ObjectMeta,
    /// Every other field.
    #[serde(flatten)]
    pub data: Map<String, Value>,
}

impl Body for Dynamic {
    /// All is behind pointers, and may be much: as much as a pod, say.
    fn size(&self) -> usize {
        size_of::<Pod>()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
    body_boilerplate!();
}

/// An object that is still being made: owned, changeable, without a revision. Cloning shares the content
/// until one side changes it.
#[derive(Clone, Debug)]
pub struct Draft {
    kind: KindRef,
    body: Arc<dyn Body>,
    /// The JSON of a version that differs from this in metadata at most.
    printed: Option<Printed>,
}

impl Draft {
    /// A draft of a built-in kind.
    ///
    /// # Panics
    /// Where the kinds table has no row for `K`; it has one for every kind of the stable groups.
    pub fn new<K: ApiType>(object: K) -> Self {
        Self { kind: Kind::of::<K>(), body: Arc::new(object), printed: None }
    }

    /// A draft of a built-in kind from a shared object; copied only where it is changed.
    pub fn shared<K: ApiType>(object: Arc<K>) -> Self {
        Self { kind: Kind::of::<K>(), body: object, printed: None }
    }

    /// A draft of `kind` with that content. The content's type must be the kind's.
    pub fn of(kind: KindRef, body: Arc<dyn Body>) -> Self {
        debug_assert_eq!((*body).as_any().type_id(), kind.body_type());
        Self { kind, body, printed: None }
    }

    /// Its kind.
    pub fn kind(&self) -> &KindRef {
        &self.kind
    }

    /// Its metadata.
    pub fn meta(&self) -> &ObjectMeta {
        self.body.meta()
    }

    /// Its metadata, to change.
    pub fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.own().meta_mut()
    }

    /// Its content.
    pub fn body(&self) -> &dyn Body {
        &*self.body
    }

    /// Its content, to change: copied first where it is shared.
    pub fn body_mut(&mut self) -> &mut dyn Body {
        self.printed = None;
        self.own()
    }

    fn own(&mut self) -> &mut dyn Body {
        if Arc::get_mut(&mut self.body).is_none() {
            self.body = self.body.copy();
        }
        Arc::get_mut(&mut self.body).expect("a fresh copy has one owner")
    }

    /// Its content as `K`, where it is one.
    pub fn typed<K: Body>(&self) -> Option<&K> {
        self.body.as_any().downcast_ref()
    }

    /// Its content as `K`, to change, where it is one.
    pub fn typed_mut<K: Body>(&mut self) -> Option<&mut K> {
        self.body_mut().as_any_mut().downcast_mut()
    }

    /// The key under which it would be stored.
    pub fn key(&self) -> Key {
        Key::of(&self.kind, self.meta())
    }

    /// Finds out whether it differs from `old` in metadata alone, where `old` has been printed: then that need not be
    /// done again for what is the same.
    pub(crate) fn compare(&mut self, old: &Object) {
        if self.printed.is_none()
            && let (Some(json), Some(body)) = (old.0.json.get(), old.0.body.get())
        {
            let own = std::mem::replace(self.meta_mut(), body.meta().clone());
            let same = self.body.same(&**body);
            *self.meta_mut() = own;
            self.printed = same.then(|| json.clone());
        }
    }

    /// Gives the object its revision (and with it `metadata.resourceVersion`) and makes it immutable.
    pub fn seal(mut self, revision: Revision) -> Object {
        self.meta_mut().resource_version = Some(revision.to_string());
        self.sealed(revision)
    }

    fn sealed(self, revision: Revision) -> Object {
        let json = self.printed.and_then(|json| json.with_metadata(&self.kind, self.body.meta()));
        let (body, json) = (self.body.into(), json.map(OnceLock::from).unwrap_or_default());
        Object(Arc::new(Inner { kind: self.kind, revision, body, json, origin: Origin::None }))
    }

    /// Makes it immutable as it stands, `metadata.resourceVersion` and all: for answers that were never stored
    /// (dry runs, bodies of subresources) and for objects read from a foreign server.
    pub fn seal_as_is(self) -> Object {
        let revision = self.meta().resource_version.as_deref().and_then(|text| text.parse().ok());
        self.sealed(revision.unwrap_or_default())
    }
}

struct Inner {
    kind: KindRef,
    revision: Revision,
    /// Made when somebody looks, where there is an origin.
    body: OnceLock<Arc<dyn Body>>,
    json: OnceLock<Printed>,
    origin: Origin,
}

/// What an object is made of that has no typed form.
enum Origin {
    /// It has had one from the start.
    None,
    /// The object of which this is the same but for the revision.
    Version(Object),
    /// Its JSON, and where that has the names.
    Json(Names),
}

/// One immutable version of one object: a cheap handle to typed content and its JSON, the latter made at most
/// once and then shared.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use orchestrion::api::{Draft, Revision};
/// let mut map = ConfigMap::default();
/// map.metadata.name = Some("settings".into());
/// let object = Draft::new(map).seal(Revision::from(7));
/// assert_eq!(object.meta().resource_version.as_deref(), Some("7"));
/// assert_eq!(object.typed::<ConfigMap>().unwrap().metadata.name.as_deref(), Some("settings"));
/// assert!(object.json().starts_with(br#"{"apiVersion":"v1","kind":"ConfigMap""#));
/// ```
#[derive(Clone)]
pub struct Object(Arc<Inner>);

impl Object {
    /// The same object at another revision, which becomes its `metadata.resourceVersion`. Costs nothing until somebody
    /// looks at it: a deletion's last version mostly has no reader.
    #[must_use]
    pub fn at(&self, revision: Revision) -> Self {
        let (body, json) = (OnceLock::new(), OnceLock::new());
        Self(Arc::new(Inner { kind: self.kind().clone(), revision, body, json, origin: Origin::Version(self.clone()) }))
    }

    fn shared_body(&self) -> &Arc<dyn Body> {
        self.0.body.get_or_init(|| {
            if let Origin::Version(origin) = &self.0.origin {
                let mut draft = origin.draft();
                draft.meta_mut().resource_version = Some(self.0.revision.to_string());
                return draft.body;
            }
            self.decoded()
        })
    }

    /// What the JSON is decoded to. Every kind survives its JSON: tests of the kinds table see to that. One of a custom
    /// strategy that does not is of no kind.
    fn decoded(&self) -> Arc<dyn Body> {
        self.0.kind.strategy().decode(&self.json()).map_or_else(
            |error| {
                tracing::error!(kind = %self.0.kind.kind, name = self.name(), %error, "object cannot be decoded");
                Arc::new(Dynamic::default()) as Arc<dyn Body>
            },
            |decoded| decoded.object,
        )
    }

    /// The same version without its typed form, which is made again of the JSON when somebody looks: a fraction of the
    /// memory. `None` where that would save none: others hold the typed form, or there is none. Without `print`, also
    /// where the JSON has not been made yet.
    pub fn cooled(&self, print: bool) -> Option<Self> {
        let body = self.warm_body().filter(|_| print || self.0.json.get().is_some())?;
        let json = self.printed().clone();
        let names = Names::find(json.head(), body.meta())?;
        let (kind, revision, json) = (self.kind().clone(), self.0.revision, json.into());
        Some(Self(Arc::new(Inner { kind, revision, body: OnceLock::new(), json, origin: Origin::Json(names) })))
    }

    /// Prints it, where [`Object::cooled`] would.
    pub(crate) fn print_to_be_cooled(&self) {
        if self.warm_body().is_some() {
            self.printed();
        }
    }

    /// How large the type of its typed form is, in bytes; nothing where there is none now.
    pub(crate) fn size(&self) -> usize {
        self.0.body.get().map_or(0, |body| body.size())
    }

    /// The typed form, where letting go of it would save memory.
    fn warm_body(&self) -> Option<&Arc<dyn Body>> {
        let body = self.0.body.get().filter(|body| Arc::strong_count(body) == 1)?;
        (!matches!(self.0.origin, Origin::Version(_))).then_some(body)
    }

    /// Its kind.
    pub fn kind(&self) -> &KindRef {
        &self.0.kind
    }

    /// The revision at which it was written.
    pub fn revision(&self) -> Revision {
        self.0.revision
    }

    /// Its metadata.
    pub fn meta(&self) -> &ObjectMeta {
        self.shared_body().meta()
    }

    /// `metadata.name`; empty where there is none.
    pub fn name(&self) -> &str {
        match &self.0.origin {
            Origin::Json(names) => names.name(self.printed().head()),
            Origin::Version(origin) => origin.name(),
            Origin::None => self.meta().name.as_deref().unwrap_or_default(),
        }
    }

    /// `metadata.namespace`; empty where there is none.
    pub fn namespace(&self) -> &str {
        match &self.0.origin {
            Origin::Json(names) => names.namespace(self.printed().head()),
            Origin::Version(origin) => origin.namespace(),
            Origin::None => self.meta().namespace.as_deref().unwrap_or_default(),
        }
    }

    /// `metadata.uid`; empty where there is none.
    pub fn uid(&self) -> &str {
        match &self.0.origin {
            Origin::Json(names) => names.uid(self.printed().head()),
            Origin::Version(origin) => origin.uid(),
            Origin::None => self.meta().uid.as_deref().unwrap_or_default(),
        }
    }

    /// Its content.
    pub fn body(&self) -> &dyn Body {
        &**self.shared_body()
    }

    /// Its content, shared, as `K`.
    ///
    /// # Errors
    /// [`WrongKind`] where the object is of another kind.
    pub fn typed<K: Body>(&self) -> Result<Arc<K>, WrongKind> {
        let body: Arc<dyn Body> = Arc::clone(self.shared_body());
        body.into_any().downcast().map_err(|_| WrongKind {
            wanted: std::any::type_name::<K>().rsplit("::").next().unwrap_or_default(),
            found: self.0.kind.kind.clone(),
        })
    }

    /// Its content as `K`, borrowed, where it is one.
    pub fn as_typed<K: Body>(&self) -> Option<&K> {
        // An object of another kind is not decoded to find that out.
        (self.0.kind.body_type() == TypeId::of::<K>()).then(|| self.body().as_any().downcast_ref())?
    }

    /// Its JSON form: made on the first call, then shared.
    pub fn json(&self) -> Bytes {
        self.printed().bytes()
    }

    /// Its JSON form, which may be in pieces.
    pub(crate) fn printed(&self) -> &Printed {
        self.0.json.get_or_init(|| self.json_of_origin().unwrap_or_else(|| self.json_of_body().into()))
    }

    fn json_of_body(&self) -> Bytes {
        // The types of k8s-openapi and JSON maps always serialise; a body that could not would be
        // one of a custom strategy, and shows as null.
        self.body().to_json().map_or_else(
            |error| {
                tracing::error!(kind = %self.0.kind.kind, name = self.name(), %error, "object has no JSON form");
                Bytes::from_static(b"null")
            },
            // A copy, that it takes no more room than it needs.
            |json| Bytes::copy_from_slice(&json),
        )
    }

    /// The JSON of the origin with another version in it, where the origin has JSON.
    fn json_of_origin(&self) -> Option<Printed> {
        let Origin::Version(origin) = &self.0.origin else { return None };
        let json = match self.0.body.get() {
            None => origin.printed(),
            Some(_) => origin.0.json.get()?,
        };
        json.at(origin.meta(), self.0.revision)
    }

    /// Its JSON form as a value.
    ///
    /// # Errors
    /// An internal error where the content has no JSON form.
    pub fn to_value(&self) -> Result<Value, ApiError> {
        self.body().to_value().map_err(ApiError::internal)
    }

    /// A changeable copy (copied when first changed).
    pub fn draft(&self) -> Draft {
        let (body, printed) = (Arc::clone(self.shared_body()), self.0.json.get().cloned());
        Draft { kind: self.0.kind.clone(), body, printed }
    }

    /// A changeable copy for somebody who does not look at this version any more: where there is nothing but JSON,
    /// what it is decoded to is the copy.
    pub(crate) fn only_draft(&self) -> Draft {
        match (&self.0.origin, self.0.body.get()) {
            (Origin::Json(_), None) => {
                Draft { kind: self.0.kind.clone(), body: self.decoded(), printed: self.0.json.get().cloned() }
            }
            _ => self.draft(),
        }
    }

    /// The key under which it is stored.
    pub fn key(&self) -> Key {
        Key::new(self.0.kind.stored().clone(), self.namespace(), self.name())
    }

    /// Whether both handles are of the same version in memory.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{} @{}", self.0.kind.kind, self.namespace(), self.name(), self.0.revision)
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.ptr_eq(other) || (self.0.revision == other.0.revision && self.body().same(other.body()))
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.body().to_value().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// An object was asked for as another kind than it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wanted a {wanted}, found a {found}")]
pub struct WrongKind {
    /// The type asked for.
    pub wanted: &'static str,
    /// The kind it is.
    pub found: String,
}

impl From<WrongKind> for ApiError {
    fn from(error: WrongKind) -> Self {
        Self::internal(error)
    }
}

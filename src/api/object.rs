//! [`Object`]: one immutable version of one object, and [`Draft`]: one that is not shared yet.

use std::any::Any;
use std::fmt::{self, Debug};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::key::{Key, Revision};
use super::kind::Kind;
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
    /// For downcasts.
    fn as_any(&self) -> &dyn Any;
    /// For downcasts.
    fn as_any_mut(&mut self) -> &mut dyn Any;
    /// For downcasts of shared handles.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

macro_rules! body_boilerplate {
    () => {
        fn copy(&self) -> Arc<dyn Body> {
            Arc::new(self.clone())
        }
        fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
            serde_json::to_vec(self)
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
    kind: Arc<Kind>,
    body: Arc<dyn Body>,
}

impl Draft {
    /// A draft of a built-in kind.
    ///
    /// # Panics
    /// Where the kinds table has no row for `K`; it has one for every kind of the stable groups.
    pub fn new<K: ApiType>(object: K) -> Self {
        Self { kind: Kind::of::<K>(), body: Arc::new(object) }
    }

    /// A draft of a built-in kind from a shared object; copied only where it is changed.
    pub fn shared<K: ApiType>(object: Arc<K>) -> Self {
        Self { kind: Kind::of::<K>(), body: object }
    }

    /// A draft of `kind` with that content. The content's type must be the kind's.
    pub fn of(kind: Arc<Kind>, body: Arc<dyn Body>) -> Self {
        debug_assert_eq!((*body).as_any().type_id(), kind.body_type());
        Self { kind, body }
    }

    /// Its kind.
    pub fn kind(&self) -> &Arc<Kind> {
        &self.kind
    }

    /// Its metadata.
    pub fn meta(&self) -> &ObjectMeta {
        self.body.meta()
    }

    /// Its metadata, to change.
    pub fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.body_mut().meta_mut()
    }

    /// Its content.
    pub fn body(&self) -> &dyn Body {
        &*self.body
    }

    /// Its content, to change: copied first where it is shared.
    pub fn body_mut(&mut self) -> &mut dyn Body {
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

    /// Gives the object its revision (and with it `metadata.resourceVersion`) and makes it immutable.
    pub fn seal(mut self, revision: Revision) -> Object {
        self.body_mut().meta_mut().resource_version = Some(revision.to_string());
        Object::sealed(self.kind, self.body, revision)
    }

    /// Makes it immutable as it stands, `metadata.resourceVersion` and all: for answers that were never stored
    /// (dry runs, bodies of subresources) and for objects read from a foreign server.
    pub fn seal_as_is(self) -> Object {
        let revision = self.meta().resource_version.as_deref().and_then(|text| text.parse().ok());
        Object::sealed(self.kind, self.body, revision.unwrap_or_default())
    }
}

struct Inner {
    kind: Arc<Kind>,
    revision: Revision,
    body: Arc<dyn Body>,
    json: OnceLock<Bytes>,
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
    fn sealed(kind: Arc<Kind>, body: Arc<dyn Body>, revision: Revision) -> Self {
        Self(Arc::new(Inner { kind, revision, body, json: OnceLock::new() }))
    }

    /// Its kind.
    pub fn kind(&self) -> &Arc<Kind> {
        &self.0.kind
    }

    /// The revision at which it was written.
    pub fn revision(&self) -> Revision {
        self.0.revision
    }

    /// Its metadata.
    pub fn meta(&self) -> &ObjectMeta {
        self.0.body.meta()
    }

    /// `metadata.name`; empty where there is none.
    pub fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }

    /// `metadata.namespace`; empty where there is none.
    pub fn namespace(&self) -> &str {
        self.meta().namespace.as_deref().unwrap_or_default()
    }

    /// `metadata.uid`; empty where there is none.
    pub fn uid(&self) -> &str {
        self.meta().uid.as_deref().unwrap_or_default()
    }

    /// Its content.
    pub fn body(&self) -> &dyn Body {
        &*self.0.body
    }

    /// Its content, shared, as `K`.
    ///
    /// # Errors
    /// [`WrongKind`] where the object is of another kind.
    pub fn typed<K: Body>(&self) -> Result<Arc<K>, WrongKind> {
        let body: Arc<dyn Body> = Arc::clone(&self.0.body);
        body.into_any().downcast().map_err(|_| WrongKind {
            wanted: std::any::type_name::<K>().rsplit("::").next().unwrap_or_default(),
            found: self.0.kind.kind.clone(),
        })
    }

    /// Its content as `K`, borrowed, where it is one.
    pub fn as_typed<K: Body>(&self) -> Option<&K> {
        self.0.body.as_any().downcast_ref()
    }

    /// Its JSON form: made on the first call, then shared.
    pub fn json(&self) -> &Bytes {
        self.0.json.get_or_init(|| {
            // The types of k8s-openapi and JSON maps always serialise; a body that could not would be
            // one of a custom strategy, and shows as null.
            self.0.body.to_json().map_or_else(
                |error| {
                    tracing::error!(kind = %self.0.kind.kind, name = self.name(), %error, "object has no JSON form");
                    Bytes::from_static(b"null")
                },
                Bytes::from,
            )
        })
    }

    /// Its JSON form as a value.
    ///
    /// # Errors
    /// An internal error where the content has no JSON form.
    pub fn to_value(&self) -> Result<Value, ApiError> {
        self.0.body.to_value().map_err(ApiError::internal)
    }

    /// A changeable copy (copied when first changed).
    pub fn draft(&self) -> Draft {
        Draft { kind: Arc::clone(&self.0.kind), body: Arc::clone(&self.0.body) }
    }

    /// The key under which it is stored.
    pub fn key(&self) -> Key {
        Key::of(&self.0.kind, self.meta())
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

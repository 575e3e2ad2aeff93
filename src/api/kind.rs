//! Identities of kinds: a row of the kinds table, and the names it goes by.

use std::any::TypeId;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use super::handle::Handle;
use super::object::{Body, Object};
use super::status::ApiError;
use super::strategy::{AnyStrategy, Erased, Strategy};

/// A group and a kind: `apps` and `Deployment`. Shown as upstream shows it: `Deployment.apps`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKind {
    /// The API group; empty for the core group.
    pub group: String,
    /// The kind.
    pub kind: String,
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        qualified(f, &self.kind, &self.group)
    }
}

fn qualified(f: &mut fmt::Formatter<'_>, name: &str, group: &str) -> fmt::Result {
    if group.is_empty() { f.write_str(name) } else { write!(f, "{name}.{group}") }
}

/// A group and a resource (the plural of the URL): `apps` and `deployments`. Cheap to clone; shown as
/// upstream shows it: `deployments.apps`, and `pods` for the core group.
#[derive(Clone)]
pub struct GroupResource(Handle<Names>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Names {
    group: String,
    resource: String,
    /// Of the two: made once, as each look into a table of the store asks for it.
    hash: u64,
}

impl GroupResource {
    /// The resource `resource` of `group` (empty for the core group).
    pub fn new(group: impl Into<String>, resource: impl Into<String>) -> Self {
        let (group, resource) = (group.into(), resource.into());
        let mut hasher = DefaultHasher::new();
        (&group, &resource).hash(&mut hasher);
        Self(Names { group, resource, hash: hasher.finish() }.into())
    }

    /// The same for as long as the process lives.
    fn leaked(&self) -> Self {
        Self(Handle::leaked(Names::clone(&self.0)))
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        &self.0.group
    }

    /// The plural name, as in URLs.
    pub fn resource(&self) -> &str {
        &self.0.resource
    }
}

impl PartialEq for GroupResource {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0) || *self.0 == *other.0
    }
}

impl Eq for GroupResource {}

impl Hash for GroupResource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl Ord for GroupResource {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.0.ptr_eq(&other.0) { Ordering::Equal } else { Names::cmp(&self.0, &other.0) }
    }
}

impl PartialOrd for GroupResource {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        qualified(f, self.resource(), self.group())
    }
}

impl fmt::Debug for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A verb of a resource, as discovery lists it.
pub const ALL_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// A subresource that a kind serves, as discovery lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// The path segment: `status`, `scale`, `log`, …
    pub name: &'static str,
    /// Group, version and kind of its body where they are not the parent's: `("autoscaling", "v1", "Scale")`.
    pub body: Option<(&'static str, &'static str, &'static str)>,
    /// The verbs it serves.
    pub verbs: &'static [&'static str],
}

impl Subresource {
    /// `…/status`: the same object, of which only the status (and some metadata) is written.
    pub const STATUS: Self = Self { name: "status", body: None, verbs: &["get", "patch", "update"] };
    /// `…/scale`
    pub const SCALE: Self =
        Self { name: "scale", body: Some(("autoscaling", "v1", "Scale")), verbs: &["get", "patch", "update"] };
}

/// How a version of a kind that is not the stored one becomes the stored one and back.
#[derive(Clone, Copy, Debug)]
pub struct Conversion {
    /// Group, version and kind of the stored form.
    pub stored: (&'static str, &'static str, &'static str),
    /// From this version to the stored one.
    pub to_stored: fn(&dyn Body) -> Result<Arc<dyn Body>, ApiError>,
    /// From the stored version to this one.
    pub from_stored: fn(&Object) -> Result<Arc<dyn Body>, ApiError>,
}

/// One row of the kinds table: everything the server, discovery, the client and the printers know of a kind
/// (in one version). Handed around as [`KindRef`].
///
/// ```
/// use k8s_openapi::api::apps::v1::Deployment;
/// use orchestrion::api::Kind;
/// let kind = Kind::of::<Deployment>();
/// assert_eq!(kind.resource().to_string(), "deployments.apps");
/// assert_eq!(kind.short_names, ["deploy"]);
/// assert!(kind.namespaced);
/// ```
#[derive(Debug)]
pub struct Kind {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The kind's name: `Pod`.
    pub kind: String,
    /// The kind of a list of them: `PodList`.
    pub list_kind: String,
    /// The name in URLs: `pods`.
    pub plural: String,
    /// The singular: `pod`.
    pub singular: String,
    /// What kubectl users type: `po`.
    pub short_names: Vec<String>,
    /// `all`, `api-extensions`.
    pub categories: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Verbs of the resource itself; empty for kinds that are only bodies of subresources.
    pub verbs: &'static [&'static str],
    /// Its subresources.
    pub subresources: Vec<Subresource>,
    /// Fields that a field selector may name beside `metadata.name` and `metadata.namespace`.
    pub selectable: &'static [&'static str],
    /// How this version becomes the stored one, where it is not.
    pub conversion: Option<Conversion>,
    /// What a client that uses the kind is warned of, where the kind is deprecated.
    pub deprecation: Option<&'static str>,
    /// Adds the kind's schema to those of a generator and tells its name; none where no type has one.
    #[cfg(feature = "http")]
    pub(crate) schema: Option<super::schema::openapi::AddSchema>,
    resource: GroupResource,
    stored: GroupResource,
    body: TypeId,
    strategy: Box<dyn AnyStrategy>,
}

impl Kind {
    /// A row for a type of `k8s-openapi`: names from the type, behaviour from `strategy`.
    pub fn builtin<S>(strategy: S) -> Self
    where
        S: Strategy,
        S::Object: super::object::ApiType,
    {
        use k8s_openapi::{Resource, ResourceScope};
        fn is_namespaced<T: ResourceScope + 'static>() -> bool {
            TypeId::of::<T>() == TypeId::of::<k8s_openapi::NamespaceResourceScope>()
        }
        let row = Self::dynamic(
            <S::Object as Resource>::GROUP,
            <S::Object as Resource>::VERSION,
            <S::Object as Resource>::KIND,
            <S::Object as Resource>::URL_PATH_SEGMENT,
            is_namespaced::<<S::Object as Resource>::Scope>(),
            strategy,
        );
        Self {
            #[cfg(feature = "http")]
            schema: Some(super::schema::openapi::add::<S::Object>),
            ..row
        }
    }

    /// A row for a kind known only at run time, or one whose type lists nothing.
    pub fn dynamic<S: Strategy>(
        group: &str,
        version: &str,
        kind: &str,
        plural: &str,
        namespaced: bool,
        strategy: S,
    ) -> Self {
        let resource = GroupResource::new(group, plural);
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            list_kind: format!("{kind}List"),
            plural: plural.to_owned(),
            singular: kind.to_lowercase(),
            short_names: Vec::new(),
            categories: Vec::new(),
            namespaced,
            verbs: ALL_VERBS,
            subresources: Vec::new(),
            selectable: &[],
            conversion: None,
            deprecation: None,
            #[cfg(feature = "http")]
            schema: None,
            stored: resource.clone(),
            resource,
            body: TypeId::of::<S::Object>(),
            strategy: Box::new(Erased(strategy)),
        }
    }

    /// The same row with these short names.
    #[must_use]
    pub fn short(mut self, names: &[&str]) -> Self {
        self.short_names = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// The same row in these categories.
    #[must_use]
    pub fn categories(mut self, names: &[&str]) -> Self {
        self.categories = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// The same row with one more subresource.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "nobody subtracts kinds")]
    pub fn sub(mut self, subresource: Subresource) -> Self {
        self.subresources.push(subresource);
        self
    }

    /// The same row with these selectable fields.
    #[must_use]
    pub fn selectable(mut self, fields: &'static [&'static str]) -> Self {
        self.selectable = fields;
        self
    }

    /// The same row serving only these verbs.
    #[must_use]
    pub fn verbs(mut self, verbs: &'static [&'static str]) -> Self {
        self.verbs = verbs;
        self
    }

    /// The same row, with a warning to everyone who uses it.
    #[must_use]
    pub fn deprecated(mut self, warning: &'static str) -> Self {
        self.deprecation = Some(warning);
        self
    }

    /// The same row as another version of a stored kind, kept under the stored kind's `plural`.
    #[must_use]
    pub fn converted(mut self, conversion: Conversion, plural: &str) -> Self {
        self.stored = GroupResource::new(conversion.stored.0, plural);
        self.conversion = Some(conversion);
        self
    }

    /// `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Group and kind.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind { group: self.group.clone(), kind: self.kind.clone() }
    }

    /// Group and plural, as error messages show them.
    pub fn resource(&self) -> GroupResource {
        self.resource.clone()
    }

    /// Group and plural under which objects are stored; not its own where another version is the stored one.
    pub fn stored(&self) -> &GroupResource {
        &self.stored
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// What the kind does.
    pub fn strategy(&self) -> &dyn AnyStrategy {
        &*self.strategy
    }

    /// The type of its bodies.
    pub fn body_type(&self) -> TypeId {
        self.body
    }
}

/// A handle to a [`Kind`], cheap to clone: those to built-in kinds are not even counted.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use orchestrion::api::{Kind, KindRef};
/// let kind: KindRef = Kind::of::<Pod>();
/// assert_eq!(kind.plural, "pods");
/// ```
#[derive(Clone, Debug)]
pub struct KindRef(Handle<Kind>);

impl KindRef {
    /// A handle to a kind that is there for as long as the process is.
    pub(super) fn leaked(mut kind: Kind) -> Self {
        (kind.resource, kind.stored) = (kind.resource.leaked(), kind.stored.leaked());
        Self(Handle::leaked(kind))
    }

    /// Whether both handles are of one row.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

impl From<Kind> for KindRef {
    fn from(kind: Kind) -> Self {
        Self(kind.into())
    }
}

impl Deref for KindRef {
    type Target = Kind;

    fn deref(&self) -> &Kind {
        &self.0
    }
}

impl PartialEq for KindRef {
    fn eq(&self, other: &Self) -> bool {
        self.ptr_eq(other) || **self == **other
    }
}

impl Eq for KindRef {}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        (&self.group, &self.version, &self.plural) == (&other.group, &other.version, &other.plural)
    }
}

impl Eq for Kind {}

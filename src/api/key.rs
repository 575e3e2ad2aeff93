//! Keys and revisions: which object, and which version of everything.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::Arc;

use arrayvec::ArrayString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::kind::{GroupResource, Kind};

/// A position in the store's single history. Every write gets the next one; `metadata.resourceVersion` is its
/// decimal form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(u64);

impl Revision {
    /// Before the first write. On the wire, `"0"` asks for "any version".
    pub const ZERO: Self = Self(0);

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl From<u64> for Revision {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl FromStr for Revision {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an object of some resource is called: a namespace (empty for cluster-scoped objects) and a name. Ordered by one,
/// then the other. Cheap to clone.
///
/// ```
/// use orchestrion::api::NamespacedName;
/// let web = NamespacedName::new("default", "web");
/// assert_eq!((web.namespace(), web.name()), ("default", "web"));
/// assert!(web < NamespacedName::new("default-2", "a"));
/// assert_eq!(web.to_string(), "default/web");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespacedName {
    /// Both in one text, a zero byte between: it sorts as they do, since no namespace has one.
    text: Arc<str>,
    namespace: usize,
}

impl NamespacedName {
    /// The object `name` in `namespace`.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { text: joined(namespace, name), namespace: namespace.len() }
    }

    /// The namespace; empty for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        &self.text[..self.namespace]
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.text[self.namespace + 1..]
    }

    /// One text that sorts as namespace and name do.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace() {
            "" => f.write_str(self.name()),
            namespace => write!(f, "{namespace}/{}", self.name()),
        }
    }
}

impl fmt::Debug for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where an object is stored. Ordered by resource, then namespace, then name: the order of lists.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The stored resource.
    pub resource: GroupResource,
    /// Which of its objects.
    pub object: NamespacedName,
}

impl Key {
    /// The object `name` of `resource` in `namespace` (empty for cluster-scoped ones).
    pub fn new(resource: GroupResource, namespace: &str, name: &str) -> Self {
        Self { resource, object: NamespacedName::new(namespace, name) }
    }

    /// The namespace; empty for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        self.object.namespace()
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.object.name()
    }

    /// The key of an object of `kind` with that metadata.
    pub fn of(kind: &Kind, meta: &ObjectMeta) -> Self {
        Self::new(
            kind.stored().clone(),
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default(),
        )
    }
}

/// Namespace, a zero byte and name. One is made for every call, so those of usual length are put together without an
/// allocation that is not kept.
fn joined(namespace: &str, name: &str) -> Arc<str> {
    let parts = [namespace, "\0", name];
    let mut usual = ArrayString::<128>::new();
    match parts.iter().try_for_each(|part| usual.try_push_str(part)) {
        Ok(()) => usual.as_str().into(),
        Err(_) => parts.concat().into(),
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.resource, self.object)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

//! Which objects a list or a watch is about: selectors, and what the store can make of them.

use std::borrow::Cow;
use std::sync::Arc;

use super::convert::from_stored;
use crate::api::{ApiError, FieldSelector, KindRef, LabelSelector, Object, Target};
use crate::store::{Scope, Store};

const NAME: &str = "metadata.name";
const NAMESPACE: &str = "metadata.namespace";

/// The objects of a kind that match.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    kind: KindRef,
    namespace: String,
    labels: LabelSelector,
    fields: FieldSelector,
    /// The only name that can match.
    name: Option<String>,
}

impl Selection {
    /// # Errors
    /// A bad request where a field cannot be selected by.
    pub(super) fn new(target: &Target, labels: &LabelSelector, fields: &FieldSelector) -> Result<Self, ApiError> {
        let kind = &target.kind;
        for requirement in &fields.requirements {
            let field = requirement.field.as_str();
            if ![NAME, NAMESPACE].contains(&field) && !kind.selectable.contains(&field) {
                return Err(ApiError::bad_request(if kind.selectable.is_empty() {
                    format!("\"{field}\" is not a known field selector: only \"{NAME}\", \"{NAMESPACE}\"")
                } else {
                    format!("field label not supported: {field}")
                }));
            }
        }
        let equal = |field: &str| {
            fields
                .requirements
                .iter()
                .find(|r| r.equal && r.field == field)
                .map(|requirement| requirement.value.clone())
        };
        let name = if target.name().is_empty() { equal(NAME) } else { Some(target.name().to_owned()) };
        let mut namespace = target.namespace().to_owned();
        if namespace.is_empty() && kind.namespaced {
            namespace = equal(NAMESPACE).unwrap_or_default();
        }
        Ok(Self { kind: kind.clone(), namespace, labels: labels.clone(), fields: fields.clone(), name })
    }

    /// Whether it is all objects of its namespace.
    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty() && self.name.is_none()
    }

    /// Namespace and name, where it can be one object only.
    pub(super) fn single(&self) -> Option<(&str, &str)> {
        let name = self.name.as_deref()?;
        (!self.kind.namespaced || !self.namespace.is_empty()).then_some((self.namespace.as_str(), name))
    }

    /// What of the store it lies in.
    pub(super) fn scope(&self, store: &dyn Store) -> Scope {
        let mut scope = Scope::namespace(self.kind.stored().clone(), &self.namespace);
        if self.kind.conversion.is_none() {
            scope.index = self.fields.requirements.iter().filter(|requirement| requirement.equal).find_map(|wanted| {
                let field = self.kind.selectable.iter().find(|field| **field == wanted.field)?;
                store.is_indexed(&scope.resource, field).then(|| (*field, Arc::from(wanted.value.as_str())))
            });
        }
        scope
    }

    /// Whether an object, in the version of the selection's kind, is one of them.
    pub(super) fn matches(&self, object: &Object) -> bool {
        self.name.as_ref().is_none_or(|name| object.name() == name)
            && self.labels.matches(object.meta().labels.as_ref())
            && (self.fields.is_empty() || self.fields.matches(|field| self.value_of(object, field)))
    }

    fn value_of<'a>(&self, object: &'a Object, field: &str) -> Cow<'a, str> {
        match field {
            NAME => Cow::Borrowed(object.name()),
            NAMESPACE => Cow::Borrowed(object.namespace()),
            other => self.kind.strategy().field(object.body(), other),
        }
    }

    /// A stored object in the version of the selection's kind.
    pub(super) fn convert(&self, object: Object) -> Result<Object, ApiError> {
        from_stored(&self.kind, object)
    }
}

//! Decoding JSON into typed objects, strictly: unknown and duplicate fields are noticed on the way, and what does not
//! fit is told in upstream's words, which name the field.

mod document;
mod dynamic;
mod header;
mod notes;
mod place;
mod reader;
mod scalar;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;

use k8s_openapi::Resource;
use serde::de::DeserializeOwned;

pub use self::document::{Arena, Document};
use self::header::Identity;
use super::backend::Call;
use super::kind::KindRef;
use super::object::{Draft, Dynamic};
use super::status::ApiError;
use super::verb::FieldValidation;

/// A decoded object, and what strict decoding would have said.
#[derive(Clone, Debug)]
pub struct Decoded<T> {
    /// The object.
    pub object: T,
    /// Unknown and duplicate fields, each as upstream words it: `unknown field "spec.foo"`.
    pub strict: Vec<String>,
}

/// Decodes the value of any type. Who has an object of a kind uses [`object`] or [`resource`], which also see to
/// `apiVersion` and `kind`.
///
/// # Errors
/// A bad request that names the field and what was expected.
///
/// ```
/// use k8s_openapi::api::apps::v1::DeploymentSpec;
/// use orchestrion::api::decode::decode;
/// let decoded = decode::<DeploymentSpec>(br#"{"replicas": 3, "foo": 1}"#)?;
/// assert_eq!(decoded.strict, [r#"unknown field "foo""#]);
/// let error = decode::<DeploymentSpec>(br#"{"replicas": "3"}"#).unwrap_err();
/// assert_eq!(
///     error.message(),
///     "json: cannot unmarshal string into Go struct field DeploymentSpec.replicas of type int32"
/// );
/// # Ok::<(), orchestrion::api::ApiError>(())
/// ```
pub fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<Decoded<T>, ApiError> {
    Document::read(&Arena::default(), json)?.decode()
}

/// Decodes an object of `kind`. `apiVersion` and `kind` may be left out; others than the kind's are refused.
///
/// # Errors
/// A bad request, as upstream words it: `Pod in version "v1" cannot be handled as a Pod: why`.
pub fn object(kind: &KindRef, json: &[u8]) -> Result<Decoded<Draft>, ApiError> {
    let wanted = || Identity::new(&kind.group, &kind.version, &kind.kind);
    let decoded = kind.strategy().decode(json).map_err(|error| wanted().explain(json, error))?;
    let mut draft = Draft::of(kind.clone(), decoded.object);
    if let Some(body) = draft.typed::<Dynamic>() {
        let (api_version, name) = (kind.api_version(), &kind.kind);
        if body.api_version != api_version || body.kind != *name {
            header::check_dynamic(kind, body)?;
            if let Some(body) = draft.typed_mut::<Dynamic>() {
                (body.api_version, body.kind) = (api_version, name.clone());
            }
        }
    }
    Ok(Decoded { object: draft, strict: decoded.strict })
}

/// Decodes the body of a subresource, or any other resource that is no row of the kinds table.
///
/// # Errors
/// As [`object`].
pub fn resource<T: Resource + DeserializeOwned>(json: &[u8]) -> Result<Decoded<T>, ApiError> {
    let wanted = Identity::new(T::GROUP, T::VERSION, T::KIND);
    decode(json).map_err(|error| wanted.explain(json, error))
}

impl<T> Decoded<T> {
    /// The object, after what `validation` says about unknown and duplicate fields: nothing, a warning of the call
    /// for each, or a refusal.
    ///
    /// # Errors
    /// `strict decoding error: unknown field "spec.foo", …`
    pub fn accept(self, validation: FieldValidation, call: &Call) -> Result<T, ApiError> {
        match validation {
            FieldValidation::Strict if !self.strict.is_empty() => {
                return Err(ApiError::bad_request(format!("strict decoding error: {}", self.strict.join(", "))));
            }
            FieldValidation::Warn => self.strict.into_iter().for_each(|warning| call.warn(warning)),
            FieldValidation::Strict | FieldValidation::Ignore => {}
        }
        Ok(self.object)
    }
}

impl Decoded<Draft> {
    /// As [`Decoded::accept`], with an error that names the kind, as for the body of a create or update.
    ///
    /// # Errors
    /// `Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.foo"`
    pub fn accept_body(self, validation: FieldValidation, call: &Call) -> Result<Draft, ApiError> {
        let kind = self.object.kind().clone();
        self.accept(validation, call)
            .map_err(|error| Identity::new(&kind.group, &kind.version, &kind.kind).unfit(error.message()))
    }
}

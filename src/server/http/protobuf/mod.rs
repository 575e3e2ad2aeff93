//! Protobuf bodies: what some of kubectl's commands send (`create deployment`, say) whatever the server prefers.
//!
//! A body is turned into the JSON that means the same, which then goes the way of every other body. Answers are
//! always JSON, which every client takes that speaks protobuf.
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding>

mod message;
mod schema;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use self::message::Fields;
use self::schema::SCHEMA;
use crate::api::ApiError;

/// What such a body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// A body that is no such message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtobufError {
    #[error("the body does not begin with the prefix k8s\\0 of Kubernetes' protobuf encoding")]
    Prefix,
    #[error("the body ends in the middle of a field")]
    Truncated,
    #[error("field {field} of {message} is not of its type")]
    Type { message: String, field: u64 },
    #[error("messages are nested too deeply")]
    Depth,
    #[error("there is no kind {kind:?} in version {version:?} that can be sent as protobuf")]
    Kind { kind: String, version: String },
}

impl From<ProtobufError> for ApiError {
    fn from(error: ProtobufError) -> Self {
        Self::bad_request(error.to_string())
    }
}

/// The JSON form of a protobuf body.
///
/// # Errors
/// What is wrong with the bytes, or that the kind has no such form.
pub(super) fn to_json(body: &[u8]) -> Result<Vec<u8>, ProtobufError> {
    let envelope = body.strip_prefix(MAGIC).ok_or(ProtobufError::Prefix)?;
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields::of(envelope) {
        let (number, value) = field?;
        match number {
            1 => {
                for field in Fields::of(value.bytes()?) {
                    let (number, value) = field?;
                    let text = || value.text().map(str::to_owned);
                    match number {
                        1 => version = text()?,
                        2 => kind = text()?,
                        _ => {}
                    }
                }
            }
            2 => raw = value.bytes()?,
            _ => {}
        }
    }
    let unknown = || ProtobufError::Kind { kind: kind.clone(), version: version.clone() };
    let message = SCHEMA.of_kind(&version, &kind).ok_or_else(unknown)?;
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), Value::from(version.as_str()));
    object.insert("kind".to_owned(), Value::from(kind.as_str()));
    message::read(message, raw, &mut object, 0)?;
    Ok(Value::Object(object).to_string().into_bytes())
}

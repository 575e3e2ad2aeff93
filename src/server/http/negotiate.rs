//! Content negotiation: which representation an answer gets, and what a body may be.

use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::Value;

use crate::api::{ApiError, Patch, Reason, manifest};

/// What an answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The encoding.
    pub(crate) media: Media,
    /// What is encoded.
    pub(crate) form: Form,
}

/// An encoding. Protocol buffers are not spoken: clients that prefer them list JSON behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    Yaml,
}

/// What an answer shows of its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The objects.
    Whole,
    /// A table for people, in the version asked for.
    Table(&'static str),
    /// Metadata only, in the version asked for.
    Metadata(&'static str),
    /// Aggregated discovery.
    Discovery(&'static str),
}

const VERSIONS: &[&str] = &["v1", "v1beta1"];
const DISCOVERY_VERSIONS: &[&str] = &["v2", "v2beta1"];

impl Accepted {
    const PLAIN: Self = Self { media: Media::Json, form: Form::Whole };

    /// The first representation that the client accepts and the server speaks.
    ///
    /// # Errors
    /// Not acceptable, with the media types that would be.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(accept) = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()) else {
            return Ok(Self::PLAIN);
        };
        if accept.trim().is_empty() {
            return Ok(Self::PLAIN);
        }
        let mut clauses: Vec<(u32, &str)> = accept.split(',').map(|clause| (quality(clause), clause)).collect();
        clauses.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
        clauses.iter().filter(|(quality, _)| *quality > 0).find_map(|(_, clause)| clause_of(clause)).ok_or_else(|| {
            ApiError::new(
                Reason::NotAcceptable,
                "only the following media types are accepted: application/json, application/yaml, \
                 application/json;stream=watch",
            )
        })
    }
}

fn quality(clause: &str) -> u32 {
    let q = clause.split(';').filter_map(|part| part.trim().strip_prefix("q=")).next();
    // Thousandths, so that they can be compared.
    q.and_then(|q| q.parse::<f32>().ok()).map_or(1000, |q| (q.clamp(0.0, 1.0) * 1000.0) as u32)
}

fn clause_of(clause: &str) -> Option<Accepted> {
    let mut parts = clause.split(';').map(str::trim);
    let media = match parts.next().unwrap_or_default() {
        "application/json" | "*/*" | "application/*" => Media::Json,
        "application/yaml" => Media::Yaml,
        _ => return None,
    };
    let (mut kind, mut group, mut version) = ("", "", "");
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name.trim() {
            "as" => kind = value.trim(),
            "g" => group = value.trim(),
            "v" => version = value.trim(),
            _ => {}
        }
    }
    let known = |versions: &'static [&'static str]| versions.iter().copied().find(|known| *known == version);
    let form = match (kind, group) {
        ("", _) => Form::Whole,
        ("Table", "meta.k8s.io") => Form::Table(known(VERSIONS)?),
        ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io") => Form::Metadata(known(VERSIONS)?),
        ("APIGroupDiscoveryList", "apidiscovery.k8s.io") => Form::Discovery(known(DISCOVERY_VERSIONS)?),
        _ => return None,
    };
    Some(Accepted { media, form })
}

/// The media type of a request's body, without parameters.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

fn unsupported(accepted: &str) -> ApiError {
    let message =
        format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
    ApiError::new(Reason::UnsupportedMediaType, message)
}

/// The JSON of a body, which may have been YAML.
///
/// # Errors
/// An unsupported media type; a bad request where the text cannot be parsed.
pub(crate) fn to_json(headers: &HeaderMap, body: Bytes) -> Result<Bytes, ApiError> {
    match content_type(headers) {
        "" | "application/json" | "*/*" => Ok(body),
        "application/yaml" | "text/yaml" | "application/x-yaml" => yaml_to_json(&body),
        "application/vnd.kubernetes.protobuf" => Ok(Bytes::from(super::protobuf::to_json(&body)?)),
        _ => Err(unsupported("application/json, application/yaml, application/vnd.kubernetes.protobuf")),
    }
}

fn yaml_to_json(body: &[u8]) -> Result<Bytes, ApiError> {
    if body.is_empty() {
        return Ok(Bytes::new());
    }
    let text = std::str::from_utf8(body)
        .map_err(|error| ApiError::bad_request(format!("error converting YAML to JSON: yaml: {error}")))?;
    manifest::yaml_to_json(text).map(Bytes::from).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// The patch that a body is, by its media type.
///
/// # Errors
/// An unsupported media type; a bad request where the text cannot be parsed.
pub(crate) fn to_patch(headers: &HeaderMap, body: &Bytes, force: bool) -> Result<Patch, ApiError> {
    let json = |body: &[u8]| {
        serde_json::from_slice::<Value>(body)
            .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))
    };
    match content_type(headers) {
        "application/json-patch+json" => Ok(Patch::Json(json(body)?)),
        "application/merge-patch+json" => Ok(Patch::Merge(json(body)?)),
        "application/strategic-merge-patch+json" => Ok(Patch::Strategic(json(body)?)),
        "application/apply-patch+yaml" => Ok(Patch::Apply { fields: json(&yaml_to_json(body)?)?, force }),
        _ => Err(unsupported(
            "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, \
             application/apply-patch+yaml",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_representation_that_is_spoken_wins() {
        let json = |form| Some(Accepted { media: Media::Json, form });
        for (accept, expected) in [
            ("", json(Form::Whole)),
            ("*/*", json(Form::Whole)),
            ("application/vnd.kubernetes.protobuf,application/json", json(Form::Whole)),
            ("application/vnd.kubernetes.protobuf", None),
            ("application/yaml", Some(Accepted { media: Media::Yaml, form: Form::Whole })),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                json(Form::Table("v1")),
            ),
            ("application/json;as=Nothing;v=v1;g=meta.k8s.io, application/json;q=0.5", json(Form::Whole)),
            (
                "application/json;q=0.1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                json(Form::Metadata("v1")),
            ),
            ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", json(Form::Discovery("v2"))),
            ("application/json;stream=watch", json(Form::Whole)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(Accepted::of(&headers).ok(), expected, "{accept}");
        }
    }
}

//! Objects as the client wants to see them: whole, as tables, or their metadata only.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream;
use http::{Response, StatusCode};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::{Value, json};

use super::body::{self, Data, JSON, Pieced, Pieces};
use super::negotiate::{Accepted, Form, Media};
use super::query::{Query, refused};
use crate::api::field::Path;
use crate::api::{ApiError, Cell, Column, FieldErrors, Kind, List, Object, Printed, Revision};
use crate::clock::Clock;

/// How much of a list is written at a time.
const PIECE: usize = 64 * 1024;

/// Objects of a list whose JSON is at most so long are copied into it; others are shared.
const SHORT: usize = 1024;

/// How the answer to one request is printed.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    accepted: Accepted,
    include: Include,
    pretty: bool,
    now: Timestamp,
}

/// How much of its object a table's row carries (`includeObject`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Include {
    None,
    Metadata,
    Object,
}

#[derive(Serialize)]
struct Table {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: String,
    metadata: Value,
    #[serde(rename = "columnDefinitions")]
    columns: Option<Vec<Column>>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    cells: Vec<Cell>,
    object: Option<Value>,
}

#[derive(Serialize)]
struct Partial<'a> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: String,
    metadata: &'a ObjectMeta,
}

impl Printer {
    /// The printer that a request asks for.
    ///
    /// # Errors
    /// An unknown `includeObject`.
    pub(crate) fn of(accepted: Accepted, query: &Query, now: Timestamp) -> Result<Self, ApiError> {
        let include = match query.filled("includeObject") {
            _ if !matches!(accepted.form, Form::Table(_)) => Include::Metadata,
            None | Some("Metadata") => Include::Metadata,
            Some("None") => Include::None,
            Some("Object") => Include::Object,
            Some(other) => {
                let mut errors = FieldErrors::default();
                let supported = ["Metadata", "None", "Object", ""];
                errors.not_supported(&Path::new("includeObject"), other, &supported);
                refused("TableOptions", &errors)?;
                Include::Metadata
            }
        };
        Ok(Self { accepted, include, pretty: query.flag("pretty"), now })
    }

    /// An answer of one object.
    pub(crate) fn object(&self, code: StatusCode, object: &Object) -> Result<Response<Pieced>, ApiError> {
        self.finish(code, self.printed(object, true)?.bytes())
    }

    /// An answer of any other JSON value.
    pub(crate) fn value(&self, code: StatusCode, value: &Value) -> Result<Response<Pieced>, ApiError> {
        self.finish(code, serde_json::to_vec(value).map_err(ApiError::internal)?.into())
    }

    /// The JSON of an object in the form that is wanted; tables begin with their columns where `columns` says so.
    pub(crate) fn printed(&self, object: &Object, columns: bool) -> Result<Printed, ApiError> {
        match self.accepted.form {
            Form::Whole | Form::Discovery(_) => Ok(object.printed().clone()),
            Form::Metadata(version) => partial(object, version).map(Printed::from),
            Form::Table(version) => {
                let kind = object.kind();
                let metadata = json!({ "resourceVersion": object.meta().resource_version });
                let rows = vec![self.row(object, version)?];
                let columns = columns.then(|| kind.strategy().columns());
                encode(&self.table(version, metadata, columns, rows)).map(Printed::from)
            }
        }
    }

    /// The JSON of a bookmark in the form that is wanted.
    pub(crate) fn bookmark(&self, kind: &Kind, meta: &ObjectMeta) -> Result<Bytes, ApiError> {
        match self.accepted.form {
            Form::Whole | Form::Discovery(_) => {
                encode(&json!({ "kind": kind.kind, "apiVersion": kind.api_version(), "metadata": meta }))
            }
            Form::Metadata(version) => encode(&Partial {
                kind: "PartialObjectMetadata",
                api_version: format!("meta.k8s.io/{version}"),
                metadata: meta,
            }),
            Form::Table(version) => {
                let metadata = json!({ "resourceVersion": meta.resource_version });
                // Informers over tables look for the annotation in the row's object.
                let partial = json!({
                    "kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": meta,
                });
                encode(&self.table(version, metadata, None, vec![Row { cells: Vec::new(), object: Some(partial) }]))
            }
        }
    }

    /// An answer of a list. Whole objects are written piece by piece from the JSON that they share.
    pub(crate) fn list(&self, kind: &Kind, list: List) -> Result<Response<Pieced>, ApiError> {
        let mut metadata = json!({});
        // What is not stored has no version.
        if list.revision != Revision::ZERO {
            metadata["resourceVersion"] = json!(list.revision.to_string());
        }
        if let Some(token) = &list.continue_token {
            metadata["continue"] = json!(token);
        }
        if let Some(remaining) = list.remaining {
            metadata["remainingItemCount"] = json!(remaining);
        }
        match self.accepted.form {
            Form::Whole | Form::Discovery(_) => {
                let head = list_head(&kind.list_kind, &kind.api_version(), &metadata);
                self.items(head, list.items, |object| Ok(object.printed().clone()))
            }
            Form::Metadata(version) => {
                let head = list_head("PartialObjectMetadataList", &format!("meta.k8s.io/{version}"), &metadata);
                self.items(head, list.items, move |object| partial(object, version).map(Printed::from))
            }
            Form::Table(version) => {
                let rows = list.items.iter().map(|object| self.row(object, version)).collect::<Result<_, _>>()?;
                let table = self.table(version, metadata, Some(kind.strategy().columns()), rows);
                self.finish(StatusCode::OK, encode(&table)?)
            }
        }
    }

    fn items<F>(&self, head: String, items: Vec<Object>, print: F) -> Result<Response<Pieced>, ApiError>
    where
        F: Fn(&Object) -> Result<Printed, ApiError> + Send + 'static,
    {
        let mut items = items.into_iter();
        let mut head = Some(head);
        let mut ended = false;
        let mut next_piece = move || -> Option<Result<Data, ApiError>> {
            if ended {
                return None;
            }
            let (mut piece, mut length) = (Pieces::default(), 0);
            let mut first = head.take().map(|head| piece.share(Bytes::from(head))).is_some();
            while length < PIECE {
                let Some(item) = items.next() else {
                    piece.copy(b"]}\n");
                    ended = true;
                    break;
                };
                let json = match print(&item) {
                    Ok(json) => json,
                    Err(error) => {
                        ended = true;
                        return Some(Err(error));
                    }
                };
                length += json.len();
                let comma = if std::mem::take(&mut first) { "" } else { "," };
                let is_short = json.len() <= SHORT;
                let [head, tail] = json.pieces();
                for part in [Bytes::from_static(comma.as_bytes()), head, tail] {
                    match is_short {
                        true => piece.copy(&part),
                        false => piece.share(part),
                    }
                }
            }
            Some(Ok(Data::from(piece)))
        };
        if self.accepted.media == Media::Json && !self.pretty {
            let pieces = stream::iter(std::iter::from_fn(next_piece));
            return Ok(body::answer(StatusCode::OK, JSON, body::pieces(pieces)));
        }
        let mut whole = BytesMut::new();
        while let Some(piece) = next_piece() {
            whole.put(piece?);
        }
        self.finish(StatusCode::OK, whole.freeze())
    }

    fn table(&self, version: &str, metadata: Value, columns: Option<Vec<Column>>, rows: Vec<Row>) -> Table {
        Table { kind: "Table", api_version: format!("meta.k8s.io/{version}"), metadata, columns, rows }
    }

    fn row(&self, object: &Object, version: &str) -> Result<Row, ApiError> {
        let cells = object.kind().strategy().cells(object.body(), self.now);
        let object = match self.include {
            Include::None => None,
            Include::Metadata => Some(json!({
                "kind": "PartialObjectMetadata",
                "apiVersion": format!("meta.k8s.io/{version}"),
                "metadata": object.meta(),
            })),
            Include::Object => Some(object.to_value()?),
        };
        Ok(Row { cells, object })
    }

    fn finish(&self, code: StatusCode, json: Bytes) -> Result<Response<Pieced>, ApiError> {
        if self.accepted.media == Media::Json && !self.pretty {
            return Ok(body::answer(code, JSON, body::whole(json)));
        }
        let value: Value = serde_json::from_slice(&json).map_err(ApiError::internal)?;
        let (media, text) = match self.accepted.media {
            Media::Json => (JSON, serde_json::to_string_pretty(&value).map_err(ApiError::internal)?),
            Media::Yaml => ("application/yaml", serde_yaml::to_string(&value).map_err(ApiError::internal)?),
        };
        Ok(body::answer(code, media, body::whole(text)))
    }

    /// The same printer, now: rows of a long watch show ages as of their event.
    pub(crate) fn at(&self, clock: &Clock) -> Cow<'_, Self> {
        match self.accepted.form {
            Form::Table(_) => Cow::Owned(Self { now: clock.now(), ..self.clone() }),
            _ => Cow::Borrowed(self),
        }
    }
}

fn list_head(kind: &str, api_version: &str, metadata: &Value) -> String {
    let mut head = String::new();
    // Writing to a string does not fail.
    let _ =
        write!(head, r#"{{"kind":{},"apiVersion":{},"metadata":{metadata},"items":["#, json!(kind), json!(api_version));
    head
}

fn partial(object: &Object, version: &str) -> Result<Bytes, ApiError> {
    encode(&Partial {
        kind: "PartialObjectMetadata",
        api_version: format!("meta.k8s.io/{version}"),
        metadata: object.meta(),
    })
}

fn encode(value: &impl Serialize) -> Result<Bytes, ApiError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(ApiError::internal)
}

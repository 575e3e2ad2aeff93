//! `apiVersion` and `kind`: what an object says that it is, against what it should be.

use std::fmt;

use serde::Deserialize;

use super::syntax;
use crate::api::field::{FieldErrors, Path};
use crate::api::kind::Kind;
use crate::api::kinds::Kinds;
use crate::api::object::Dynamic;
use crate::api::status::ApiError;

/// How Go prints the type into which upstream reads the header.
const HEADER: &str =
    "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";

/// How many bytes of an unrecognised body an error shows.
const SHOWN: usize = 30;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    kind: Option<String>,
}

/// Group, version and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    group: String,
    version: String,
    kind: String,
}

/// Group and version as `apiVersion` has them.
struct GroupVersion<'a>(&'a Identity);

impl fmt::Display for GroupVersion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { group, version, .. } = self.0;
        if group.is_empty() { f.write_str(version) } else { write!(f, "{group}/{version}") }
    }
}

impl Identity {
    pub(super) fn new(group: &str, version: &str, kind: &str) -> Self {
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }

    /// What the header says, the blanks filled in from what is wanted.
    fn found(&self, header: Header) -> Self {
        let api_version = header.api_version.filter(|text| !text.is_empty());
        let (group, version) = match &api_version {
            Some(text) => text.split_once('/').unwrap_or(("", text)),
            None => (self.group.as_str(), self.version.as_str()),
        };
        Self::new(group, version, &header.kind.filter(|text| !text.is_empty()).unwrap_or_else(|| self.kind.clone()))
    }

    /// `Pod in version "v1" cannot be handled as a Pod: why`
    pub(super) fn unfit(&self, why: &str) -> ApiError {
        self.unfit_as(self, why)
    }

    fn unfit_as(&self, found: &Self, why: &str) -> ApiError {
        let (kind, version) = (&found.kind, &found.version);
        ApiError::bad_request(format!("{kind} in version {version:?} cannot be handled as a {}: {why}", self.kind))
    }

    /// The error of a body that could not be decoded: about the header where that is wrong, else as `error` has it.
    pub(super) fn explain(&self, json: &[u8], error: ApiError) -> ApiError {
        let header = match serde_json::from_slice::<Header>(json) {
            Ok(header) if json.trim_ascii_start().starts_with(b"{") => header,
            Ok(_) => return self.unrecognized(json, &not_a_header("array")),
            Err(error) if error.is_data() => {
                let message = error.to_string();
                let value = super::notes::go_value(&message, false).unwrap_or_else(|| "object".to_owned());
                let whole = message.contains("struct Header");
                let field = json_field(json);
                let why = if whole {
                    not_a_header(&value)
                } else {
                    format!("json: cannot unmarshal {value} into Go struct field .{field} of type string")
                };
                return self.unrecognized(json, &why);
            }
            Err(error) => return self.unrecognized(json, &syntax::mistake(&error, json)),
        };
        let found = self.found(header);
        if found == *self {
            return self.unfit(error.message());
        }
        let registered = Kinds::builtin().by_kind(&found.group, &found.version, &found.kind).is_some();
        if !registered {
            let (kind, api_version) = (&found.kind, GroupVersion(&found).to_string());
            return self.unfit_as(
                &found,
                &format!(
                    "no kind {kind:?} is registered for version {api_version:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\""
                ),
            );
        }
        if found.kind == self.kind {
            return version_mismatch(&GroupVersion(&found), &GroupVersion(self));
        }
        let package = self.group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
        self.unfit_as(
            &found,
            &format!("converting ({}.{}) to ({package}.{}): unknown conversion", found.version, found.kind, self.kind),
        )
    }

    /// A body of which not even the header can be read.
    fn unrecognized(&self, json: &[u8], why: &str) -> ApiError {
        let (cut, rest) = if json.len() > SHOWN { (&json[..SHOWN], " ...") } else { (json, "") };
        let shown = match cut.first() {
            None => "<empty>".to_owned(),
            Some(b'{') => String::from_utf8_lossy(cut).into_owned(),
            Some(_) => cut.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: \
             {why} ({shown}{rest})",
            self.kind
        ))
    }
}

fn not_a_header(value: &str) -> String {
    format!("json: cannot unmarshal {value} into Go value of type {HEADER}")
}

/// Which of the header's fields is no text.
fn json_field(json: &[u8]) -> &'static str {
    #[derive(Deserialize)]
    struct Loose {
        #[serde(rename = "apiVersion", default)]
        api_version: Option<serde_json::Value>,
    }
    let loose = serde_json::from_slice::<Loose>(json).ok().and_then(|loose| loose.api_version);
    if loose.is_some_and(|value| !value.is_string()) { "apiVersion" } else { "kind" }
}

fn version_mismatch(found: &dyn fmt::Display, wanted: &dyn fmt::Display) -> ApiError {
    ApiError::bad_request(format!(
        "the API version in the data ({found}) does not match the expected API version ({wanted})"
    ))
}

/// Checks the header of an object of a kind that is known only at run time.
pub(super) fn check_dynamic(kind: &Kind, body: &Dynamic) -> Result<(), ApiError> {
    let wanted = kind.api_version();
    if !body.api_version.is_empty() && body.api_version != wanted {
        return Err(version_mismatch(&body.api_version, &wanted));
    }
    if !body.kind.is_empty() && body.kind != kind.kind {
        let mut errors = FieldErrors::new();
        errors.invalid(&Path::new("kind"), &body.kind, format!("must be {}", kind.kind));
        return Err(ApiError::invalid(&kind.group_kind(), body.metadata.name.as_deref().unwrap_or_default(), &errors));
    }
    Ok(())
}

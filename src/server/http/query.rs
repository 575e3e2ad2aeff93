//! Query parameters, and the options of the verbs that they spell.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use crate::api::field::Path;
use crate::api::selector::{FieldSelector, LabelSelector};
use crate::api::{
    ApiError, Consistency, DeleteOptions, FieldErrors, FieldValidation, GetOptions, GroupKind, Kind, ListOptions,
    Propagation, Revision, WatchOptions, WriteOptions,
};

/// The parameters of a request, decoded, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

/// Decodes `%41`, and `+` as a space where `plus` says so.
pub(crate) fn percent_decode(text: &str, plus: bool) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|byte| *byte == b'%' || (plus && *byte == b'+')) {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        at += if escaped.is_some() { 3 } else { 1 };
        decoded.push(escaped.unwrap_or(if plus && byte == b'+' { b' ' } else { byte }));
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

impl Query {
    /// Reads the part of a URI behind `?`.
    pub(crate) fn of(query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(name, true).into_owned(), percent_decode(value, true).into_owned())
        });
        Self(pairs.collect())
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a parameter, where it is not empty.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A yes or no, as upstream converts it: present and neither `false` nor `0`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.tristate(name).unwrap_or_default()
    }

    /// A yes or no, where it is given.
    pub(crate) fn tristate(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    /// A whole number, where it is given.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.filled(name)
            .map(|text| {
                text.parse()
                    .map_err(|_| ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
            })
            .transpose()
    }

    /// A duration in whole seconds, where it is given and positive.
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<Duration>, ApiError> {
        Ok(self.number(name)?.and_then(|number| u64::try_from(number).ok()).filter(|n| *n > 0).map(Duration::from_secs))
    }

    fn labels(&self) -> Result<LabelSelector, ApiError> {
        let text = self.get("labelSelector").unwrap_or_default();
        text.parse().map_err(|error| ApiError::bad_request(format!("{error}")))
    }

    fn fields(&self) -> Result<FieldSelector, ApiError> {
        let text = self.get("fieldSelector").unwrap_or_default();
        text.parse().map_err(|error| ApiError::bad_request(format!("{error}")))
    }

    fn revision(&self, kind: &Kind) -> Result<Option<Revision>, ApiError> {
        let Some(text) = self.filled("resourceVersion") else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let mut errors = FieldErrors::default();
            let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
            errors.invalid(&Path::new("resourceVersion"), text, why);
            let resource = GroupKind { group: kind.group.clone(), kind: kind.plural.clone() };
            ApiError::invalid(&resource, "", &errors)
        })
    }

    /// Options of a get.
    pub(crate) fn get_options(&self, kind: &Kind) -> Result<GetOptions, ApiError> {
        let consistency = match self.revision(kind)? {
            None => Consistency::MostRecent,
            Some(Revision::ZERO) => Consistency::Any,
            Some(revision) => Consistency::NotOlderThan(revision),
        };
        Ok(GetOptions { consistency })
    }

    /// Options of a list.
    ///
    /// Source: `k8s.io/apimachinery/pkg/apis/meta/internalversion/validation`.
    pub(crate) fn list_options(&self, kind: &Kind) -> Result<ListOptions, ApiError> {
        let (revision, matching) = (self.revision(kind)?, self.filled("resourceVersionMatch"));
        let continue_token = self.filled("continue").map(str::to_owned);
        let mut errors = FieldErrors::default();
        if let Some(matching) = matching {
            let path = Path::new("resourceVersionMatch");
            if revision.is_none() {
                errors.forbidden(&path, "resourceVersionMatch is forbidden unless resourceVersion is provided");
            }
            if continue_token.is_some() {
                errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
            }
            if !matches!(matching, "Exact" | "NotOlderThan") {
                errors.not_supported(&path, matching, &["Exact", "NotOlderThan", ""]);
            }
            if matching == "Exact" && revision == Some(Revision::ZERO) {
                let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                errors.forbidden(&path, why);
            }
        }
        if self.get("sendInitialEvents").is_some() {
            errors.forbidden(&Path::new("sendInitialEvents"), "sendInitialEvents is forbidden for list");
        }
        refused("ListOptions", &errors)?;
        let limit = self.number("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        if continue_token.is_some() && revision.is_some_and(|revision| revision != Revision::ZERO) {
            return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
        }
        let consistency = match (revision, matching) {
            (None, _) => Consistency::MostRecent,
            (Some(Revision::ZERO), _) => Consistency::Any,
            (Some(revision), Some("Exact")) => Consistency::Exact(revision),
            // Without a match rule, a limit asks for that very snapshot (upstream's "legacy exact").
            (Some(revision), None) if limit.is_some() => Consistency::Exact(revision),
            (Some(revision), _) => Consistency::NotOlderThan(revision),
        };
        Ok(ListOptions { labels: self.labels()?, fields: self.fields()?, limit, continue_token, consistency })
    }

    /// Options of a watch. The timeout is as asked for; `None` where nothing was.
    pub(crate) fn watch_options(&self, kind: &Kind) -> Result<WatchOptions, ApiError> {
        let (revision, matching) = (self.revision(kind)?, self.filled("resourceVersionMatch"));
        let initial = self.tristate("sendInitialEvents");
        let mut errors = FieldErrors::default();
        let path = Path::new("resourceVersionMatch");
        if initial.is_some() && matching != Some("NotOlderThan") {
            errors.forbidden(&path, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        }
        if let Some(matching) = matching {
            if initial.is_none() {
                let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                errors.forbidden(&path, why);
            }
            if matching != "NotOlderThan" {
                errors.not_supported(&path, matching, &["NotOlderThan"]);
            }
            if self.filled("continue").is_some() {
                errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
            }
        }
        refused("ListOptions", &errors)?;
        let send_initial_events = initial == Some(true);
        Ok(WatchOptions {
            labels: self.labels()?,
            fields: self.fields()?,
            from: match revision {
                None => Consistency::MostRecent,
                Some(Revision::ZERO) => Consistency::Any,
                Some(revision) if send_initial_events => Consistency::NotOlderThan(revision),
                Some(revision) => Consistency::Exact(revision),
            },
            bookmarks: self.flag("allowWatchBookmarks"),
            send_initial_events,
            timeout: self.seconds("timeoutSeconds")?,
        })
    }

    /// Options of a write; `options` is the kind that upstream calls them: `CreateOptions`, …
    pub(crate) fn write_options(&self, options: &str) -> Result<WriteOptions, ApiError> {
        let mut errors = FieldErrors::default();
        let field_manager = self.filled("fieldManager").map(str::to_owned);
        if let Some(manager) = &field_manager {
            let path = Path::new("fieldManager");
            if manager.len() > 128 {
                errors.too_long(&path, 128);
            }
            if manager.chars().any(char::is_control) {
                errors.invalid(&path, manager.as_str(), "should not contain unprintable characters");
            }
        }
        let dry_run = dry_run(&self.all("dryRun").collect::<Vec<_>>(), &mut errors);
        let field_validation = match self.filled("fieldValidation") {
            None => FieldValidation::default(),
            Some("Ignore") => FieldValidation::Ignore,
            Some("Warn") => FieldValidation::Warn,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                errors.not_supported(&Path::new("fieldValidation"), other, &supported);
                FieldValidation::default()
            }
        };
        refused(options, &errors)?;
        Ok(WriteOptions { dry_run, field_manager, field_validation })
    }

    /// Options of a deletion: from the body where there is one, from the parameters otherwise.
    pub(crate) fn delete_options(&self, body: &[u8]) -> Result<DeleteOptions, ApiError> {
        let wire = if body.is_empty() {
            WireDeleteOptions {
                grace_period_seconds: self.number("gracePeriodSeconds")?,
                orphan_dependents: self.tristate("orphanDependents"),
                propagation_policy: self.filled("propagationPolicy").map(str::to_owned),
                dry_run: self.all("dryRun").map(str::to_owned).collect(),
                ..WireDeleteOptions::default()
            }
        } else {
            serde_json::from_slice(body)
                .map_err(|error| ApiError::bad_request(format!("unable to decode DeleteOptions: {error}")))?
        };
        if let Some(kind) = wire.kind.as_deref().filter(|kind| !matches!(*kind, "" | "DeleteOptions")) {
            return Err(ApiError::bad_request(format!("decoded object cannot be converted to DeleteOptions: {kind}")));
        }
        wire.checked()
    }
}

/// `DeleteOptions` as the wire carries it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireDeleteOptions {
    kind: Option<String>,
    grace_period_seconds: Option<i64>,
    orphan_dependents: Option<bool>,
    propagation_policy: Option<String>,
    preconditions: Option<WirePreconditions>,
    #[serde(deserialize_with = "crate::server::http::query::nullable")]
    dry_run: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WirePreconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

/// Reads `null` as the default.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl WireDeleteOptions {
    fn checked(self) -> Result<DeleteOptions, ApiError> {
        let mut errors = FieldErrors::default();
        let path = Path::new("propagationPolicy");
        let mut propagation = self.orphan_dependents.map(|orphan| match orphan {
            true => Propagation::Orphan,
            false => Propagation::Background,
        });
        if let Some(policy) = self.propagation_policy.as_deref().filter(|policy| !policy.is_empty()) {
            if self.orphan_dependents.is_some() {
                errors.invalid(&path, policy, "orphanDependents and deletionPropagation cannot be both set");
            }
            propagation = Propagation::from_wire(policy);
            if propagation.is_none() {
                errors.not_supported(&path, policy, &["Foreground", "Background", "Orphan", "nil"]);
            }
        }
        let dry_run = dry_run(&self.dry_run.iter().map(String::as_str).collect::<Vec<_>>(), &mut errors);
        refused("DeleteOptions", &errors)?;
        let preconditions = self.preconditions.unwrap_or_default();
        Ok(DeleteOptions {
            grace_period: self.grace_period_seconds,
            propagation,
            uid: preconditions.uid,
            resource_version: preconditions.resource_version,
            dry_run,
        })
    }
}

fn dry_run(values: &[&str], errors: &mut FieldErrors) -> bool {
    for value in values.iter().filter(|value| **value != "All") {
        errors.not_supported(&Path::new("dryRun"), *value, &["All"]);
    }
    !values.is_empty()
}

pub(crate) fn refused(options: &str, errors: &FieldErrors) -> Result<(), ApiError> {
    if errors.is_empty() {
        return Ok(());
    }
    let kind = GroupKind { group: "meta.k8s.io".to_owned(), kind: options.to_owned() };
    Err(ApiError::invalid(&kind, "", errors))
}

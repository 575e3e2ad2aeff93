//! Requests as the wire carries them: paths, parameters and bodies of calls.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::api::{
    Consistency, DeleteOptions, FieldValidation, GetOptions, ListOptions, Patch, Revision, Target, WatchOptions,
    WriteOptions,
};

/// A path and its parameters, growing.
#[derive(Clone, Debug)]
pub(super) struct Location(String, bool);

fn encode(into: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => into.push(char::from(byte)),
            // Writing to a string does not fail.
            _ => drop(write!(into, "%{byte:02X}")),
        }
    }
}

impl Location {
    /// Where a target is.
    pub(super) fn of(target: &Target) -> Self {
        let kind = &target.kind;
        let mut path = if kind.group.is_empty() { "/api".to_owned() } else { "/apis".to_owned() };
        let namespaces = if target.namespace().is_empty() { "" } else { "namespaces" };
        let segments = [
            &kind.group,
            &kind.version,
            namespaces,
            target.namespace(),
            &kind.plural,
            target.name(),
            &target.subresource,
        ];
        for segment in segments.into_iter().filter(|segment| !segment.is_empty()) {
            path.push('/');
            encode(&mut path, segment);
        }
        Self(path, false)
    }

    /// The same, further down that path, which may have parameters.
    pub(super) fn below(mut self, path: &str) -> Self {
        self.0.push_str(path);
        self.1 |= path.contains('?');
        self
    }

    /// Adds a parameter.
    pub(super) fn add(&mut self, name: &str, value: &str) -> &mut Self {
        self.0.push(if std::mem::replace(&mut self.1, true) { '&' } else { '?' });
        self.0.push_str(name);
        self.0.push('=');
        encode(&mut self.0, value);
        self
    }

    /// Adds a parameter that is set.
    pub(super) fn flag(&mut self, name: &str, set: bool) -> &mut Self {
        if set { self.add(name, "true") } else { self }
    }

    /// Adds a parameter that there is.
    pub(super) fn some(&mut self, name: &str, value: Option<impl ToString>) -> &mut Self {
        if let Some(value) = value { self.add(name, &value.to_string()) } else { self }
    }

    /// The path with its parameters.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn get(&mut self, options: &GetOptions) -> &mut Self {
        match options.consistency {
            Consistency::MostRecent => self,
            Consistency::Any => self.add("resourceVersion", "0"),
            Consistency::NotOlderThan(revision) | Consistency::Exact(revision) => {
                self.add("resourceVersion", &revision.to_string())
            }
        }
    }

    pub(super) fn list(&mut self, options: &ListOptions) -> &mut Self {
        self.select(&options.labels.to_string(), &options.fields.to_string());
        self.some("limit", options.limit).some("continue", options.continue_token.as_ref());
        if options.continue_token.is_some() {
            return self;
        }
        match options.consistency {
            Consistency::MostRecent => self,
            Consistency::Any => self.add("resourceVersion", "0"),
            Consistency::NotOlderThan(revision) => self.matching(revision, "NotOlderThan"),
            Consistency::Exact(revision) => self.matching(revision, "Exact"),
        }
    }

    pub(super) fn watch(&mut self, options: &WatchOptions) -> &mut Self {
        self.add("watch", "true").select(&options.labels.to_string(), &options.fields.to_string());
        self.flag("allowWatchBookmarks", options.bookmarks);
        // At least a second: zero would ask for no limit.
        self.some("timeoutSeconds", options.timeout.map(|timeout| timeout.as_secs().max(1)));
        if options.send_initial_events {
            self.add("sendInitialEvents", "true");
        }
        match options.from {
            Consistency::NotOlderThan(revision) if options.send_initial_events => {
                self.matching(revision, "NotOlderThan")
            }
            Consistency::Any if options.send_initial_events => self.matching(Revision::ZERO, "NotOlderThan"),
            _ if options.send_initial_events => self.add("resourceVersionMatch", "NotOlderThan"),
            Consistency::Any => self.add("resourceVersion", "0"),
            Consistency::Exact(revision) => self.add("resourceVersion", &revision.to_string()),
            // What exists now is not older than anything that was seen before.
            Consistency::MostRecent | Consistency::NotOlderThan(_) => self,
        }
    }

    pub(super) fn write(&mut self, options: &WriteOptions) -> &mut Self {
        if options.dry_run {
            self.add("dryRun", "All");
        }
        self.some("fieldManager", options.field_manager.as_ref());
        match options.field_validation {
            FieldValidation::Ignore => self.add("fieldValidation", "Ignore"),
            FieldValidation::Warn => self,
            FieldValidation::Strict => self.add("fieldValidation", "Strict"),
        }
    }

    fn select(&mut self, labels: &str, fields: &str) -> &mut Self {
        let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        self.some("labelSelector", filled(labels)).some("fieldSelector", filled(fields))
    }

    fn matching(&mut self, revision: Revision, rule: &str) -> &mut Self {
        self.add("resourceVersion", &revision.to_string()).add("resourceVersionMatch", rule)
    }
}

/// The body of a deletion.
pub(super) fn delete_options(options: &DeleteOptions) -> Value {
    let mut body = json!({ "kind": "DeleteOptions", "apiVersion": "v1" });
    if let Some(seconds) = options.grace_period {
        body["gracePeriodSeconds"] = json!(seconds);
    }
    if let Some(propagation) = options.propagation {
        body["propagationPolicy"] = json!(propagation.as_str());
    }
    if options.uid.is_some() || options.resource_version.is_some() {
        body["preconditions"] = json!({ "uid": options.uid, "resourceVersion": options.resource_version });
    }
    if options.dry_run {
        body["dryRun"] = json!(["All"]);
    }
    body
}

/// The media type and the body of a patch.
pub(super) fn patch(patch: &Patch) -> (&'static str, &Value) {
    match patch {
        Patch::Json(body) => ("application/json-patch+json", body),
        Patch::Merge(body) => ("application/merge-patch+json", body),
        Patch::Strategic(body) => ("application/strategic-merge-patch+json", body),
        // JSON is YAML.
        Patch::Apply { fields, .. } => ("application/apply-patch+yaml", fields),
    }
}

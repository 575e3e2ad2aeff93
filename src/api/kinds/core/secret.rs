//! Secret: confidential data for pods.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde::de::IgnoredAny;

use super::config_map::same;
use crate::api::field::Path;
use crate::api::rules::{self, name};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// The largest sum of the sizes of all values.
const MAX_SIZE: usize = 1024 * 1024;

const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

/// The keys that a type requires, and whether one of them is enough and each must hold JSON.
struct Required {
    r#type: &'static str,
    keys: &'static [&'static str],
    any: bool,
    json: bool,
}

const TYPES: &[Required] = &[
    Required { r#type: "kubernetes.io/dockercfg", keys: &[".dockercfg"], any: false, json: true },
    Required { r#type: "kubernetes.io/dockerconfigjson", keys: &[".dockerconfigjson"], any: false, json: true },
    Required { r#type: "kubernetes.io/basic-auth", keys: &["username", "password"], any: true, json: false },
    Required { r#type: "kubernetes.io/ssh-auth", keys: &["ssh-privatekey"], any: false, json: false },
    Required { r#type: "kubernetes.io/tls", keys: &["tls.crt", "tls.key"], any: false, json: false },
];

/// What a Secret does.
#[derive(Debug)]
struct SecretStrategy;

impl Strategy for SecretStrategy {
    type Object = Secret;

    fn default(&self, secret: &mut Secret) {
        if let Some(texts) = secret.string_data.take() {
            let data = secret.data.get_or_insert_default();
            data.extend(texts.into_iter().map(|(key, text)| (key, ByteString(text.into_bytes()))));
        }
        if kind_of(secret).is_empty() {
            secret.type_ = Some("Opaque".into());
        }
    }

    fn validate(&self, secret: &Secret, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("data");
        let mut size = 0;
        for (key, value) in secret.data.iter().flatten() {
            rules::complain(errors, &path.key(key), key, name::config_map_key(key));
            size += value.0.len();
        }
        if size > MAX_SIZE {
            errors.too_long(&path, MAX_SIZE);
        }
        if kind_of(secret) == "kubernetes.io/service-account-token" {
            let annotation = secret.metadata.annotations.as_ref().and_then(|all| all.get(ACCOUNT_NAME));
            if annotation.is_none_or(String::is_empty) {
                errors.required(&Path::new("metadata").child("annotations").key(ACCOUNT_NAME), "");
            }
        }
        if let Some(required) = TYPES.iter().find(|required| required.r#type == kind_of(secret)) {
            required.check(secret.data.as_ref(), errors);
        }
    }

    fn validate_update(&self, new: &Secret, old: &Secret, around: &Surroundings, errors: &mut FieldErrors) {
        if new.type_ != old.type_ {
            errors.invalid(&Path::new("type"), kind_of(new), rules::IMMUTABLE);
        }
        if old.immutable == Some(true) {
            if new.immutable != Some(true) {
                errors.forbidden(&Path::new("immutable"), "field is immutable when `immutable` is set");
            }
            if !same(&new.data, &old.data) {
                errors.forbidden(&Path::new("data"), "field is immutable when `immutable` is set");
            }
        }
        self.validate(new, around, errors);
    }

    fn field<'a>(&self, secret: &'a Secret, field: &str) -> Cow<'a, str> {
        if field == "type" { kind_of(secret).into() } else { "".into() }
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text("Type", "Used to facilitate programmatic handling of secret data."),
            Column::text("Data", "Data contains the secret data."),
            Column::age(),
        ]
    }

    fn cells(&self, secret: &Secret, now: Timestamp) -> Vec<Cell> {
        vec![
            Cell::name(&secret.metadata),
            kind_of(secret).into(),
            secret.data.as_ref().map_or(0, BTreeMap::len).into(),
            Cell::age(&secret.metadata, now),
        ]
    }
}

impl Required {
    fn check(&self, data: Option<&BTreeMap<String, ByteString>>, errors: &mut FieldErrors) {
        let path = Path::new("data");
        let value = |key: &str| data.and_then(|data| data.get(key));
        if self.any && self.keys.iter().any(|key| value(key).is_some()) {
            return;
        }
        for key in self.keys {
            match value(key) {
                None => errors.required(&path.key(key), ""),
                Some(value) if *key == "ssh-privatekey" && value.0.is_empty() => errors.required(&path.key(key), ""),
                Some(value) if self.json => {
                    if let Err(error) = serde_json::from_slice::<IgnoredAny>(&value.0) {
                        errors.invalid(&path.key(key), "<secret contents redacted>", error.to_string());
                    }
                }
                Some(_) => {}
            }
        }
    }
}

fn kind_of(secret: &Secret) -> &str {
    secret.type_.as_deref().unwrap_or_default()
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(SecretStrategy).selectable(&["type"])
}

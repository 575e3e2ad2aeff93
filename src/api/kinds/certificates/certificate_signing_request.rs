//! CertificateSigningRequest: the wish for a certificate.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};

use crate::api::field::Path;
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Subresource, Surroundings, human_duration};

/// The shortest life of a certificate that may be asked for, in seconds.
const SHORTEST: i32 = 600;
const DECISIONS: &[&str] = &["Approved", "Denied", "Failed"];

/// What a CertificateSigningRequest does. Who asks is the server's to fill in; approval and status are
/// subresources of their own, both written like a status.
#[derive(Debug)]
struct CsrStrategy;

impl Strategy for CsrStrategy {
    type Object = CertificateSigningRequest;

    fn default(&self, request: &mut CertificateSigningRequest) {
        for condition in request.status.get_or_insert_default().conditions.iter_mut().flatten() {
            if condition.status.is_empty() {
                condition.status = "True".into();
            }
        }
    }

    fn prepare_create(&self, request: &mut CertificateSigningRequest, _: &Surroundings) {
        request.status = Some(Default::default());
    }

    fn prepare_update(&self, new: &mut CertificateSigningRequest, old: &CertificateSigningRequest, _: &Surroundings) {
        new.spec.clone_from(&old.spec);
        new.status.clone_from(&old.status);
    }

    fn prepare_status(
        &self,
        new: &mut CertificateSigningRequest,
        old: &CertificateSigningRequest,
        around: &Surroundings,
    ) {
        use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
        new.spec.clone_from(&old.spec);
        let before = old.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
        for condition in new.status.iter_mut().flat_map(|status| status.conditions.iter_mut().flatten()) {
            let was = before.iter().find(|was| was.type_ == condition.type_);
            if condition.last_update_time.is_none() {
                condition.last_update_time = Some(Time(around.now));
            }
            if condition.last_transition_time.is_none() {
                condition.last_transition_time = match was.filter(|was| was.status == condition.status) {
                    Some(was) => was.last_transition_time.clone(),
                    None => Some(Time(around.now)),
                };
            }
        }
    }

    /// `approval` is where the verdict can be written: conditions, and nothing else of the status.
    fn prepare_subresource(
        &self,
        _: &str,
        new: &mut CertificateSigningRequest,
        old: &CertificateSigningRequest,
        around: &Surroundings,
    ) {
        self.prepare_status(new, old, around);
        let conditions = new.status.take().and_then(|status| status.conditions);
        new.status.clone_from(&old.status);
        if conditions.is_some() || new.status.is_some() {
            new.status.get_or_insert_default().conditions = conditions;
        }
    }

    fn validate(&self, request: &CertificateSigningRequest, _: &Surroundings, errors: &mut FieldErrors) {
        let (path, spec) = (Path::new("spec"), &request.spec);
        if spec.request.0.is_empty() {
            errors.invalid(
                &path.child("request"),
                serde_json::json!(spec.request),
                "PEM block type must be CERTIFICATE REQUEST",
            );
        }
        if spec.usages.as_ref().is_none_or(Vec::is_empty) {
            errors.required(&path.child("usages"), "usages must be provided");
        }
        let at = path.child("signerName");
        match spec.signer_name.split_once('/') {
            _ if spec.signer_name.is_empty() => errors.required(&at, ""),
            Some((domain, name)) if domain.contains('.') && !name.is_empty() => {}
            _ => errors.invalid(
                &at,
                &spec.signer_name,
                "must be a fully qualified domain and path of the form 'example.com/signer-name'",
            ),
        }
        if let Some(seconds) = spec.expiration_seconds.filter(|seconds| *seconds < SHORTEST) {
            errors.invalid(
                &path.child("expirationSeconds"),
                seconds,
                format!("may not specify a duration less than {SHORTEST} seconds (10 minutes)"),
            );
        }
    }

    fn validate_update(
        &self,
        _: &CertificateSigningRequest,
        _: &CertificateSigningRequest,
        _: &Surroundings,
        _: &mut FieldErrors,
    ) {
    }

    fn validate_status(
        &self,
        new: &CertificateSigningRequest,
        _: &CertificateSigningRequest,
        _: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        let conditions: Vec<_> = conditions(new).collect();
        let has = |r#type: &str| conditions.iter().any(|condition| condition.type_ == r#type);
        let path = Path::new("status");
        let path = path.child("conditions");
        if has("Approved") && has("Denied") {
            errors.invalid(&path, "Denied", "Approved and Denied conditions are mutually exclusive");
        }
        for (index, condition) in conditions.iter().enumerate() {
            let path = path.index(index);
            if condition.type_.is_empty() {
                errors.required(&path.child("type"), "");
            }
            if DECISIONS.contains(&condition.type_.as_str()) && condition.status != "True" {
                errors.not_supported(&path.child("status"), &condition.status, &["True"]);
            }
        }
    }

    fn field<'a>(&self, request: &'a CertificateSigningRequest, field: &str) -> Cow<'a, str> {
        if field == "spec.signerName" { request.spec.signer_name.as_str().into() } else { "".into() }
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::age(),
            Column::text("SignerName", "signerName indicates the requested signer, and is a qualified name."),
            Column::text("Requestor", "request contains an x509 certificate signing request."),
            Column::text("RequestedDuration", "The requested duration of validity of the issued certificate."),
            Column::text("Condition", "conditions applied to the request."),
        ]
    }

    fn cells(&self, request: &CertificateSigningRequest, now: Timestamp) -> Vec<Cell> {
        let spec = &request.spec;
        let duration = spec.expiration_seconds.map(|seconds| human_duration(seconds.into()));
        vec![
            Cell::name(&request.metadata),
            Cell::age(&request.metadata, now),
            Cell::or_none(Some(&spec.signer_name)),
            Cell::opt(spec.username.as_ref()),
            Cell::or_none(duration.as_deref()),
            state(request).into(),
        ]
    }
}

fn conditions(request: &CertificateSigningRequest) -> impl Iterator<Item = &CertificateSigningRequestCondition> {
    request.status.iter().flat_map(|status| status.conditions.iter().flatten())
}

fn state(request: &CertificateSigningRequest) -> String {
    let has = |r#type: &str| conditions(request).any(|condition| condition.type_ == r#type);
    let decision = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (_, true) => "Approved",
        _ => "Pending",
    };
    let issued = request.status.as_ref().and_then(|status| status.certificate.as_ref());
    let mut parts = vec![decision];
    if has("Failed") {
        parts.push("Failed");
    }
    if issued.is_some_and(|certificate| !certificate.0.is_empty()) {
        parts.push("Issued");
    }
    parts.join(",")
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(CsrStrategy)
        .short(&["csr"])
        .sub(Subresource { name: "approval", ..Subresource::STATUS })
        .sub(Subresource::STATUS)
        .selectable(&["spec.signerName"])
}

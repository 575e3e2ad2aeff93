//! `token`: short-lived credentials of a service account.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestStatus};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::field::Path;
use crate::api::{ApiError, Call, Draft, FieldErrors, GroupResource, Object, Operation, Target, User, WriteOptions};
use crate::server::pipeline::Inner;

/// What a token is to say.
#[derive(Clone, Debug)]
pub struct TokenRequestContext<'a> {
    /// Whose it is.
    pub account: &'a ServiceAccount,
    /// For whom it is; the server itself where empty.
    pub audiences: &'a [String],
    /// How long it is wanted to hold.
    pub lifetime: Duration,
    /// The object with which it ends, its UID filled in.
    pub bound_to: Option<&'a BoundObjectReference>,
    /// The node of the pod to which it is bound, where it is.
    pub node: Option<&'a str>,
}

/// A token as it was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedToken {
    /// The token.
    pub token: String,
    /// When it ends: an issuer may give less time than was wanted.
    pub expires: Timestamp,
    /// For whom it is.
    pub audiences: Vec<String>,
}

/// Signs tokens of service accounts.
///
/// # Cancel safety
/// A token that was issued and not taken ends by itself.
#[async_trait]
pub trait TokenIssuer: Debug + Send + Sync {
    /// Issues a token.
    ///
    /// # Errors
    /// Where it cannot be signed.
    async fn issue(&self, request: &TokenRequestContext<'_>) -> Result<IssuedToken, ApiError>;

    /// Whose token that is, where it is good for one of these audiences (the server itself, where there are none).
    /// Issuers that cannot tell know nobody.
    async fn identify(&self, _token: &str, _audiences: &[String]) -> Option<User> {
        None
    }

    /// Its name, a URL: who others are told has signed its tokens.
    fn name(&self) -> Option<&str> {
        None
    }

    /// The public keys by which others know its tokens, as JSON Web Keys.
    fn keys(&self) -> Vec<serde_json::Value> {
        Vec::new()
    }
}

const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;
const USUAL: i64 = 3600;

impl Inner {
    pub(super) async fn issue_token(
        &self,
        call: &Call,
        target: &Target,
        mut draft: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        let issuer = self.tokens.as_ref().ok_or_else(crate::server::error::no_such_resource)?;
        let object = self.read(target).await?;
        let account = object.as_typed::<ServiceAccount>().ok_or_else(crate::server::error::no_such_resource)?;
        let pipeline = self.pipeline(call, target, options.dry_run);
        let review = pipeline.review(Operation::Create, Some(&object));
        let admitted = self.admission.admit(&review, Some(&mut draft)).await?;
        let kind = draft.kind().group_kind();
        super::expect::<TokenRequest>(&draft, "TokenRequest")?;
        let Some(request) = draft.typed_mut::<TokenRequest>() else { return Err(ApiError::internal("no request")) };
        let seconds = *request.spec.get_or_insert_default().expiration_seconds.get_or_insert(USUAL);
        let errors = check(request, target, seconds);
        if !errors.is_empty() {
            return Err(ApiError::invalid(&kind, target.name(), &errors));
        }
        request.metadata.name = Some(target.name().to_owned());
        request.metadata.namespace = Some(target.namespace().to_owned());
        request.metadata.creation_timestamp = Some(self.time());
        let spec = request.spec.get_or_insert_default();
        let mut node = None;
        if let Some(bound) = &mut spec.bound_object_ref {
            node = self.bind_token(target, bound).await?;
        }
        let issued = issuer
            .issue(&TokenRequestContext {
                account,
                audiences: spec.audiences.as_deref().unwrap_or_default(),
                lifetime: Duration::from_secs(seconds.unsigned_abs()),
                bound_to: spec.bound_object_ref.as_ref(),
                node: node.as_deref(),
            })
            .await?;
        spec.audiences = Some(issued.audiences);
        request.status =
            Some(TokenRequestStatus { token: Some(issued.token), expiration_timestamp: Some(Time(issued.expires)) });
        self.admission.validate(&review, Some(&draft)).await?;
        let answer = draft.seal_as_is();
        admitted.settle(Some(&answer));
        Ok(answer)
    }

    /// Looks up the object with which a token is to end; says on which node it is.
    async fn bind_token(&self, target: &Target, bound: &mut BoundObjectReference) -> Result<Option<String>, ApiError> {
        let (version, kind) = (bound.api_version.as_deref().unwrap_or("v1"), bound.kind.as_deref().unwrap_or_default());
        let known =
            ["Pod", "Secret", "Node"].contains(&kind).then(|| self.kinds.by_api_version(version, kind)).flatten();
        let Some(row) = known.filter(|row| row.group.is_empty()) else {
            return Err(ApiError::bad_request(format!("cannot bind token to object of type {version}, Kind={kind}")));
        };
        let name = bound.name.clone().unwrap_or_default();
        let object = self.read(&Target::one(row, target.namespace(), &name)).await?;
        let mut node = (kind == "Node").then(|| name.clone());
        if let Some(pod) = object.as_typed::<Pod>() {
            let spec = pod.spec.as_ref();
            if spec.and_then(|spec| spec.service_account_name.as_deref()) != Some(target.name()) {
                return Err(ApiError::bad_request(format!(
                    "cannot bind token for serviceaccount \"{}\" to pod running with different serviceaccount name.",
                    target.name()
                )));
            }
            node = spec.and_then(|spec| spec.node_name.clone());
        }
        if let Some(uid) = bound.uid.as_deref().filter(|uid| !uid.is_empty() && *uid != object.uid()) {
            return Err(ApiError::conflict(
                &GroupResource::new("", kind),
                &name,
                format!(
                    "the UID in the bound object reference ({uid}) does not match the UID in record. The object might \
                     have been deleted and then recreated"
                ),
            ));
        }
        bound.uid = Some(object.uid().to_owned());
        Ok(node)
    }
}

fn check(request: &TokenRequest, target: &Target, seconds: i64) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let (metadata, spec) = (Path::new("metadata"), Path::new("spec"));
    let differs =
        |given: &Option<String>, wanted: &str| given.clone().filter(|text| !text.is_empty() && text != wanted);
    if let Some(name) = differs(&request.metadata.name, target.name()) {
        errors.invalid(&metadata.child("name"), name, "must match the service account name if specified");
    }
    if let Some(namespace) = differs(&request.metadata.namespace, target.namespace()) {
        errors.invalid(
            &metadata.child("namespace"),
            namespace,
            "must match the service account namespace if specified",
        );
    }
    if seconds < SHORTEST {
        errors.invalid(&spec.child("expirationSeconds"), seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > LONGEST {
        errors.invalid(
            &spec.child("expirationSeconds"),
            seconds,
            "may not specify a duration larger than 2^32 seconds",
        );
    }
    errors
}

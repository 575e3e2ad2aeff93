//! Reviews: questions about who somebody is and what he may do, posted as objects and answered in their status.

use k8s_openapi::api::authentication::v1::{
    SelfSubjectReview, SelfSubjectReviewStatus, TokenReview, TokenReviewStatus, UserInfo,
};
use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview,
    SelfSubjectRulesReview, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
    SubjectRulesReviewStatus,
};

use super::authz::{Access, Attributes, Verdict, decide};
use super::pipeline::Inner;
use crate::api::field::{FieldErrors, Path};
use crate::api::{ApiError, Call, Draft, Object, User};

impl Inner {
    /// Answers a review.
    pub(super) async fn answer(&self, call: &Call, mut draft: Draft) -> Result<Object, ApiError> {
        draft.meta_mut().creation_timestamp = Some(self.time());
        let kind = draft.kind().group_kind();
        let user = &*call.user;
        let mut errors = FieldErrors::new();
        if let Some(review) = draft.typed_mut::<SelfSubjectReview>() {
            review.status = Some(SelfSubjectReviewStatus { user_info: Some(info(user)) });
        } else if let Some(review) = draft.typed_mut::<SelfSubjectAccessReview>() {
            let (resource, path) = (&review.spec.resource_attributes, &review.spec.non_resource_attributes);
            review.status = Some(self.may(user, resource.as_ref(), path.as_ref(), &mut errors).await);
        } else if let Some(review) = draft.typed_mut::<SubjectAccessReview>() {
            review.status = Some(self.may_other(&review.spec, &mut errors).await);
        } else if let Some(review) = draft.typed_mut::<LocalSubjectAccessReview>() {
            review.status = Some(self.may_other(&review.spec, &mut errors).await);
        } else if let Some(review) = draft.typed_mut::<SelfSubjectRulesReview>() {
            let namespace = review.spec.namespace.clone().unwrap_or_default();
            if namespace.is_empty() {
                return Err(ApiError::bad_request("no namespace on request"));
            }
            let rules = self.authorizer.rules(user, &namespace).await;
            review.status = Some(SubjectRulesReviewStatus {
                incomplete: rules.incomplete.is_some(),
                evaluation_error: rules.incomplete,
                resource_rules: rules.resources,
                non_resource_rules: rules.paths,
            });
        } else if let Some(review) = draft.typed_mut::<TokenReview>() {
            let audiences = review.spec.audiences.clone().unwrap_or_default();
            let found = match &self.tokens {
                Some(tokens) => tokens.identify(&review.spec.token, &audiences).await,
                None => None,
            };
            review.status = Some(TokenReviewStatus {
                authenticated: Some(found.is_some()),
                audiences: Some(audiences).filter(|audiences| found.is_some() && !audiences.is_empty()),
                error: found.is_none().then(|| "invalid bearer token".to_owned()),
                user: found.as_ref().map(info),
            });
        } else {
            return Err(super::error::no_such_resource());
        }
        if errors.is_empty() { Ok(draft.seal_as_is()) } else { Err(ApiError::invalid(&kind, "", &errors)) }
    }

    async fn may_other(&self, spec: &SubjectAccessReviewSpec, errors: &mut FieldErrors) -> SubjectAccessReviewStatus {
        let user = User {
            name: spec.user.clone().unwrap_or_default(),
            uid: spec.uid.clone().unwrap_or_default(),
            groups: spec.groups.clone().unwrap_or_default(),
            extra: spec.extra.clone().unwrap_or_default().into_iter().collect(),
        };
        if user.name.is_empty() && user.groups.is_empty() {
            errors.invalid(&Path::new("spec").child("user"), "", "at least one of user or group must be specified");
        }
        self.may(&user, spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref(), errors).await
    }

    async fn may(
        &self,
        user: &User,
        resource: Option<&ResourceAttributes>,
        path: Option<&NonResourceAttributes>,
        errors: &mut FieldErrors,
    ) -> SubjectAccessReviewStatus {
        fn text(text: &Option<String>) -> &str {
            text.as_deref().unwrap_or_default()
        }
        let (verb, access) = match (resource, path) {
            (Some(of), None) => (
                text(&of.verb),
                Access::Resource {
                    group: text(&of.group),
                    resource: text(&of.resource),
                    subresource: text(&of.subresource),
                    namespace: text(&of.namespace),
                    name: text(&of.name),
                },
            ),
            (None, Some(of)) => (text(&of.verb), Access::Path(text(&of.path))),
            _ => {
                let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
                errors.invalid(&Path::new("spec"), serde_json::Value::Null, why);
                return SubjectAccessReviewStatus::default();
            }
        };
        match decide(&*self.authorizer, &Attributes { user, verb, access }).await {
            Verdict::Allow => SubjectAccessReviewStatus { allowed: true, ..SubjectAccessReviewStatus::default() },
            Verdict::Deny(why) => SubjectAccessReviewStatus {
                reason: Some(why).filter(|why| !why.is_empty()),
                ..SubjectAccessReviewStatus::default()
            },
        }
    }
}

fn info(user: &User) -> UserInfo {
    UserInfo {
        username: Some(user.name.clone()),
        uid: Some(user.uid.clone()).filter(|uid| !uid.is_empty()),
        groups: Some(user.groups.clone()).filter(|groups| !groups.is_empty()),
        extra: Some(user.extra.clone().into_iter().collect())
            .filter(|extra: &std::collections::BTreeMap<_, _>| !extra.is_empty()),
    }
}

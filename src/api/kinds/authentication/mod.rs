//! `authentication.k8s.io`: questions that are answered and not kept.

use k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenRequest, TokenReview};

use super::review::{review, reviews};

reviews! {
    /// Who the caller is.
    SelfSubjectReview as SelfSubject,
    /// Whether a token is good, and whose it is.
    TokenReview as Token,
    /// A token for a service account: the body of its subresource `token`.
    TokenRequest as Request,
}

pub(crate) fn self_subject_review() -> crate::api::Kind {
    review(SelfSubject)
}

pub(crate) fn token_review() -> crate::api::Kind {
    review(Token)
}

pub(crate) fn token_request() -> crate::api::Kind {
    let mut kind = review(Request).verbs(&[]);
    kind.namespaced = true;
    kind
}

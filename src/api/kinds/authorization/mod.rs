//! `authorization.k8s.io`: questions that are answered and not kept.

use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview,
};

use super::review::{review, reviews};

reviews! {
    /// Whether someone may do something in a namespace.
    LocalSubjectAccessReview as LocalAccess,
    /// Whether the caller may do something.
    SelfSubjectAccessReview as SelfAccess,
    /// What the caller may do in a namespace.
    SelfSubjectRulesReview as SelfRules,
    /// Whether someone may do something.
    SubjectAccessReview as Access,
}

pub(crate) fn local_subject_access_review() -> crate::api::Kind {
    review(LocalAccess)
}

pub(crate) fn self_subject_access_review() -> crate::api::Kind {
    review(SelfAccess)
}

pub(crate) fn self_subject_rules_review() -> crate::api::Kind {
    review(SelfRules)
}

pub(crate) fn subject_access_review() -> crate::api::Kind {
    review(Access)
}

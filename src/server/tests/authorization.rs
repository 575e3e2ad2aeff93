//! What an authorizer decides, and what it is not asked.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use serde_json::json;

use super::fixture::Fixture;
use crate::api::{Backend, Call, Connect, ExecOptions, Kind, Reason, Target, User};
use crate::server::authz::{Attributes, Authorizer, Verdict};

/// Everybody may read.
#[derive(Debug)]
struct Readers;

#[async_trait]
impl Authorizer for Readers {
    async fn authorize(&self, attributes: &Attributes<'_>) -> Verdict {
        match attributes.verb {
            "get" => Verdict::Allow,
            _ => Verdict::Deny("look, do not touch".to_owned()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_authorizer_decides_for_all_but_the_masters() {
    let mut fixture = Fixture::with(|builder| builder.authorizer(Readers)).await;
    let map = |name: &str| json!({"metadata": {"name": name}});
    fixture.create::<ConfigMap>("default", map("a")).await.expect("nobody locks the administrator out");
    let review = json!({"spec": {
        "user": "root", "groups": ["system:masters"], "resourceAttributes": {"verb": "delete", "resource": "configmaps"}
    }});
    let answer = fixture.create::<SubjectAccessReview>("", review).await.unwrap();
    assert!(answer.as_typed::<SubjectAccessReview>().unwrap().status.as_ref().unwrap().allowed);

    fixture.call = Call::new(Arc::new(User::new("jane", &["system:authenticated"])), "test");
    fixture.get::<ConfigMap>("default", "a").await.expect("who may read");
    let refused = fixture.create::<ConfigMap>("default", map("b")).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::Forbidden);
    assert_eq!(
        refused.status().message.as_deref(),
        Some(
            "configmaps is forbidden: User \"jane\" cannot create resource \"configmaps\" in API group \"\" in the \
             namespace \"default\": look, do not touch"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_object_and_the_subresource() {
    let mut fixture = Fixture::with(|builder| builder.authorizer(Readers)).await;
    fixture.call = Call::new(Arc::new(User::new("jane", &["system:authenticated"])), "test");
    let target = Target::one(Kind::of::<Pod>(), "shop", "web");
    let refused =
        fixture.server.connect(&fixture.call, &target, Connect::Exec(ExecOptions::default())).await.unwrap_err();
    assert_eq!(
        refused.status().message.as_deref(),
        Some(
            "pods \"web\" is forbidden: User \"jane\" cannot create resource \"pods/exec\" in API group \"\" in the \
             namespace \"shop\": look, do not touch"
        )
    );
}

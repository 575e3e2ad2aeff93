//! Authorization: who may do what.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::api::{ApiError, GroupResource, Target, User};

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// Who.
    pub user: &'a User,
    /// The verb: `get`, `list`, `watch`, `create`, …
    pub verb: &'a str,
    /// With what.
    pub target: &'a Target,
}

/// What an [`Authorizer`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allow,
    /// No; why, where there is more to say than that nothing allows it.
    Deny(String),
}

/// Decides who may do what.
///
/// # Cancel safety
/// Deciding changes nothing.
#[async_trait]
pub trait Authorizer: Debug + Send + Sync {
    /// Whether that may be done.
    async fn authorize(&self, attributes: &Attributes<'_>) -> Verdict;
}

/// Everybody may do everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

#[async_trait]
impl Authorizer for AllowAll {
    async fn authorize(&self, _: &Attributes<'_>) -> Verdict {
        Verdict::Allow
    }
}

/// The group `system:masters` may do everything, nobody else anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Masters;

#[async_trait]
impl Authorizer for Masters {
    async fn authorize(&self, attributes: &Attributes<'_>) -> Verdict {
        match attributes.user.groups.iter().any(|group| group == "system:masters") {
            true => Verdict::Allow,
            false => Verdict::Deny(String::new()),
        }
    }
}

/// What is answered to who may not.
pub(super) fn refusal(attributes: &Attributes<'_>, why: &str) -> ApiError {
    let Attributes { user, verb, target } = attributes;
    let resource = target.kind.resource();
    let group = resource.group();
    let plural = match target.subresource.as_str() {
        "" => resource.resource().to_owned(),
        subresource => format!("{}/{subresource}", resource.resource()),
    };
    let place = match target.namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace \"{namespace}\""),
    };
    let mut text =
        format!("User \"{}\" cannot {verb} resource \"{plural}\" in API group \"{group}\" {place}", user.name);
    if !why.is_empty() {
        text = format!("{text}: {why}");
    }
    ApiError::forbidden(&GroupResource::new(group, plural), &target.name, text)
}

//! Authorization: who may do what.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::api::{ApiError, GroupResource, Target, User};

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// Who.
    pub user: &'a User,
    /// The verb: `get`, `list`, `watch`, `create`, …; for paths the HTTP method in lower case.
    pub verb: &'a str,
    /// With what.
    pub scope: AccessTo<'a>,
}

/// With what somebody wants to do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTo<'a> {
    /// Objects of the API.
    Resource(&'a Target),
    /// A path that is no resource: `/version`, `/healthz`, discovery.
    Path(&'a str),
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

/// The group `system:masters` may do everything, whoever is authenticated may ask what the server is and serves,
/// everybody whether it is well. These are the rights that upstream grants without a single role binding of a
/// user's own (`system:discovery`, `system:public-info-viewer`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Masters;

/// Open to everybody.
const PUBLIC: &[&str] = &["/healthz", "/livez", "/readyz", "/version"];
/// Open to whoever is authenticated.
const DISCOVERY: &[&str] = &["/api", "/apis", "/openapi"];

#[async_trait]
impl Authorizer for Masters {
    async fn authorize(&self, attributes: &Attributes<'_>) -> Verdict {
        let member = |group: &str| attributes.user.groups.iter().any(|of| of == group);
        let under = |roots: &[&str], path: &str| {
            roots
                .iter()
                .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        };
        let allowed = member("system:masters")
            || match attributes.scope {
                AccessTo::Path(path) => {
                    matches!(attributes.verb, "get" | "head")
                        && (under(PUBLIC, path) || (member("system:authenticated") && under(DISCOVERY, path)))
                }
                AccessTo::Resource(_) => false,
            };
        if allowed { Verdict::Allow } else { Verdict::Deny(String::new()) }
    }
}

/// What is answered to who may not.
pub(super) fn refusal(attributes: &Attributes<'_>, why: &str) -> ApiError {
    let (user, verb) = (&attributes.user.name, attributes.verb);
    let mut text;
    let (resource, name) = match attributes.scope {
        AccessTo::Path(path) => {
            text = format!("User \"{user}\" cannot {verb} path \"{path}\"");
            (GroupResource::new("", ""), "")
        }
        AccessTo::Resource(target) => {
            let resource = target.kind.resource();
            let mut plural = resource.resource().to_owned();
            if !target.subresource.is_empty() {
                plural = format!("{plural}/{}", target.subresource);
            }
            let group = resource.group();
            text = format!("User \"{user}\" cannot {verb} resource \"{plural}\" in API group \"{group}\" ");
            match target.namespace.as_str() {
                "" => text.push_str("at the cluster scope"),
                namespace => text.push_str(&format!("in the namespace \"{namespace}\"")),
            }
            (GroupResource::new(group, plural), target.name.as_str())
        }
    };
    if !why.is_empty() {
        text = format!("{text}: {why}");
    }
    match attributes.scope {
        AccessTo::Path(_) => {
            ApiError::new(crate::api::Reason::Forbidden, format!("forbidden: {text}")).with_details(Default::default())
        }
        AccessTo::Resource(_) => ApiError::forbidden(&resource, name, text),
    }
}

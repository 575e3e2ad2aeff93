//! Authorization: who may do what.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::api::{ApiError, GroupResource, Target, User};

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// Who.
    pub user: &'a User,
    /// The verb: `get`, `list`, `watch`, `create`, …; of paths the HTTP method in lower case.
    pub verb: &'a str,
    /// With what.
    pub access: Access<'a>,
}

/// With what somebody wants to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<'a> {
    /// Objects.
    Resource {
        /// The API group; empty for the core group.
        group: &'a str,
        /// The plural.
        resource: &'a str,
        /// The subresource; empty for the object itself.
        subresource: &'a str,
        /// The namespace; empty for all of them, and for what is in none.
        namespace: &'a str,
        /// The name; empty for all of them.
        name: &'a str,
    },
    /// A path that is no resource.
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

/// The group `system:masters` may do everything; whoever is authenticated may ask about himself (upstream's
/// `system:basic-user`) and look at what the server is and serves (`system:discovery`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Masters;

const OWN_REVIEWS: &[&str] = &["selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews"];
const DISCOVERY: &[&str] = &["/api", "/apis", "/healthz", "/livez", "/openapi", "/readyz", "/version"];

#[async_trait]
impl Authorizer for Masters {
    async fn authorize(&self, attributes: &Attributes<'_>) -> Verdict {
        let member = |group: &str| attributes.user.groups.iter().any(|of| of == group);
        let basic = match attributes.access {
            Access::Resource { resource, .. } => attributes.verb == "create" && OWN_REVIEWS.contains(&resource),
            Access::Path(path) => {
                let below =
                    |root: &&str| path.strip_prefix(*root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                matches!(attributes.verb, "get" | "head") && DISCOVERY.iter().any(below)
            }
        };
        match member("system:masters") || (basic && member("system:authenticated")) {
            true => Verdict::Allow,
            false => Verdict::Deny(String::new()),
        }
    }
}

/// What is answered to who may not.
pub(super) fn refusal(user: &User, verb: &str, target: &Target, why: &str) -> ApiError {
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

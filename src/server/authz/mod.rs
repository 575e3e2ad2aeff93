//! Authorization: who may do what.

use std::fmt::Debug;

use async_trait::async_trait;
use k8s_openapi::api::authorization::v1::{NonResourceRule, ResourceRule};

use crate::api::{ApiError, GroupResource, Reason, User};

/// The group of everybody whose credentials were accepted.
pub const AUTHENTICATED: &str = "system:authenticated";

/// The group of administrators, who may do everything.
pub const MASTERS: &str = "system:masters";

/// The group of all service accounts.
pub const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";

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

/// What an [`Authorizer`] lets somebody do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// With objects.
    pub resources: Vec<ResourceRule>,
    /// With paths that are no resources.
    pub paths: Vec<NonResourceRule>,
    /// Why there may be more, where there may.
    pub incomplete: Option<String>,
}

impl Rules {
    fn everything() -> Self {
        let any = || vec!["*".to_owned()];
        Self {
            resources: vec![ResourceRule {
                verbs: any(),
                api_groups: Some(any()),
                resources: Some(any()),
                resource_names: None,
            }],
            paths: vec![NonResourceRule { verbs: any(), non_resource_urls: Some(any()) }],
            incomplete: None,
        }
    }
}

/// Decides who may do what. About members of `system:masters` it is not asked: they may do everything.
///
/// # Cancel safety
/// Deciding changes nothing.
#[async_trait]
pub trait Authorizer: Debug + Send + Sync {
    /// Whether that may be done.
    async fn authorize(&self, attributes: &Attributes<'_>) -> Verdict;

    /// What `user` may do in `namespace`, for whoever asks about himself. Authorizers that cannot tell say so.
    async fn rules(&self, _user: &User, _namespace: &str) -> Rules {
        let why = "the authorizer does not support user rule resolution".to_owned();
        Rules { incomplete: Some(why), ..Rules::default() }
    }
}

/// What an authorizer says; it is not asked about members of `system:masters`. As upstream has it, which puts the
/// privileged group before all that is configured (`pkg/kubeapiserver/authorizer`): nobody locks the administrator out.
pub(super) async fn decide(authorizer: &dyn Authorizer, attributes: &Attributes<'_>) -> Verdict {
    match attributes.user.is_in(MASTERS) {
        true => Verdict::Allow,
        false => authorizer.authorize(attributes).await,
    }
}

/// Everybody may do everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

#[async_trait]
impl Authorizer for AllowAll {
    async fn authorize(&self, _: &Attributes<'_>) -> Verdict {
        Verdict::Allow
    }

    async fn rules(&self, _: &User, _: &str) -> Rules {
        Rules::everything()
    }
}

/// The group `system:masters` may do everything; whoever is authenticated may ask about himself (upstream's
/// `system:basic-user`) and look at what the server is and serves (`system:discovery`); service accounts may read who
/// issues tokens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Masters;

const OWN_REVIEWS: &[&str] = &["selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews"];
const DISCOVERY: &[&str] = &["/api", "/apis", "/healthz", "/livez", "/openapi", "/readyz", "/version"];

/// Paths that service accounts may read beside (upstream's `system:service-account-issuer-discovery`).
const ISSUER: &[&str] = &["/.well-known/openid-configuration", "/openid/v1/jwks"];

/// Whether that is to read what every authenticated user may (upstream's `system:discovery` and
/// `system:public-info-viewer`).
fn discovers(verb: &str, path: &str) -> bool {
    let below = |root: &&str| path.strip_prefix(*root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    matches!(verb, "get" | "head") && DISCOVERY.iter().any(below)
}

#[async_trait]
impl Authorizer for Masters {
    async fn authorize(&self, attributes: &Attributes<'_>) -> Verdict {
        let Attributes { user, verb, access } = *attributes;
        let may = match access {
            Access::Resource { resource, .. } => {
                verb == "create" && OWN_REVIEWS.contains(&resource) && user.is_in(AUTHENTICATED)
            }
            Access::Path(path) => {
                (discovers(verb, path) && user.is_in(AUTHENTICATED))
                    || (verb == "get" && ISSUER.contains(&path) && user.is_in(SERVICE_ACCOUNTS))
            }
        };
        match may || user.is_in(MASTERS) {
            true => Verdict::Allow,
            false => Verdict::Deny(String::new()),
        }
    }

    /// As a cluster with RBAC and its default roles has it: `cluster-admin`, `system:basic-user`, `system:discovery`.
    async fn rules(&self, user: &User, _: &str) -> Rules {
        let mut rules = if user.is_in(MASTERS) { Rules::everything() } else { Rules::default() };
        if user.is_in(AUTHENTICATED) {
            let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            for (group, reviews) in BASIC_USER {
                rules.resources.push(ResourceRule {
                    verbs: words(&["create"]),
                    api_groups: Some(words(&[group])),
                    resources: Some(words(reviews)),
                    resource_names: None,
                });
            }
            let urls = words(DISCOVERY_URLS);
            rules.paths.push(NonResourceRule { verbs: words(&["get"]), non_resource_urls: Some(urls) });
        }
        rules
    }
}

/// The rules of upstream's role `system:basic-user`.
const BASIC_USER: &[(&str, &[&str])] = &[
    ("authorization.k8s.io", &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
    ("authentication.k8s.io", &["selfsubjectreviews"]),
];
/// The paths of upstream's role `system:discovery`.
const DISCOVERY_URLS: &[&str] = &[
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
];

/// Refuses what may not be done, in upstream's words.
///
/// # Errors
/// Forbidden, with what the authorizer says beside.
pub(super) async fn permit(authorizer: &dyn Authorizer, attributes: &Attributes<'_>) -> Result<(), ApiError> {
    match decide(authorizer, attributes).await {
        Verdict::Allow => Ok(()),
        Verdict::Deny(why) => Err(refusal(attributes, &why)),
    }
}

fn refusal(attributes: &Attributes<'_>, why: &str) -> ApiError {
    let (user, verb) = (&attributes.user.name, attributes.verb);
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    match attributes.access {
        Access::Path(path) => {
            let message = format!("forbidden: User \"{user}\" cannot {verb} path \"{path}\"{why}");
            ApiError::new(Reason::Forbidden, message)
        }
        Access::Resource { group, resource, subresource, namespace, name } => {
            let what = match subresource {
                "" => resource.to_owned(),
                subresource => format!("{resource}/{subresource}"),
            };
            let place = match namespace {
                "" => "at the cluster scope".to_owned(),
                namespace => format!("in the namespace \"{namespace}\""),
            };
            let text =
                format!("User \"{user}\" cannot {verb} resource \"{what}\" in API group \"{group}\" {place}{why}");
            ApiError::forbidden(&GroupResource::new(group, resource), name, text)
        }
    }
}

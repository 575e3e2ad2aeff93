//! What a request is about: its path, and the verb that path and method make together.

use std::borrow::Cow;

use http::Method;

use super::query::{Query, percent_decode};

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/healthz`, `/livez` and `/readyz`, with the single check behind it.
    Health(String, Option<String>),
    /// Another fixed path that is no API object.
    Fixed(Fixed),
    /// `/apis/G`
    Group(String),
    /// `/api/v1` and `/apis/G/V`
    Version(String, String),
    /// `/openapi/v3/…`: the document of a group and version, by its path.
    OpenApi(String),
    /// Anything under `/api/V/` and `/apis/G/V/`.
    Resource(ResourcePath),
    /// Nothing.
    Unknown,
}

/// Paths that stand for one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fixed {
    Index,
    Version,
    Metrics,
    Core,
    Groups,
    OpenApiV2,
    OpenApiV3,
    /// Who signs service account tokens.
    Issuer,
    /// The keys of who does.
    IssuerKeys,
}

const FIXED: &[(&str, Fixed)] = &[
    ("/", Fixed::Index),
    ("/version", Fixed::Version),
    ("/metrics", Fixed::Metrics),
    ("/api", Fixed::Core),
    ("/apis", Fixed::Groups),
    ("/openapi/v2", Fixed::OpenApiV2),
    ("/openapi/v3", Fixed::OpenApiV3),
    ("/.well-known/openid-configuration", Fixed::Issuer),
    ("/openid/v1/jwks", Fixed::IssuerKeys),
];

/// A path to objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: String,
    pub(crate) resource: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
    /// What follows the subresource, with its leading `/` (proxies).
    pub(crate) tail: Option<String>,
    /// The deprecated `/watch/` prefix.
    pub(crate) watch: bool,
}

impl Route {
    /// Reads a path.
    pub(crate) fn of(path: &str) -> Self {
        let trimmed = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        if let Some((_, fixed)) = FIXED.iter().find(|(fixed, _)| *fixed == trimmed) {
            return Self::Fixed(*fixed);
        }
        let segments: Vec<Cow<'_, str>> =
            trimmed.split('/').skip(1).map(|segment| percent_decode(segment, false)).collect();
        let words: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
        match *words.as_slice() {
            [probe @ ("healthz" | "livez" | "readyz")] => Self::Health(probe.into(), None),
            [probe @ ("healthz" | "livez" | "readyz"), ref check @ ..] => {
                Self::Health(probe.into(), Some(check.join("/")))
            }
            ["openapi", "v3", ref document @ ..] => Self::OpenApi(document.join("/")),
            ["apis", group] => Self::Group(group.into()),
            ["api", version] => Self::Version(String::new(), version.into()),
            ["apis", group, version] => Self::Version(group.into(), version.into()),
            ["api", version, ref rest @ ..] => ResourcePath::of("", version, rest, path),
            ["apis", group, version, ref rest @ ..] => ResourcePath::of(group, version, rest, path),
            _ => Self::Unknown,
        }
    }
}

impl ResourcePath {
    fn of(group: &str, version: &str, mut rest: &[&str], path: &str) -> Route {
        let mut route = Self { group: group.into(), version: version.into(), ..Self::default() };
        if let ["watch", after @ ..] = rest
            && !after.is_empty()
        {
            route.watch = true;
            rest = after;
        }
        // Below a namespace, all but its own subresources are resources in it.
        if let ["namespaces", namespace, inner, ..] = rest
            && !matches!(*inner, "status" | "finalize")
        {
            route.namespace = (*namespace).into();
            rest = &rest[2..];
        }
        let Some((resource, rest)) = rest.split_first() else { return Route::Unknown };
        route.resource = (*resource).into();
        route.name = rest.first().copied().unwrap_or_default().into();
        route.subresource = rest.get(1).copied().unwrap_or_default().into();
        if rest.len() > 2 || (route.subresource == "proxy" && path.ends_with('/')) {
            // As the client wrote it: encodings and a trailing slash belong to the proxied server.
            let segments = path.trim_end_matches('/').split('/').count();
            let begins = path.match_indices('/').nth(segments + 1 - rest.len()).map(|(at, _)| at);
            route.tail = begins.map(|at| path[at..].to_owned());
        }
        Route::Resource(route)
    }
}

/// The verbs, as authorisation names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    /// The verb of a request for objects; `None` where the method is not served there.
    pub(crate) fn of(method: &Method, path: &ResourcePath, query: &Query) -> Option<Self> {
        let (named, sub) = (!path.name.is_empty(), !path.subresource.is_empty());
        match *method {
            Method::HEAD | Method::OPTIONS if named && path.subresource == "proxy" => Some(Self::Get),
            Method::GET if path.watch || (!named && query.flag("watch")) => Some(Self::Watch),
            Method::GET if named => Some(Self::Get),
            Method::GET => Some(Self::List),
            Method::POST if !named || sub => Some(Self::Create),
            Method::PUT if named => Some(Self::Update),
            Method::PATCH if named => Some(Self::Patch),
            Method::DELETE if named => Some(Self::Delete),
            Method::DELETE => Some(Self::DeleteCollection),
            _ => None,
        }
    }

    /// The name that metrics know.
    pub(crate) const fn as_upper(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::List => "LIST",
            Self::Watch => "WATCH",
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::DeleteCollection => "DELETECOLLECTION",
        }
    }

    /// The name on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(path: &str) -> ResourcePath {
        match Route::of(path) {
            Route::Resource(resource) => resource,
            other => panic!("{path} is {other:?}"),
        }
    }

    #[test]
    fn paths_name_what_they_lead_to() {
        let fields = |path: &str| {
            let p = resource(path);
            [p.group, p.version, p.namespace, p.resource, p.name, p.subresource, p.tail.unwrap_or_default()].join("|")
        };
        for (path, expected) in [
            ("/api/v1/pods", "|v1||pods|||"),
            ("/api/v1/namespaces", "|v1||namespaces|||"),
            ("/api/v1/namespaces/x", "|v1||namespaces|x||"),
            ("/api/v1/namespaces/x/finalize", "|v1||namespaces|x|finalize|"),
            ("/api/v1/namespaces/x/pods/p/log", "|v1|x|pods|p|log|"),
            ("/apis/apps/v1/namespaces/x/deployments/d/scale", "apps|v1|x|deployments|d|scale|"),
            ("/api/v1/namespaces/x/services/http:s:80/proxy/a%20b/", "|v1|x|services|http:s:80|proxy|/a%20b/"),
            ("/api/v1/namespaces/proxy/pods/p/proxy/", "|v1|proxy|pods|p|proxy|/"),
            ("/api/v1/namespaces/proxy/pods/p/proxy/a/proxy/b", "|v1|proxy|pods|p|proxy|/a/proxy/b"),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aa",
                "rbac.authorization.k8s.io|v1||clusterroles|system:a||",
            ),
        ] {
            assert_eq!(fields(path), expected, "{path}");
        }
        assert_eq!(Route::of("/nosuch"), Route::Unknown);
        assert_eq!(Route::of("/readyz/ping"), Route::Health("readyz".into(), Some("ping".into())));
    }

    #[test]
    fn method_and_path_make_the_verb() {
        let verb = |method: Method, path: &str, query: &str| {
            Verb::of(&method, &resource(path), &Query::of(Some(query))).map(Verb::as_str)
        };
        assert_eq!(verb(Method::GET, "/api/v1/pods", "watch=1"), Some("watch"));
        assert_eq!(verb(Method::GET, "/api/v1/pods", "watch=false"), Some("list"));
        assert_eq!(verb(Method::GET, "/api/v1/watch/pods", ""), Some("watch"));
        assert_eq!(verb(Method::POST, "/api/v1/namespaces/x/pods", ""), Some("create"));
        assert_eq!(verb(Method::POST, "/api/v1/namespaces/x/pods/p", ""), None);
        assert_eq!(verb(Method::POST, "/api/v1/namespaces/x/pods/p/binding", ""), Some("create"));
        assert_eq!(verb(Method::DELETE, "/api/v1/namespaces/x/pods", ""), Some("deletecollection"));
        assert_eq!(verb(Method::PUT, "/api/v1/namespaces/x/pods", ""), None);
    }
}

//! [`Front`]: the API over HTTP, as a service.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;

use super::body::{self, Body, BoxError, Pieced, no_such_resource};
use super::closing::Closing;
use super::layers::authenticate::{self, PeerUser};
use super::layers::limit::Limit;
use super::layers::{impersonate, timeout, trace, warning};
use super::metrics::{Labels, Metrics};
use super::negotiate::{Accepted, Form};
use super::proxy::Proxying;
use super::query::Query;
use super::route::{Fixed, ResourcePath, Route, Verb};
use super::streams::{self, Streaming};
use super::upgrade::Sessions;
use super::{discovery, health, openapi, verbs};
use crate::api::{ApiError, Backend, Call, Kind, KindRef, User};
use crate::clock::Clock;
use crate::random::Random;
use crate::server::TokenIssuer;
use crate::server::authn::{Tokens, anonymous};
use crate::server::authz::{Access, Attributes, Authorizer, Masters, permit};

/// The media type of a set of JSON Web Keys.
const KEY_SET: &str = "application/jwk-set+json";

/// How a [`Front`] serves.
#[derive(Clone, Debug)]
#[must_use]
pub struct Config {
    /// The time.
    pub clock: Clock,
    /// The source of request identities.
    pub random: Random,
    /// Bearer tokens, and whose they are.
    pub tokens: Tokens,
    /// How many reads are served at a time.
    pub max_reads: usize,
    /// How many writes are served at a time.
    pub max_writes: usize,
    /// The address that legacy discovery names.
    pub advertised: String,
    /// Who knows the bearer tokens of service accounts.
    pub issuer: Option<Arc<dyn TokenIssuer>>,
    /// Who may read the paths that are no objects, and act as somebody else. What concerns objects, the backend decides.
    pub authorizer: Arc<dyn Authorizer>,
}

impl Config {
    /// No tokens, upstream's limits, [`Masters`].
    pub fn new(clock: Clock, random: Random) -> Self {
        Self {
            clock,
            random,
            tokens: Tokens::new(),
            max_reads: 400,
            max_writes: 200,
            advertised: "127.0.0.1:6443".to_owned(),
            issuer: None,
            authorizer: Arc::new(Masters),
        }
    }
}

#[derive(Debug)]
struct Shared {
    backend: Arc<dyn Backend>,
    config: Config,
    limit: Limit,
    metrics: Metrics,
    sessions: Sessions,
}

/// The Kubernetes API over HTTP: a `tower::Service` over any [`Backend`]. It needs no socket: an HTTP client
/// (kube-rs's, say) can call it in process. Cheap to clone; clones share limits and metrics.
///
/// ```
/// # async fn run(backend: std::sync::Arc<dyn orchestrion::api::Backend>) {
/// use http_body_util::Empty;
/// use orchestrion::api::User;
/// use orchestrion::{clock::Clock, random::Random, server::http::{Config, Front}};
/// let front = Front::new(backend, Config::new(Clock::system(), Random::from_entropy()));
/// let request = http::Request::get("/api/v1/pods").body(Empty::<bytes::Bytes>::new()).unwrap();
/// let response = front.as_user(User::admin()).handle(request).await;
/// assert_eq!(response.status(), 200);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Front {
    shared: Arc<Shared>,
    user: Option<Arc<User>>,
}

impl Front {
    /// A front of `backend`.
    pub fn new(backend: Arc<dyn Backend>, config: Config) -> Self {
        let limit = Limit::new(config.max_reads, config.max_writes);
        let (metrics, sessions) = (Metrics::default(), Sessions::default());
        Self { shared: Arc::new(Shared { backend, config, limit, metrics, sessions }), user: None }
    }

    /// The same front for callers in this process, who are `user` without further credentials.
    #[must_use]
    pub fn as_user(&self, user: User) -> Self {
        Self { shared: Arc::clone(&self.shared), user: Some(Arc::new(user)) }
    }

    /// Answers a request. Never fails: an error is an answer with a `Status`.
    ///
    /// # Cancel safety
    /// As [`Backend`]'s: a dropped write leaves open whether it took place.
    pub fn handle<B>(&self, request: Request<B>) -> BoxFuture<'static, Response<Body>>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let answer = self.answer_in_pieces(request);
        Box::pin(async move { answer.await.map(body::erase) })
    }

    /// As [`Front::handle`], for who can send what does not stand together.
    pub(super) fn answer_in_pieces<B>(&self, request: Request<B>) -> BoxFuture<'static, Response<Pieced>>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let front = self.clone();
        let (parts, body) = request.into_parts();
        let body = body::erase(body);
        Box::pin(async move { front.serve(parts, body).await })
    }

    async fn serve(&self, mut parts: Parts, body: Body) -> Response<Pieced> {
        let shared = &*self.shared;
        let began = shared.config.clock.elapsed();
        let id = trace::audit_id(&parts.headers, &shared.config.random);
        let mut exchange = Exchange::new(&parts);
        let mut response = match self.answer(&mut exchange, &mut parts, body).await {
            Ok(response) => response,
            Err(error) => body::failure(&error),
        };
        let took = shared.config.clock.elapsed().saturating_sub(began);
        let headers = response.headers_mut();
        headers.insert(trace::AUDIT_ID, id);
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
        if let Some(call) = &exchange.call {
            warning::add(headers, call.take_warnings());
        }
        let user = exchange.call.as_ref().map(|call| &*call.user);
        trace::answered(&parts.method, parts.uri.path(), user, &response, took);
        let timed = (!exchange.long_running).then_some(took);
        shared.metrics.answered(&exchange.labels, response.status().as_u16(), timed);
        response
    }

    async fn answer(
        &self,
        exchange: &mut Exchange,
        parts: &mut Parts,
        body: Body,
    ) -> Result<Response<Pieced>, ApiError> {
        let Shared { backend, config, limit, metrics, sessions } = &*self.shared;
        let known = match &self.user {
            Some(user) => Some(Arc::clone(user)),
            None => authenticate::caller(parts.extensions.get::<PeerUser>(), &parts.headers, config).await?,
        };
        let user = match known {
            Some(user) => {
                let user = impersonate::acting(user, &parts.headers, &*config.authorizer).await?;
                if !matches!(exchange.route, Route::Resource(_)) {
                    let (verb, access) = (parts.method.as_str().to_lowercase(), Access::Path(parts.uri.path()));
                    permit(&*config.authorizer, &Attributes { user: &user, verb: &verb, access }).await?;
                }
                user
            }
            None if is_public(&exchange.route) => Arc::new(anonymous()),
            None => return Err(authenticate::unauthorized()),
        };
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let call = exchange.call.insert(Call::new(user, agent).keeping_warnings());

        let Route::Resource(path) = &exchange.route else { return self.fixed(&exchange.route, parts, &exchange.query) };
        let kind = served(&**backend, path)?;
        exchange.labels = labels(path, exchange.verb, &kind);
        let Some(verb) = exchange.verb.filter(|verb| serves(&kind, path, *verb)) else {
            return Ok(verbs::method_not_allowed());
        };
        if let Some(warning) = kind.deprecation {
            call.warn(warning);
        }
        exchange.long_running = verbs::is_long_running(verb, path);
        let mutating = !matches!(verb, Verb::Get | Verb::List | Verb::Watch);
        let counted = metrics.begin(mutating, exchange.long_running);
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let request = verbs::Request {
            backend: &**backend,
            clock: config.clock,
            random: &config.random,
            call,
            verb,
            path,
            kind,
            query: &exchange.query,
            headers: &parts.headers,
            version: parts.version,
            closing: parts.extensions.get::<Closing>(),
        };
        if streams::is_stream(&path.group, &path.resource, &path.subresource) {
            let streaming = Streaming {
                backend,
                call,
                target: request.target(),
                query: &exchange.query,
                headers: &parts.headers,
                upgrade,
                closing: parts.extensions.get::<Closing>().cloned(),
                sessions,
            };
            let response = streaming.open().await?;
            return Ok(response.map(|body| body::keeping(body, counted)));
        }
        if path.subresource == "proxy" {
            let random = &config.random;
            let mut response = Proxying { backend, call, random, path, sessions }.run(parts, body).await?;
            if let Some(closing) = parts.extensions.get::<Closing>()
                && response.status() != StatusCode::SWITCHING_PROTOCOLS
            {
                response = response.map(|body| body::until(body, closing));
            }
            return Ok(response.map(|body| body::keeping(body, counted)));
        }
        if exchange.long_running {
            let response = request.run(body::read(body).await?).await?;
            return Ok(response.map(|body| body::keeping(body, counted)));
        }
        let _place = limit.enter(mutating)?;
        let work = async { request.run(body::read(body).await?).await };
        timeout::within(timeout::of(&exchange.query)?, work).await
    }

    fn fixed(&self, route: &Route, parts: &Parts, query: &Query) -> Result<Response<Pieced>, ApiError> {
        let Shared { backend, config, metrics, .. } = &*self.shared;
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return Ok(verbs::method_not_allowed());
        }
        let kinds = backend.kinds();
        let value = match route {
            Route::Health(probe, one) => {
                return health::probe(&**backend, probe, one.as_deref(), query).ok_or_else(no_such_resource);
            }
            Route::Fixed(Fixed::Metrics) => {
                let media = "text/plain; version=0.0.4; charset=utf-8";
                return Ok(body::answer(StatusCode::OK, media, body::whole(metrics.text())));
            }
            Route::Fixed(fixed @ (Fixed::Core | Fixed::Groups)) => {
                let core = *fixed == Fixed::Core;
                if let Form::Discovery(version) = Accepted::of(&parts.headers)?.form {
                    let bytes = serde_json::to_vec(&discovery::aggregated(kinds, core, version));
                    let media = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
                    let body = body::whole(bytes.map_err(ApiError::internal)?);
                    return Ok(vary(body::answer(StatusCode::OK, &media, body)));
                }
                let plain =
                    if core { discovery::core_versions(&config.advertised) } else { discovery::group_list(kinds) };
                return Ok(vary(body::json(StatusCode::OK, &plain)));
            }
            Route::Fixed(Fixed::Version) => Some(health::version()),
            Route::Fixed(Fixed::IssuerKeys) => {
                let issuer = config.issuer.as_deref().ok_or_else(no_such_resource)?;
                let mut response = body::json(StatusCode::OK, &serde_json::json!({ "keys": issuer.keys() }));
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(KEY_SET));
                return Ok(response);
            }
            Route::Fixed(Fixed::Issuer) => config.issuer.as_deref().and_then(TokenIssuer::name).map(|issuer| {
                serde_json::json!({
                    "issuer": issuer,
                    "jwks_uri": format!("https://{}/openid/v1/jwks", config.advertised),
                    "response_types_supported": ["id_token"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["ES256"],
                })
            }),
            Route::Fixed(Fixed::Index) => Some(index(&**backend)),
            Route::Group(name) => discovery::one_group(kinds, name),
            Route::Version(group, version) => discovery::resource_list(kinds, group, version),
            Route::Fixed(Fixed::OpenApiV2) => return openapi::v2(kinds, &parts.headers),
            Route::Fixed(Fixed::OpenApiV3) => Some(openapi::v3_index(kinds)),
            Route::OpenApi(document) => return openapi::v3(kinds, document).ok_or_else(no_such_resource),
            Route::Resource(_) | Route::Unknown => None,
        };
        value.map(|value| body::json(StatusCode::OK, &value)).ok_or_else(no_such_resource)
    }
}

impl<B> tower::Service<Request<B>> for Front
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answered = self.handle(request);
        Box::pin(async move { Ok(answered.await) })
    }
}

/// What is known of one request while it is served.
struct Exchange {
    route: Route,
    query: Query,
    verb: Option<Verb>,
    call: Option<Call>,
    labels: Labels,
    long_running: bool,
}

impl Exchange {
    fn new(parts: &Parts) -> Self {
        let (route, query) = (Route::of(parts.uri.path()), Query::of(parts.uri.query()));
        let verb = match &route {
            Route::Resource(path) => Verb::of(&parts.method, path, &query),
            _ => None,
        };
        let labels = Labels { verb: method(&parts.method), ..Labels::default() };
        Self { route, query, verb, call: None, labels, long_running: false }
    }
}

/// Paths that need no credentials.
fn is_public(route: &Route) -> bool {
    matches!(route, Route::Health(..) | Route::Fixed(Fixed::Version))
}

/// The kind behind a path. A scope that does not fit is a path that is not served.
fn served(backend: &dyn Backend, path: &ResourcePath) -> Result<KindRef, ApiError> {
    let kind = backend.kinds().by_resource(&path.group, &path.version, &path.resource);
    let kind = kind.filter(|kind| !kind.verbs.is_empty()).ok_or_else(no_such_resource)?;
    let fits = match kind.namespaced {
        // Across namespaces, only lists and watches.
        true => !path.namespace.is_empty() || path.name.is_empty(),
        false => path.namespace.is_empty(),
    };
    let sub = path.subresource.is_empty() || kind.subresource(&path.subresource).is_some();
    if fits && sub { Ok(kind) } else { Err(no_such_resource()) }
}

fn serves(kind: &Kind, path: &ResourcePath, verb: Verb) -> bool {
    let verbs = kind.subresource(&path.subresource).map_or(kind.verbs, |subresource| subresource.verbs);
    let scoped =
        !kind.namespaced || !path.namespace.is_empty() || matches!(verb, Verb::List | Verb::Watch | Verb::Create);
    scoped && (verbs.contains(&verb.as_str()) || (verb == Verb::Watch && path.watch && verbs.contains(&"watch")))
}

/// What a verb is counted as that is none.
const OTHER: &str = "OTHER";

/// The name that a method is counted under: there are only so many.
fn method(method: &Method) -> &'static str {
    const KNOWN: &[Method] =
        &[Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    KNOWN.iter().find(|known| *known == method).map_or(OTHER, Method::as_str)
}

fn labels(path: &ResourcePath, verb: Option<Verb>, kind: &KindRef) -> Labels {
    Labels {
        verb: verb.map_or(OTHER, Verb::as_upper),
        kind: Some(kind.clone()),
        subresource: path.subresource.clone(),
        scope: match (path.name.is_empty(), path.namespace.is_empty()) {
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) => "cluster",
        },
    }
}

fn vary(mut response: Response<Pieced>) -> Response<Pieced> {
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

/// `/`: the paths there are.
fn index(backend: &dyn Backend) -> serde_json::Value {
    let mut paths: Vec<String> = [
        "/.well-known/openid-configuration",
        "/api",
        "/api/v1",
        "/apis",
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ]
    .map(str::to_owned)
    .into();
    for kind in backend.kinds().all().iter().filter(|kind| !kind.group.is_empty() && !kind.verbs.is_empty()) {
        paths.push(format!("/apis/{}", kind.group));
        paths.push(format!("/apis/{}/{}", kind.group, kind.version));
    }
    paths.sort();
    paths.dedup();
    serde_json::json!({ "paths": paths })
}

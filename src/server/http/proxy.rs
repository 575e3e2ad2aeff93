//! `proxy`: HTTP to a pod, a service or the agent of a node, through the API server.

use std::pin::Pin;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Node, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;

use super::body::{self, Body, Pieced, no_such_resource};
use super::route::ResourcePath;
use super::upgrade::Sessions;
use crate::api::{
    Answer, ApiError, Backend, ByteStream, Call, Connect, Connection, GetOptions, Kind, ListOptions, Reason, Target,
};
use crate::random::Random;

/// Headers that concern one connection only, or the credentials of the API.
const NOT_FORWARDED: &[HeaderName] = &[
    header::AUTHORIZATION,
    header::CONNECTION,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// The port that kubelets serve on.
const KUBELET_PORT: &str = "10250";

/// A request that goes on to a pod, a service or the agent of a node.
#[derive(Debug)]
pub(crate) struct Proxying<'a> {
    pub(crate) backend: &'a Arc<dyn Backend>,
    pub(crate) call: &'a Call,
    pub(crate) random: &'a Random,
    pub(crate) path: &'a ResourcePath,
    pub(crate) sessions: &'a Sessions,
}

/// Where a request goes: a port of a pod, or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Pod(String, u16),
    Address(String, u16),
}

/// What stands in the path where a name would: `name`, `name:port`, `scheme:name:port`.
fn parse(text: &str) -> Result<(&str, &str), ApiError> {
    let parts: Vec<&str> = text.split(':').collect();
    match *parts.as_slice() {
        [name] => Ok((name, "")),
        [name, port] | ["" | "http", name, port] => Ok((name, port)),
        ["https", ..] => Err(ApiError::bad_request("proxying to https ports is not supported")),
        _ => Err(ApiError::bad_request(format!("invalid proxy target {text:?}"))),
    }
}

impl Proxying<'_> {
    /// Sends the request on and answers with what comes back.
    pub(crate) async fn run(self, parts: &Parts, request_body: Body) -> Result<Response<Pieced>, ApiError> {
        if (self.path.group.as_str(), self.path.resource.as_str()) == ("", "nodes") {
            return self.node(parts).await;
        }
        let place = match (self.path.group.as_str(), self.path.resource.as_str()) {
            ("", "pods") => self.pod().await?,
            ("", "services") => self.service().await?,
            _ => return Err(no_such_resource()),
        };
        let host = match &place {
            Place::Pod(name, port) | Place::Address(name, port) => format!("{name}:{port}"),
        };
        let unreachable = |error: &dyn std::fmt::Display| {
            ApiError::new(Reason::ServiceUnavailable, format!("error trying to reach service: {error}"))
        };
        let stream = self.dial(place).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
        self.sessions.own(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "proxied connection ended early");
            }
        });
        let mut request = Request::new(request_body);
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = self.uri(&parts.uri)?;
        *request.headers_mut() = forwarded(&parts.headers);
        request.headers_mut().insert(header::HOST, host.parse().map_err(ApiError::internal)?);
        let response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
        let (head, incoming) = response.into_parts();
        let mut answer = Response::new(body::erase(incoming));
        *answer.status_mut() = head.status;
        *answer.headers_mut() = forwarded(&head.headers);
        // A redirect within the server stays behind the proxy.
        if let Some(location) = head.headers.get(header::LOCATION).and_then(|value| value.to_str().ok())
            && location.starts_with('/')
        {
            let tail = self.path.tail.as_deref().unwrap_or_default();
            let prefix = parts.uri.path().strip_suffix(tail).unwrap_or_default();
            if let Ok(value) = HeaderValue::from_str(&format!("{prefix}{location}")) {
                answer.headers_mut().insert(header::LOCATION, value);
            }
        }
        Ok(answer)
    }

    /// What the agent of a node answers.
    async fn node(&self, parts: &Parts) -> Result<Response<Pieced>, ApiError> {
        let (name, port) = parse(&self.path.name)?;
        if !["", KUBELET_PORT].contains(&port) {
            return Err(ApiError::bad_request(format!("the agent of node {name:?} does not serve on port {port:?}")));
        }
        if parts.method != Method::GET {
            return Ok(super::verbs::method_not_allowed());
        }
        let node = Target::one(Kind::of::<Node>(), "", name);
        let path = self.uri(&parts.uri)?.to_string();
        match self.backend.connect(self.call, &node, Connect::Get(path)).await? {
            Connection::Answer(Answer { media, body }) => Ok(body::answer(StatusCode::OK, &media, body::whole(body))),
            other => Err(ApiError::internal(format!("asked for a text, got {other:?}"))),
        }
    }

    /// The URI that the proxied server sees.
    fn uri(&self, asked: &Uri) -> Result<Uri, ApiError> {
        let path = self.path.tail.as_deref().filter(|tail| !tail.is_empty()).unwrap_or("/");
        let uri = asked.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        uri.parse().map_err(|_| ApiError::bad_request(format!("invalid path {path:?}")))
    }

    async fn dial(&self, place: Place) -> Result<Pin<Box<dyn ByteStream>>, ApiError> {
        match place {
            Place::Pod(name, port) => {
                let pod = Target::one(Kind::of::<Pod>(), &self.path.namespace, &name);
                match self.backend.connect(self.call, &pod, Connect::PortForward(port)).await {
                    Ok(Connection::Port(stream)) => Ok(stream),
                    Err(error) if error.code() < 500 => Err(error),
                    Err(error) => Err(ApiError::new(
                        Reason::ServiceUnavailable,
                        format!("error trying to reach service: {}", error.message()),
                    )),
                    Ok(other) => Err(ApiError::internal(format!("asked for a port, got {other:?}"))),
                }
            }
            Place::Address(address, port) => match TcpStream::connect((address.as_str(), port)).await {
                Ok(stream) => Ok(Box::pin(stream)),
                Err(error) => Err(ApiError::new(
                    Reason::ServiceUnavailable,
                    format!("error trying to reach service: dial tcp {address}:{port}: {error}"),
                )),
            },
        }
    }

    async fn pod(&self) -> Result<Place, ApiError> {
        let (name, port) = parse(&self.path.name)?;
        let target = Target::one(Kind::of::<Pod>(), &self.path.namespace, name);
        let object = self.backend.get(self.call, &target, &GetOptions::default()).await?;
        let pod = object.typed::<Pod>()?;
        if let Ok(number) = port.parse() {
            return Ok(Place::Pod(name.to_owned(), number));
        }
        let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
        let mut ports = containers.iter().flat_map(|container| container.ports.iter().flatten());
        let found = match port {
            "" => ports.next().map_or(Some(80), |port| u16::try_from(port.container_port).ok()),
            named => ports
                .find(|port| port.name.as_deref() == Some(named))
                .and_then(|port| u16::try_from(port.container_port).ok()),
        };
        found
            .map(|number| Place::Pod(name.to_owned(), number))
            .ok_or_else(|| ApiError::bad_request(format!("pod {name:?} has no port {port:?}")))
    }

    async fn service(&self) -> Result<Place, ApiError> {
        let (name, port) = parse(&self.path.name)?;
        let target = Target::one(Kind::of::<Service>(), &self.path.namespace, name);
        let object = self.backend.get(self.call, &target, &GetOptions::default()).await?;
        let service = object.typed::<Service>()?;
        let none = || {
            ApiError::new(
                Reason::ServiceUnavailable,
                format!("no endpoints available for service {:?}", self.path.name),
            )
        };
        let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
        let port = service_port(ports, port).ok_or_else(|| {
            ApiError::new(Reason::ServiceUnavailable, format!("no service port {port:?} found for service {name:?}"))
        })?;
        let slices = Target::all(Kind::of::<EndpointSlice>(), &self.path.namespace);
        let labels = format!("kubernetes.io/service-name={name}").parse().map_err(ApiError::internal)?;
        let options = ListOptions { labels, ..ListOptions::default() };
        let slices = self.backend.list(self.call, &slices, &options).await?;
        let mut places = Vec::new();
        for object in &slices.items {
            let slice = object.typed::<EndpointSlice>()?;
            let number = slice.ports.iter().flatten().find(|slice_port| {
                slice_port.name.as_deref().unwrap_or_default() == port.name.as_deref().unwrap_or_default()
            });
            let Some(number) = number.and_then(|port| port.port).and_then(|port| u16::try_from(port).ok()) else {
                continue;
            };
            for endpoint in slice.endpoints.iter().flatten() {
                let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
                let pod = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
                let place = match pod.and_then(|target| target.name.clone()) {
                    Some(pod) => Some(Place::Pod(pod, number)),
                    None => endpoint.addresses.first().map(|address| Place::Address(address.clone(), number)),
                };
                places.extend(place.filter(|_| ready));
            }
        }
        if places.is_empty() {
            return Err(none());
        }
        Ok(places.swap_remove(self.random.below(places.len())))
    }
}

/// The port that is meant: by name, by number, by the number or name that it targets, or the only one.
fn service_port<'a>(ports: &'a [ServicePort], asked: &str) -> Option<&'a ServicePort> {
    if asked.is_empty() {
        return ports.first();
    }
    ports.iter().find(|port| {
        let target = match &port.target_port {
            Some(IntOrString::Int(number)) => number.to_string(),
            Some(IntOrString::String(name)) => name.clone(),
            None => String::new(),
        };
        port.name.as_deref() == Some(asked) || port.port.to_string() == asked || target == asked
    })
}

fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| !NOT_FORWARDED.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

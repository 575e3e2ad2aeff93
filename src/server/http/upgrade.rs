//! Upgrades: requests that become streams, and who owns the tasks that serve those.

use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::body::{self, Pieced};
use super::closing::Closing;
use crate::api::{ApiError, Reason};

/// The header by which SPDY clients list the protocols that they speak.
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// The largest message that a WebSocket client may send.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// A connection that has left HTTP behind.
pub(crate) type Raw = TokioIo<Upgraded>;

/// A connection that speaks WebSocket.
pub(crate) type WebSocket = WebSocketStream<Raw>;

/// What a client wants to upgrade to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// WebSocket: the answer to its key, and the protocols offered.
    WebSocket { accept: String, protocols: Vec<String> },
    /// SPDY/3.1, and the protocols offered.
    Spdy { protocols: Vec<String> },
}

fn list(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|item| item.trim().to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

impl Wanted {
    /// The upgrade that a request asks for.
    ///
    /// # Errors
    /// A bad request, where it asks for none that is known.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let upgrades = list(headers, &header::CONNECTION).iter().any(|item| item.eq_ignore_ascii_case("upgrade"));
        let to = list(headers, &header::UPGRADE);
        let wants = |protocol: &str| upgrades && to.iter().any(|item| item.eq_ignore_ascii_case(protocol));
        if wants("websocket") {
            let key = headers.get(header::SEC_WEBSOCKET_KEY);
            let key = key.ok_or_else(|| ApiError::bad_request("missing Sec-WebSocket-Key"))?;
            let accept = derive_accept_key(key.as_bytes());
            return Ok(Self::WebSocket { accept, protocols: list(headers, &header::SEC_WEBSOCKET_PROTOCOL) });
        }
        if wants("SPDY/3.1") {
            return Ok(Self::Spdy { protocols: list(headers, &STREAM_PROTOCOL) });
        }
        Err(ApiError::bad_request("Upgrade request required"))
    }

    /// The protocols that the client offers, best first.
    pub(crate) fn protocols(&self) -> &[String] {
        match self {
            Self::WebSocket { protocols, .. } | Self::Spdy { protocols } => protocols,
        }
    }

    /// The first protocol offered that is also in `spoken`.
    ///
    /// # Errors
    /// Forbidden (as upstream has it), where there is none.
    pub(crate) fn choose(&self, spoken: &[&'static str]) -> Result<&'static str, ApiError> {
        let offered = self.protocols();
        let common = offered.iter().find_map(|offer| spoken.iter().find(|known| *known == offer));
        common.copied().ok_or_else(|| {
            let message = format!(
                "unable to upgrade: unable to negotiate protocol: client supports {offered:?}, server accepts {spoken:?}"
            );
            ApiError::new(Reason::Forbidden, message)
        })
    }

    /// The answer that agrees to the upgrade.
    pub(crate) fn agree(&self, protocol: &'static str) -> Response<Pieced> {
        let mut response = Response::new(body::whole(bytes::Bytes::new()));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        let protocol = HeaderValue::from_static(protocol);
        match self {
            Self::WebSocket { accept, .. } => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                if let Ok(accept) = accept.parse() {
                    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
                }
                headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
            }
            Self::Spdy { .. } => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
                headers.insert(STREAM_PROTOCOL, protocol);
            }
        }
        response
    }
}

/// Speaks WebSocket over an upgraded connection.
pub(crate) async fn websocket(raw: Raw) -> WebSocket {
    let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    WebSocketStream::from_raw_socket(raw, Role::Server, Some(config)).await
}

/// The tasks of upgraded connections. Dropping it ends them.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<JoinSet<()>>);

impl Sessions {
    /// Runs `session` over the connection when it has been upgraded, until it ends or the listener closes.
    ///
    /// # Errors
    /// A bad request, where the connection cannot be upgraded: HTTP/2, or a caller in this process.
    pub(crate) fn start<F, W>(
        &self,
        upgrade: Option<OnUpgrade>,
        closing: Option<Closing>,
        session: F,
    ) -> Result<(), ApiError>
    where
        F: FnOnce(Raw) -> W + Send + 'static,
        W: Future<Output = ()> + Send,
    {
        let upgrade = upgrade.ok_or_else(|| ApiError::bad_request("this connection cannot be upgraded"))?;
        let run = async move {
            match upgrade.await {
                Ok(upgraded) => session(TokioIo::new(upgraded)).await,
                Err(error) => tracing::debug!(%error, "upgrade failed"),
            }
        };
        self.own(async move {
            match closing {
                Some(Closing(closing)) => drop(closing.run_until_cancelled_owned(run).await),
                None => run.await,
            }
        });
        Ok(())
    }

    /// Runs a task that belongs to a connection.
    pub(crate) fn own(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

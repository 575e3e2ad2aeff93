//! WebSocket connections to the server.

use std::pin::Pin;

use ::http::{HeaderValue, Uri, header};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::answer;
use super::backend::RemoteBackend;
use super::http::unreachable;
use super::wire::Location;
use crate::api::{ApiError, ByteStream, Call};

/// A connection that speaks WebSocket.
pub(super) type WebSocket = WebSocketStream<Pin<Box<dyn ByteStream>>>;

impl RemoteBackend {
    /// Opens a WebSocket over a connection of its own; `protocols` are offered, best first.
    ///
    /// # Errors
    /// What the server answered where it did not agree.
    pub(super) async fn websocket(
        &self,
        call: &Call,
        location: &Location,
        protocols: &'static str,
    ) -> Result<WebSocket, ApiError> {
        // The scheme is for show: the connection below is the dialer's, with TLS or without.
        let mut uri = self.transport.uri(location.as_str())?.into_parts();
        uri.scheme = Some("ws".parse().map_err(ApiError::internal)?);
        let uri = Uri::from_parts(uri).map_err(ApiError::internal)?;
        let mut request = uri.into_client_request().map_err(|error| unreachable(&error))?;
        let headers = request.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocols));
        if let Ok(agent) = call.agent.parse() {
            headers.insert(header::USER_AGENT, agent);
        }
        if let Some(authorization) = &self.transport.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let stream = self.transport.dialer.dial().await.map_err(|error| unreachable(&error))?.into_stream();
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((websocket, _)) => Ok(websocket),
            Err(tungstenite::Error::Http(response)) => {
                let body = response.body().as_deref().unwrap_or_default();
                Err(answer::failure(response.status().as_u16(), body))
            }
            Err(error) => Err(unreachable(&error)),
        }
    }
}

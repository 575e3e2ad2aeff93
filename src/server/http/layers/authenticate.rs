//! Who calls: a client certificate, a bearer token, or nobody.

use std::sync::Arc;

use http::{HeaderMap, header};

use crate::api::{ApiError, Reason, User};
use crate::server::http::front::Config;

/// The user that a connection's client certificate stands for: a request extension that the listener sets.
#[derive(Clone, Debug)]
pub struct PeerUser(pub Arc<User>);

/// Who a request comes from; `None` where it carries no credentials.
///
/// # Errors
/// Unauthorized, where it carries wrong ones.
pub(crate) async fn caller(
    peer: Option<&PeerUser>,
    headers: &HeaderMap,
    config: &Config,
) -> Result<Option<Arc<User>>, ApiError> {
    if let Some(PeerUser(user)) = peer {
        return Ok(Some(Arc::clone(user)));
    }
    let Some(token) = bearer(headers) else { return Ok(None) };
    if let Some(user) = config.tokens.user(&token) {
        return Ok(Some(user));
    }
    let known = match &config.issuer {
        Some(issuer) => issuer.identify(&token, &[]).await,
        None => None,
    };
    known.map(|user| Some(Arc::new(user))).ok_or_else(unauthorized)
}

/// The error of a request without credentials, or with wrong ones.
pub(crate) fn unauthorized() -> ApiError {
    ApiError::new(Reason::Unauthorized, "Unauthorized")
}

/// The token of a request: from its `Authorization` header, or from the subprotocol by which browsers send it.
fn bearer(headers: &HeaderMap) -> Option<String> {
    if let Some(value) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) {
        let (scheme, token) = value.trim().split_once(' ')?;
        return scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned())
            .filter(|token| !token.is_empty());
    }
    let protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let encoded = protocols
        .flat_map(|value| value.split(','))
        .find_map(|protocol| protocol.trim().strip_prefix("base64url.bearer.authorization.k8s.io."))?;
    use base64::Engine as _;
    let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(encoded).ok()?;
    String::from_utf8(token).ok()
}

//! Who calls: a client certificate, a bearer token, or nobody; and whom they impersonate.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, header};

use crate::api::{ApiError, GroupResource, Reason, User};
use crate::server::authn::{AUTHENTICATED, MASTERS};
use crate::server::http::front::Config;
use crate::server::http::query::percent_decode;

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

const USER: HeaderName = HeaderName::from_static("impersonate-user");
const UID: HeaderName = HeaderName::from_static("impersonate-uid");
const GROUP: HeaderName = HeaderName::from_static("impersonate-group");
const EXTRA: &str = "impersonate-extra-";

/// Whom the caller acts as: the user of the `Impersonate-` headers, where there are some and the caller may.
///
/// # Errors
/// Forbidden where the caller is no administrator; a bad request for groups without a user.
pub(crate) fn impersonated(caller: Arc<User>, headers: &HeaderMap) -> Result<Arc<User>, ApiError> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let groups: Vec<&str> = headers.get_all(GROUP).iter().filter_map(|value| value.to_str().ok()).collect();
    let extra = || headers.iter().filter(|(name, _)| name.as_str().starts_with(EXTRA));
    let name = text(&USER);
    if name.is_empty() {
        if groups.is_empty() && text(&UID).is_empty() && extra().next().is_none() {
            return Ok(caller);
        }
        return Err(ApiError::bad_request(
            "requested impersonation of groups, a UID or extra fields without impersonating a user",
        ));
    }
    if !caller.is_in(MASTERS) {
        let (resource, name, scope) = match service_account(name) {
            Some((namespace, name)) => ("serviceaccounts", name, format!("in the namespace \"{namespace}\"")),
            None => ("users", name, "at the cluster scope".to_owned()),
        };
        let why =
            format!("User \"{}\" cannot impersonate resource \"{resource}\" in API group \"\" {scope}", caller.name);
        return Err(ApiError::forbidden(&GroupResource::new("", resource), name, why));
    }
    let mut user = User::new(name, &groups);
    text(&UID).clone_into(&mut user.uid);
    if let (Some((namespace, _)), true) = (service_account(name), groups.is_empty()) {
        user.groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    if name != "system:anonymous" && !user.is_in(AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    for (key, value) in extra() {
        let key = percent_decode(&key.as_str()[EXTRA.len()..], false).into_owned();
        user.extra.entry(key).or_default().extend(value.to_str().ok().map(str::to_owned));
    }
    Ok(Arc::new(user))
}

fn service_account(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("system:serviceaccount:")?.split_once(':')
}

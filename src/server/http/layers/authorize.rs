//! Who may read the paths that are no objects. What concerns objects, the backend decides.

use crate::api::{ApiError, Reason, User};
use crate::server::authn::{AUTHENTICATED, MASTERS};
use crate::server::authz::discovers;

/// Paths that service accounts may read beside (upstream's `system:service-account-issuer-discovery`).
const ISSUER: &[&str] = &["/.well-known/openid-configuration", "/openid/v1/jwks"];
const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";

/// Checks that `user` may send a request of that method (in lower case) to a path that is no object.
///
/// # Errors
/// Forbidden, in upstream's words.
pub(crate) fn path(user: &User, method: &str, path: &str) -> Result<(), ApiError> {
    let checks_tokens = method == "get" && ISSUER.contains(&path) && user.is_in(SERVICE_ACCOUNTS);
    if user.is_in(MASTERS) || (user.is_in(AUTHENTICATED) && discovers(method, path)) || checks_tokens {
        return Ok(());
    }
    let message = format!("forbidden: User \"{}\" cannot {method} path \"{path}\"", user.name);
    Err(ApiError::new(Reason::Forbidden, message))
}

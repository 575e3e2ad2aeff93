//! Authentication: who a request comes from.

mod certificate;
mod service_account;
mod token;

pub use self::certificate::user_of_certificate;
pub(super) use self::service_account::groups_of_account;
pub use self::service_account::{KeyError, ServiceAccountTokens};
pub use self::token::Tokens;

pub use super::authz::{AUTHENTICATED, MASTERS, SERVICE_ACCOUNTS};
use crate::api::User;

/// Who calls without credentials.
pub fn anonymous() -> User {
    User::new("system:anonymous", &["system:unauthenticated"])
}

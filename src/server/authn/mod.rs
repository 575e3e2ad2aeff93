//! Authentication: who a request comes from.

mod certificate;
mod service_account;
mod token;

pub use self::certificate::user_of_certificate;
pub use self::service_account::{KeyError, ServiceAccountTokens};
pub use self::token::Tokens;

use crate::api::User;

/// The group of everybody whose credentials were accepted.
pub const AUTHENTICATED: &str = "system:authenticated";

/// The group of administrators, who may do everything.
pub const MASTERS: &str = "system:masters";

/// Who calls without credentials.
pub fn anonymous() -> User {
    User::new("system:anonymous", &["system:unauthenticated"])
}

//! Bearer tokens: a static table.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::AUTHENTICATED;
use crate::api::User;

/// Bearer tokens and whose they are. Clones share one table, and tokens can be added while a server runs.
#[derive(Clone, Default)]
pub struct Tokens(Arc<RwLock<Vec<(String, Arc<User>)>>>);

impl Tokens {
    /// An empty table: no token opens anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `user` in with `token`. The user also becomes a member of `system:authenticated`.
    pub fn add(&self, token: impl Into<String>, mut user: User) {
        if !user.is_in(AUTHENTICATED) {
            user.groups.push(AUTHENTICATED.to_owned());
        }
        self.0.write().unwrap_or_else(PoisonError::into_inner).push((token.into(), Arc::new(user)));
    }

    /// Whose token it is.
    pub fn user(&self, token: &str) -> Option<Arc<User>> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.iter().find(|(known, _)| same(known.as_bytes(), token.as_bytes())).map(|(_, user)| Arc::clone(user))
    }
}

/// Compares in a time that does not tell where two tokens of one length differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens are secrets.
        write!(f, "Tokens({})", self.0.read().unwrap_or_else(PoisonError::into_inner).len())
    }
}

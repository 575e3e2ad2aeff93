//! Client certificates: the common name is the user, each organisation a group.

use x509_parser::prelude::{FromDer, X509Certificate};

use super::AUTHENTICATED;
use crate::api::User;

/// The user that a client certificate (DER, its chain already verified) stands for; `None` where it cannot be
/// read or names nobody.
pub fn user_of_certificate(der: &[u8]) -> Option<User> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok().filter(|name| !name.is_empty())?.to_owned();
    let groups = subject.iter_organization().filter_map(|organisation| organisation.as_str().ok());
    let groups: Vec<&str> = groups.chain([AUTHENTICATED]).collect();
    Some(User::new(name, &groups))
}

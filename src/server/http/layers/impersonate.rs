//! Acting as somebody else: the headers `Impersonate-User`, `-Uid`, `-Group` and `-Extra-…`.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use crate::api::{ApiError, User};
use crate::server::authn::{AUTHENTICATED, anonymous, groups_of_account};
use crate::server::authz::{Access, Attributes, Authorizer, permit};
use crate::server::http::query::percent_decode;

const USER: HeaderName = HeaderName::from_static("impersonate-user");
const UID: HeaderName = HeaderName::from_static("impersonate-uid");
const GROUP: HeaderName = HeaderName::from_static("impersonate-group");
const EXTRA: &str = "impersonate-extra-";

/// The API group of what somebody is beside name and groups.
const AUTHENTICATION: &str = "authentication.k8s.io";

/// Whom the caller acts as: the user of the `Impersonate-` headers, where there are some and the caller may
/// `impersonate` each thing that they name.
///
/// # Errors
/// Forbidden where `authorizer` refuses one of them; a bad request for groups without a user.
pub(crate) async fn acting(
    caller: Arc<User>,
    headers: &HeaderMap,
    authorizer: &dyn Authorizer,
) -> Result<Arc<User>, ApiError> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let groups: Vec<&str> = headers.get_all(GROUP).iter().filter_map(|value| value.to_str().ok()).collect();
    let extra: Vec<(String, &str)> = headers
        .iter()
        .filter_map(|(name, value)| {
            let key = name.as_str().strip_prefix(EXTRA)?;
            Some((percent_decode(key, false).into_owned(), value.to_str().ok()?))
        })
        .collect();
    let (name, uid) = (text(&USER), text(&UID));
    if name.is_empty() {
        if groups.is_empty() && uid.is_empty() && extra.is_empty() {
            return Ok(caller);
        }
        return Err(ApiError::bad_request(
            "requested impersonation of groups, a UID or extra fields without impersonating a user",
        ));
    }

    let account = name.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
    let who = match account {
        Some((namespace, name)) => ("", "serviceaccounts", "", namespace, name),
        None => ("", "users", "", "", name),
    };
    let named_groups = groups.iter().map(|group| ("", "groups", "", "", *group));
    let uids = Some(uid).filter(|uid| !uid.is_empty()).map(|uid| (AUTHENTICATION, "uids", "", "", uid));
    let extras = extra.iter().map(|(key, value)| (AUTHENTICATION, "userextras", key.as_str(), "", *value));
    let named = std::iter::once(who).chain(named_groups).chain(uids).chain(extras);
    for (group, resource, subresource, namespace, name) in named {
        let access = Access::Resource { group, resource, subresource, namespace, name };
        permit(authorizer, &Attributes { user: &caller, verb: "impersonate", access }).await?;
    }

    let mut user = User::new(name, &groups);
    uid.clone_into(&mut user.uid);
    if let (Some((namespace, _)), true) = (account, groups.is_empty()) {
        user.groups = groups_of_account(namespace).into();
    }
    let nobody = anonymous();
    if !user.is_in(AUTHENTICATED) && !nobody.groups.iter().any(|group| user.is_in(group)) {
        match user.name == nobody.name {
            true => user.groups.extend(nobody.groups),
            false => user.groups.push(AUTHENTICATED.to_owned()),
        }
    }
    for (key, value) in extra {
        user.extra.entry(key).or_default().push(value.to_owned());
    }
    Ok(Arc::new(user))
}

//! The kubeconfig of a cluster: what kubectl and other clients need to reach it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::pki::Identity;
use crate::client::remote::kubeconfig::{ClusterInfo, ContextInfo, Kubeconfig, UserInfo};

/// A kubeconfig with one cluster, one user and one context, all of that name, and everything inline.
pub fn of_cluster(name: &str, server: &str, authority: &str, user: &Identity) -> Kubeconfig {
    let encode = |pem: &str| Some(STANDARD.encode(pem));
    Kubeconfig::single(
        name,
        ClusterInfo {
            server: server.to_owned(),
            certificate_authority_data: encode(authority),
            ..ClusterInfo::default()
        },
        UserInfo {
            client_certificate_data: encode(&user.certificate),
            client_key_data: encode(&user.key),
            ..UserInfo::default()
        },
        ContextInfo { cluster: name.to_owned(), user: name.to_owned(), namespace: None },
    )
}

//! The cluster's face to other programs: HTTPS, certificates, a kubeconfig.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::pki::Authority;
use super::{ClusterError, kubeconfig};
use crate::api::{Backend, User};
use crate::client::Client;
use crate::clock::Clock;
use crate::random::Random;
use crate::server::TokenIssuer;
use crate::server::authn::ServiceAccountTokens;
use crate::server::authz::Authorizer;
use crate::server::http::{Config, Front, Listening, Tls};
use crate::service::loopback::AddressPlan;
use crate::store::Store;

/// How long requests may take to end when the cluster stops.
const GRACE: Duration = Duration::from_secs(5);

/// The name in the tokens of service accounts, as kubeadm has it.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

#[derive(Debug)]
pub(super) struct Wire {
    listening: Listening,
    authority: Authority,
    kubeconfig: String,
}

/// The API over HTTP, for callers in this process and for those that come through a socket.
pub(super) fn front(
    backend: Arc<dyn Backend>,
    client: &Client,
    tokens: Vec<(String, User)>,
    issuer: Arc<dyn TokenIssuer>,
    authorizer: &Arc<dyn Authorizer>,
) -> Front {
    let mut config = Config::new(*client.clock(), client.random().fork("http"));
    config.issuer = Some(issuer);
    config.authorizer = Arc::clone(authorizer);
    for (token, user) in tokens {
        config.tokens.add(token, user);
    }
    Front::new(backend, config)
}

/// Who issues the tokens of service accounts.
pub(super) fn issuer(
    store: Arc<dyn Store>,
    clock: Clock,
    random: &Random,
) -> Result<Arc<dyn TokenIssuer>, ClusterError> {
    let tokens = ServiceAccountTokens::new(store, clock, random.fork("tokens"), ISSUER);
    Ok(Arc::new(tokens.map_err(|error| ClusterError::Certificates(error.into()))?))
}

impl Wire {
    pub(super) async fn listen(front: &Front, plan: &AddressPlan, address: SocketAddr) -> Result<Self, ClusterError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| ClusterError::Certificates(error);
        let authority = Authority::new("orchestrion").map_err(|error| failed(error.into()))?;
        let (host, service) = (address.ip().to_string(), plan.kubernetes().to_string());
        let names = [
            host.as_str(),
            "127.0.0.1",
            "localhost",
            &service,
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ];
        let server = authority.server(&names).map_err(|error| failed(error.into()))?;
        let admin = authority.client("kubernetes-admin", "system:masters").map_err(|error| failed(error.into()))?;
        let tls = Tls::new(&server.certificate, &server.key, Some(authority.certificate()))
            .map_err(|error| failed(error.into()))?;

        let listening =
            front.listen(address, Some(tls)).await.map_err(|source| ClusterError::Listen { address, source })?;
        let url = url(listening.address());
        let file = kubeconfig::of_cluster("orchestrion", &url, authority.certificate(), &admin);
        let kubeconfig = file.to_yaml();
        Ok(Self { listening, authority, kubeconfig })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(super) fn url(&self) -> String {
        url(self.address())
    }

    pub(super) fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    pub(super) async fn stop(self) {
        self.listening.stop(GRACE).await;
    }
}

/// Clients on this machine reach a server that listens on every address through loopback.
fn url(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    format!("https://{address}")
}

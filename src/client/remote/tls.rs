//! TLS of the client: whom it trusts, and who it is.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto, version};

use super::http::ConnectError;
use super::kubeconfig::Access;

/// The TLS settings for that access, offering these protocols.
pub(super) fn config(access: &Access, protocols: &[&str]) -> Result<Arc<ClientConfig>, ConnectError> {
    let pem = |what| move |source| ConnectError::Pem { what, source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(access.authority.as_deref().unwrap_or_default()) {
        let certificate = certificate.map_err(pem("certificate authority"))?;
        roots.add(certificate).map_err(ConnectError::Tls)?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(ConnectError::Tls)?
        .with_root_certificates(roots);
    let mut config = match &access.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_slice_iter(certificate)
                .collect::<Result<Vec<_>, _>>()
                .map_err(pem("client certificate"))?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(pem("client key"))?;
            builder.with_client_auth_cert(chain, key).map_err(ConnectError::Tls)?
        }
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

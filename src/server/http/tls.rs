//! TLS of the listener: the server's certificate, and the authority whose client certificates are believed.

use std::fmt;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto, version};

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A certificate or key cannot be read.
    #[error("the {what} is not PEM")]
    Pem {
        /// Which.
        what: &'static str,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The authority of client certificates cannot be used.
    #[error("the authority of client certificates cannot be used")]
    Authority(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Certificate and key do not serve.
    #[error("the server's certificate cannot be used")]
    Certificate(#[source] tokio_rustls::rustls::Error),
}

/// How a listener speaks TLS. Cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// TLS with the server's certificate chain and key, both in PEM. Clients may show certificates that the
    /// authority `clients` (PEM) signed; others are refused in the handshake.
    ///
    /// # Errors
    /// Where certificates or key cannot be read or do not fit each other.
    pub fn new(certificate: &str, key: &str, clients: Option<&str>) -> Result<Self, TlsError> {
        let chain = certificates("server's certificate", certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|source| TlsError::Pem { what: "server's key", source })?;
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(TlsError::Certificate)?;
        let verifier: Arc<dyn ClientCertVerifier> = match clients {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates("authority of client certificates", authority)? {
                    roots.add(certificate).map_err(|error| TlsError::Authority(error.into()))?;
                }
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| TlsError::Authority(error.into()))?
            }
        };
        let mut config =
            builder.with_client_cert_verifier(verifier).with_single_cert(chain, key).map_err(TlsError::Certificate)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem { what, source })
}

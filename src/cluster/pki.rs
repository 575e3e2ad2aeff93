//! Certificates: an authority made at start, and what it signs.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// The key could not be made, or the certificate not signed.
    #[error("making a certificate for {subject:?} failed")]
    Sign {
        /// Whom the certificate was for.
        subject: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
}

/// A certificate and its private key, in PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keys are secrets.
        f.write_str("Identity")
    }
}

/// A certificate authority of one cluster. Its key never leaves the process.
///
/// ```
/// use orchestrion::cluster::pki::Authority;
/// let authority = Authority::new("orchestrion")?;
/// let server = authority.server(&["localhost", "127.0.0.1"])?;
/// let admin = authority.client("kubernetes-admin", "system:masters")?;
/// assert!(server.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
/// assert_ne!(server.key, admin.key);
/// # Ok::<(), orchestrion::cluster::pki::PkiError>(())
/// ```
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// A new authority of that name.
    ///
    /// # Errors
    /// Where no key can be made.
    pub fn new(name: &str) -> Result<Self, PkiError> {
        let failed = |source| PkiError::Sign { subject: name.to_owned(), source };
        let mut params = params(name, &[]).map_err(failed)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// The authority's own certificate, in PEM: what clients and servers trust.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a server that is reached under these names and addresses.
    ///
    /// # Errors
    /// Where a name cannot stand in a certificate.
    pub fn server(&self, names: &[&str]) -> Result<Identity, PkiError> {
        self.sign("kube-apiserver", names, ExtendedKeyUsagePurpose::ServerAuth, |_| {})
    }

    /// A certificate for a client: the user, and the group that it belongs to (empty: none).
    ///
    /// # Errors
    /// Where the name cannot stand in a certificate.
    pub fn client(&self, user: &str, group: &str) -> Result<Identity, PkiError> {
        self.sign(user, &[], ExtendedKeyUsagePurpose::ClientAuth, |params| {
            if !group.is_empty() {
                params.distinguished_name.push(DnType::OrganizationName, group);
            }
        })
    }

    fn sign(
        &self,
        subject: &str,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<Identity, PkiError> {
        let failed = |source| PkiError::Sign { subject: subject.to_owned(), source };
        let mut params = params(subject, names).map_err(failed)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn params(subject: &str, names: &[&str]) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    // Certificates live as long as the cluster: the keys exist nowhere else. A cluster's clock may be virtual
    // while its clients' are not, so the span covers both.
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2119, 12, 31);
    Ok(params)
}

//! Kubeconfig files: where a cluster is, and who one is there.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A kubeconfig that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KubeconfigError {
    /// The file cannot be read.
    #[error("reading {path} failed")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no kubeconfig.
    #[error("the kubeconfig cannot be parsed")]
    Parse(#[source] serde_yaml::Error),
    /// It names something that is not in it.
    #[error("the kubeconfig has no {what} {name:?}")]
    Missing {
        /// `context`, `cluster`, `user`.
        what: &'static str,
        /// The name looked for.
        name: String,
    },
    /// A data field is no base64.
    #[error("{field} is not base64")]
    Encoding {
        /// The field.
        field: &'static str,
        /// Why.
        #[source]
        source: base64::DecodeError,
    },
    /// It asks for something that is not supported.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
}

/// A kubeconfig (`v1` `Config`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kubeconfig {
    api_version: String,
    kind: String,
    /// The clusters that it knows.
    pub clusters: Vec<NamedCluster>,
    /// The users that it knows.
    pub users: Vec<NamedUser>,
    /// The pairs of cluster and user.
    pub contexts: Vec<NamedContext>,
    /// The context in use.
    #[serde(rename = "current-context")]
    pub current_context: String,
}

/// A cluster with its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NamedCluster {
    /// The name.
    pub name: String,
    /// The cluster.
    pub cluster: ClusterInfo,
}

/// A user with its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NamedUser {
    /// The name.
    pub name: String,
    /// The user.
    #[serde(default)]
    pub user: UserInfo,
}

/// A context with its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NamedContext {
    /// The name.
    pub name: String,
    /// The context.
    pub context: ContextInfo,
}

/// Where a cluster is, and how to know it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ClusterInfo {
    /// The URL of the API server.
    pub server: String,
    /// The authority to trust: a PEM file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<PathBuf>,
    /// The authority to trust: base64 of PEM. Goes before the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority_data: Option<String>,
    /// The name to check the server's certificate against, where it is not the URL's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// Trust any certificate. Not supported: such a kubeconfig is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_skip_tls_verify: Option<bool>,
}

/// Who one is.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct UserInfo {
    /// A client certificate: a PEM file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<PathBuf>,
    /// A client certificate: base64 of PEM. Goes before the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_data: Option<String>,
    /// Its private key: a PEM file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<PathBuf>,
    /// Its private key: base64 of PEM. Goes before the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key_data: Option<String>,
    /// A bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A file with a bearer token.
    #[serde(rename = "tokenFile", skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

impl std::fmt::Debug for UserInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Tokens and keys are secrets.
        f.write_str("UserInfo")
    }
}

/// Which user of which cluster, and in which namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContextInfo {
    /// The cluster's name.
    pub cluster: String,
    /// The user's name.
    pub user: String,
    /// The namespace used where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What a client needs of a context, its files read: where the server is, whom to trust and who one is.
#[derive(Clone, Default)]
pub struct Access {
    /// The URL of the API server.
    pub server: String,
    /// The name to check the server's certificate against, where it is not the URL's.
    pub server_name: Option<String>,
    /// The authority to trust, in PEM.
    pub authority: Option<Vec<u8>>,
    /// A client certificate and its key, in PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// A bearer token.
    pub token: Option<String>,
    /// The namespace used where none is named.
    pub namespace: Option<String>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Access({})", self.server)
    }
}

impl Kubeconfig {
    /// A kubeconfig of one cluster, one user and one context, all called `name`.
    pub fn single(name: &str, cluster: ClusterInfo, user: UserInfo, context: ContextInfo) -> Self {
        let name = || name.to_owned();
        Self {
            api_version: "v1".to_owned(),
            kind: "Config".to_owned(),
            clusters: vec![NamedCluster { name: name(), cluster }],
            users: vec![NamedUser { name: name(), user }],
            contexts: vec![NamedContext { name: name(), context }],
            current_context: name(),
        }
    }

    /// Parses a kubeconfig.
    ///
    /// # Errors
    /// Where the text is none.
    pub fn from_yaml(text: &str) -> Result<Self, KubeconfigError> {
        serde_yaml::from_str(text).map_err(KubeconfigError::Parse)
    }

    /// Its text.
    pub fn to_yaml(&self) -> String {
        // Plain strings always serialise.
        serde_yaml::to_string(self).unwrap_or_default()
    }

    /// Reads a kubeconfig file.
    ///
    /// # Errors
    /// Where it cannot be read or parsed.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, KubeconfigError> {
        let text = String::from_utf8_lossy(&file(path.as_ref())?).into_owned();
        Self::from_yaml(&text)
    }

    /// What a client needs to use the current context, or the one of that name. Reads the files that it names.
    ///
    /// # Errors
    /// Where something named is missing, unreadable or not supported.
    pub fn access(&self, context: Option<&str>) -> Result<Access, KubeconfigError> {
        let wanted = context.unwrap_or(&self.current_context);
        let missing = |what, name: &str| KubeconfigError::Missing { what, name: name.to_owned() };
        let context =
            &self.contexts.iter().find(|c| c.name == wanted).ok_or_else(|| missing("context", wanted))?.context;
        let cluster = self.clusters.iter().find(|c| c.name == context.cluster);
        let cluster = &cluster.ok_or_else(|| missing("cluster", &context.cluster))?.cluster;
        let user = match self.users.iter().find(|u| u.name == context.user) {
            Some(user) => user.user.clone(),
            None if context.user.is_empty() => UserInfo::default(),
            None => return Err(missing("user", &context.user)),
        };
        if cluster.insecure_skip_tls_verify == Some(true) {
            return Err(KubeconfigError::Unsupported("insecure-skip-tls-verify"));
        }
        let data = |field, data: &Option<String>, path: &Option<PathBuf>| match (data, path) {
            (Some(text), _) => {
                STANDARD.decode(text.trim()).map(Some).map_err(|source| KubeconfigError::Encoding { field, source })
            }
            (None, Some(path)) => file(path).map(Some),
            (None, None) => Ok(None),
        };
        let certificate = data("client-certificate-data", &user.client_certificate_data, &user.client_certificate)?;
        let key = data("client-key-data", &user.client_key_data, &user.client_key)?;
        let token = match (&user.token, &user.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(path)) => Some(String::from_utf8_lossy(&file(path)?).trim().to_owned()),
            (None, None) => None,
        };
        Ok(Access {
            server: cluster.server.clone(),
            server_name: cluster.tls_server_name.clone(),
            authority: data(
                "certificate-authority-data",
                &cluster.certificate_authority_data,
                &cluster.certificate_authority,
            )?,
            identity: certificate.zip(key),
            token,
            namespace: context.namespace.clone(),
        })
    }
}

fn file(path: &Path) -> Result<Vec<u8>, KubeconfigError> {
    std::fs::read(path).map_err(|source| KubeconfigError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
apiVersion: v1
kind: Config
current-context: b
clusters:
- {name: a, cluster: {server: 'https://10.0.0.1:6443', certificate-authority-data: UEVN}}
users:
- {name: me, user: {token: secret}}
- {name: you, user: {client-certificate-data: '!'}}
contexts:
- {name: b, context: {cluster: a, user: me, namespace: web}}
- {name: c, context: {cluster: nowhere, user: me}}
- {name: d, context: {cluster: a, user: you}}
";

    #[test]
    fn the_current_context_says_where_and_who() {
        let access = Kubeconfig::from_yaml(TEXT).unwrap().access(None).unwrap();
        assert_eq!(access.server, "https://10.0.0.1:6443");
        assert_eq!(access.authority.as_deref(), Some(&b"PEM"[..]));
        assert_eq!((access.token.as_deref(), access.namespace.as_deref()), (Some("secret"), Some("web")));
    }

    #[test]
    fn what_is_missing_or_broken_is_named() {
        let error = |context| Kubeconfig::from_yaml(TEXT).unwrap().access(Some(context)).unwrap_err().to_string();
        assert_eq!(error("x"), "the kubeconfig has no context \"x\"");
        assert_eq!(error("c"), "the kubeconfig has no cluster \"nowhere\"");
        assert_eq!(error("d"), "client-certificate-data is not base64");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let config = Kubeconfig::from_yaml(TEXT).unwrap();
        assert_eq!(Kubeconfig::from_yaml(&config.to_yaml()).unwrap(), config);
    }
}

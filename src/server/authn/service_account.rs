//! Tokens of service accounts: JSON Web Tokens, signed with a key that is made at start and never leaves the process.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, KeyPair, UnparsedPublicKey};
use serde::Serialize;
use serde_json::{Value, json};

use super::{AUTHENTICATED, SERVICE_ACCOUNTS};
use crate::api::{ApiError, GroupResource, Key, Object, User};
use crate::clock::Clock;
use crate::random::Random;
use crate::server::{IssuedToken, TokenIssuer, TokenRequestContext};
use crate::store::Store;

/// How long after its end an object that is still there counts as there (upstream's leeway).
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// Issues tokens for service accounts, and knows them again: for as long as they hold, and the account and the object
/// to which they are bound are there.
pub struct ServiceAccountTokens {
    store: Arc<dyn Store>,
    clock: Clock,
    random: Random,
    issuer: String,
    key: EcdsaKeyPair,
    key_id: String,
    /// What all tokens begin with.
    header: String,
}

/// What a token says.
#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a [String],
    exp: i64,
    iat: i64,
    iss: &'a str,
    jti: String,
    #[serde(rename = "kubernetes.io")]
    about: About<'a>,
    nbf: i64,
    sub: String,
}

/// What a token says in Kubernetes' own words.
#[derive(Serialize)]
struct About<'a> {
    namespace: &'a str,
    serviceaccount: Claim<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Claim<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<Claim<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Claim<'a>>,
}

/// An object that has to be there for a token to hold.
#[derive(Serialize)]
struct Claim<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
}

impl fmt::Debug for ServiceAccountTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys are secrets.
        f.debug_struct("ServiceAccountTokens").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// The operating system has no randomness for a key, or the key cannot be used.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no key can be made to sign tokens with")]
pub struct KeyError;

impl ServiceAccountTokens {
    /// An issuer of that name (a URL) for the accounts in `store`, with a key of its own.
    ///
    /// # Errors
    /// Where no key can be made.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Clock,
        random: Random,
        issuer: impl Into<String>,
    ) -> Result<Self, KeyError> {
        // Not from `random`: what a seed gives again is no secret. No object carries anything of the key.
        let entropy = SystemRandom::new();
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &entropy).map_err(|_| KeyError)?;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &entropy).map_err(|_| KeyError)?;
        let digest = ring::digest::digest(&ring::digest::SHA256, key.public_key().as_ref());
        let key_id = URL_SAFE_NO_PAD.encode(digest);
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": "ES256", "kid": key_id }).to_string()) + ".";
        Ok(Self { store, clock, random, issuer: issuer.into(), key, key_id, header })
    }

    async fn find(&self, resource: &str, namespace: &str, name: &str) -> Option<Object> {
        let key = Key::new(GroupResource::new("", resource), namespace, name);
        self.store.get(&key).await.ok().flatten()
    }

    /// Whether the object that a claim names (`{"name": …, "uid": …}`) is there; true where there is no claim.
    async fn exists(&self, claim: Option<&Value>, resource: &str, namespace: &str, now: Timestamp) -> bool {
        let Some(claim) = claim else { return true };
        let Some(object) = self.find(resource, namespace, text(claim, "name")).await else { return false };
        let ended = object.meta().deletion_timestamp.as_ref().map(|time| time.0);
        let over = ended.is_some_and(|ended| ended.saturating_add(LEEWAY).is_ok_and(|end| end < now));
        object.uid() == text(claim, "uid") && !over
    }

    /// The claims of a token that this issuer has signed and that holds now.
    fn claims(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let public = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        public.verify(signed.as_bytes(), &signature).ok()?;
        let (_, payload) = signed.split_once('.')?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let (now, time) = (self.clock.now().as_second(), |name: &str| claims.get(name).and_then(Value::as_i64));
        (claims["iss"] == self.issuer.as_str() && time("nbf")? <= now && now < time("exp")?).then_some(claims)
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[async_trait]
impl TokenIssuer for ServiceAccountTokens {
    async fn issue(&self, request: &TokenRequestContext<'_>) -> Result<IssuedToken, ApiError> {
        let meta = &request.account.metadata;
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let name = meta.name.as_deref().unwrap_or_default();
        let audiences = match request.audiences {
            [] => vec![self.issuer.clone()],
            given => given.to_vec(),
        };
        let now = Timestamp::from_second(self.clock.now().as_second()).map_err(ApiError::internal)?;
        let lifetime = SignedDuration::try_from(request.lifetime).map_err(ApiError::internal)?;
        let expires = now.checked_add(lifetime).map_err(ApiError::internal)?;
        let bound = |kind: &str| {
            let bound = request.bound_to.filter(|bound| bound.kind.as_deref() == Some(kind))?;
            Some(Claim { name: bound.name.as_deref().unwrap_or_default(), uid: bound.uid.as_deref() })
        };
        let node = match request.node {
            Some(node) => self.find("nodes", "", node).await,
            None => None,
        };
        let claims = Claims {
            aud: &audiences,
            exp: expires.as_second(),
            iat: now.as_second(),
            iss: &self.issuer,
            jti: self.random.uid(),
            about: About {
                namespace,
                serviceaccount: Claim { name, uid: meta.uid.as_deref() },
                node: bound("Node")
                    .or_else(|| Some(Claim { name: request.node?, uid: node.as_ref().map(Object::uid) })),
                pod: bound("Pod"),
                secret: bound("Secret"),
            },
            nbf: now.as_second(),
            sub: format!("system:serviceaccount:{namespace}:{name}"),
        };
        let mut token = self.header.clone();
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(&claims).map_err(ApiError::internal)?, &mut token);
        let signature = self.key.sign(&SystemRandom::new(), token.as_bytes()).map_err(ApiError::internal)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(IssuedToken { token, expires, audiences })
    }

    async fn identify(&self, token: &str, audiences: &[String]) -> Option<User> {
        let claims = self.claims(token)?;
        let own = [self.issuer.clone()];
        let audiences = if audiences.is_empty() { &own } else { audiences };
        let meant = claims.get("aud").and_then(Value::as_array)?;
        meant.iter().any(|one| audiences.iter().any(|wanted| *one == wanted.as_str())).then_some(())?;

        let about = claims.get("kubernetes.io")?;
        let (namespace, account) = (text(about, "namespace"), about.get("serviceaccount")?);
        let now = self.clock.now();
        for (claim, resource, namespace) in [
            ("serviceaccount", "serviceaccounts", namespace),
            ("secret", "secrets", namespace),
            ("pod", "pods", namespace),
        ] {
            self.exists(about.get(claim), resource, namespace, now).await.then_some(())?;
        }
        // The node of a pod may go before the pod does; one that the token is bound to may not.
        if about.get("pod").is_none() {
            self.exists(about.get("node"), "nodes", "", now).await.then_some(())?;
        }
        Some(user(namespace, account, about, text(&claims, "jti")))
    }

    fn name(&self) -> Option<&str> {
        Some(&self.issuer)
    }

    fn keys(&self) -> Vec<Value> {
        // 4, then the coordinates: a point that is not compressed.
        let point = self.key.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at(point.len() / 2);
        vec![json!({
            "use": "sig",
            "kty": "EC",
            "kid": self.key_id,
            "crv": "P-256",
            "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x),
            "y": URL_SAFE_NO_PAD.encode(y),
        })]
    }
}

/// The groups of the service accounts of a namespace.
pub(in crate::server) fn groups_of_account(namespace: &str) -> [String; 2] {
    [SERVICE_ACCOUNTS.to_owned(), format!("{SERVICE_ACCOUNTS}:{namespace}")]
}

fn user(namespace: &str, account: &Value, about: &Value, id: &str) -> User {
    let name = format!("system:serviceaccount:{namespace}:{}", text(account, "name"));
    let [all, here] = groups_of_account(namespace);
    let mut user = User::new(name, &[&all, &here, AUTHENTICATED]);
    text(account, "uid").clone_into(&mut user.uid);
    let mut tell = |key: &str, value: String| {
        if !value.is_empty() {
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
        }
    };
    tell("credential-id", if id.is_empty() { String::new() } else { format!("JTI={id}") });
    for (claim, name, uid) in [("pod", "pod-name", "pod-uid"), ("node", "node-name", "node-uid")] {
        if let Some(about) = about.get(claim) {
            tell(name, text(about, "name").to_owned());
            tell(uid, text(about, "uid").to_owned());
        }
    }
    user
}

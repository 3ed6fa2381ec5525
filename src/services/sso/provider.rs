//! What a provider says of itself (OpenID Connect Discovery): its addresses and its keys, asked for through egress and kept for ten minutes.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;
use url::Url;

use super::OidcError;
use super::jwks::Keys;
use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::config::sso::is_protected;
use crate::services::egress::{Egress, FetchRequest, Purpose};

/// Most bytes of any of its answers.
pub(super) const ANSWER_BYTES_MAX: u64 = 512 * 1024;
/// The longest time for one answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// How long what it said is believed: a key that it withdraws works for as long.
const KEPT: Duration = Duration::from_secs(10 * 60);
/// Its keys are asked for anew at most this often, whatever tokens name.
const KEYS_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// The addresses of a provider.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) keys: Url,
    pub(super) userinfo: Option<Url>,
    /// Whether the client's secret goes into a header; else into the body.
    pub(super) secret_in_header: bool,
    /// Whether it names itself when it sends somebody back (RFC 9207).
    pub(super) names_itself: bool,
}

#[derive(Clone)]
struct Kept {
    metadata: Arc<Metadata>,
    keys: Arc<Keys>,
    at: Timestamp,
    keys_at: Timestamp,
}

/// A provider as it is known. One question at a time is asked of it.
pub(super) struct Provider {
    egress: Egress,
    seams: Seams,
    issuer: String,
    kept: tokio::sync::Mutex<Option<Kept>>,
}

impl Provider {
    pub(super) fn new(egress: Egress, seams: Seams, issuer: String) -> Self {
        Self { egress, seams, issuer, kept: tokio::sync::Mutex::default() }
    }

    /// Its addresses and keys. `again`: the keys did not hold the one that a token names.
    pub(super) async fn know(&self, again: bool) -> Result<(Arc<Metadata>, Arc<Keys>), OidcError> {
        let mut kept = self.kept.lock().await;
        let now = self.seams.now();
        let known = match kept.take().filter(|known| now.since(known.at) < KEPT) {
            Some(known) if again && now.since(known.keys_at) >= KEYS_AGAIN_AFTER => {
                let asked = self.ask_keys(&known.metadata.keys).await;
                // Counted whether it answered or not; what was known stays known.
                let keys = asked.as_ref().map_or_else(|_| Arc::clone(&known.keys), Arc::clone);
                *kept = Some(Kept { keys, keys_at: now, ..known.clone() });
                return asked.map(|keys| (known.metadata, keys));
            }
            Some(known) => known,
            None => {
                let metadata = Arc::new(self.discover().await?);
                let keys = self.ask_keys(&metadata.keys).await?;
                Kept { metadata, keys, at: now, keys_at: now }
            }
        };
        let told = (Arc::clone(&known.metadata), Arc::clone(&known.keys));
        *kept = Some(known);
        Ok(told)
    }

    /// Forgets what it said, so that a test asks.
    pub(super) async fn forget(&self) {
        *self.kept.lock().await = None;
    }

    async fn discover(&self) -> Result<Metadata, OidcError> {
        let address = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let url = address.parse().map_err(|_| wrong("discovery", "ONSITE_OIDC_ISSUER is no address"))?;
        let document: Value = serde_json::from_slice(&self.get("discovery", url, HeaderMap::new()).await?)
            .map_err(|error| wrong("discovery", format!("its discovery document is not JSON: {error}")))?;
        if document["issuer"].as_str() != Some(self.issuer.as_str()) {
            let said = document["issuer"].as_str().unwrap_or("nothing").chars().take(200).collect::<String>();
            return Err(wrong("discovery", format!("it calls itself {said}, and ONSITE_OIDC_ISSUER is {}", self.issuer)));
        }
        let endpoint = |name: &str| address_in(&document, name);
        let required = |name: &'static str| endpoint(name)?.ok_or_else(|| wrong("discovery", format!("its discovery document has no {name}")));
        let methods = document["token_endpoint_auth_methods_supported"].as_array();
        Ok(Metadata {
            authorization: required("authorization_endpoint")?,
            token: required("token_endpoint")?,
            keys: required("jwks_uri")?,
            userinfo: endpoint("userinfo_endpoint")?,
            secret_in_header: methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic")),
            names_itself: document["authorization_response_iss_parameter_supported"] == true,
        })
    }

    async fn ask_keys(&self, url: &Url) -> Result<Arc<Keys>, OidcError> {
        let bytes = self.get("its keys", url.clone(), HeaderMap::new()).await?;
        Keys::parse(&bytes).map(Arc::new).map_err(|reason| wrong("its keys", reason))
    }

    /// An answer in JSON to a GET.
    pub(super) async fn get(&self, step: &'static str, url: Url, headers: HeaderMap) -> Result<bytes::Bytes, OidcError> {
        let mut request = FetchRequest::get(url, Purpose::SignIn);
        (request.max_bytes, request.timeout, request.accept_redirects, request.headers) = (ANSWER_BYTES_MAX, TIMEOUT, 0, headers);
        request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let answer = self.egress.fetch(request).await?;
        match answer.status {
            StatusCode::OK if !answer.truncated => Ok(answer.body),
            StatusCode::OK => Err(wrong(step, "its answer is longer than any such answer")),
            status => Err(wrong(step, format!("it answered {}", status.as_u16()))),
        }
    }
}

/// An address of the discovery document, which TLS has to protect.
fn address_in(document: &Value, name: &str) -> Result<Option<Url>, OidcError> {
    let Some(text) = document[name].as_str() else { return Ok(None) };
    if !is_protected(text) {
        return Err(wrong("discovery", format!("its {name} does not begin with https://")));
    }
    text.parse().map(Some).map_err(|_| wrong("discovery", format!("its {name} is no address")))
}

pub(super) fn wrong(step: &'static str, reason: impl Into<String>) -> OidcError {
    OidcError::Provider { step, reason: reason.into() }
}

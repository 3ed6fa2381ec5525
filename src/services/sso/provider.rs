//! What a provider says of itself (OpenID Connect Discovery): its addresses and its keys, asked for through egress and kept for ten minutes.
//!
//! Everybody who needs what is not known waits for one attempt, which ends within twice the time of an answer; that it failed is kept for a moment, so
//! that a provider which does not answer holds nobody up for longer. It goes on while anybody waits for it, whoever hung up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, Shared, WeakShared};
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
/// How long a failure is told to everybody before the provider is asked again.
const FAILURE_KEPT: Duration = Duration::from_secs(5);

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

/// One attempt to learn what is not known, for everybody who waits for it.
type Attempt = BoxFuture<'static, Result<Kept, OidcError>>;

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    failed: Option<(Timestamp, OidcError)>,
    /// Whoever waits keeps it alive; when all have hung up, the next one begins anew.
    attempt: Option<WeakShared<Attempt>>,
}

/// A provider as it is known. One question at a time is asked of it.
pub(super) struct Provider {
    inner: Arc<Inner>,
}

struct Inner {
    egress: Egress,
    seams: Seams,
    issuer: String,
    state: Mutex<State>,
}

impl Provider {
    pub(super) fn new(egress: Egress, seams: Seams, issuer: String) -> Self {
        Self { inner: Arc::new(Inner { egress, seams, issuer, state: Mutex::default() }) }
    }

    /// Its addresses and keys. `again`: the keys did not hold the one that a token names.
    pub(super) async fn know(&self, again: bool) -> Result<(Arc<Metadata>, Arc<Keys>), OidcError> {
        let known = match self.known_or_attempt(again)? {
            Ok(known) => known,
            Err(attempt) => attempt.await?,
        };
        Ok((known.metadata, known.keys))
    }

    /// What is known, or the attempt to wait for. Fails while a failure is kept.
    fn known_or_attempt(&self, again: bool) -> Result<Result<Kept, Shared<Attempt>>, OidcError> {
        let mut state = self.inner.lock();
        let now = self.inner.seams.now();
        let kept = state.kept.clone().filter(|known| now.since(known.at) < KEPT);
        match (&kept, &state.failed) {
            (Some(known), _) if !again || now.since(known.keys_at) < KEYS_AGAIN_AFTER => return Ok(Ok(known.clone())),
            (None, Some((at, error))) if now.since(*at) < FAILURE_KEPT => return Err(error.clone()),
            _ => {}
        }
        if let Some(running) = state.attempt.as_ref().and_then(WeakShared::upgrade) {
            return Ok(Err(running));
        }
        let attempt = Arc::clone(&self.inner).learn(kept).boxed().shared();
        state.attempt = attempt.downgrade();
        Ok(Err(attempt))
    }

    /// Forgets what it said, so that a test asks.
    pub(super) fn forget(&self) {
        *self.inner.lock() = State::default();
    }

    /// An answer in JSON to a GET.
    pub(super) async fn get(&self, step: &'static str, url: Url, headers: HeaderMap) -> Result<bytes::Bytes, OidcError> {
        self.inner.get(step, url, headers).await
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the keys where the addresses are known, else for both, and keeps what came of it.
    async fn learn(self: Arc<Self>, known: Option<Kept>) -> Result<Kept, OidcError> {
        let learned = match &known {
            Some(known) => self.ask_keys(&known.metadata.keys).await.map(|keys| Kept { keys, ..known.clone() }),
            None => self.ask_all().await,
        };
        let now = self.seams.now();
        let mut state = self.lock();
        state.attempt = None;
        match (&learned, known) {
            (Ok(learned), _) => (state.kept, state.failed) = (Some(Kept { keys_at: now, ..learned.clone() }), None),
            // Counted whether it answered or not; what was known stays known.
            (Err(_), Some(known)) => state.kept = Some(Kept { keys_at: now, ..known }),
            (Err(error), None) => state.failed = Some((now, error.clone())),
        }
        learned
    }

    async fn ask_all(&self) -> Result<Kept, OidcError> {
        let at = self.seams.now();
        let metadata = Arc::new(self.discover().await?);
        let keys = self.ask_keys(&metadata.keys).await?;
        Ok(Kept { metadata, keys, at, keys_at: at })
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

    async fn get(&self, step: &'static str, url: Url, headers: HeaderMap) -> Result<bytes::Bytes, OidcError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::egress::testing::{Asked, FixedNames, Reply, TestServer, egress};
    use futures_util::poll;

    fn provider_of_loopback(asked: &Asked) -> Reply {
        let json = |body: Value| Reply::Whole("200 OK", vec![("Content-Type", "application/json".into())], body.to_string().into_bytes());
        let base = format!("http://{}", asked.headers["host"]);
        match asked.path.as_str() {
            "/keys" => json(serde_json::json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "one", "x": "A".repeat(43) }] })),
            _ => json(serde_json::json!({
                "issuer": base, "authorization_endpoint": format!("{base}/in"), "token_endpoint": format!("{base}/token"), "jwks_uri": format!("{base}/keys"),
            })),
        }
    }

    #[tokio::test]
    async fn whoever_hangs_up_takes_nobodys_answer_away() {
        let server = TestServer::start(provider_of_loopback);
        let way_out = egress(&[("127.0.0.1", None, true)], FixedNames::new(&[])).await;
        let provider = Provider::new(way_out.egress.clone(), Seams::system(), server.url("").as_str().trim_end_matches('/').to_owned());
        let (mut first, mut second) = (Box::pin(provider.know(false)), Box::pin(provider.know(false)));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending(), "both wait for one attempt");
        drop(first);
        second.await.unwrap();
        provider.know(false).await.unwrap();
        assert_eq!(server.paths(), ["/.well-known/openid-configuration", "/keys"]);
    }
}

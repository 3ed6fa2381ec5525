//! Signing in at a provider of OpenID Connect: the authorization code flow with PKCE (RFC 6749, RFC 7636, RFC 9700).
//!
//! Everything that one sign-in has to agree on, state, nonce and verifier, is derived from one secret that only the browser has, in its cookie. Of
//! it the appliance keeps a hash, so a reader of the database learns nothing that finishes a sign-in.

use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::{HeaderMap, HeaderValue, Method, header};
use ring::hmac;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::OidcError;
use super::id_token::{Expected, TokenError, check, split};
use super::jwks::Verdict;
use super::provider::{ANSWER_BYTES_MAX, Metadata, Provider, TIMEOUT, wrong};
use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::base::secret::{Secret, constant_time_eq, sha256};
use crate::base::text::{collapse_whitespace, truncate};
use crate::model::sso::{GROUP_BYTES_MAX, GROUPS_MAX, SsoIdentity, SsoSource};
use crate::services::egress::{Egress, FetchRequest, Purpose};

/// The longest code or access token.
const CODE_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of a refusal that are repeated.
const REASON_BYTES_MAX: usize = 200;

/// A provider, and what is asked of it.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// The issuer, exactly as its discovery document writes it.
    pub issuer: String,
    /// The id under which it knows this appliance.
    pub client_id: String,
    /// The secret that belongs to it; `None`: a public client.
    pub client_secret: Option<Secret<String>>,
    /// Where it sends people back to.
    pub redirect_uri: Url,
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
    /// The claim of groups.
    pub groups_claim: String,
    /// Whether its addresses count as verified where it does not say so.
    pub mail_trusted: bool,
}

/// A provider of OpenID Connect.
pub struct Oidc {
    egress: Egress,
    seams: Seams,
    provider: Provider,
    settings: OidcSettings,
}

/// What a provider answered a test.
#[derive(Clone, Debug)]
pub struct OidcProbe {
    /// Where people are sent.
    pub authorization_endpoint: String,
    /// Keys that could sign.
    pub keys: usize,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
    access_token: Option<String>,
}

impl Oidc {
    /// Names the provider.
    #[must_use]
    pub fn new(egress: Egress, seams: Seams, settings: OidcSettings) -> Self {
        let provider = Provider::new(egress.clone(), seams.clone(), settings.issuer.clone());
        Self { egress, seams, provider, settings }
    }

    /// What is asked of it.
    #[must_use]
    pub const fn settings(&self) -> &OidcSettings {
        &self.settings
    }

    /// Where the holder of `secret` goes to sign in.
    ///
    /// # Errors
    /// When the provider cannot be asked, or does not answer as one.
    pub async fn authorization_url(&self, secret: &Secret<String>) -> Result<Url, OidcError> {
        let (metadata, _) = self.provider.know(false).await?;
        let mut url = metadata.authorization.clone();
        let scopes = self.settings.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid");
        let scope = std::iter::once("openid").chain(scopes).collect::<Vec<_>>().join(" ");
        let challenge = BASE64URL_NOPAD.encode(&sha256(derived(secret, "verifier").expose().as_bytes()));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", self.settings.redirect_uri.as_str())
            .append_pair("scope", &scope)
            .append_pair("state", derived(secret, "state").expose())
            .append_pair("nonce", derived(secret, "nonce").expose())
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// Whether an answer belongs to the sign-in of this secret, and comes from this provider as far as it says.
    ///
    /// # Errors
    /// When the provider cannot be asked whether it names itself.
    pub async fn is_answer_to(&self, secret: &Secret<String>, state: &str, issuer: Option<&str>) -> Result<bool, OidcError> {
        if !constant_time_eq(derived(secret, "state").expose().as_bytes(), state.as_bytes()) {
            return Ok(false);
        }
        let (metadata, _) = self.provider.know(false).await?;
        Ok(match issuer {
            Some(issuer) => issuer == self.settings.issuer,
            None => !metadata.names_itself,
        })
    }

    /// Who signed in: trades the code for a token, and believes it only when everything agrees.
    ///
    /// # Errors
    /// See [`OidcError`].
    pub async fn identify(&self, secret: &Secret<String>, code: &Secret<String>, began_at: Timestamp) -> Result<SsoIdentity, OidcError> {
        if code.expose().is_empty() || code.expose().len() > CODE_BYTES_MAX {
            return Err(OidcError::Token(TokenError::Malformed));
        }
        let (metadata, _) = self.provider.know(false).await?;
        let answer = self.trade(&metadata, secret, code).await?;
        let parts = split(&answer.id_token)?;
        self.verify(&parts).await?;
        let nonce = derived(secret, "nonce");
        let expected = Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            nonce: nonce.expose(),
            access_token: answer.access_token.as_deref(),
            began_at,
            now: self.seams.now(),
        };
        let subject = check(&parts.claims, parts.algorithm, &expected)?;
        let claims = self.with_userinfo(&metadata, parts.claims, &subject, answer.access_token).await?;
        Ok(self.identity(subject, &claims))
    }

    /// Asks the provider anew what it is.
    ///
    /// # Errors
    /// See [`OidcError`].
    pub async fn probe(&self) -> Result<OidcProbe, OidcError> {
        self.provider.forget();
        let (metadata, keys) = self.provider.know(false).await?;
        Ok(OidcProbe { authorization_endpoint: metadata.authorization.to_string(), keys: keys.count() })
    }

    /// The signature, by the keys as they are known, and once more by new ones when the key is not among them.
    async fn verify(&self, parts: &super::id_token::Parts<'_>) -> Result<(), OidcError> {
        for again in [false, true] {
            let (_, keys) = self.provider.know(again).await?;
            match keys.verify(parts.algorithm, parts.key.as_deref(), parts.signed, &parts.signature) {
                Verdict::Right => return Ok(()),
                Verdict::Wrong => return Err(TokenError::Signature.into()),
                Verdict::UnknownKey => {}
            }
        }
        Err(TokenError::UnknownKey.into())
    }

    async fn trade(&self, metadata: &Metadata, secret: &Secret<String>, code: &Secret<String>) -> Result<TokenAnswer, OidcError> {
        let mut request = FetchRequest::get(metadata.token.clone(), Purpose::SignIn);
        request.method = Method::POST;
        (request.headers, request.body) = self.question(metadata, secret, code)?;
        (request.max_bytes, request.timeout, request.accept_redirects) = (ANSWER_BYTES_MAX, TIMEOUT, 0);
        let answer = self.egress.fetch(request).await?;
        if !answer.status.is_success() || answer.truncated {
            return Err(wrong("the code", refusal(answer.status.as_u16(), &answer.body)));
        }
        serde_json::from_slice(&answer.body).map_err(|_| wrong("the code", "its answer has no ID token"))
    }

    /// What is asked for a token: the code, who asks, and the verifier that only who began can know.
    fn question(&self, metadata: &Metadata, secret: &Secret<String>, code: &Secret<String>) -> Result<(HeaderMap, Option<Bytes>), OidcError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code.expose())
            .append_pair("redirect_uri", self.settings.redirect_uri.as_str())
            .append_pair("code_verifier", derived(secret, "verifier").expose());
        match &self.settings.client_secret {
            Some(client_secret) if metadata.secret_in_header => {
                headers.insert(header::AUTHORIZATION, self.basic(client_secret)?);
            }
            client_secret => {
                form.append_pair("client_id", &self.settings.client_id);
                if let Some(client_secret) = client_secret {
                    form.append_pair("client_secret", client_secret.expose());
                }
            }
        }
        Ok((headers, Some(form.finish().into_bytes().into())))
    }

    /// The client's id and secret in a header, each encoded first (RFC 6749 2.3.1).
    fn basic(&self, client_secret: &Secret<String>) -> Result<HeaderValue, OidcError> {
        let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let both = Secret::new(format!("{}:{}", encode(&self.settings.client_id), encode(client_secret.expose())));
        let value = Secret::new(format!("Basic {}", BASE64.encode(both.expose().as_bytes())));
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| wrong("the code", "ONSITE_OIDC_CLIENT_SECRET cannot be sent"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Some providers say of address and groups only when asked once more.
    async fn with_userinfo(
        &self,
        metadata: &Metadata,
        mut claims: Map<String, Value>,
        subject: &str,
        access_token: Option<String>,
    ) -> Result<Map<String, Value>, OidcError> {
        let complete = claims.contains_key("email") && found(&claims, &self.settings.groups_claim).is_some();
        let (Some(url), Some(token), false) = (&metadata.userinfo, access_token, complete) else { return Ok(claims) };
        let token = Secret::new(format!("Bearer {}", Secret::new(token).expose()));
        let mut value = HeaderValue::from_str(token.expose()).map_err(|_| wrong("userinfo", "its access token cannot be sent"))?;
        value.set_sensitive(true);
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        let bytes = self.provider.get("userinfo", url.clone(), headers).await?;
        let said: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|_| wrong("userinfo", "its answer is not JSON"))?;
        // Else one person's token could bring another's address.
        if said.get("sub").and_then(Value::as_str) != Some(subject) {
            return Err(TokenError::Subject.into());
        }
        // An address and whether it is verified belong together: never one from here and one from there.
        let has_email = claims.contains_key("email");
        if !has_email {
            claims.remove("email_verified");
        }
        for (name, value) in said.into_iter().filter(|(name, _)| !(has_email && name == "email_verified")) {
            claims.entry(name).or_insert(value);
        }
        Ok(claims)
    }

    fn identity(&self, subject: String, claims: &Map<String, Value>) -> SsoIdentity {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let email = text("email").and_then(|email| email.parse().ok());
        let said = claims.get("email_verified");
        let email_verified = said.map_or(self.settings.mail_trusted, |said| *said == true || *said == "true");
        let groups = found(claims, &self.settings.groups_claim).map(groups).unwrap_or_default();
        let name = text("name").or_else(|| text("preferred_username"));
        SsoIdentity { source: SsoSource::Oidc, issuer: self.settings.issuer.clone(), subject, email, email_verified, name, groups }
    }
}

/// What one sign-in agrees on for a purpose.
fn derived(secret: &Secret<String>, purpose: &str) -> Secret<String> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    Secret::new(BASE64URL_NOPAD.encode(hmac::sign(&key, purpose.as_bytes()).as_ref()))
}

/// A claim by its name, or by its path into objects.
fn found<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut names = path.split('.');
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |value, name| value.as_object()?.get(name))
}

fn groups(value: &Value) -> Vec<String> {
    let name = |value: &Value| value.as_str().filter(|name| name.len() <= GROUP_BYTES_MAX).map(str::to_owned);
    match value {
        Value::Array(list) => list.iter().filter_map(name).take(GROUPS_MAX).collect(),
        other => name(other).into_iter().collect(),
    }
}

/// The provider's words for a refusal, as far as they are of the protocol's form.
fn refusal(status: u16, body: &[u8]) -> String {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let words = [said["error"].as_str(), said["error_description"].as_str()].into_iter().flatten().collect::<Vec<_>>().join(": ");
    collapse_whitespace(&format!("it answered {status} {}", truncate(&words, REASON_BYTES_MAX)))
}

impl std::fmt::Debug for Oidc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Oidc").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sign_ins_values_differ_by_purpose_and_by_secret() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let value = |text: &str, purpose: &str| derived(&secret(text), purpose).expose().clone();
        assert_eq!(value("a", "state"), value("a", "state"));
        assert_ne!(value("a", "state"), value("a", "nonce"));
        assert_ne!(value("a", "state"), value("b", "state"));
        assert_eq!(value("a", "verifier").len(), 43, "RFC 7636 wants 43 to 128 characters");
    }

    #[test]
    fn groups_are_found_by_name_or_by_path() {
        let claims = json!({ "groups": ["a", 5, "b"], "https://example.com/groups": "one", "realm_access": { "roles": ["c"] } });
        let claims = claims.as_object().unwrap();
        let list = |path: &str| found(claims, path).map(groups);
        assert_eq!(list("groups"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(list("https://example.com/groups"), Some(vec!["one".to_owned()]));
        assert_eq!(list("realm_access.roles"), Some(vec!["c".to_owned()]));
        assert_eq!(list("realm_access.missing"), None);
        assert_eq!(groups(&json!({})), Vec::<String>::new());
    }
}

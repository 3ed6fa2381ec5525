//! What browsers are asked about passkeys, in the JSON form of WebAuthn itself (5.1.8, 5.1.9), and what they answer.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::ApiError;
use crate::model::passkey::{ALGORITHMS, Assertion, Passkey};
use crate::model::user::User;
use crate::services::auth::passkeys::{Asked, CHALLENGE_LIFETIME};

/// Characters of one member of an answer at most: more than any of them may hold once it is decoded.
const MEMBER_CHARS_MAX: usize = 32_768;

/// `PublicKeyCredentialCreationOptionsJSON`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreationOptions {
    rp: RelyingPartyView,
    user: HandleView,
    challenge: String,
    pub_key_cred_params: Vec<ParameterView>,
    timeout: u64,
    exclude_credentials: Vec<CredentialView>,
    authenticator_selection: SelectionView,
    attestation: &'static str,
}

#[derive(Serialize, ToSchema)]
struct RelyingPartyView {
    id: String,
    name: &'static str,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct HandleView {
    /// Random, so that an authenticator tells nobody whose it is.
    id: String,
    name: String,
    display_name: String,
}

#[derive(Serialize, ToSchema)]
struct ParameterView {
    r#type: &'static str,
    alg: i64,
}

#[derive(Serialize, ToSchema)]
struct CredentialView {
    r#type: &'static str,
    id: String,
    transports: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SelectionView {
    resident_key: &'static str,
    user_verification: &'static str,
}

/// `PublicKeyCredentialRequestOptionsJSON`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestOptions {
    rp_id: String,
    challenge: String,
    timeout: u64,
    allow_credentials: Vec<CredentialView>,
    user_verification: &'static str,
}

/// What a browser answers when a passkey is shown; every member in base64url.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AssertionRequest {
    /// `id`.
    id: String,
    /// `response.clientDataJSON`.
    client_data: String,
    /// `response.authenticatorData`.
    authenticator_data: String,
    /// `response.signature`.
    signature: String,
    /// `response.userHandle`, where there is one.
    user_handle: Option<String>,
}

impl AssertionRequest {
    pub(super) fn assertion(self) -> Result<Assertion, ApiError> {
        Ok(Assertion {
            credential_id: bytes("id", &self.id)?,
            client_data: bytes("client_data", &self.client_data)?,
            authenticator_data: bytes("authenticator_data", &self.authenticator_data)?,
            signature: bytes("signature", &self.signature)?,
            user_handle: self.user_handle.map(|handle| bytes("user_handle", &handle)).transpose()?,
        })
    }
}

/// A member of an answer, decoded.
pub(super) fn bytes(field: &'static str, text: &str) -> Result<Vec<u8>, ApiError> {
    let decoded = (text.len() <= MEMBER_CHARS_MAX).then(|| BASE64URL_NOPAD.decode(text.as_bytes()).ok()).flatten();
    decoded.ok_or_else(|| {
        ApiError::invalid(field, format!("{field} is not base64url without padding, of at most {MEMBER_CHARS_MAX} characters."))
            .remedy("Send what the browser answered.")
    })
}

fn timeout_millis() -> u64 {
    CHALLENGE_LIFETIME.as_secs() * 1_000
}

fn credential(passkey: &Passkey) -> CredentialView {
    let transports = passkey.transports.iter().map(|transport| transport.as_str()).collect();
    CredentialView { r#type: "public-key", id: BASE64URL_NOPAD.encode(&passkey.credential_id), transports }
}

impl CreationOptions {
    pub(super) fn new(asked: &Asked, user: &User) -> Self {
        Self {
            rp: RelyingPartyView { id: asked.party.id().to_owned(), name: "Onsite" },
            user: HandleView {
                id: BASE64URL_NOPAD.encode(user.id.as_str().as_bytes()),
                name: user.email.as_str().to_owned(),
                display_name: user.name.clone(),
            },
            challenge: BASE64URL_NOPAD.encode(&asked.challenge),
            pub_key_cred_params: ALGORITHMS.into_iter().map(|alg| ParameterView { r#type: "public-key", alg }).collect(),
            timeout: timeout_millis(),
            exclude_credentials: asked.passkeys.iter().map(credential).collect(),
            // Preferred: what a device keeps itself, its maker may copy to the owner's other devices.
            authenticator_selection: SelectionView { resident_key: "preferred", user_verification: "required" },
            attestation: "none",
        }
    }
}

impl From<&Asked> for RequestOptions {
    fn from(asked: &Asked) -> Self {
        Self {
            rp_id: asked.party.id().to_owned(),
            challenge: BASE64URL_NOPAD.encode(&asked.challenge),
            timeout: timeout_millis(),
            allow_credentials: asked.passkeys.iter().map(credential).collect(),
            user_verification: "required",
        }
    }
}

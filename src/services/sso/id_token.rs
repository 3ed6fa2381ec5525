//! What an ID token has to say before it is believed (OpenID Connect Core 3.1.3.7). Its signature is looked at first, in `jwks`.

use data_encoding::BASE64URL_NOPAD;
use ring::digest;
use serde_json::{Map, Value};

use super::jwks::Algorithm;
use crate::base::clock::Timestamp;
use crate::base::secret::constant_time_eq;

/// The longest token: groups make them long.
const TOKEN_BYTES_MAX: usize = 128 * 1024;
/// How far the provider's clock may be from this one, milliseconds.
const SKEW_MILLIS: i64 = 60_000;
/// The longest subject (OpenID Connect Core 2).
const SUBJECT_BYTES_MAX: usize = 255;

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not of three parts, or not what they should be.
    #[error("its ID token is not a signed token")]
    Malformed,
    /// An algorithm that is not taken, `none` among them.
    #[error("its ID token is signed by none of RS256, PS256, ES256 and EdDSA")]
    Algorithm,
    /// The provider has no such key.
    #[error("its ID token names a key that the provider does not publish")]
    UnknownKey,
    /// The signature is not right.
    #[error("the signature of its ID token is not right")]
    Signature,
    /// Another provider's.
    #[error("its ID token is of another issuer than ONSITE_OIDC_ISSUER")]
    Issuer,
    /// For somebody else.
    #[error("its ID token is for another client than ONSITE_OIDC_CLIENT_ID")]
    Audience,
    /// Too old, or not valid yet, by more than a minute.
    #[error("its ID token is of another time: one of the two clocks is wrong, or the token is old")]
    Time,
    /// Of another sign-in.
    #[error("its ID token belongs to another sign-in")]
    Nonce,
    /// The access token beside it is not the one that it names.
    #[error("its access token is not the one that the ID token names")]
    AccessToken,
    /// It does not say who.
    #[error("its ID token does not say who signed in")]
    Subject,
}

/// A token taken apart, nothing of it believed yet.
pub(super) struct Parts<'a> {
    /// How it says that it is signed.
    pub(super) algorithm: Algorithm,
    /// By which key.
    pub(super) key: Option<String>,
    /// What is signed.
    pub(super) signed: &'a [u8],
    /// The signature.
    pub(super) signature: Vec<u8>,
    /// What it says.
    pub(super) claims: Map<String, Value>,
}

/// Takes a token apart.
pub(super) fn split(token: &str) -> Result<Parts<'_>, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let object = |part: &str| -> Option<Map<String, Value>> { serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).ok()?).ok() };
    let header = object(header).ok_or(TokenError::Malformed)?;
    // An extension that has to be understood is not understood here.
    if header.contains_key("crit") {
        return Err(TokenError::Malformed);
    }
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::parse).ok_or(TokenError::Algorithm)?;
    Ok(Parts {
        algorithm,
        key: header.get("kid").and_then(Value::as_str).map(str::to_owned),
        signed: signed.as_bytes(),
        signature: BASE64URL_NOPAD.decode(signature.as_bytes()).map_err(|_| TokenError::Malformed)?,
        claims: object(claims).ok_or(TokenError::Malformed)?,
    })
}

/// What a token has to agree with.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) access_token: Option<&'a str>,
    /// When the sign-in began: no token of it is older.
    pub(super) began_at: Timestamp,
    pub(super) now: Timestamp,
}

/// Checks what a token says, and returns who it is about.
pub(super) fn check(claims: &Map<String, Value>, algorithm: Algorithm, expected: &Expected<'_>) -> Result<String, TokenError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err(TokenError::Issuer);
    }
    check_audience(claims, expected.client_id)?;
    check_time(claims, expected)?;
    if !text("nonce").is_some_and(|nonce| constant_time_eq(nonce.as_bytes(), expected.nonce.as_bytes())) {
        return Err(TokenError::Nonce);
    }
    if let (Some(named), Some(token)) = (claims.get("at_hash"), expected.access_token)
        && named.as_str() != Some(half_hash(algorithm, token).as_str())
    {
        return Err(TokenError::AccessToken);
    }
    match text("sub") {
        Some(subject) if !subject.is_empty() && subject.len() <= SUBJECT_BYTES_MAX => Ok(subject.to_owned()),
        _ => Err(TokenError::Subject),
    }
}

fn check_audience(claims: &Map<String, Value>, client_id: &str) -> Result<(), TokenError> {
    let party = claims.get("azp").map(|party| party.as_str() == Some(client_id));
    let right = match claims.get("aud") {
        Some(Value::String(audience)) => audience == client_id && party != Some(false),
        // Of several, the one that asked for it is named.
        Some(Value::Array(audiences)) => {
            audiences.iter().any(|audience| audience == client_id) && if audiences.len() > 1 { party == Some(true) } else { party != Some(false) }
        }
        _ => false,
    };
    if right { Ok(()) } else { Err(TokenError::Audience) }
}

fn check_time(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), TokenError> {
    let millis = |name: &str| claims.get(name).map(|value| value.as_f64().filter(|seconds| seconds.abs() < 1e12));
    #[expect(clippy::cast_possible_truncation, reason = "bounded above: far below what the type holds")]
    let read = |name: &str| match millis(name) {
        None => Ok(None),
        Some(Some(seconds)) => Ok(Some((seconds * 1_000.0) as i64)),
        Some(None) => Err(TokenError::Time),
    };
    let (now, began) = (expected.now.millis(), expected.began_at.millis());
    let expires = read("exp")?.ok_or(TokenError::Time)?;
    let issued = read("iat")?.ok_or(TokenError::Time)?;
    let from = read("nbf")?.unwrap_or(issued);
    let right = expires > now - SKEW_MILLIS && issued <= now + SKEW_MILLIS && from <= now + SKEW_MILLIS && issued >= began - SKEW_MILLIS;
    if right { Ok(()) } else { Err(TokenError::Time) }
}

/// The left half of a token's hash, with the hash of the signature's algorithm.
fn half_hash(algorithm: Algorithm, token: &str) -> String {
    let hash = if algorithm == Algorithm::EdDsa { &digest::SHA512 } else { &digest::SHA256 };
    let whole = digest::digest(hash, token.as_bytes());
    BASE64URL_NOPAD.encode(&whole.as_ref()[..whole.as_ref().len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_893_456_000;

    fn claims(change: Value) -> Map<String, Value> {
        let mut claims = json!({ "iss": "https://id.example", "aud": "onsite", "sub": "42", "nonce": "n", "exp": NOW + 300, "iat": NOW });
        for (name, value) in change.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name)
            } else {
                claims.as_object_mut().unwrap().insert(name.clone(), value.clone())
            };
        }
        claims.as_object().unwrap().clone()
    }

    fn verdict(change: Value) -> Result<String, TokenError> {
        let now = Timestamp::from_millis(NOW * 1_000);
        let expected = Expected { issuer: "https://id.example", client_id: "onsite", nonce: "n", access_token: Some("access"), began_at: now, now };
        check(&claims(change), Algorithm::Rs256, &expected)
    }

    #[test]
    fn what_does_not_agree_is_named() {
        let half = half_hash(Algorithm::Rs256, "access");
        for fine in [
            json!({}),
            json!({ "aud": ["onsite"] }),
            json!({ "aud": ["onsite", "other"], "azp": "onsite" }),
            json!({ "exp": NOW - 59 }),
            json!({ "iat": NOW + 59 }),
            json!({ "iat": NOW as f64 + 0.5 }),
            json!({ "at_hash": half }),
        ] {
            assert_eq!(verdict(fine.clone()).as_deref(), Ok("42"), "{fine}");
        }
        for (wrong, error) in [
            (json!({ "iss": "https://id.example/" }), TokenError::Issuer),
            (json!({ "iss": null }), TokenError::Issuer),
            (json!({ "aud": "other" }), TokenError::Audience),
            (json!({ "aud": [] }), TokenError::Audience),
            (json!({ "aud": ["onsite", "other"] }), TokenError::Audience),
            (json!({ "aud": ["onsite", "other"], "azp": "other" }), TokenError::Audience),
            (json!({ "azp": "other" }), TokenError::Audience),
            (json!({ "azp": 5 }), TokenError::Audience),
            (json!({ "exp": NOW - 60 }), TokenError::Time),
            (json!({ "exp": null }), TokenError::Time),
            (json!({ "exp": "soon" }), TokenError::Time),
            (json!({ "exp": 1e300 }), TokenError::Time),
            (json!({ "iat": NOW + 61 }), TokenError::Time),
            (json!({ "iat": NOW - 61 }), TokenError::Time),
            (json!({ "iat": null }), TokenError::Time),
            (json!({ "nbf": NOW + 61 }), TokenError::Time),
            (json!({ "nonce": "m" }), TokenError::Nonce),
            (json!({ "nonce": null }), TokenError::Nonce),
            (json!({ "at_hash": "x" }), TokenError::AccessToken),
            (json!({ "sub": "" }), TokenError::Subject),
            (json!({ "sub": "x".repeat(256) }), TokenError::Subject),
            (json!({ "sub": 42 }), TokenError::Subject),
        ] {
            assert_eq!(verdict(wrong.clone()), Err(error), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_signed_token_is_not_taken_apart() {
        let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let token = |header: Value| format!("{}.{}.AAAA", part(header), part(json!({ "sub": "42" })));
        assert!(split(&token(json!({ "alg": "RS256", "kid": "k" }))).is_ok_and(|parts| parts.key.as_deref() == Some("k")));
        let error = |token: &str| split(token).err().unwrap();
        assert_eq!(error(&token(json!({ "alg": "none" }))), TokenError::Algorithm);
        assert_eq!(error(&token(json!({ "alg": "HS256" }))), TokenError::Algorithm);
        assert_eq!(error(&token(json!({}))), TokenError::Algorithm);
        assert_eq!(error(&token(json!({ "alg": "RS256", "crit": ["b64"] }))), TokenError::Malformed);
        for wrong in ["", "a", "a.b", "a.b.c", "....", &"x".repeat(200_000)] {
            assert_eq!(error(wrong), TokenError::Malformed);
        }
    }
}

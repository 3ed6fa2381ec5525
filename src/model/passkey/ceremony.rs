//! The two ceremonies: setting a passkey up (WebAuthn 7.1) and showing it (7.2). The steps are in the standard's order.

use super::cbor::{self, Value};
use super::data::{AUTHENTICATOR_DATA_BYTES_MAX, AuthenticatorData, client_data};
use super::{Passkey, PublicKey, Refusal, RelyingParty};

/// What a browser answers when a passkey was made.
#[derive(Clone, Debug)]
pub struct Created {
    /// The browser's name for the credential.
    pub credential_id: Vec<u8>,
    /// What the browser saw.
    pub client_data: Vec<u8>,
    /// What the authenticator made.
    pub attestation: Vec<u8>,
}

/// What a browser answers when a passkey is shown.
#[derive(Clone, Debug)]
pub struct Assertion {
    /// Which passkey.
    pub credential_id: Vec<u8>,
    /// What the browser saw.
    pub client_data: Vec<u8>,
    /// What the authenticator saw.
    pub authenticator_data: Vec<u8>,
    /// The authenticator's signature over both.
    pub signature: Vec<u8>,
    /// For which account, where the authenticator knows.
    pub user_handle: Option<Vec<u8>>,
}

/// A credential that may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The authenticator's name for it.
    pub credential_id: Vec<u8>,
    /// What its signatures are checked with.
    pub key: PublicKey,
    /// Its counter; 0 where it does not count.
    pub sign_count: u32,
    /// Whether it may be copied to other devices by its maker.
    pub backup_eligible: bool,
    /// Whether it is.
    pub backed_up: bool,
}

/// What is new of a passkey that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Its counter.
    pub sign_count: u32,
    /// Whether it is copied to other devices.
    pub backed_up: bool,
}

/// Checks a passkey that was made for `challenge`.
///
/// # Errors
/// The first thing that does not hold.
pub fn register(party: &RelyingParty, challenge: &[u8], created: &Created) -> Result<Registered, Refusal> {
    let client_hash = client_data(&created.client_data, "webauthn.create", party, challenge)?;
    let attestation = Attestation::read(&created.attestation)?;
    let data = AuthenticatorData::read(attestation.data)?;
    data.check(party)?;
    let Some(made) = &data.credential else { return Err(Refusal::Malformed("authenticator data")) };
    attestation.check(&made.key, &client_hash)?;
    if made.id != created.credential_id {
        return Err(Refusal::OtherCredential);
    }
    Ok(Registered {
        credential_id: made.id.to_vec(),
        key: made.key.clone(),
        sign_count: data.sign_count,
        backup_eligible: data.backup_eligible(),
        backed_up: data.backed_up(),
    })
}

/// Checks that `passkey` was shown for `challenge`. Whether its counter went on is looked at again when that is kept.
///
/// # Errors
/// The first thing that does not hold.
pub fn prove(party: &RelyingParty, challenge: &[u8], passkey: &Passkey, shown: &Assertion) -> Result<Used, Refusal> {
    if shown.credential_id != passkey.credential_id {
        return Err(Refusal::OtherCredential);
    }
    if shown.user_handle.as_ref().is_some_and(|handle| handle != passkey.user.as_str().as_bytes()) {
        return Err(Refusal::OtherAccount);
    }
    let client_hash = client_data(&shown.client_data, "webauthn.get", party, challenge)?;
    let data = AuthenticatorData::read(&shown.authenticator_data)?;
    data.check(party)?;
    if passkey.relying_party != party.id() {
        return Err(Refusal::WrongHost);
    }
    if data.backup_eligible() != passkey.backup_eligible {
        return Err(Refusal::Copies);
    }
    if !passkey.key.verifies(&[&shown.authenticator_data, &client_hash[..]].concat(), &shown.signature) {
        return Err(Refusal::Signature);
    }
    let counts = data.sign_count != 0 || passkey.sign_count != 0;
    if counts && data.sign_count <= passkey.sign_count {
        return Err(Refusal::CountWentBack);
    }
    Ok(Used { sign_count: data.sign_count, backed_up: data.backed_up() })
}

/// An attestation object (WebAuthn 6.5.4).
struct Attestation<'a> {
    format: &'a str,
    statement: Vec<(Value<'a>, Value<'a>)>,
    data: &'a [u8],
}

impl<'a> Attestation<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        const MALFORMED: Refusal = Refusal::Malformed("attestation object");
        // Statements that are taken are shorter than the data they stand beside.
        if bytes.len() > 2 * AUTHENTICATOR_DATA_BYTES_MAX {
            return Err(MALFORMED);
        }
        let entries = cbor::read_all(bytes).and_then(Value::map).ok_or(MALFORMED)?;
        let (mut format, mut statement, mut data) = (None, None, None);
        for (name, value) in entries {
            match (name, value) {
                (Value::Text("fmt"), Value::Text(text)) => format = Some(text),
                (Value::Text("attStmt"), Value::Map(entries)) => statement = Some(entries),
                (Value::Text("authData"), Value::Bytes(bytes)) => data = Some(bytes),
                _ => return Err(MALFORMED),
            }
        }
        let (format, statement, data) = (format.ok_or(MALFORMED)?, statement.ok_or(MALFORMED)?, data.ok_or(MALFORMED)?);
        Ok(Self { format, statement, data })
    }

    /// "none" is what was asked for. A browser may pass on as well what the new key signed of itself, since that tells nothing of its maker.
    fn check(&self, key: &PublicKey, client_hash: &[u8; 32]) -> Result<(), Refusal> {
        let entry = |name| self.statement.iter().find(|(known, _)| *known == Value::Text(name)).map(|(_, value)| value);
        let holds = match self.format {
            "none" => self.statement.is_empty(),
            "packed" if self.statement.len() == 2 => {
                let own = entry("alg") == Some(&Value::Number(key.algorithm()));
                let signature = entry("sig").and_then(Value::bytes).unwrap_or_default();
                own && key.verifies(&[self.data, &client_hash[..]].concat(), signature)
            }
            _ => false,
        };
        if holds { Ok(()) } else { Err(Refusal::Attestation) }
    }
}

#[cfg(test)]
#[path = "ceremony_tests.rs"]
mod tests;

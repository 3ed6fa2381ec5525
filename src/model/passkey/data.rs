//! What a browser and an authenticator say of themselves: client data (WebAuthn 5.8.1) and authenticator data (6.1).

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

use super::{BadKey, PublicKey, Refusal, RelyingParty, cbor, key};
use crate::base::secret::{constant_time_eq, sha256};

/// Bytes of client data at most: a type, a challenge and an origin, and what later browsers may add.
const CLIENT_DATA_BYTES_MAX: usize = 4_096;
/// Bytes of authenticator data at most: the longest key and credential id, and extensions that nobody asked for.
pub(super) const AUTHENTICATOR_DATA_BYTES_MAX: usize = 8_192;
/// Bytes of a credential id: of at least 100 random bits, and as long as the standard lets them be.
const CREDENTIAL_ID_BYTES: std::ops::RangeInclusive<usize> = 16..=1_023;

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const HAS_CREDENTIAL: u8 = 0x40;
const HAS_EXTENSIONS: u8 = 0x80;

/// As browsers write it. They may add members, which are passed over as the standard asks; a member given twice is refused by serde.
#[derive(Deserialize)]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    cross_origin: bool,
    #[serde(rename = "topOrigin")]
    top_origin: Option<serde_json::Value>,
}

/// Checks the client data of a ceremony of this `kind`, and returns what the signature covers of it.
pub(super) fn client_data(bytes: &[u8], kind: &str, party: &RelyingParty, challenge: &[u8]) -> Result<[u8; 32], Refusal> {
    if bytes.len() > CLIENT_DATA_BYTES_MAX {
        return Err(Refusal::Malformed("client data"));
    }
    let data: ClientData = serde_json::from_slice(bytes).map_err(|_| Refusal::Malformed("client data"))?;
    if data.r#type != kind {
        return Err(Refusal::WrongType);
    }
    let answered = BASE64URL_NOPAD.decode(data.challenge.as_bytes()).map_err(|_| Refusal::WrongChallenge)?;
    if !constant_time_eq(&answered, challenge) {
        return Err(Refusal::WrongChallenge);
    }
    if data.origin != party.origin {
        return Err(Refusal::WrongOrigin);
    }
    if data.cross_origin || data.top_origin.is_some() {
        return Err(Refusal::Embedded);
    }
    Ok(sha256(bytes))
}

/// What an authenticator says, read and not yet believed.
#[derive(Debug)]
pub(super) struct AuthenticatorData<'a> {
    flags: u8,
    host_hash: &'a [u8],
    pub(super) sign_count: u32,
    pub(super) credential: Option<NewCredential<'a>>,
}

/// A credential that an authenticator has made.
#[derive(Debug)]
pub(super) struct NewCredential<'a> {
    pub(super) id: &'a [u8],
    pub(super) key: PublicKey,
}

impl<'a> AuthenticatorData<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        const MALFORMED: Refusal = Refusal::Malformed("authenticator data");
        if bytes.len() > AUTHENTICATOR_DATA_BYTES_MAX {
            return Err(MALFORMED);
        }
        let (host_hash, rest) = bytes.split_at_checked(32).ok_or(MALFORMED)?;
        let (&flags, rest) = rest.split_first().ok_or(MALFORMED)?;
        let (sign_count, mut rest) = rest.split_first_chunk::<4>().ok_or(MALFORMED)?;
        let mut credential = None;
        if flags & HAS_CREDENTIAL != 0 {
            // The model of the authenticator is passed over: it is not attested, so it says nothing.
            let (_model, after) = rest.split_at_checked(16).ok_or(MALFORMED)?;
            let (length, after) = after.split_first_chunk::<2>().ok_or(MALFORMED)?;
            let (id, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(MALFORMED)?;
            if !CREDENTIAL_ID_BYTES.contains(&id.len()) {
                return Err(Refusal::Malformed("credential id"));
            }
            let (key, after) = key::read(after).map_err(Refusal::from)?;
            credential = Some(NewCredential { id, key });
            rest = after;
        }
        if flags & HAS_EXTENSIONS != 0 {
            let (extensions, after) = cbor::read(rest).ok_or(MALFORMED)?;
            extensions.map().ok_or(MALFORMED)?;
            rest = after;
        }
        if !rest.is_empty() {
            return Err(MALFORMED);
        }
        Ok(Self { flags, host_hash, sign_count: u32::from_be_bytes(*sign_count), credential })
    }

    /// Whether it was made for this host, by somebody who was there and was recognised.
    pub(super) fn check(&self, party: &RelyingParty) -> Result<(), Refusal> {
        if self.host_hash != sha256(party.id.as_bytes()) {
            return Err(Refusal::WrongHost);
        }
        if self.flags & PRESENT == 0 {
            return Err(Refusal::NotPresent);
        }
        if self.flags & VERIFIED == 0 {
            return Err(Refusal::NotVerified);
        }
        if self.backed_up() && !self.backup_eligible() {
            return Err(Refusal::Copies);
        }
        Ok(())
    }

    pub(super) const fn backup_eligible(&self) -> bool {
        self.flags & BACKUP_ELIGIBLE != 0
    }

    pub(super) const fn backed_up(&self) -> bool {
        self.flags & BACKED_UP != 0
    }
}

impl From<BadKey> for Refusal {
    fn from(bad: BadKey) -> Self {
        match bad {
            BadKey::Algorithm => Self::Algorithm,
            BadKey::Form => Self::Key,
        }
    }
}

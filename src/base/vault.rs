//! Sealing of single values: XChaCha20-Poly1305, bound to the place where the value is kept. No I/O: the store seals and opens columns with it.
//!
//! A sealed value is an envelope: format byte, key id, nonce, ciphertext with its tag. Associated data are the domain, the format, the key id, table,
//! column and row, so that a value moved to another place does not open. Without a key a value is kept in an envelope that says that it is not
//! encrypted, and is sealed once there is one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use super::random::Random;
use super::seams::Seams;
use super::secret::Secret;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

const FORMAT_PLAIN: u8 = 0;
const FORMAT_SEALED: u8 = 1;
const ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// What [`Vault::index`] begins with where there is no key.
const INDEX_PLAIN: &str = "plain";

/// Where a value is kept: it opens nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// The row's primary key.
    pub row: &'a str,
}

/// Which key sealed a value: derived from it, and says nothing about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; ID_BYTES]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Not base64.
    #[error("a key is base64 of {KEY_BYTES} bytes, and this is not base64")]
    NotBase64,
    /// Too short or too long.
    #[error("a key has {KEY_BYTES} bytes, and this has {0}")]
    Length(usize),
}

/// A key for what is kept, with everything derived from it.
#[derive(Clone)]
pub struct Key {
    id: KeyId,
    cipher: XChaCha20Poly1305,
    index: Zeroizing<[u8; 32]>,
}

impl Key {
    /// Derives what is needed from 32 bytes of key material: a Fernet key serves as well, for it is never used as it is.
    #[must_use]
    pub fn derive(material: &[u8; KEY_BYTES]) -> Self {
        let derive = |label: &str, out: &mut [u8]| {
            // Fails only for more than 255 hashes of output.
            let derived = Hkdf::<Sha256>::new(None, material).expand(label.as_bytes(), out);
            debug_assert!(derived.is_ok(), "{label}");
        };
        let (mut cipher, mut index, mut id) = (Zeroizing::new([0; KEY_BYTES]), Zeroizing::new([0; 32]), [0; ID_BYTES]);
        derive("onsite at rest 1: xchacha20-poly1305", &mut *cipher);
        derive("onsite at rest 1: blind index", &mut *index);
        derive("onsite at rest 1: key id", &mut id);
        Self { id: KeyId(id), cipher: XChaCha20Poly1305::new((&*cipher).into()), index }
    }

    /// Which key this is.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// A new key, as the text that `DB_ENCRYPTION_KEY` takes.
    #[must_use]
    pub fn generate(seams: &Seams) -> Secret<String> {
        let material = Zeroizing::new(seams.random_bytes::<KEY_BYTES>());
        Secret::new(Base64::encode_string(&*material))
    }

    fn index_of(&self, domain: &str, value: &str) -> String {
        // An HMAC takes a key of any length.
        let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(&*self.index) else { return String::new() };
        for part in [domain, value] {
            mac.update(&length(part));
            mac.update(part.as_bytes());
        }
        format!("{}:{}", self.id, hex::encode(mac.finalize().into_bytes()))
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    /// Standard or URL-safe base64, with or without padding.
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let unpadded = text.trim().trim_end_matches('=');
        let url_safe = Zeroizing::new(unpadded.replace('+', "-").replace('/', "_"));
        let bytes = Zeroizing::new(Base64UrlUnpadded::decode_vec(&url_safe).map_err(|_| InvalidKey::NotBase64)?);
        let mut material = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map_err(|_| InvalidKey::Length(bytes.len()))?;
        let key = Self::derive(&material);
        material.zeroize();
        Ok(key)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// Why an envelope did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// It is shorter than any envelope, or of a format that this version does not know.
    #[error("a sealed value is cut off or of an unknown format")]
    Form,
    /// It is sealed, and there is no such key.
    #[error("a value is sealed under key {0}, which is not among the configured keys")]
    UnknownKey(KeyId),
    /// It was altered, or belongs to another place.
    #[error("a sealed value was altered or moved from another place")]
    Altered,
    /// It is not encrypted, where everything is.
    #[error("a value is not encrypted although every value is: it was put there by somebody else")]
    NotEncrypted,
    /// It is longer than the cipher takes.
    #[error("a value is too long to be sealed")]
    TooLong,
}

/// How an envelope is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeping {
    /// Not encrypted.
    Plain,
    /// Under this key.
    Under(KeyId),
}

impl Keeping {
    /// What every envelope that is kept so begins with.
    #[must_use]
    pub fn head(self) -> Vec<u8> {
        match self {
            Self::Plain => vec![FORMAT_PLAIN],
            Self::Under(id) => [&[FORMAT_SEALED], id.0.as_slice()].concat(),
        }
    }
}

/// Seals with the current key, opens with any it has. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    current: Option<Key>,
    previous: Vec<Key>,
    random: Arc<dyn Random>,
    refuses_plain: AtomicBool,
}

impl Vault {
    /// A vault that seals with `current` and opens what is sealed with `previous` too. Without a current key it keeps values unencrypted.
    #[must_use]
    pub fn new(current: Option<Key>, previous: Vec<Key>, seams: &Seams) -> Self {
        let random = Arc::clone(&seams.random);
        Self { inner: Arc::new(Inner { current, previous, random, refuses_plain: AtomicBool::new(false) }) }
    }

    /// A vault without any key: for databases in which nothing is encrypted.
    #[must_use]
    pub fn without_key(seams: &Seams) -> Self {
        Self::new(None, Vec::new(), seams)
    }

    /// The key that seals; `None` = nothing is encrypted.
    #[must_use]
    pub fn current(&self) -> Option<KeyId> {
        self.inner.current.as_ref().map(Key::id)
    }

    /// How a value sealed now is kept.
    #[must_use]
    pub fn keeping(&self) -> Keeping {
        self.current().map_or(Keeping::Plain, Keeping::Under)
    }

    /// Whether an envelope that is not encrypted is refused.
    #[must_use]
    pub fn refuses_plain(&self) -> bool {
        self.inner.refuses_plain.load(Ordering::Relaxed)
    }

    /// From now on an envelope that is not encrypted is a forgery: everything was sealed.
    pub fn refuse_plain(&self) {
        self.inner.refuses_plain.store(true, Ordering::Relaxed);
    }

    /// Seals a value for its place.
    ///
    /// # Errors
    /// When it is longer than the cipher takes.
    pub fn seal(&self, place: Place<'_>, plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
        let Some(key) = &self.inner.current else {
            let mut envelope = Vec::with_capacity(1 + plaintext.len());
            envelope.push(FORMAT_PLAIN);
            envelope.extend_from_slice(plaintext);
            return Ok(envelope);
        };
        let mut nonce = [0; NONCE_BYTES];
        self.inner.random.fill(&mut nonce);
        let aad = associated_data(key.id, place);
        let sealed = key.cipher.encrypt(&XNonce::from(nonce), Payload { msg: plaintext, aad: &aad }).map_err(|_| VaultError::TooLong)?;
        let mut envelope = Vec::with_capacity(1 + ID_BYTES + NONCE_BYTES + sealed.len());
        envelope.push(FORMAT_SEALED);
        envelope.extend_from_slice(&key.id.0);
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(&sealed);
        Ok(envelope)
    }

    /// Opens a value that was sealed for this place.
    ///
    /// # Errors
    /// When it was altered, cut off or moved, or its key is not here.
    pub fn open(&self, place: Place<'_>, envelope: &[u8]) -> Result<Secret<Vec<u8>>, VaultError> {
        match keeping(envelope)? {
            Keeping::Plain if self.refuses_plain() => Err(VaultError::NotEncrypted),
            Keeping::Plain => Ok(Secret::new(envelope[1..].to_vec())),
            Keeping::Under(id) => {
                let key = self.key(id).ok_or(VaultError::UnknownKey(id))?;
                let (nonce, sealed) = envelope[1 + ID_BYTES..].split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::Form)?;
                let aad = associated_data(id, place);
                let opened = key.cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad });
                opened.map(Secret::new).map_err(|_| VaultError::Altered)
            }
        }
    }

    /// What stands for a value beside its envelope, so that it can be found by equality: a keyed hash, or the value where there is no key.
    /// `domain` keeps equal values of different columns apart.
    #[must_use]
    pub fn index(&self, domain: &str, value: &str) -> String {
        self.inner.current.as_ref().map_or_else(|| format!("{INDEX_PLAIN}:{value}"), |key| key.index_of(domain, value))
    }

    /// Everything that may stand for a value while a change of keys is under way: the current index first.
    #[must_use]
    pub fn indexes(&self, domain: &str, value: &str) -> Vec<String> {
        let keys = self.inner.current.iter().chain(&self.inner.previous);
        keys.map(|key| key.index_of(domain, value)).chain([format!("{INDEX_PLAIN}:{value}")]).collect()
    }

    fn key(&self, id: KeyId) -> Option<&Key> {
        self.inner.current.iter().chain(&self.inner.previous).find(|key| key.id == id)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("current", &self.current()).finish_non_exhaustive()
    }
}

/// How an envelope is kept, as it says itself.
///
/// # Errors
/// When it is no envelope.
pub fn keeping(envelope: &[u8]) -> Result<Keeping, VaultError> {
    match envelope.split_first() {
        Some((&FORMAT_PLAIN, _)) => Ok(Keeping::Plain),
        Some((&FORMAT_SEALED, rest)) if rest.len() >= ID_BYTES + NONCE_BYTES + TAG_BYTES => {
            let (id, _) = rest.split_first_chunk::<ID_BYTES>().ok_or(VaultError::Form)?;
            Ok(Keeping::Under(KeyId(*id)))
        }
        _ => Err(VaultError::Form),
    }
}

/// Parts with their lengths, so that no two places have the same.
fn associated_data(key: KeyId, place: Place<'_>) -> Vec<u8> {
    let mut data = b"onsite sealed value".to_vec();
    data.push(FORMAT_SEALED);
    data.extend_from_slice(&key.0);
    for part in [place.table, place.column, place.row] {
        data.extend_from_slice(&length(part));
        data.extend_from_slice(part.as_bytes());
    }
    data
}

fn length(part: &str) -> [u8; 8] {
    (part.len() as u64).to_be_bytes()
}

#[cfg(test)]
#[path = "vault_tests.rs"]
mod tests;

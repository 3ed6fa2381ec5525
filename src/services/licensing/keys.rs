//! The trust anchor: which keys may sign codes, and when.

use std::fmt;

use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey;

use crate::base::clock::Timestamp;
use crate::base::secret::{crockford_encode, sha256};

/// The vendor's keys, put in by the build; empty in a development build.
const COMPILED_IN: &str = include_str!(concat!(env!("OUT_DIR"), "/license_keys.pem"));

/// A key that may sign codes.
#[derive(Clone, Debug)]
pub struct VendorKey {
    /// The fingerprint of the public key: what codes name.
    pub kid: String,
    /// The key itself; never a weak one.
    pub key: VerifyingKey,
    /// Codes issued before this are not believed.
    pub valid_from: Timestamp,
    /// Codes issued from this moment on are not believed; earlier ones stay good.
    pub retired_at: Option<Timestamp>,
}

impl VendorKey {
    /// Whether what was issued at this moment may be signed with it.
    #[must_use]
    pub fn in_use_at(&self, issued_at: Timestamp) -> bool {
        issued_at >= self.valid_from && self.retired_at.is_none_or(|retired| issued_at < retired)
    }
}

/// Why a text is not a key ring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// No key at all.
    #[error("there is no PUBLIC KEY block in it")]
    NoKey,
    /// A block that is not an Ed25519 public key.
    #[error("block {0} is not an Ed25519 public key in PEM form (-----BEGIN PUBLIC KEY-----)")]
    NotAKey(usize),
    /// A key for which anybody can make signatures.
    #[error("block {0} is a weak key (of small order), for which anybody can make signatures")]
    WeakKey(usize),
    /// A line between the blocks that says nothing known.
    #[error("line {0}: between keys there may be `valid-from: TIME`, `retired-at: TIME` and lines that begin with #")]
    BadLine(usize),
}

/// The keys a build believes.
#[derive(Clone, Debug)]
pub struct KeyRing {
    keys: Vec<VendorKey>,
    development: bool,
}

impl KeyRing {
    /// The ring of this build. A release build has its keys compiled in and does not look at `run_time_pem`; a development build takes
    /// its keys from there (`LICENSE_PUBLIC_KEY_PEM`), and believes nothing without it.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn of_build(run_time_pem: Option<&str>) -> Result<Self, KeyRingError> {
        if !COMPILED_IN.trim().is_empty() {
            return Ok(Self { keys: parse(COMPILED_IN)?, development: false });
        }
        Ok(Self { keys: run_time_pem.map_or(Ok(Vec::new()), parse)?, development: true })
    }

    /// A release ring of given keys.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn release(pem: &str) -> Result<Self, KeyRingError> {
        Ok(Self { keys: parse(pem)?, development: false })
    }

    /// A development ring of given keys: for a demo that issues itself a code, and for tests.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn development(pem: &str) -> Result<Self, KeyRingError> {
        Ok(Self { keys: parse(pem)?, development: true })
    }

    /// Whether development codes are taken: shown on every screen.
    #[must_use]
    pub const fn is_development(&self) -> bool {
        self.development
    }

    /// The key of an id.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&VendorKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// Every key.
    #[must_use]
    pub fn keys(&self) -> &[VendorKey] {
        &self.keys
    }
}

/// Whether this binary was built with the vendor's keys in it.
#[must_use]
pub fn has_compiled_in_keys() -> bool {
    !COMPILED_IN.trim().is_empty()
}

/// The key id of a public key: 13 characters of its SHA-256.
#[must_use]
pub fn fingerprint(key: &VerifyingKey) -> String {
    crockford_encode(&sha256(key.as_bytes())[..8]).to_ascii_lowercase()
}

/// Reads PEM blocks, each with optional lines before it that say when it is in use. `\n` written out counts as a line end, because
/// environment files cannot hold one.
fn parse(text: &str) -> Result<Vec<VendorKey>, KeyRingError> {
    let text = text.replace("\\n", "\n");
    let (mut keys, mut block) = (Vec::new(), None::<String>);
    let (mut valid_from, mut retired_at) = (Timestamp::from_millis(i64::MIN), None);
    for (at, line) in text.lines().map(str::trim).enumerate() {
        if let Some(open) = &mut block {
            open.push_str(line);
            open.push('\n');
            if line.starts_with("-----END") {
                let key = read_key(&block.take().unwrap_or_default(), keys.len() + 1)?;
                keys.push(VendorKey { kid: fingerprint(&key), key, valid_from, retired_at });
                (valid_from, retired_at) = (Timestamp::from_millis(i64::MIN), None);
            }
        } else if line.starts_with("-----BEGIN") {
            block = Some(format!("{line}\n"));
        } else if !line.is_empty() && !line.starts_with('#') {
            let bad = || KeyRingError::BadLine(at + 1);
            let (name, value) = line.split_once(':').ok_or_else(bad)?;
            let moment: Timestamp = value.trim().parse().map_err(|_| bad())?;
            match name.trim() {
                "valid-from" => valid_from = moment,
                "retired-at" => retired_at = Some(moment),
                _ => return Err(bad()),
            }
        }
    }
    match (block, keys.is_empty()) {
        (Some(_), _) => Err(KeyRingError::NotAKey(keys.len() + 1)),
        (None, true) => Err(KeyRingError::NoKey),
        (None, false) => Ok(keys),
    }
}

fn read_key(pem: &str, number: usize) -> Result<VerifyingKey, KeyRingError> {
    let key = VerifyingKey::from_public_key_pem(pem).map_err(|_| KeyRingError::NotAKey(number))?;
    if key.is_weak() { Err(KeyRingError::WeakKey(number)) } else { Ok(key) }
}

impl fmt::Display for VendorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kid)?;
        if let Some(at) = self.retired_at {
            write!(f, " (retired at {at})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::licensing::issue;
    use ed25519_dalek::SigningKey;
    use ed25519_dalek::pkcs8::EncodePublicKey;
    use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;

    fn pem(seed: u8) -> String {
        issue::public_pem(&SigningKey::from_bytes(&[seed; 32])).unwrap()
    }

    #[test]
    fn a_ring_of_several_keys_says_when_each_is_in_use() {
        let text = format!("# first\nretired-at: 2026-06-01T00:00:00Z\n{}\nvalid-from: 2026-05-01T00:00:00Z\n{}", pem(1), pem(2));
        let ring = KeyRing::release(&text).unwrap();
        assert_eq!(ring.keys().len(), 2);
        let kid = fingerprint(&SigningKey::from_bytes(&[1; 32]).verifying_key());
        assert_eq!(kid.len(), 13);
        assert_eq!(ring.find(&kid).unwrap().retired_at, Some("2026-06-01T00:00:00Z".parse().unwrap()));
        assert!(ring.keys()[1].retired_at.is_none() && ring.find("nobody").is_none());
        assert_eq!(KeyRing::release(&pem(1).replace('\n', "\\n")).unwrap().keys().len(), 1, "from an environment file");
    }

    #[test]
    fn what_is_not_a_ring_is_refused() {
        let refused = |text: &str| KeyRing::release(text).unwrap_err();
        assert_eq!(refused("# nothing"), KeyRingError::NoKey);
        assert_eq!(refused(&pem(1).replace("MCow", "MCox")), KeyRingError::NotAKey(1));
        assert_eq!(refused(&format!("{}-----BEGIN PUBLIC KEY-----\nMC", pem(1))), KeyRingError::NotAKey(2));
        assert_eq!(refused(&format!("owner: me\n{}", pem(1))), KeyRingError::BadLine(1));
    }

    #[test]
    fn keys_of_small_order_never_enter_a_ring() {
        // The neutral element and a point of order eight: with either, a signature can be made without any secret.
        let neutral: [u8; 32] = std::array::from_fn(|at| u8::from(at == 0));
        let eight = hex::decode("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a").unwrap();
        for bytes in [&neutral[..], &eight] {
            let key = VerifyingKey::from_bytes(bytes.try_into().unwrap()).unwrap();
            let pem = key.to_public_key_pem(LineEnding::LF).unwrap();
            assert_eq!(KeyRing::release(&pem).unwrap_err(), KeyRingError::WeakKey(1));
        }
    }

    #[test]
    fn every_encoding_of_a_small_order_point_is_refused() {
        // The eight points of small order and their second encodings (y at or above the prime, or minus zero).
        for hex in [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000080",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        ] {
            // The SubjectPublicKeyInfo of an Ed25519 key: a fixed head and the 32 bytes.
            let der = [hex::decode("302a300506032b6570032100").unwrap(), hex::decode(hex).unwrap()].concat();
            let pem = pkcs8::der::pem::encode_string("PUBLIC KEY", LineEnding::LF, &der).unwrap();
            let error = KeyRing::release(&pem).unwrap_err();
            assert!(matches!(error, KeyRingError::WeakKey(1) | KeyRingError::NotAKey(1)), "{hex}: {error}");
        }
    }

    #[test]
    fn only_a_build_without_keys_listens_to_the_run_time() {
        let ring = KeyRing::of_build(Some(&pem(1))).unwrap();
        assert_eq!(ring.is_development(), !has_compiled_in_keys());
        assert_eq!(ring.find(&fingerprint(&SigningKey::from_bytes(&[1; 32]).verifying_key())).is_some(), ring.is_development());
    }
}

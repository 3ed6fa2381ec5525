//! Public keys of passkeys: three algorithms, and each key in one form.

use ring::agreement::{self, ECDH_P256, EphemeralPrivateKey};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};

use super::cbor::{self, Value};

/// COSE's numbers of the algorithms that are offered and taken, the preferred first. RS256 is what Windows Hello makes on older machines.
pub const ALGORITHMS: [i64; 3] = [ES256, EDDSA, RS256];
const ES256: i64 = -7;
const EDDSA: i64 = -8;
const RS256: i64 = -257;

/// Bytes of an RSA modulus: 2,048 to 4,096 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
/// The one exponent that authenticators use.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// A key that can be verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// A point of P-256, uncompressed (SEC 1).
    Es256([u8; 65]),
    /// A point of Ed25519.
    EdDsa([u8; 32]),
    /// An RSA modulus; the exponent is 65537.
    Rs256(Vec<u8>),
}

/// Why a key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadKey {
    /// Not one of the algorithms that were offered.
    Algorithm,
    /// Not a key of its algorithm, or not in its one form.
    Form,
}

impl PublicKey {
    /// Reads a COSE key as an authenticator writes it: exactly the parameters of its kind, and a point that is on its curve.
    pub(super) fn from_cose(value: Value<'_>) -> Result<Self, BadKey> {
        let entries = value.map().ok_or(BadKey::Form)?;
        let number = |key: i64| entries.iter().find(|(name, _)| *name == Value::Number(key)).map(|(_, value)| value);
        let Some(Value::Number(algorithm)) = number(3) else { return Err(BadKey::Form) };
        let bytes = |key| number(key).and_then(Value::bytes).ok_or(BadKey::Form);
        let is = |key, wanted| number(key) == Some(&Value::Number(wanted));
        // Anything beside them would be optional, which no passkey has.
        let exactly = |parameters: usize, kind: bool| if entries.len() == parameters && kind { Ok(()) } else { Err(BadKey::Form) };
        let key = match *algorithm {
            ES256 => {
                exactly(5, is(1, 2) && is(-1, 1))?;
                let (x, y) = (bytes(-2)?, bytes(-3)?);
                // Each half has its length, so that bytes do not move from one to the other.
                let both = if x.len() == 32 && y.len() == 32 { [&[4], x, y].concat() } else { return Err(BadKey::Form) };
                Self::from_parts(ES256, &both)?
            }
            EDDSA => {
                exactly(4, is(1, 1) && is(-1, 6))?;
                Self::from_parts(EDDSA, bytes(-2)?)?
            }
            RS256 => {
                exactly(4, is(1, 3))?;
                if bytes(-2)? != EXPONENT {
                    return Err(BadKey::Form);
                }
                Self::from_parts(RS256, bytes(-1)?)?
            }
            _ => return Err(BadKey::Algorithm),
        };
        if key.is_sound() { Ok(key) } else { Err(BadKey::Form) }
    }

    /// Reads what [`PublicKey::algorithm`] and [`PublicKey::bytes`] gave.
    ///
    /// # Errors
    /// When they are not a key.
    pub fn from_parts(algorithm: i64, bytes: &[u8]) -> Result<Self, BadKey> {
        match algorithm {
            ES256 => bytes.try_into().map(Self::Es256).map_err(|_| BadKey::Form),
            EDDSA => bytes.try_into().map(Self::EdDsa).map_err(|_| BadKey::Form),
            RS256 => Ok(Self::Rs256(bytes.to_vec())),
            _ => Err(BadKey::Algorithm),
        }
    }

    /// COSE's number of the algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> i64 {
        match self {
            Self::Es256(_) => ES256,
            Self::EdDsa(_) => EDDSA,
            Self::Rs256(_) => RS256,
        }
    }

    /// The key itself.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Es256(point) => point,
            Self::EdDsa(point) => point,
            Self::Rs256(modulus) => modulus,
        }
    }

    /// Whether a signature by it can hold at all: what cannot is refused when it is set up, not when somebody wants in.
    fn is_sound(&self) -> bool {
        match self {
            Self::Es256(point) => on_p256(point),
            Self::EdDsa(point) => ed25519_dalek::VerifyingKey::from_bytes(point).is_ok_and(|key| !key.is_weak()),
            Self::Rs256(modulus) => {
                let odd = modulus.last().is_some_and(|byte| byte & 1 == 1);
                MODULUS_BYTES.contains(&modulus.len()) && modulus.first().is_some_and(|byte| *byte >= 0x80) && odd
            }
        }
    }

    /// Whether the signature over the message is of this key.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Es256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature).is_ok(),
            Self::EdDsa(point) => {
                let signature = ed25519_dalek::Signature::from_slice(signature);
                let key = ed25519_dalek::VerifyingKey::from_bytes(point);
                key.is_ok_and(|key| signature.is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()))
            }
            Self::Rs256(modulus) => {
                RsaPublicKeyComponents { n: &modulus[..], e: &EXPONENT[..] }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
        }
    }
}

/// Ring tells whether a point is on the curve when it agrees on a key with it. The key is thrown away, so it does not matter that its randomness is
/// not that of the seams: the answer is the same with any.
fn on_p256(point: &[u8; 65]) -> bool {
    let own = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new());
    own.is_ok_and(|own| agreement::agree_ephemeral(own, &agreement::UnparsedPublicKey::new(&ECDH_P256, point), |_| ()).is_ok())
}

/// Reads the key that the bytes begin with, and what comes after it.
pub(super) fn read(bytes: &[u8]) -> Result<(PublicKey, &[u8]), BadKey> {
    let (value, rest) = cbor::read(bytes).ok_or(BadKey::Form)?;
    Ok((PublicKey::from_cose(value)?, rest))
}

#[cfg(test)]
mod tests {
    use super::super::authenticator::{Authenticator, Kind, bytes, map, number};
    use super::*;

    /// The entries of a key that an authenticator made.
    fn parts(kind: Kind) -> Vec<(Vec<u8>, Vec<u8>)> {
        Authenticator::new(kind).cose()
    }

    fn reads(entries: &[(Vec<u8>, Vec<u8>)]) -> Result<PublicKey, BadKey> {
        read(&map(entries)).map(|(key, _)| key)
    }

    #[test]
    fn three_kinds_are_read_and_kept_in_one_form() {
        for (kind, algorithm) in [(Kind::Es256, -7), (Kind::EdDsa, -8), (Kind::Rs256, -257)] {
            let mut entries = parts(kind);
            let key = reads(&entries).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            assert_eq!(PublicKey::from_parts(key.algorithm(), key.bytes()), Ok(key.clone()));
            entries.reverse();
            assert_eq!(reads(&entries), Ok(key), "the order of entries is no part of it");
        }
    }

    #[test]
    fn what_is_not_exactly_a_key_is_refused() {
        let es256 = parts(Kind::Es256);
        let with = |at: usize, value: Vec<u8>| {
            let mut changed = es256.clone();
            changed[at].1 = value;
            reads(&changed)
        };
        assert_eq!(with(0, number(3)), Err(BadKey::Form), "of another kind than its algorithm");
        for algorithm in [-35, -36, -37, -47, -65535, 7] {
            assert_eq!(with(1, number(algorithm)), Err(BadKey::Algorithm), "{algorithm}");
        }
        assert_eq!(with(2, number(2)), Err(BadKey::Form), "of another curve");
        assert_eq!(with(3, bytes(&[7; 31])), Err(BadKey::Form));
        assert_eq!(with(3, bytes(&[7; 32])), Err(BadKey::Form), "not on the curve");
        assert_eq!(with(4, bytes(&[7; 33])), Err(BadKey::Form));
        let mut more = es256.clone();
        more.push((number(2), bytes(b"kid")));
        assert_eq!(reads(&more), Err(BadKey::Form));
        assert_eq!(reads(&es256[..4]), Err(BadKey::Form));
        assert_eq!(read(b"").map(|_| ()), Err(BadKey::Form));

        let (mut weak, mut short, mut even, mut small) = (parts(Kind::EdDsa), parts(Kind::Rs256), parts(Kind::Rs256), parts(Kind::Rs256));
        weak[3].1 = bytes(&[0; 32]);
        assert_eq!(reads(&weak), Err(BadKey::Form), "a point of small order");
        short[2].1 = bytes(&[0xff; 128]);
        assert_eq!(reads(&short), Err(BadKey::Form), "1,024 bits");
        even[2].1 = bytes(&[0xfe; 256]);
        assert_eq!(reads(&even), Err(BadKey::Form));
        small[3].1 = bytes(&[3]);
        assert_eq!(reads(&small), Err(BadKey::Form), "the exponent 3");
    }
}

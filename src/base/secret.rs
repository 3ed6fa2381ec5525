//! Secrets: a wrapper that does not print, hashing, constant-time comparison, and a text form for tokens.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::seams::Seams;

/// A value that must not reach a log: `Debug` prints `[redacted]`, and the memory is wiped on drop.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Wraps a secret.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value itself: every call is a place to look at in a review.
    #[must_use]
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// SHA-256 of the bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 of the bytes, in lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(sha256(bytes))
}

/// Compares in a time that depends on the lengths only.
#[must_use]
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// A new 256-bit token as 52 characters of Crockford base 32 in lower case.
#[must_use]
pub fn new_token(seams: &Seams) -> Secret<String> {
    let bytes = Zeroizing::new(seams.random_bytes::<32>());
    Secret::new(crockford_encode(&*bytes).to_ascii_lowercase())
}

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Crockford base 32, upper case, no padding; the last character holds the left-over bits, high bits first.
#[must_use]
pub fn crockford_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for &byte in bytes {
        buffer = (buffer << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(CROCKFORD[((buffer >> bits) & 31) as usize]));
        }
    }
    if bits > 0 {
        text.push(char::from(CROCKFORD[((buffer << (5 - bits)) & 31) as usize]));
    }
    text
}

/// The value of one Crockford character (0 to 31), any case, with I and L read as 1 and O as 0.
#[must_use]
pub fn crockford_value(character: char) -> Option<u8> {
    let upper = match character.to_ascii_uppercase() {
        'I' | 'L' => '1',
        'O' => '0',
        other => other,
    };
    CROCKFORD.iter().position(|&c| char::from(c) == upper).and_then(|at| u8::try_from(at).ok())
}

/// Decodes [`crockford_encode`]; `None` for a foreign character, a length no encoding has, or left-over bits that are not zero
/// (one text per value, so that nothing can be altered unseen).
#[must_use]
pub fn crockford_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for character in text.chars() {
        buffer = ((buffer << 5) | u32::from(crockford_value(character)?)) & 0xffff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((buffer >> bits) & 0xff).ok()?);
        }
    }
    let canonical = bits < 5 && buffer & ((1 << bits) - 1) == 0;
    canonical.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "[redacted]");
    }

    proptest! {
        #[test]
        fn crockford_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(crockford_decode(&crockford_encode(&bytes)), Some(bytes.clone()));
            prop_assert_eq!(crockford_decode(&crockford_encode(&bytes).to_lowercase()), Some(bytes));
        }

        #[test]
        fn crockford_has_one_text_per_value(text in "[0-9A-HJKMNP-TV-Z]{0,40}") {
            if let Some(bytes) = crockford_decode(&text) {
                prop_assert_eq!(crockford_encode(&bytes), text);
            }
        }
    }
}

//! Identifiers: a prefix that says what it names, and 26 characters that sort by time (48 bits of milliseconds, 80 of randomness).

use super::seams::Seams;

/// Crockford's base 32 in lower case: no i, l, o or u, so that an id read aloud survives.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters after the prefix.
pub const BODY_CHARS: usize = 26;

/// A new id body for `now`, unique by 80 random bits.
#[must_use]
pub fn generate(seams: &Seams) -> String {
    let millis = u128::try_from(seams.now().millis().max(0)).unwrap_or(0) & 0xffff_ffff_ffff;
    let mut random = [0u8; 16];
    seams.random.fill(&mut random[6..]);
    let bits = (millis << 80) | u128::from_be_bytes(random);
    (0..BODY_CHARS).rev().map(|place| char::from(ALPHABET[((bits >> (5 * place)) & 31) as usize])).collect()
}

/// Whether `body` could have come from [`generate`].
#[must_use]
pub fn is_body(body: &str) -> bool {
    body.len() == BODY_CHARS && body.bytes().all(|b| ALPHABET.contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{FakeClock, Timestamp};
    use crate::base::random::SeededRandom;
    use std::sync::Arc;

    #[test]
    fn ids_sort_by_time_and_differ_within_a_millisecond() {
        let at = |millis| Seams {
            clock: Arc::new(FakeClock::new(Timestamp::from_millis(millis))),
            random: Arc::new(SeededRandom::new(millis.unsigned_abs())),
        };
        let (early, late) = (at(1_000), at(2_000));
        let first = generate(&early);
        assert!(is_body(&first), "{first}");
        assert!(first < generate(&late));
        assert_ne!(first, generate(&early));
        assert!(!is_body("short") && !is_body(&"I".repeat(26)));
    }
}

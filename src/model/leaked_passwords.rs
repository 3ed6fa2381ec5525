//! Passwords that leaked elsewhere and are tried first: a list inside the binary, see `assets/passwords/README.md`.

use crate::base::secret::sha256;

/// Bytes of a SHA-256 that stand for a password: 44 thousand of them refuse one in 25 million others by mistake.
const PREFIX_BYTES: usize = 5;

/// Sorted prefixes, one after the other.
static PREFIXES: &[u8] = include_bytes!("../../assets/passwords/leaked.bin");

/// Whether a password, without spaces around it and in lower case, is on the list.
#[must_use]
pub fn is_leaked(lower: &str) -> bool {
    let (prefixes, _) = PREFIXES.as_chunks::<PREFIX_BYTES>();
    let hash = sha256(lower.as_bytes());
    prefixes.binary_search_by(|prefix| prefix.as_slice().cmp(&hash[..PREFIX_BYTES])).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_sorted_and_without_doubles() {
        let (prefixes, rest) = PREFIXES.as_chunks::<PREFIX_BYTES>();
        assert_eq!((prefixes.len(), rest.len()), (43_940, 0));
        assert!(prefixes.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn what_leaked_is_found_and_what_did_not_is_not() {
        for leaked in ["1qaz2wsx3edc", "motherfucker", "leavemealone", "sonyericsson", "passwordpassword", "qwertyuiop123"] {
            assert!(is_leaked(leaked), "{leaked}");
        }
        for own in ["a goose crossed the yard", "correct horse battery staple", "galaxies turn too quickly at the rim", ""] {
            assert!(!is_leaked(own), "{own}");
        }
        // By mistake: one in 25 million.
        assert!((0..100_000).all(|n| !is_leaked(&format!("nobody would type this {n}"))));
    }
}

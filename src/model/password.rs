//! The rules a new password must keep. Length is what counts; only the obvious is refused besides.

use super::leaked_passwords::is_leaked;
use super::user::Email;
use crate::base::secret::Secret;

/// Fewest characters of a new password.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Most bytes of any password: bounds the work of hashing it.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// What people type when told "at least twelve characters". Compared without regard to case.
const COMMON: &[&str] = &[
    "000000000000",
    "111111111111",
    "1234567890ab",
    "123456789012",
    "1234567890123",
    "12345678901234",
    "1q2w3e4r5t6y",
    "1q2w3e4r5t6y7u",
    "1qaz2wsx3edc",
    "1qaz2wsx3edc4rfv",
    "abcdefghijkl",
    "abcdefghijklm",
    "abcd12345678",
    "adminadminadmin",
    "administrator",
    "administrator1",
    "administrator123",
    "changemechangeme",
    "changeme1234",
    "changeme12345",
    "iloveyouforever",
    "letmein12345",
    "letmeinletmein",
    "onsiteonsite",
    "password1234",
    "password12345",
    "password123456",
    "password123!",
    "passwordpassword",
    "qwerty123456",
    "qwertyqwerty",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiop[]",
    "qwertyuiopasdf",
    "asdfghjkl123",
    "asdfghjklqwe",
    "welcome12345",
    "welcomewelcome",
    "zaq12wsxcde3",
];

/// A password that keeps the rules, on its way to being hashed.
#[derive(Clone, Debug)]
pub struct NewPassword(Secret<String>);

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PasswordRefusal {
    /// Too short.
    #[error("a password has at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// Too long.
    #[error("a password has at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// The mail address or the name.
    #[error("a password is not the mail address or the name of its owner")]
    SameAsOwner,
    /// One character again and again.
    #[error("a password is more than one character repeated")]
    OneCharacter,
    /// Among the first that a guesser tries.
    #[error("this password is among the most common ones")]
    Common,
    /// Known to guessers because it leaked elsewhere.
    #[error("this password is on a list of passwords that leaked from other places; choose one that nobody else has")]
    Leaked,
}

impl NewPassword {
    /// Checks a password against the rules.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn check(password: Secret<String>, email: &Email, name: &str) -> Result<Self, PasswordRefusal> {
        let text = password.expose();
        if text.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordRefusal::TooLong);
        }
        if text.chars().count() < PASSWORD_CHARS_MIN {
            return Err(PasswordRefusal::TooShort);
        }
        let first = text.chars().next();
        if text.chars().all(|c| Some(c) == first) {
            return Err(PasswordRefusal::OneCharacter);
        }
        let lower = Secret::new(text.trim().to_lowercase());
        let same = |other: &str| *lower.expose() == other.to_lowercase();
        if same(email.as_str()) || same(email.local_part()) || same(name.trim()) {
            return Err(PasswordRefusal::SameAsOwner);
        }
        if COMMON.contains(&lower.expose().as_str()) {
            return Err(PasswordRefusal::Common);
        }
        if is_leaked(lower.expose()) {
            return Err(PasswordRefusal::Leaked);
        }
        Ok(Self(password))
    }

    /// The password itself, for the hasher.
    #[must_use]
    pub const fn secret(&self) -> &Secret<String> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str) -> Result<(), PasswordRefusal> {
        let email = "ada.lovelace@example.org".parse().unwrap();
        NewPassword::check(Secret::new(password.to_owned()), &email, "Ada King Lovelace").map(|_| ())
    }

    #[test]
    fn the_rules_name_what_is_wrong() {
        assert_eq!(check("eleven char"), Err(PasswordRefusal::TooShort));
        assert_eq!(check("ääääääääääb"), Err(PasswordRefusal::TooShort), "characters are counted, not bytes");
        assert_eq!(check(&"xy".repeat(513)), Err(PasswordRefusal::TooLong));
        assert_eq!(check("eeeeeeeeeeeeeeee"), Err(PasswordRefusal::OneCharacter));
        assert_eq!(check("Ada.Lovelace@example.org"), Err(PasswordRefusal::SameAsOwner));
        assert_eq!(check("ada.lovelace"), Err(PasswordRefusal::SameAsOwner));
        assert_eq!(check("ada king LOVELACE"), Err(PasswordRefusal::SameAsOwner));
        assert_eq!(check("PasswordPassword"), Err(PasswordRefusal::Common));
        assert_eq!(check(" LeaveMeAlone"), Err(PasswordRefusal::Leaked), "whatever its case and the spaces around it");
        assert_eq!(check("a goose crossed the yard"), Ok(()));
        assert_eq!(check(&"a goose ".repeat(128)), Ok(()));
    }

    #[test]
    fn the_common_ones_are_long_enough_to_matter_and_lower_case() {
        for word in COMMON {
            assert!(word.chars().count() >= PASSWORD_CHARS_MIN && word.to_lowercase() == *word, "{word}");
        }
    }

    #[test]
    fn a_password_does_not_print() {
        let email = "a@b.c".parse().unwrap();
        let password = NewPassword::check(Secret::new("a goose crossed the yard".into()), &email, "A").unwrap();
        assert!(!format!("{password:?}").contains("goose"));
    }
}

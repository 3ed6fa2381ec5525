//! People: who they are, how they are addressed, and the caller of a request.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ids::{SessionId, UserId};
use crate::base::clock::Timestamp;

/// Longest mail address, bytes (RFC 5321 allows a path of 256, brackets included).
pub const EMAIL_BYTES_MAX: usize = 254;
/// Longest name of a person, characters.
pub const NAME_CHARS_MAX: usize = 200;

/// A mail address: trimmed, lower case, of a form that mail can reach. Two addresses are the same account when they are equal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

/// Why a text is not a mail address.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidEmail {
    /// Longer than any mail server accepts.
    #[error("a mail address has at most {EMAIL_BYTES_MAX} bytes")]
    TooLong,
    /// Not `name@host`.
    #[error("this is not a mail address: expected something like name@example.org")]
    Form,
}

impl Email {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.0.split('@').next().unwrap_or_default()
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        if text.len() > EMAIL_BYTES_MAX {
            return Err(InvalidEmail::TooLong);
        }
        let text = text.to_lowercase();
        let (local, host) = text.rsplit_once('@').ok_or(InvalidEmail::Form)?;
        // Only what would break a header, a log line or a comparison is refused; whether mail arrives is for a mail to find out.
        let unsafe_anywhere =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | ',' | ';' | ':' | '\\' | '(' | ')' | '@');
        let label_ok = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
        let well_formed = !local.is_empty()
            && local.len() <= 64
            && !local.contains(unsafe_anywhere)
            && host.split('.').all(label_ok)
            && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.'));
        if well_formed && text.len() <= EMAIL_BYTES_MAX { Ok(Self(text)) } else { Err(InvalidEmail::Form) }
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Email {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A name to show: white space collapsed, not empty, no control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DisplayName(String);

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidName {
    /// Nothing to show.
    #[error("a name has at least one visible character")]
    Empty,
    /// Too long to show.
    #[error("a name has at most {NAME_CHARS_MAX} characters")]
    TooLong,
    /// Holds a character that is not text, or that turns the direction of what follows.
    #[error("a name holds text only")]
    NotText,
}

impl DisplayName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DisplayName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        // Bounded before it is copied: the text comes from outside.
        if text.len() > NAME_CHARS_MAX * 8 {
            return Err(InvalidName::TooLong);
        }
        let name = crate::base::text::collapse_whitespace(text);
        // Bidirectional overrides and zero-width characters let one name pass for another.
        let deceives = |c: char| matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        match name.chars().count() {
            0 => Err(InvalidName::Empty),
            chars if chars > NAME_CHARS_MAX => Err(InvalidName::TooLong),
            _ if name.chars().any(|c| c.is_control() || deceives(c)) => Err(InvalidName::NotText),
            _ => Ok(Self(name)),
        }
    }
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A person with an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The account.
    pub id: UserId,
    /// How they sign in.
    pub email: Email,
    /// How they are shown.
    pub name: String,
    /// Whether they look after the whole appliance.
    pub system_admin: bool,
    /// Since when they may not come in any more.
    pub disabled_at: Option<Timestamp>,
    /// When the account was made.
    pub created_at: Timestamp,
}

/// An account, with what a system admin wants to know about its use.
#[derive(Clone, Debug)]
pub struct UserWithUse {
    /// The account.
    pub user: User,
    /// Companies it belongs to.
    pub companies: u32,
    /// When it was last used, to the minute; `None` = never.
    pub last_seen_at: Option<Timestamp>,
}

/// Who is calling: exists only for a session that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The person.
    pub user: User,
    /// The session they came with.
    pub session_id: SessionId,
    /// When they last showed with it who they are.
    pub proven_at: Timestamp,
    /// Everybody has to have a second factor here and they have none: until they do, setting one up is all they may.
    pub must_enrol: bool,
}

impl Caller {
    /// Whether the caller looks after the whole appliance.
    #[must_use]
    pub const fn is_system_admin(&self) -> bool {
        self.user.system_admin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_trimmed_and_lowered() {
        assert_eq!(" Ada.Lovelace@Example.ORG\n".parse::<Email>().unwrap().as_str(), "ada.lovelace@example.org");
        assert_eq!("root@localhost".parse::<Email>().unwrap().local_part(), "root");
        assert_eq!("o'brien+x@münchen.de".parse::<Email>().unwrap().as_str(), "o'brien+x@münchen.de");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "@", "a@", "@b", "a b@c.d", "a@b@c.d", "a@b..c", "a@-b.c", "a@b.c>", "a\r\nBcc: x@y.z", "a@b.c\0", "a@[1.2.3.4]"] {
            assert_eq!(text.parse::<Email>(), Err(InvalidEmail::Form), "{text:?}");
        }
        assert_eq!(format!("{}@b.c", "a".repeat(300)).parse::<Email>(), Err(InvalidEmail::TooLong));
        assert!(format!("{}@b.c", "a".repeat(65)).parse::<Email>().is_err());
    }

    #[test]
    fn names_are_text() {
        assert_eq!("  Ada \t Lovelace ".parse::<DisplayName>().unwrap().as_str(), "Ada Lovelace");
        assert_eq!(" \n ".parse::<DisplayName>(), Err(InvalidName::Empty));
        assert_eq!("x".repeat(201).parse::<DisplayName>(), Err(InvalidName::TooLong));
        assert_eq!("x".repeat(9_000_000).parse::<DisplayName>(), Err(InvalidName::TooLong));
        assert_eq!("ab\u{202e}cd".parse::<DisplayName>(), Err(InvalidName::NotText));
        assert_eq!("ab\u{7}".parse::<DisplayName>(), Err(InvalidName::NotText));
    }
}

//! The bootstrap token: lets exactly one first system admin in.

use std::str::FromStr;
use std::time::Duration;

use super::ids::BootstrapId;
use crate::base::clock::Timestamp;
use crate::base::secret::{Secret, sha256};

/// How long a token can be redeemed.
pub const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Wrong tries after which a token is burnt.
pub const WRONG_TRIES_MAX: u32 = 10;
/// Fewest characters of a secret: 26 of base 32 hold 128 bits, and so do 32 of hexadecimal.
pub const SECRET_CHARS_MIN: usize = 26;
/// Most bytes of a token that are looked at.
pub const TOKEN_BYTES_MAX: usize = 256;

/// A token as presented or configured: `id.secret`, or a configured secret alone.
#[derive(Clone, Debug)]
pub struct TokenText {
    /// The public half, when the text has one.
    pub id: Option<BootstrapId>,
    /// SHA-256 of the secret half.
    pub secret_hash: [u8; 32],
}

impl TokenText {
    /// Reads a token. Anything is a token, most are just wrong; white space around it is ignored.
    #[must_use]
    pub fn read(text: &Secret<String>) -> Self {
        let text = text.expose().trim();
        let halves = text.split_once('.').and_then(|(id, secret)| BootstrapId::from_str(id).ok().map(|id| (id, secret)));
        match halves {
            Some((id, secret)) => Self { id: Some(id), secret_hash: sha256(secret.as_bytes()) },
            None => Self { id: None, secret_hash: sha256(text.as_bytes()) },
        }
    }
}

/// Why a configured token is not taken.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum WeakToken {
    /// Could be guessed.
    #[error(
        "the secret of ONSITE_BOOTSTRAP_TOKEN needs at least {SECRET_CHARS_MIN} characters (128 bits): for example the output of `openssl rand -hex 32`"
    )]
    TooShort,
    /// Longer than what is accepted back.
    #[error("ONSITE_BOOTSTRAP_TOKEN has at most {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// Looks random only in length.
    #[error("the secret of ONSITE_BOOTSTRAP_TOKEN is too uniform to be random: for example take the output of `openssl rand -hex 32`")]
    Uniform,
    /// Cannot be typed or pasted back.
    #[error("ONSITE_BOOTSTRAP_TOKEN holds white space or a character that is not printable ASCII")]
    Characters,
}

/// Checks a configured token's strength: length, and that it is not a handful of characters repeated.
///
/// # Errors
/// What is wrong with it.
pub fn check_configured(text: &Secret<String>) -> Result<(), WeakToken> {
    let text = text.expose().trim();
    let secret = match text.split_once('.') {
        Some((id, secret)) if BootstrapId::from_str(id).is_ok() => secret,
        _ => text,
    };
    if text.len() > TOKEN_BYTES_MAX {
        return Err(WeakToken::TooLong);
    }
    if !secret.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(WeakToken::Characters);
    }
    if secret.len() < SECRET_CHARS_MIN {
        return Err(WeakToken::TooShort);
    }
    let mut bytes = secret.as_bytes().to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    // 26 random hexadecimal digits have fewer than 6 different ones about once in ten million times.
    if bytes.len() < 6 { Err(WeakToken::Uniform) } else { Ok(()) }
}

/// A token as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapToken {
    /// The public half.
    pub id: BootstrapId,
    /// SHA-256 of the secret half.
    pub secret_hash: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it can be redeemed.
    pub expires_at: Timestamp,
    /// Wrong tries so far.
    pub wrong_tries: u32,
    /// When it was burnt by too many of them.
    pub burnt_at: Option<Timestamp>,
    /// When it was redeemed.
    pub used_at: Option<Timestamp>,
}

/// What a token is good for at a given moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// Can be redeemed.
    Live {
        /// Wrong tries until it is burnt.
        attempts_left: u32,
    },
    /// Its time is over.
    Expired,
    /// Too many wrong tries.
    Burnt,
    /// Redeemed.
    Used,
}

impl BootstrapToken {
    /// What the token is good for now.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> TokenState {
        if self.used_at.is_some() {
            TokenState::Used
        } else if self.burnt_at.is_some() || self.wrong_tries >= WRONG_TRIES_MAX {
            TokenState::Burnt
        } else if now >= self.expires_at {
            TokenState::Expired
        } else {
            TokenState::Live { attempts_left: WRONG_TRIES_MAX - self.wrong_tries }
        }
    }
}

/// How far an installation is with its first admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootstrapStatus {
    /// There is a system admin: setup is over, for ever.
    Done,
    /// There is none; the newest token, if one was ever made.
    Open(Option<BootstrapToken>),
}

/// What became of presenting a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented<T> {
    /// It is the live one.
    Accepted(T),
    /// It is not; counted.
    Wrong {
        /// Wrong tries until the live one is burnt.
        attempts_left: u32,
    },
    /// Its time is over, or a newer one replaced it.
    Expired,
    /// Too many wrong tries: only `onsite bootstrap reissue` helps.
    Burnt,
    /// There is a system admin already.
    Done,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seams::Seams;

    fn token(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn the_two_halves_are_told_apart() {
        let id = BootstrapId::new(&Seams::system());
        let whole = TokenText::read(&token(&format!("  {id}.secret\n")));
        assert_eq!((whole.id, whole.secret_hash), (Some(id), sha256(b"secret")));
        let alone = TokenText::read(&token("not-an-id.secret"));
        assert_eq!((alone.id, alone.secret_hash), (None, sha256(b"not-an-id.secret")));
    }

    #[test]
    fn weak_configured_tokens_are_refused() {
        assert_eq!(check_configured(&token("changeme")), Err(WeakToken::TooShort));
        assert_eq!(check_configured(&token(&"ab".repeat(20))), Err(WeakToken::Uniform));
        assert_eq!(check_configured(&token(&"ab1 ".repeat(20))), Err(WeakToken::Characters));
        assert_eq!(check_configured(&token(&"abcdefgh".repeat(40))), Err(WeakToken::TooLong));
        assert_eq!(check_configured(&token("4f9d1c0b7a6e5f2d3c8b9a0e1f2d3c4b\n")), Ok(()));
        let short_half = format!("{}.abcdef", BootstrapId::new(&Seams::system()));
        assert_eq!(check_configured(&token(&short_half)), Err(WeakToken::TooShort), "the id is no secret");
    }

    #[test]
    fn a_token_expires_at_its_hour_and_stays_burnt() {
        let made = Timestamp::from_millis(0);
        let mut stored = BootstrapToken {
            id: BootstrapId::new(&Seams::system()),
            secret_hash: [0; 32],
            created_at: made,
            expires_at: made.plus(LIFETIME),
            wrong_tries: 9,
            burnt_at: None,
            used_at: None,
        };
        assert_eq!(stored.state(Timestamp::from_millis(86_399_999)), TokenState::Live { attempts_left: 1 });
        assert_eq!(stored.state(Timestamp::from_millis(86_400_000)), TokenState::Expired);
        stored.burnt_at = Some(made);
        assert_eq!(stored.state(Timestamp::from_millis(86_400_000)), TokenState::Burnt);
    }
}

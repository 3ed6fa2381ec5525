//! Passkeys (WebAuthn Level 3): what a server checks of a credential that is set up (section 7.1) and of one that is shown (section 7.2).
//!
//! Attestation is "none": who made an authenticator does not matter here, its proofs are long, of seven formats and traceable to their owner, and to
//! check them the vendors' certificates would have to be brought into a network that may have no way out. A user verification is always asked for: a
//! passkey proves anew who is there all by itself, so that holding the device must not be enough.

#[cfg(test)]
#[path = "../../../tests/it/authenticator.rs"]
mod authenticator;
mod cbor;
mod ceremony;
mod data;
mod key;

pub use ceremony::{Assertion, Created, Registered, Used, prove, register};
pub use key::{ALGORITHMS, BadKey, PublicKey};

use super::ids::{PasskeyId, UserId};
use crate::base::clock::Timestamp;
use crate::base::web_origin::WebOrigin;

/// Passkeys of one account at most.
pub const PASSKEYS_MAX: u32 = 10;
/// Bytes of a challenge: twice what the standard asks for at least.
pub const CHALLENGE_BYTES: usize = 32;

/// Whom passkeys are made for: a host by its name, and the one origin whose pages may use them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    id: String,
    origin: String,
}

/// The server was asked for by an address, and passkeys belong to names.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("passkeys belong to a name, and this server was asked for by its address")]
pub struct AskedByAddress;

impl RelyingParty {
    /// The relying party of an origin.
    ///
    /// # Errors
    /// When the origin has an address and no name.
    pub fn of(origin: &WebOrigin) -> Result<Self, AskedByAddress> {
        let id = origin.domain().ok_or(AskedByAddress)?;
        Ok(Self { id, origin: origin.as_str().to_owned() })
    }

    /// The host's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// How a browser reaches an authenticator: a hint for the next time, no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport(&'static str);

impl Transport {
    const ALL: [&'static str; 6] = ["usb", "nfc", "ble", "smart-card", "hybrid", "internal"];

    /// The one of this name; names that are not known yet are passed over.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known == text).map(Self)
    }

    /// As browsers write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// What a challenge may be answered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Setting a passkey up.
    Register,
    /// The second step of a sign-in.
    SignIn,
    /// Showing again who one is.
    StepUp,
}

impl Purpose {
    /// The purpose in its column.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::SignIn => "sign_in",
            Self::StepUp => "step_up",
        }
    }
}

/// A passkey as it is kept. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// The passkey.
    pub id: PasskeyId,
    /// Whose.
    pub user: UserId,
    /// The name of the host it works at.
    pub relying_party: String,
    /// The authenticator's name for it.
    pub credential_id: Vec<u8>,
    /// What its signatures are checked with.
    pub key: PublicKey,
    /// Its counter when it was used last; 0 where it does not count.
    pub sign_count: u32,
    /// Whether it may be copied to other devices by its maker.
    pub backup_eligible: bool,
    /// Whether it was when it was used last.
    pub backed_up: bool,
    /// How it is reached.
    pub transports: Vec<Transport>,
    /// Its owner's name for it.
    pub name: String,
    /// Since when it counts.
    pub created_at: Timestamp,
    /// When it last let its owner in or proved who they are.
    pub last_used_at: Option<Timestamp>,
}

/// Why what an authenticator answered was refused.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// A part that cannot be read.
    #[error("its {0} is not what browsers write")]
    Malformed(&'static str),
    /// Made for another ceremony.
    #[error("it answers another kind of question")]
    WrongType,
    /// Not the challenge that waits.
    #[error("it answers another challenge than the one that waits")]
    WrongChallenge,
    /// Made by a page of another origin.
    #[error("it was made for a page of another address than this server's")]
    WrongOrigin,
    /// Made in a frame of another site's page.
    #[error("it was made inside another site's page")]
    Embedded,
    /// Made for another host.
    #[error("it belongs to another host")]
    WrongHost,
    /// Nobody touched the authenticator.
    #[error("nobody was present at the authenticator")]
    NotPresent,
    /// The authenticator did not look who is there.
    #[error("the authenticator did not check who is there, by a PIN, a finger or a face")]
    NotVerified,
    /// It says that it is copied and cannot be, or says otherwise than before.
    #[error("what it says of its copies contradicts itself or what it said before")]
    Copies,
    /// Of an algorithm that was not offered.
    #[error("it uses an algorithm that was not offered")]
    Algorithm,
    /// No key, or one that cannot hold.
    #[error("its public key is not one of its algorithm in its one form")]
    Key,
    /// A statement about its maker that was not asked for, or one that does not hold.
    #[error("it brings a statement about its maker that was not asked for or does not hold")]
    Attestation,
    /// Another credential than the one that was asked for.
    #[error("it is another passkey than the one that was asked for")]
    OtherCredential,
    /// Made for another account.
    #[error("it belongs to another account")]
    OtherAccount,
    /// The signature does not hold.
    #[error("its signature does not hold")]
    Signature,
    /// Its counter did not go on: somebody may have a copy.
    #[error("its counter did not go on, so that somebody may have a copy of it")]
    CountWentBack,
}

impl Refusal {
    /// The reason for programs and in the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::WrongType => "wrong_type",
            Self::WrongChallenge => "wrong_challenge",
            Self::WrongOrigin => "wrong_origin",
            Self::Embedded => "embedded",
            Self::WrongHost => "wrong_host",
            Self::NotPresent => "not_present",
            Self::NotVerified => "not_verified",
            Self::Copies => "copies",
            Self::Algorithm => "algorithm",
            Self::Key => "key",
            Self::Attestation => "attestation",
            Self::OtherCredential => "other_credential",
            Self::OtherAccount => "other_account",
            Self::Signature => "signature",
            Self::CountWentBack => "count_went_back",
        }
    }
}

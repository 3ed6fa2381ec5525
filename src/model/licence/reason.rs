//! Why a code counts, or does not: the exact codes, each with its words.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal, $remedy:literal;)*) => {
        /// What the check of a code came to. The codes are stable; people and programs rely on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ReasonCode { $($(#[$doc])* $name,)* }

        impl ReasonCode {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable code.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What is the case, and why.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What to do about it; empty for `ok`.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

reasons! {
    /// The code counts.
    Ok = "ok", "The activation code is valid.", "";
    /// Past its end, within its days of grace.
    ExpiredInGrace = "expired_in_grace", "The activation code has ended; its plan stays for the days of grace.",
        "Ask the vendor for a renewal and enter it before the grace ends.";
    /// Past its end and its grace.
    Expired = "expired", "The activation code and its days of grace have ended; the free tier applies. Signing in, reading, export and backup still work.",
        "Ask the vendor for a renewal and enter it.";
    /// Begins later.
    NotYetValid = "not_yet_valid", "The activation code begins at a later date.",
        "Enter it again once it has begun; if it should have begun, check the server's clock.";
    /// The signature does not fit the statement.
    BadSignature = "bad_signature", "The signature does not fit what the code says: it was altered, or was not signed by the vendor.",
        "Use the code exactly as the vendor sent it; if it still fails, ask the vendor to issue it again.";
    /// Signed by a key this build does not know.
    UnknownKey = "unknown_key", "The code is signed with a key that this build of Onsite does not know.",
        "Upgrade Onsite if the vendor has changed keys; a development code needs the development build with its public key.";
    /// Issued while the key was not in use.
    KeyRetired = "key_retired", "The code was issued at a time when its key was not in use: before it was introduced or after it was retired.",
        "Ask the vendor to issue the code again with the current key.";
    /// Not a code, or damaged.
    Malformed = "malformed", "This is not a complete activation code.",
        "Copy the whole code again, from ONSITE1- to its last group, or upload the .onsite file.";
    /// Of a format or with a plan that this build does not know.
    UnsupportedVersion = "unsupported_version", "The code is of a newer kind than this build of Onsite understands.",
        "Upgrade Onsite, or ask the vendor for a code for this version.";
    /// For another product.
    WrongAudience = "wrong_audience", "The code is for another product.",
        "Ask the vendor for a code for Onsite.";
    /// Bound to another installation.
    WrongInstallation = "wrong_installation", "The code is bound to another installation.",
        "Enter it on the installation it was issued for, or send the vendor this installation's id for a new code.";
    /// A newer code of the same customer stands.
    Superseded = "superseded", "A newer code of the same customer has replaced this one.",
        "Use the newest code; if the newer one was entered by mistake, ask the vendor to issue a new code.";
    /// Named by the vendor's revocation list.
    Revoked = "revoked", "The vendor has revoked this code.",
        "Ask the vendor for a new code.";
    /// The clock is behind what is known to have passed.
    ClockSuspect = "clock_suspect", "The server's clock is more than a day behind a moment that is known to have passed. Nothing is locked; dates count from that moment.",
        "Correct the server's clock.";
    /// More active users than seats.
    SeatLimitReached = "seat_limit_reached", "There are more active users than seats. Everyone can still sign in; nobody can be added.",
        "Disable users who have left, or ask the vendor for more seats.";
    /// A development code on a release build.
    WrongEnvironment = "wrong_environment", "This is a development code, and this is a release build.",
        "Ask the vendor for a production code.";
}

impl ReasonCode {
    /// Whether the code's plan applies.
    #[must_use]
    pub const fn is_effective(self) -> bool {
        matches!(self, Self::Ok | Self::ExpiredInGrace | Self::ClockSuspect | Self::SeatLimitReached)
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())?;
        if !self.remedy().is_empty() {
            write!(f, " {}", self.remedy())?;
        }
        Ok(())
    }
}

/// A text or bytes that are not a code of this version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedCode {
    /// Nothing was given.
    #[error("nothing was entered")]
    Empty,
    /// Longer than any code.
    #[error("it is longer than anything of its kind")]
    TooLong,
    /// Does not look like one.
    #[error("{what} begins with {head}1-")]
    NotThis {
        /// What was expected, in words.
        what: &'static str,
        /// What it begins with, without its format.
        head: &'static str,
    },
    /// Armour without its end or with text around the code.
    #[error("the file's first or last line is missing")]
    BrokenArmour,
    /// Of another format.
    #[error("it has format {0}, and this build of Onsite understands format 1")]
    Version(String),
    /// Typing errors, caught by the check symbols: groups counted from 1 after `ONSITE1-`, each as entered.
    #[error("{}", groups_text(.0))]
    WrongGroups(Vec<(usize, String)>),
    /// The end is missing.
    #[error("it is incomplete: {missing} of {expected} bytes are missing at its end")]
    Incomplete {
        /// Bytes that are missing.
        missing: usize,
        /// Bytes it should have.
        expected: usize,
    },
    /// There is more than one code.
    #[error("something follows after its end")]
    TrailingBytes,
    /// A claim this version does not know and may not ignore.
    #[error("it holds a claim ({0}) that this build of Onsite must understand and does not")]
    UnknownClaim(u8),
    /// A claim is missing.
    #[error("it does not say its {0}")]
    Missing(&'static str),
    /// A claim does not hold what it should.
    #[error("its {0} cannot be read")]
    BadClaim(&'static str),
    /// Not the one form that these claims have.
    #[error("it is not in its one proper form")]
    NotCanonical,
}

impl MalformedCode {
    /// The reason it maps to.
    #[must_use]
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::Version(_) | Self::UnknownClaim(_) => ReasonCode::UnsupportedVersion,
            _ => ReasonCode::Malformed,
        }
    }
}

fn groups_text(groups: &[(usize, String)]) -> String {
    let named: Vec<String> = groups.iter().take(5).map(|(number, text)| format!("{number} ({text})")).collect();
    let noun = if groups.len() == 1 { "group" } else { "groups" };
    let more = if groups.len() > named.len() { " and more" } else { "" };
    format!("there is a typing error in {noun} {}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_documented() {
        let manual = include_str!("../../../docs/LICENSING.md");
        for reason in ReasonCode::ALL {
            assert!(manual.contains(&format!("| `{}` |", reason.as_str())), "{}", reason.as_str());
        }
    }

    #[test]
    fn every_reason_has_its_code_its_words_and_a_remedy() {
        assert_eq!(ReasonCode::ALL.len(), 16);
        for &reason in ReasonCode::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
            assert!(reason.text().ends_with('.'));
            assert_eq!(reason.remedy().is_empty(), reason == ReasonCode::Ok);
        }
    }
}

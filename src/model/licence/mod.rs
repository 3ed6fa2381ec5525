//! Activation codes: what they claim, how they are written down, and the words for what is wrong with one.
//!
//! One statement, one encoding: [`encoding`] has exactly one byte form per set of claims, and [`text`] carries those bytes as a
//! pasted line, an armoured file or a picture. [`revocation`] is the list of codes that the vendor took back, [`request`] what an
//! installation asks for. Checking a signature needs a key ring and is done in `services::licensing`.

pub mod encoding;
pub mod notice;
pub mod reason;
pub mod request;
pub mod revocation;
pub mod text;
mod tlv;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ids::LicenceId;
use crate::base::clock::Timestamp;

pub use encoding::SignedCode;
pub use notice::{Notice, RecordedNotice};
pub use reason::{MalformedCode, ReasonCode};
pub use request::LicenceRequest;
pub use revocation::{RevocationList, SignedList};

/// Whom every code is for.
pub const AUDIENCE: &str = "onsite";
/// Days of grace after expiry when the order does not say.
pub const GRACE_DAYS_DEFAULT: u32 = 14;
/// Days before expiry at which the appliance speaks up.
pub const NOTICE_DAYS: [u32; 5] = [60, 30, 14, 7, 1];

/// What a code states. Moments are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// Which vendor key signed: the fingerprint of the public key.
    pub kid: String,
    /// Names this code.
    pub jti: LicenceId,
    /// Counts a customer's codes: a lower one cannot replace a higher one.
    pub seq: u64,
    /// Codes that end with this one, in ascending order.
    pub supersedes: Vec<LicenceId>,
    /// Who issued it.
    pub issuer: String,
    /// Whom it is for: [`AUDIENCE`].
    pub audience: String,
    /// The customer: `seq` counts per customer.
    pub customer: String,
    /// The company as it is shown.
    pub company: String,
    /// Key of the plan.
    pub plan: String,
    /// Limits that differ from the plan's, by feature key; `None` = unlimited.
    pub features: BTreeMap<String, Option<u64>>,
    /// Active users allowed.
    pub seats: u32,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it begins.
    pub not_before: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Days after its end during which the plan stays.
    pub grace_days: u32,
    /// The one installation it is for; `None` = any.
    pub install_id: Option<String>,
    /// Which builds take it.
    pub environment: Environment,
    /// Claims that a later version added and marked as safe to ignore, by tag: kept so that the bytes stay the same.
    #[serde(skip)]
    pub extensions: BTreeMap<u8, Vec<u8>>,
}

impl Claims {
    /// When the plan ends for good.
    #[must_use]
    pub fn grace_until(&self) -> Timestamp {
        self.expires_at.plus(std::time::Duration::from_secs(u64::from(self.grace_days) * 86_400))
    }
}

/// Which builds take a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Sold: every build that knows the key.
    Production,
    /// Made by a developer or a demo: refused by release builds.
    Development,
}

impl Environment {
    /// As shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Development => "development",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Environment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "production" => Ok(Self::Production),
            "development" => Ok(Self::Development),
            other => Err(format!("`{other}` is neither production nor development")),
        }
    }
}

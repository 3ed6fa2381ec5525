//! Orders for activation codes on the issuer, and what became of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ids::{IssueRequestId, LicenceId};
use super::licence::{Environment, SignedCode};
use crate::base::clock::Timestamp;

/// The reason code of an issuer that cannot sign.
pub const SIGNING_NOT_CONFIGURED: &str = "onprem_license_signing_not_configured";

/// What a customer ordered, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueOrder {
    /// The customer's key: codes are counted per customer.
    pub customer: String,
    /// The company as it is shown.
    pub company: String,
    /// Key of the plan.
    pub plan: String,
    /// Limits that differ from the plan's; `None` = unlimited.
    pub features: BTreeMap<String, Option<u64>>,
    /// Active users; the plan's number when not given.
    pub seats: Option<u32>,
    /// When it begins; at signing when not given.
    pub not_before: Option<Timestamp>,
    /// Days it lasts.
    pub days: u32,
    /// Days of grace.
    pub grace_days: u32,
    /// The one installation it is for.
    pub install_id: Option<String>,
    /// Codes that end with this one.
    pub supersedes: Vec<LicenceId>,
    /// Which builds take it.
    pub environment: Environment,
}

/// How far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssueState {
    /// Kept until there is a key to sign with.
    PendingSigningKey,
    /// Signed.
    Signed,
    /// Taken back before it was signed.
    Withdrawn,
}

/// A word that names no state.
#[derive(Debug, thiserror::Error)]
#[error("not the state of an issue request")]
pub struct UnknownIssueState;

impl IssueState {
    /// The state in columns and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PendingSigningKey => "pending_signing_key",
            Self::Signed => "signed",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl fmt::Display for IssueState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for IssueState {
    type Err = UnknownIssueState;

    fn from_str(text: &str) -> Result<Self, UnknownIssueState> {
        [Self::PendingSigningKey, Self::Signed, Self::Withdrawn].into_iter().find(|state| state.as_str() == text).ok_or(UnknownIssueState)
    }
}

/// An order with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueRequest {
    /// Its id.
    pub id: IssueRequestId,
    /// How far it is.
    pub state: IssueState,
    /// What was ordered.
    pub order: IssueOrder,
    /// When it came.
    pub created_at: Timestamp,
    /// Who brought it.
    pub created_by: String,
    /// When it was signed.
    pub signed_at: Option<Timestamp>,
    /// The code.
    pub code: Option<SignedCode>,
}

//! What was not taken, and why.

use crate::model::licence::{MalformedCode, ReasonCode, SignedCode, SignedList};
use crate::store::StoreError;

/// A code or a list that was not taken, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CodeRefusal {
    /// The reason: the error's code over HTTP.
    pub reason: ReasonCode,
    /// What is the case, with the particulars of this one.
    pub message: String,
    remedy: &'static str,
}

impl CodeRefusal {
    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        self.remedy
    }

    pub(super) fn of(reason: ReasonCode) -> Self {
        Self { reason, message: reason.text().to_owned(), remedy: reason.remedy() }
    }

    pub(super) fn judged(reason: ReasonCode, code: &SignedCode) -> Self {
        let claims = code.claims();
        let particulars = match reason {
            ReasonCode::Expired => format!(" It ended at {}, its grace at {}.", claims.expires_at, claims.grace_until()),
            ReasonCode::NotYetValid => format!(" It begins at {}.", claims.not_before),
            ReasonCode::UnknownKey => format!(" Its key is {}.", claims.kid),
            ReasonCode::KeyRetired => format!(" Its key is {}, and it was issued at {}.", claims.kid, claims.issued_at),
            ReasonCode::UnsupportedVersion => format!(" Its plan is `{}`.", claims.plan),
            ReasonCode::WrongAudience => format!(" It is for `{}`.", claims.audience),
            ReasonCode::WrongInstallation => format!(" It is for {}.", claims.install_id.as_deref().unwrap_or("another")),
            _ => String::new(),
        };
        Self { message: format!("{}{particulars}", reason.text()), ..Self::of(reason) }
    }

    /// A list whose signature does not count.
    pub(super) fn of_list(reason: ReasonCode, signed: &SignedList) -> Self {
        let list = signed.list();
        let (message, remedy) = match reason {
            ReasonCode::UnknownKey => (
                format!("The revocation list is signed with the key {}, which this build of Onsite does not know.", list.kid),
                "Upgrade Onsite if the vendor has changed keys; the list that is here goes on counting.",
            ),
            ReasonCode::KeyRetired => (
                format!("The revocation list was issued at {}, when its key {} was not in use.", list.issued_at, list.kid),
                "Ask the vendor for a list that is signed with the current key.",
            ),
            ReasonCode::WrongAudience => {
                (format!("The revocation list is for another product (`{}`).", list.audience), "Ask the vendor for the list for Onsite.")
            }
            _ => (
                "The signature does not fit the revocation list: it was altered, or was not signed by the vendor.".to_owned(),
                "Use the list exactly as the vendor sent it; if it still fails, ask the vendor to send it again.",
            ),
        };
        Self { reason, message, remedy }
    }

    /// A text that sets out to be a list.
    pub(super) fn malformed_list(error: &MalformedCode) -> Self {
        Self {
            reason: error.reason(),
            message: format!("This is not a complete revocation list: {error}."),
            remedy: "Copy the whole list again, from ONSITEREV1- to its last group, or upload its file.",
        }
    }

    /// A list that is older than the one that counts.
    pub(super) fn older_list(number: u64, held: u64) -> Self {
        Self {
            reason: ReasonCode::Superseded,
            message: format!("The revocation list has number {number}, and number {held} is here already: an older list cannot replace a newer one."),
            remedy: "Nothing needs to be done: the newer list holds everything that the vendor has revoked.",
        }
    }

    /// A request, which is for the vendor.
    pub(super) fn is_a_request() -> Self {
        Self {
            reason: ReasonCode::Malformed,
            message: "This is a licence request, not an activation code: it is what this appliance sends to the vendor.".to_owned(),
            remedy: "Send it to the vendor, and enter the activation code that comes back.",
        }
    }
}

impl From<MalformedCode> for CodeRefusal {
    fn from(error: MalformedCode) -> Self {
        let reason = error.reason();
        Self { message: format!("{} More exactly: {error}.", reason.text()), ..Self::of(reason) }
    }
}

/// Why nothing was entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// It does not count: 422 with the reason as code.
    #[error(transparent)]
    Refused(#[from] CodeRefusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

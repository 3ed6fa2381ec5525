//! Typed identifiers. The prefix says what an id names, so that one kind cannot pass for another, in code or in a log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::ids;
use crate::base::seams::Seams;

/// An id that is not of the expected form.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a {kind} id: expected {prefix} and 26 characters")]
pub struct InvalidId {
    kind: &'static str,
    prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id.
            #[must_use]
            pub fn new(seams: &Seams) -> Self {
                Self(format!("{}{}", $prefix, ids::generate(seams)))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                match text.strip_prefix($prefix) {
                    Some(body) if ids::is_body(body) => Ok(Self(text.to_owned())),
                    _ => Err(InvalidId { kind: stringify!($name), prefix: $prefix }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A person.
    UserId = "usr_";
    /// A company: the tenant.
    CompanyId = "cmp_";
    /// A scheduled question with a source.
    WidgetId = "wgt_";
    /// One run of a widget.
    RunId = "run_";
    /// What a run found.
    ReportId = "rpt_";
    /// A company document.
    DocumentId = "doc_";
    /// A conversation.
    ConversationId = "cnv_";
    /// A message of a conversation.
    MessageId = "msg_";
    /// The making of one answer.
    ChatRunId = "crn_";
    /// A signed-in session.
    SessionId = "ses_";
    /// An invitation into a company.
    InvitationId = "inv_";
    /// A link that replaces a forgotten password.
    PasswordResetId = "pwr_";
    /// A sign-in that waits for its second factor.
    PendingSignInId = "psi_";
    /// A passkey.
    PasskeyId = "psk_";
    /// A link that verifies a mail address.
    EmailVerificationId = "emv_";
    /// A group that gives a role in a company.
    GroupRoleId = "grp_";
    /// An outgoing mail.
    MailId = "mai_";
    /// A bootstrap token's public half.
    BootstrapId = "bst_";
    /// An allowed destination.
    EgressRuleId = "egr_";
    /// A reservation of tokens.
    ReservationId = "rsv_";
    /// An API key.
    ApiKeyId = "key_";
    /// An activation code.
    LicenceId = "lic_";
    /// An order for an activation code, on the issuer.
    IssueRequestId = "irq_";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_round_trips_and_refuses_another_kind() {
        let seams = Seams::system();
        let user = UserId::new(&seams);
        assert_eq!(user.as_str().parse::<UserId>().unwrap(), user);
        assert!(user.as_str().parse::<CompanyId>().is_err());
        assert!("usr_".parse::<UserId>().is_err());
        assert!(serde_json::from_str::<UserId>("\"usr_'; DROP\"").is_err());
    }
}

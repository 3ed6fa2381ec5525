//! Mail on its way out: what it is for, how it stands, and how often it is tried.

use std::str::FromStr;
use std::time::Duration;

use super::ids::MailId;
use super::user::Email;
use crate::base::clock::Timestamp;

/// Tries after which a mail is given up.
pub const ATTEMPTS_MAX: u32 = 10;
/// The wait after the first failure; each next one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// What a mail is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// An invitation into a company.
    Invitation,
    /// A link that replaces a password.
    PasswordReset,
    /// A link that verifies a mail address.
    VerifyEmail,
    /// A code that is asked for at sign-in.
    SignInCode,
    /// A system admin tries whether mail arrives.
    Test,
}

/// How a mail stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailState {
    /// It will be tried, for the first time or again.
    Waiting,
    /// The mail server took it.
    Sent,
    /// It was given up.
    Failed,
}

/// A word that this version does not write.
#[derive(Debug, thiserror::Error)]
#[error("not a kind or a state of mail")]
pub struct UnknownMailWord;

impl MailKind {
    const ALL: [Self; 5] = [Self::Invitation, Self::PasswordReset, Self::VerifyEmail, Self::SignInCode, Self::Test];

    /// The kind in columns and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::PasswordReset => "password_reset",
            Self::VerifyEmail => "verify_email",
            Self::SignInCode => "sign_in_code",
            Self::Test => "test",
        }
    }
}

impl FromStr for MailKind {
    type Err = UnknownMailWord;

    fn from_str(text: &str) -> Result<Self, UnknownMailWord> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownMailWord)
    }
}

impl MailState {
    /// The state in columns and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for MailState {
    type Err = UnknownMailWord;

    fn from_str(text: &str) -> Result<Self, UnknownMailWord> {
        [Self::Waiting, Self::Sent, Self::Failed].into_iter().find(|state| state.as_str() == text).ok_or(UnknownMailWord)
    }
}

/// A mail that waits, as the sender takes it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingMail {
    /// The mail.
    pub id: MailId,
    /// What it is for.
    pub kind: MailKind,
    /// To whom.
    pub recipient: Email,
    /// Its subject.
    pub subject: String,
    /// Its text, sealed.
    pub body: Vec<u8>,
    /// Tries so far.
    pub attempts: u32,
    /// When it was written.
    pub created_at: Timestamp,
    /// Until when it makes sense.
    pub useful_until: Timestamp,
}

impl WaitingMail {
    /// When it is tried again after one more failure at `now`; `None` = it is given up.
    #[must_use]
    pub fn next_try(&self, now: Timestamp) -> Option<Timestamp> {
        let wait = FIRST_WAIT.saturating_mul(1 << self.attempts.min(16)).min(LONGEST_WAIT);
        let next = now.plus(wait);
        (self.attempts + 1 < ATTEMPTS_MAX && next < self.useful_until).then_some(next)
    }
}

/// A mail as a system admin sees it: without its text, which may hold a one-time link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailRecord {
    /// The mail.
    pub id: MailId,
    /// What it is for.
    pub kind: MailKind,
    /// To whom.
    pub recipient: Email,
    /// How it stands.
    pub state: MailState,
    /// Tries so far.
    pub attempts: u32,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it is tried next, while it waits.
    pub next_at: Option<Timestamp>,
    /// When it was sent or given up.
    pub ended_at: Option<Timestamp>,
    /// Why the last try failed.
    pub last_error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seams::Seams;

    #[test]
    fn waits_double_and_end() {
        let at = Timestamp::from_millis(0);
        let mut mail = WaitingMail {
            id: MailId::new(&Seams::system()),
            kind: MailKind::Invitation,
            recipient: "ada@example.org".parse().unwrap(),
            subject: "S".into(),
            body: Vec::new(),
            attempts: 0,
            created_at: at,
            useful_until: at.plus(Duration::from_secs(7 * 86_400)),
        };
        let mut waits = Vec::new();
        while let Some(next) = mail.next_try(at) {
            waits.push(next.since(at).as_secs());
            mail.attempts += 1;
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        let short = WaitingMail { attempts: 0, useful_until: at.plus(Duration::from_secs(20)), ..mail };
        assert_eq!(short.next_try(at), None, "what would come too late is not sent");
    }
}

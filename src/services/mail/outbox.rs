//! Writes mails: what they say, sealed, as rows for the store to keep with what caused them.

use std::sync::Arc;
use std::time::Duration;

use super::texts::{self, Words};
use super::{MailSettings, Sender};
use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::base::secret::Secret;
use crate::base::signal::Nudge;
use crate::base::vault::{Place, Vault, VaultError};
use crate::model::ids::MailId;
use crate::model::mail::MailKind;
use crate::model::role::Role;
use crate::model::user::Email;
use crate::store::mail::NewMail;

/// How long a test of mail is worth sending.
const TEST_USEFUL: Duration = Duration::from_secs(60 * 60);

/// Where a mail's text is sealed for.
pub(super) const fn place(row: &str) -> Place<'_> {
    Place { table: "outgoing_mail", column: "body", row }
}

/// Writes mails. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbox {
    seams: Seams,
    vault: Vault,
    settings: Arc<MailSettings>,
    nudge: Nudge,
}

/// An invitation, as its mail tells it.
#[derive(Clone, Copy, Debug)]
pub struct InvitationLetter<'a> {
    /// Whom.
    pub to: &'a Email,
    /// Into which company.
    pub company: &'a str,
    /// By whom.
    pub by: &'a str,
    /// As what.
    pub role: Role,
    /// What the link carries.
    pub token: &'a Secret<String>,
    /// Until when it works.
    pub expires_at: Timestamp,
}

impl Outbox {
    /// Writes with these settings.
    #[must_use]
    pub fn new(seams: Seams, vault: Vault, settings: MailSettings) -> Self {
        Self { seams, vault, settings: Arc::new(settings), nudge: Nudge::default() }
    }

    /// Whether mail leaves for its reader, and not into a folder.
    #[must_use]
    pub fn reaches_people(&self) -> bool {
        !matches!(self.settings.sender, Sender::Spool(_))
    }

    /// Whether a mail with a link both can be written and reaches its reader.
    #[must_use]
    pub fn sends_links(&self) -> bool {
        self.reaches_people() && self.settings.base_url.is_some()
    }

    /// How mail is written and sent.
    #[must_use]
    pub fn settings(&self) -> &MailSettings {
        &self.settings
    }

    /// Wakes the sender; also what it is started with.
    #[must_use]
    pub fn nudge(&self) -> Nudge {
        self.nudge.clone()
    }

    /// To be called once rows were kept: they are sent at once.
    pub fn posted(&self) {
        self.nudge.nudge();
    }

    /// The mail of an invitation; `None` = links have no address to begin with.
    ///
    /// # Errors
    /// When the text could not be sealed.
    pub fn invitation(&self, letter: InvitationLetter<'_>) -> Result<Option<NewMail>, VaultError> {
        let Some(link) = self.link("invitation", letter.token) else { return Ok(None) };
        let words = texts::invitation(letter.company, letter.by, letter.role, &link, letter.expires_at);
        self.write(MailKind::Invitation, letter.to, words, letter.expires_at).map(Some)
    }

    /// The mail of a link that replaces a password; `None` = links have no address to begin with.
    ///
    /// # Errors
    /// When the text could not be sealed.
    pub fn password_reset(&self, to: &Email, token: &Secret<String>, expires_at: Timestamp) -> Result<Option<NewMail>, VaultError> {
        let Some(link) = self.link("password-reset", token) else { return Ok(None) };
        self.write(MailKind::PasswordReset, to, texts::password_reset(&link, expires_at), expires_at).map(Some)
    }

    /// The mail of a link that verifies an address; `None` = links have no address to begin with.
    ///
    /// # Errors
    /// When the text could not be sealed.
    pub fn verify_email(&self, to: &Email, token: &Secret<String>, expires_at: Timestamp) -> Result<Option<NewMail>, VaultError> {
        let Some(link) = self.link("verify-email", token) else { return Ok(None) };
        self.write(MailKind::VerifyEmail, to, texts::verify_email(&link, expires_at), expires_at).map(Some)
    }

    /// The mail of a code that is asked for at sign-in.
    ///
    /// # Errors
    /// When the text could not be sealed.
    pub fn sign_in_code(&self, to: &Email, code: &Secret<String>, expires_at: Timestamp) -> Result<NewMail, VaultError> {
        self.write(MailKind::SignInCode, to, texts::sign_in_code(code.expose(), expires_at), expires_at)
    }

    /// A mail by which a system admin tries whether mail arrives.
    ///
    /// # Errors
    /// When the text could not be sealed.
    pub fn test(&self, to: &Email) -> Result<NewMail, VaultError> {
        let host = self.settings.base_url.as_ref().and_then(|url| url.host_str()).unwrap_or("your server");
        self.write(MailKind::Test, to, texts::test(host), self.seams.now().plus(TEST_USEFUL))
    }

    /// A link whose token stands behind the #, so that it reaches no server's log.
    fn link(&self, page: &str, token: &Secret<String>) -> Option<String> {
        let base = self.settings.base_url.as_ref()?;
        Some(format!("{}/{page}#{}", base.as_str().trim_end_matches('/'), token.expose()))
    }

    fn write(&self, kind: MailKind, to: &Email, words: Words, useful_until: Timestamp) -> Result<NewMail, VaultError> {
        let id = MailId::new(&self.seams);
        let body = self.vault.seal(place(id.as_str()), words.text.as_bytes())?;
        Ok(NewMail { id, kind, recipient: to.clone(), subject: words.subject, body, at: self.seams.now(), useful_until })
    }
}

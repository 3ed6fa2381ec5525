//! Mail addresses: verified by a link, and the way in for whoever forgot their password.

use std::time::Duration;

use super::limits::{Beyond, CountedBy, Key, Rule, TooManyTries};
use super::{Auth, LoginError};
use crate::base::secret::{Secret, new_token, sha256};
use crate::model::audit::Actor;
use crate::model::ids::EmailVerificationId;
use crate::model::mail::MailKind;
use crate::model::session::Origin;
use crate::model::user::{Email, User};
use crate::store::StoreError;
use crate::store::addresses::NewVerification;

/// How often one address may ask for a link that replaces a password.
pub(super) const RULES: &[Rule] = &[Rule { by: CountedBy::Address, failures: 10, forgiven_every: Duration::from_secs(60), beyond: Beyond::Wait }];
/// How long a link that verifies an address works.
const LINK_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// A new one is mailed only when the last is older than this.
const LINK_AGAIN_AFTER: Duration = Duration::from_secs(5 * 60);
/// Links for a forgotten password mailed to one account within an hour.
const RESETS_MAX: u32 = 3;
const RESETS_WITHIN: Duration = Duration::from_secs(60 * 60);

impl Auth {
    /// Whether an account must have a verified address before it is used.
    #[must_use]
    pub const fn verifies_addresses(&self) -> bool {
        self.settings.verify_addresses
    }

    /// Whether a new account signs in by more than the password that it was made with.
    #[must_use]
    pub const fn asks_new_accounts(&self) -> bool {
        self.settings.verify_addresses || self.settings.mail_codes
    }

    /// Mails a link that verifies the account's address, unless one was mailed within the last five minutes.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn mail_verification(&self, user: &User) -> Result<(), LoginError> {
        let (token, at) = (new_token(&self.seams), self.seams.now());
        let expires_at = at.plus(LINK_LIFETIME);
        let Some(mail) = self.outbox.verify_email(&user.email, &token, expires_at)? else { return Ok(()) };
        let token_hash = sha256(token.expose().as_bytes());
        let new = NewVerification { id: EmailVerificationId::new(&self.seams), user: user.id.clone(), token_hash, at, expires_at, mail };
        self.store.send_verification(new, at.minus(LINK_AGAIN_AFTER)).await?;
        self.outbox.posted();
        Ok(())
    }

    /// Verifies the address that a link's token is for. `None`: the link does not work (any more).
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn verify_email(&self, token: &Secret<String>, origin: Origin) -> Result<Option<User>, StoreError> {
        self.store.verify_address(sha256(token.expose().trim().as_bytes()), self.seams.now(), origin).await
    }

    /// Whether a forgotten password can be replaced by a mailed link.
    #[must_use]
    pub fn mails_links(&self) -> bool {
        self.outbox.sends_links()
    }

    /// Mails a link that replaces a password, if the address has an account that may come in. Nobody is told whether it has: the work goes on
    /// after the answer.
    ///
    /// # Errors
    /// When too many were asked for from the same address.
    pub fn mail_forgotten(&self, email: &str, origin: Origin) -> Result<(), TooManyTries> {
        // Counted whether right or wrong: there is no right one.
        let _counted = self.mail_limits.admit(&[Key::Address(origin.address)])?;
        let Ok(email) = email.parse::<Email>() else { return Ok(()) };
        if !self.outbox.sends_links() {
            return Ok(());
        }
        let auth = self.clone();
        self.tasks.spawn("forgotten password", async move {
            if let Err(error) = auth.issue_forgotten(email, &origin).await {
                tracing::error!(%error, "a link for a forgotten password was not mailed");
            }
        });
        Ok(())
    }

    async fn issue_forgotten(&self, email: Email, origin: &Origin) -> Result<(), super::accounts::PasswordError> {
        let Some((user, _)) = self.store.user_by_email(email.clone()).await? else { return Ok(()) };
        let since = self.seams.now().minus(RESETS_WITHIN);
        // Who comes by another service is kept out by it: a password of their own would go around that.
        if user.disabled_at.is_some()
            || self.store.comes_from_elsewhere(user.id.clone()).await?
            || self.store.mail_count(email, MailKind::PasswordReset, since).await? >= RESETS_MAX
        {
            return Ok(());
        }
        self.issue_password_reset(Actor::User(None), &user.id, origin).await?;
        Ok(())
    }
}

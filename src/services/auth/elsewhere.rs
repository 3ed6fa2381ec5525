//! Signing in somebody whom another service has just asked for their password.

use super::second_step::Login;
use super::{Auth, LoginError};
use crate::base::secret::new_token;
use crate::model::audit::{Actor, Entry};
use crate::model::ids::UserId;
use crate::model::session::{Origin, SignedIn};
use crate::model::sso::SsoSource;
use crate::model::user::{DisplayName, Email, User};
use crate::services::auth::password::HashError;
use crate::store::users::NewUser;

/// Who vouches for somebody, and for how much.
#[derive(Clone, Copy, Debug)]
pub struct Vouched {
    /// Which kind of service.
    pub by: SsoSource,
    /// Whether it asked for a second factor, so that none is asked for here.
    pub second_factor: bool,
}

impl Auth {
    /// What comes after another service knew somebody: the same as after a right password, but for what it vouches for.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn after_elsewhere(&self, user: User, vouched: Vouched, origin: Origin) -> Result<Login, LoginError> {
        if self.settings.verify_addresses && !self.store.is_address_verified(user.id.clone()).await? {
            self.mail_verification(&user).await?;
            return Err(LoginError::EmailNotVerified);
        }
        let methods = if vouched.second_factor { Vec::new() } else { self.methods(&self.store.factors(user.id.clone()).await?) };
        if !methods.is_empty() {
            return self.begin_second_step(&user, methods).await.map(Login::SecondStep);
        }
        let (mut session, token) = self.new_session(origin);
        session.factor_elsewhere = vouched.second_factor;
        let entry = Entry::new(session.at, Actor::User(Some(user.id.clone())), "auth.login", session.id.as_str()).from(session.origin.address);
        let entry = entry.detail(serde_json::json!({"by": vouched.by.as_str()}));
        let (session_id, expires_at) = (session.id.clone(), session.expires_at);
        self.store.open_session(user.id.clone(), session, entry).await?;
        Ok(Login::In(SignedIn { user, session_id, token, expires_at }))
    }

    /// An account for somebody who comes by another service, not yet kept. Its password is one that nobody knows.
    ///
    /// # Errors
    /// When as many passwords are being hashed as may be.
    pub async fn new_user_without_password(&self, email: Email, name: &DisplayName) -> Result<NewUser, HashError> {
        let password_hash = self.hasher.hash_again(&new_token(&self.seams)).await?;
        let (id, at) = (UserId::new(&self.seams), self.seams.now());
        Ok(NewUser { id, email, name: name.as_str().to_owned(), password_hash, system_admin: false, at })
    }
}

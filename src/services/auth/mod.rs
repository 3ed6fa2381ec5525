//! Who may come in: the bootstrap token, passwords, sessions, and limits on guessing.

pub mod accounts;
pub mod addresses;
pub mod bootstrap;
mod elsewhere;
pub mod factors;
mod hash_memory;
pub mod limits;
pub mod passkeys;
pub mod password;
pub mod second_step;
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::base::seams::Seams;
use crate::base::secret::{Secret, sha256};
use crate::base::tasks::Tasks;
use crate::base::vault::{Vault, VaultError};
use crate::model::audit::{Actor, Entry};
use crate::model::ids::{SessionId, UserId};
use crate::model::password::{NewPassword, PasswordRefusal};
use crate::model::session::{Origin, SignedIn};
use crate::model::sso::SsoSource;
use crate::model::user::{Caller, DisplayName, Email, InvalidEmail, InvalidName, User};
use crate::services::mail::Outbox;
use crate::store::refused_sign_ins::RefusedSignIn;
use crate::store::users::NewUser;
use crate::store::{Store, StoreError};

pub use elsewhere::Vouched;
use limits::{Beyond, CountedBy, Key, Limits, Rule, TooManyTries, Try, network};
use password::{HashCost, HashError, Hasher};
use second_step::Login;

/// Wrong passwords borne. Guessing is held back where it comes from; what strangers do to an account only slows others who come
/// from where its owner never was.
const LOGIN_RULES: &[Rule] = &[
    Rule { by: CountedBy::AccountAtAddress, failures: 10, forgiven_every: Duration::from_secs(30), beyond: Beyond::Wait },
    // Wide: many people may share an address.
    Rule { by: CountedBy::Address, failures: 100, forgiven_every: Duration::from_secs(3), beyond: Beyond::Wait },
    Rule {
        by: CountedBy::Account,
        failures: 30,
        forgiven_every: Duration::from_secs(300),
        beyond: Beyond::Delay { first: Duration::from_secs(2), longest: Duration::from_secs(900) },
    },
];

/// How people come in and how long they stay.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// How long a session lasts at most (`JWT_EXPIRY_HOURS`), hours.
    pub session_hours: u32,
    /// How long a session lasts without being used (`AUTH_IDLE_TIMEOUT_MINUTES`), minutes; 0 = no limit.
    pub idle_minutes: u32,
    /// What one password hash costs.
    pub hash_cost: HashCost,
    /// Password hashes computed at once: each holds its memory.
    pub hashes_running_max: usize,
    /// Password hashes that may wait; one more is sent away.
    pub hashes_waiting_max: usize,
    /// Whether a mail address must be verified before the first sign-in (`AUTH_REQUIRE_EMAIL_VERIFICATION`).
    pub verify_addresses: bool,
    /// Whether who has no other factor is sent a code by mail (`AUTH_REQUIRE_EMAIL_2FA`, and mail reaches people).
    pub mail_codes: bool,
    /// Whether everybody must have a factor that needs no mail (`ONSITE_REQUIRE_SECOND_FACTOR`).
    pub require_factor: bool,
    /// How long a proof counts as fresh (`ONSITE_STEP_UP_MINUTES`), minutes.
    pub step_up_minutes: u32,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            session_hours: 24,
            idle_minutes: 15,
            hash_cost: HashCost::default(),
            hashes_running_max: 2,
            hashes_waiting_max: 64,
            verify_addresses: false,
            mail_codes: false,
            require_factor: false,
            step_up_minutes: 10,
        }
    }
}

/// Why someone was not signed in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Unknown address, wrong password or disabled account: nobody is told which.
    #[error("the mail address or the password is wrong")]
    WrongCredentials,
    /// Too many wrong tries before this one.
    #[error(transparent)]
    TooManyTries(#[from] TooManyTries),
    /// The password is right, and the mail address is not verified yet.
    #[error("the mail address is not verified")]
    EmailNotVerified,
    /// No password could be checked.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// A secret could not be sealed or opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is wrong with the description of an account.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidAccount {
    /// The address.
    #[error(transparent)]
    Email(#[from] InvalidEmail),
    /// The name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The password.
    #[error(transparent)]
    Password(#[from] PasswordRefusal),
}

impl InvalidAccount {
    /// The field it is about, as requests name it.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Name(_) => "name",
            Self::Password(_) => "password",
        }
    }
}

/// Why no account was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateUserError {
    /// The address has an account.
    #[error("this mail address has an account already")]
    EmailTaken,
    /// No password could be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An account as someone asks for it, checked.
#[derive(Clone, Debug)]
pub struct AccountForm {
    /// How they sign in.
    pub email: Email,
    /// How they are shown.
    pub name: DisplayName,
    /// A password that keeps the rules.
    pub password: NewPassword,
}

impl AccountForm {
    /// Checks what someone typed.
    ///
    /// # Errors
    /// The first field that does not hold what it should.
    pub fn check(email: &str, name: &str, password: Secret<String>) -> Result<Self, InvalidAccount> {
        let email: Email = email.parse()?;
        let name: DisplayName = name.parse()?;
        let password = NewPassword::check(password, &email, name.as_str())?;
        Ok(Self { email, name, password })
    }
}

/// What signing in stands on.
#[derive(Clone, Debug)]
pub struct AuthParts {
    /// Where accounts are.
    pub store: Store,
    /// Time and randomness.
    pub seams: Seams,
    /// Runs hashing off the async threads.
    pub tasks: Tasks,
    /// Seals the secrets of authenticator apps.
    pub vault: Vault,
    /// Writes mails.
    pub outbox: Outbox,
}

/// Signs people in and recognises them. Cheap to clone.
#[derive(Clone)]
pub struct Auth {
    store: Store,
    seams: Seams,
    hasher: Hasher,
    tasks: Tasks,
    vault: Vault,
    outbox: Outbox,
    login_limits: Arc<Limits>,
    factor_limits: Arc<Limits>,
    mail_limits: Arc<Limits>,
    settings: AuthSettings,
    session_lifetime: Duration,
    idle_limit: Option<Duration>,
    // Sessions that were signed out but stand open in the store, because it could not be written.
    ended: Arc<Mutex<HashMap<SessionId, Entry>>>,
}

impl Auth {
    /// Builds the service.
    ///
    /// # Errors
    /// When the cost of a hash is out of Argon2's range.
    pub fn new(parts: AuthParts, settings: AuthSettings) -> Result<Self, HashError> {
        let AuthParts { store, seams, tasks, vault, outbox } = parts;
        let hasher = Hasher::new(seams.clone(), tasks.clone(), settings.hash_cost, settings.hashes_running_max, settings.hashes_waiting_max)?;
        Ok(Self {
            login_limits: Arc::new(Limits::new(Arc::clone(&seams.clock), LOGIN_RULES)),
            factor_limits: Arc::new(Limits::new(Arc::clone(&seams.clock), factors::RULES)),
            mail_limits: Arc::new(Limits::new(Arc::clone(&seams.clock), addresses::RULES)),
            tasks,
            vault,
            outbox,
            ended: Arc::default(),
            store,
            seams,
            hasher,
            session_lifetime: Duration::from_secs(u64::from(settings.session_hours) * 3600),
            idle_limit: (settings.idle_minutes > 0).then(|| Duration::from_secs(u64::from(settings.idle_minutes) * 60)),
            settings,
        })
    }

    /// Takes mail address and password: somebody without a second factor is in, others are asked for it. Unknown, disabled and wrong take the
    /// same path and the same work.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn login(&self, email: &str, password: &Secret<String>, origin: Origin) -> Result<Login, LoginError> {
        let parsed = email.parse::<Email>().ok();
        let account = sha256(parsed.as_ref().map_or(email, Email::as_str).as_bytes());
        let found = match parsed {
            Some(email) => self.store.user_by_email(email).await?,
            None => None,
        };
        let counted = self.admit_try(found.as_ref().map(|(user, _)| user), account, &origin).await?;
        let right = match self.hasher.verify(password, found.as_ref().map(|(_, hash)| hash.as_str())).await {
            Ok(right) => right,
            Err(error) => {
                counted.give_back();
                return Err(error.into());
            }
        };
        match found {
            Some((user, hash)) if right && user.disabled_at.is_none() => {
                counted.give_back();
                self.renew_hash(&user, hash, password).await;
                self.after_password(user, origin).await
            }
            other => Err(self.refuse(other.map(|(user, _)| user), origin).await),
        }
    }

    /// A hash made at another cost than today's is replaced while the password is at hand. That it could not be is no reason to keep anybody out.
    async fn renew_hash(&self, user: &User, old: String, password: &Secret<String>) {
        if !self.hasher.is_outdated(&old) {
            return;
        }
        let kept = match self.hasher.hash_again(password).await {
            Ok(new) => self.store.renew_password_hash(user.id.clone(), old, new).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match kept {
            Ok(()) => tracing::info!(user_id = %user.id, "a password's hash was renewed at today's cost"),
            Err(error) => tracing::warn!(user_id = %user.id, error, "a password's hash stays at its old cost until the next sign-in"),
        }
    }

    /// Counts a try as wrong until it is known to be right. Who was in from the same address before is held back by their own wrong
    /// tries only, and not by those of strangers.
    pub(crate) async fn admit_try(&self, user: Option<&User>, account: [u8; 32], origin: &Origin) -> Result<Try<'_>, LoginError> {
        let own = Key::AccountAtAddress(account, origin.address);
        let known = match user {
            Some(user) => {
                let from = self.store.session_addresses(user.id.clone()).await?;
                from.into_iter().any(|address| network(address) == network(origin.address))
            }
            None => false,
        };
        let keys = [own, Key::Address(origin.address), Key::Account(account)];
        Ok(self.login_limits.admit(if known { &keys[..1] } else { &keys })?)
    }

    /// Makes an account, for a caller who may.
    ///
    /// # Errors
    /// See [`CreateUserError`].
    pub async fn create_user(&self, by: &Caller, form: AccountForm, origin: &Origin) -> Result<User, CreateUserError> {
        let new = self.new_user(&form).await?;
        let entry = Entry::new(new.at, Actor::User(Some(by.user.id.clone())), "user.created", new.id.as_str());
        let entry = entry.from(origin.address).detail(serde_json::json!({"email": new.email}));
        self.store.create_user(new, entry).await?.ok_or(CreateUserError::EmailTaken)
    }

    /// The account of a checked form with its password hashed, not yet kept.
    pub(crate) async fn new_user(&self, form: &AccountForm) -> Result<NewUser, HashError> {
        let password_hash = self.hasher.hash(&form.password).await?;
        Ok(NewUser {
            id: UserId::new(&self.seams),
            email: form.email.clone(),
            name: form.name.as_str().to_owned(),
            password_hash,
            system_admin: false,
            at: self.seams.now(),
        })
    }

    async fn admit(&self, user: User, origin: Origin) -> Result<SignedIn, LoginError> {
        let (session, token) = self.new_session(origin);
        let entry = Entry::new(session.at, Actor::User(Some(user.id.clone())), "auth.login", session.id.as_str()).from(session.origin.address);
        let (session_id, expires_at) = (session.id.clone(), session.expires_at);
        self.store.open_session(user.id.clone(), session, entry).await?;
        Ok(SignedIn { user, session_id, token, expires_at })
    }

    /// Records a refused sign-in, folded with its like. `elsewhere`: the service that was asked, and why it opens nothing.
    pub(crate) async fn record_refused(
        &self,
        object: String,
        elsewhere: Option<(SsoSource, &'static str)>,
        origin: &Origin,
    ) -> Result<(), StoreError> {
        let refused = RefusedSignIn { object, network: network(origin.address), address: origin.address, elsewhere, at: self.seams.now() };
        self.store.record_refused_sign_in(refused).await
    }

    async fn refuse(&self, user: Option<User>, origin: Origin) -> LoginError {
        // What was typed as an unknown address is not kept: it may have been a password in the wrong field.
        let object = user.map_or_else(|| "unknown account".to_owned(), |user| user.id.to_string());
        match self.record_refused(object, None, &origin).await {
            Ok(()) => LoginError::WrongCredentials,
            Err(error) => error.into(),
        }
    }
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

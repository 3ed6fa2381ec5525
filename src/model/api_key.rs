//! API keys: a program acts for a member of one company, within scopes, and never beyond the member's present role.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{ApiKeyId, CompanyId, UserId};
use super::role::Role;
use super::user::{DisplayName, InvalidName, User};
use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::base::secret::{Secret, new_token};

/// What every key begins with, so that a person and a scanner of leaked secrets recognise one.
pub const PREFIX: &str = "onsk_";
/// Characters of a key that lists show: the prefix and 40 of its 256 bits.
const SHOWN_CHARS: usize = PREFIX.len() + 8;
/// Characters of a whole key.
const KEY_CHARS: usize = PREFIX.len() + 52;
/// Longest life of a key, days.
pub const DAYS_MAX: u32 = 365;

/// What a key may be used for. A scope is a group of routes; what is in none takes a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reads automations, runs, reports and documents.
    Read,
    /// Searches what was collected, and opens what citations point to.
    Recall,
    /// Holds conversations of its own user.
    Chat,
    /// Makes, changes, runs and deletes automations.
    Automations,
    /// Uploads and deletes documents.
    Documents,
    /// Reads what the company used.
    Usage,
}

/// A word that names no scope.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a scope: expected read, recall, chat, automations, documents or usage")]
pub struct UnknownScope;

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 6] = [Self::Read, Self::Recall, Self::Chat, Self::Automations, Self::Documents, Self::Usage];

    /// The scope's name in columns and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Recall => "recall",
            Self::Chat => "chat",
            Self::Automations => "automations",
            Self::Documents => "documents",
            Self::Usage => "usage",
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(UnknownScope)
    }
}

/// At least one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// `None` for no scope at all.
    #[must_use]
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Option<Self> {
        let scopes: BTreeSet<_> = scopes.into_iter().collect();
        (!scopes.is_empty()).then_some(Self(scopes))
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn allow(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|scope| scope.as_str())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(" "))
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let scopes: Vec<Scope> = text.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        Self::new(scopes).ok_or(UnknownScope)
    }
}

/// What somebody asks for who wants a key, checked.
#[derive(Clone, Debug)]
pub struct ApiKeyForm {
    /// What it is for, in its owner's words.
    pub name: DisplayName,
    /// What it may be used for.
    pub scopes: Scopes,
    /// How long.
    pub lifetime: Duration,
}

/// What is wrong with what somebody asks for.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidApiKey {
    /// The name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// No scope, so it could do nothing.
    #[error("a key has at least one scope")]
    NoScope,
    /// Too short or too long a life.
    #[error("a key lasts from 1 to {DAYS_MAX} days")]
    Days,
}

impl InvalidApiKey {
    /// The field it is about, as requests name it.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::NoScope => "scopes",
            Self::Days => "expires_in_days",
        }
    }
}

impl ApiKeyForm {
    /// Checks what somebody asks for.
    ///
    /// # Errors
    /// The first field that does not hold what it should.
    pub fn check(name: &str, scopes: &[Scope], days: u32) -> Result<Self, InvalidApiKey> {
        let name = name.parse()?;
        let scopes = Scopes::new(scopes.iter().copied()).ok_or(InvalidApiKey::NoScope)?;
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(InvalidApiKey::Days);
        }
        Ok(Self { name, scopes, lifetime: Duration::from_secs(u64::from(days) * 24 * 60 * 60) })
    }
}

/// A key as stored. The key itself is nowhere but with its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The key's id.
    pub id: ApiKeyId,
    /// In which company it acts.
    pub company: CompanyId,
    /// For whom.
    pub user: UserId,
    /// What it is for, in its owner's words.
    pub name: String,
    /// Its first characters.
    pub prefix: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it works.
    pub expires_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyState {
    /// It works.
    Active,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

impl ApiKeyState {
    /// The state in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl ApiKey {
    /// What it is good for at `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> ApiKeyState {
        if self.revoked_at.is_some() {
            ApiKeyState::Revoked
        } else if now >= self.expires_at {
            ApiKeyState::Expired
        } else {
            ApiKeyState::Active
        }
    }
}

/// A program that came with a key that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCaller {
    /// For whom it acts.
    pub user: User,
    /// The key.
    pub key: ApiKey,
    /// The user's role in the key's company, now.
    pub role: Role,
}

/// A new key and what of it is shown in lists.
#[must_use]
pub fn new_key(seams: &Seams) -> (Secret<String>, String) {
    let key = Secret::new(format!("{PREFIX}{}", new_token(seams).expose()));
    let shown = key.expose().chars().take(SHOWN_CHARS).collect();
    (key, shown)
}

/// Whether a bearer token is meant as an API key, however wrong it may be.
#[must_use]
pub fn is_meant_as_key(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// Whether a token has a key's form.
#[must_use]
pub fn has_form(token: &str) -> bool {
    is_meant_as_key(token) && token.len() == KEY_CHARS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_round_trip_and_none_is_none() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert_eq!(serde_json::to_string(&scope).unwrap(), format!("\"{}\"", scope.as_str()));
        }
        let scopes = Scopes::new([Scope::Chat, Scope::Read, Scope::Chat]).unwrap();
        assert_eq!(scopes.to_string(), "read chat");
        assert_eq!("read chat".parse(), Ok(scopes.clone()));
        assert!(scopes.allow(Scope::Chat) && !scopes.allow(Scope::Documents));
        assert!(Scopes::new([]).is_none() && "".parse::<Scopes>().is_err() && "read root".parse::<Scopes>().is_err());
    }

    #[test]
    fn what_is_asked_for_is_checked_field_by_field() {
        let field = |name: &str, scopes: &[Scope], days| ApiKeyForm::check(name, scopes, days).unwrap_err().field();
        assert_eq!(field(" ", &[Scope::Read], 1), "name");
        assert_eq!(field("A", &[], 1), "scopes");
        assert_eq!((field("A", &[Scope::Read], 0), field("A", &[Scope::Read], 366)), ("expires_in_days", "expires_in_days"));
        assert_eq!(ApiKeyForm::check("A", &[Scope::Read], 2).unwrap().lifetime, Duration::from_secs(172_800));
    }

    #[test]
    fn a_key_has_a_form_and_shows_little_of_itself() {
        let (key, shown) = new_key(&Seams::system());
        assert!(has_form(key.expose()) && key.expose().starts_with(&shown) && shown.len() == 13);
        assert!(is_meant_as_key("onsk_x") && !has_form("onsk_x") && !is_meant_as_key("x"));
        assert_eq!(format!("{key:?}"), "[redacted]");
    }
}

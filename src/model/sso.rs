//! People whom another service knows: what it says of them, and which of its groups give which role in which company.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ids::{CompanyId, GroupRoleId};
use super::invalid::Invalid;
use super::role::Role;
use super::user::Email;
use crate::base::clock::Timestamp;
use crate::base::secret::sha256;

/// Most groups of one person that are looked at.
pub const GROUPS_MAX: usize = 2_000;
/// The longest name of a group, bytes: a directory's are whole paths.
pub const GROUP_BYTES_MAX: usize = 1_000;

/// Which kind of service knows somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SsoSource {
    /// A provider of OpenID Connect.
    Oidc,
    /// A directory of LDAP.
    Ldap,
}

/// A word that names no source.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a source of sign-ins: expected oidc or ldap")]
pub struct UnknownSource;

impl SsoSource {
    /// The name in columns and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Ldap => "ldap",
        }
    }

    /// A group's name in the form in which it is compared: a directory's are entries, whose case and spaces around commas say nothing.
    #[must_use]
    pub fn group_name(self, name: &str) -> String {
        match self {
            Self::Oidc => name.to_owned(),
            Self::Ldap => entry_name(name),
        }
    }
}

impl fmt::Display for SsoSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SsoSource {
    type Err = UnknownSource;

    fn from_str(text: &str) -> Result<Self, UnknownSource> {
        [Self::Oidc, Self::Ldap].into_iter().find(|source| source.as_str() == text).ok_or(UnknownSource)
    }
}

/// The name of an entry in lower case, without spaces beside its commas and equal signs.
fn entry_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut escaped = false;
    for letter in name.trim().to_lowercase().chars() {
        let separates = !escaped && matches!(letter, ',' | '=');
        if separates {
            out.truncate(out.trim_end_matches(' ').len());
        }
        if letter == ' ' && out.ends_with([',', '=']) && !out.ends_with("\\,") && !out.ends_with("\\=") {
            continue;
        }
        escaped = !escaped && letter == '\\';
        out.push(letter);
    }
    out
}

/// What a service says of somebody who has just shown it who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsoIdentity {
    /// Which kind of service.
    pub source: SsoSource,
    /// Which service of the kind.
    pub issuer: String,
    /// Who they are to it, for ever.
    pub subject: String,
    /// Their mail address, where it is one.
    pub email: Option<Email>,
    /// Whether the service vouches that the address is theirs.
    pub email_verified: bool,
    /// How they are shown.
    pub name: Option<String>,
    /// Their groups, as [`SsoSource::group_name`] writes them.
    pub groups: Vec<String>,
}

impl SsoIdentity {
    /// What is kept of who they are: not reversible, and of one length.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        // Lengths keep the parts apart.
        let (source, issuer) = (self.source.as_str(), &self.issuer);
        sha256(format!("{source}:{}:{issuer}:{}", issuer.len(), self.subject).as_bytes())
    }
}

/// A group that gives a role in a company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRole {
    /// Its id.
    pub id: GroupRoleId,
    /// Whose group.
    pub source: SsoSource,
    /// The group.
    pub group: String,
    /// In which company.
    pub company: CompanyId,
    /// Which role.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
}

impl GroupRole {
    /// Checks what somebody typed.
    ///
    /// # Errors
    /// Names the field and the remedy.
    pub fn check(source: SsoSource, group: &str, role: Role) -> Result<String, Invalid> {
        let group = group.trim();
        if group.is_empty() || group.len() > GROUP_BYTES_MAX || group.contains(char::is_control) {
            let remedy = match source {
                SsoSource::Oidc => "Write the group as it stands in the provider's claim.",
                SsoSource::Ldap => "Write the whole name of the group's entry, such as cn=analysts,ou=groups,dc=example,dc=com.",
            };
            return Err(Invalid::new("group", format!("a group has 1 to {GROUP_BYTES_MAX} bytes of text"), remedy));
        }
        if source == SsoSource::Ldap && !group.contains('=') {
            let remedy = "Write the whole name of the group's entry, such as cn=analysts,ou=groups,dc=example,dc=com.";
            return Err(Invalid::new("group", "a directory's group is named by its entry", remedy));
        }
        if role == Role::Owner {
            let remedy = "Give admin or a lesser role; an owner hands the company over to a member.";
            return Err(Invalid::new("role", "no group makes an owner", remedy));
        }
        Ok(source.group_name(group))
    }
}

/// The roles that groups give: in each company the greatest.
#[must_use]
pub fn greatest_roles(given: Vec<(CompanyId, Role)>) -> Vec<(CompanyId, Role)> {
    let mut greatest: Vec<(CompanyId, Role)> = Vec::new();
    for (company, role) in given {
        match greatest.iter_mut().find(|(known, _)| *known == company) {
            Some((_, known)) => *known = role.max(*known),
            None => greatest.push((company, role)),
        }
    }
    greatest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seams::Seams;

    #[test]
    fn a_directorys_groups_are_compared_as_entries_and_a_providers_as_text() {
        let entry = |name: &str| SsoSource::Ldap.group_name(name);
        assert_eq!(entry(" CN=Data Team, OU = Groups,DC=Example,dc=com "), "cn=data team,ou=groups,dc=example,dc=com");
        assert_eq!(entry("cn=a\\, b,dc=x"), "cn=a\\, b,dc=x");
        assert_eq!(SsoSource::Oidc.group_name("Data Team, A"), "Data Team, A");
    }

    #[test]
    fn no_group_makes_an_owner_and_a_directorys_group_is_an_entry() {
        let field = |source, group: &str, role| GroupRole::check(source, group, role).unwrap_err().field;
        assert_eq!(field(SsoSource::Oidc, "staff", Role::Owner), "role");
        assert_eq!(field(SsoSource::Ldap, "staff", Role::Dev), "group");
        assert_eq!(field(SsoSource::Oidc, " ", Role::Dev), "group");
        assert_eq!(field(SsoSource::Oidc, &"x".repeat(1_001), Role::Dev), "group");
        assert_eq!(GroupRole::check(SsoSource::Oidc, " staff ", Role::Admin).unwrap(), "staff");
    }

    #[test]
    fn the_greatest_role_of_a_company_counts() {
        let seams = Seams::system();
        let (one, two) = (CompanyId::new(&seams), CompanyId::new(&seams));
        let given = vec![(one.clone(), Role::Viewer), (two.clone(), Role::Member), (one.clone(), Role::Dev), (one.clone(), Role::Member)];
        assert_eq!(greatest_roles(given), [(one, Role::Dev), (two, Role::Member)]);
    }

    #[test]
    fn who_somebody_is_depends_on_every_part() {
        let identity = |source, issuer: &str, subject: &str| {
            SsoIdentity { source, issuer: issuer.into(), subject: subject.into(), email: None, email_verified: false, name: None, groups: Vec::new() }
                .hash()
        };
        let one = identity(SsoSource::Oidc, "https://a", "b");
        assert_eq!(one, identity(SsoSource::Oidc, "https://a", "b"));
        for other in
            [identity(SsoSource::Ldap, "https://a", "b"), identity(SsoSource::Oidc, "https://a:b", ""), identity(SsoSource::Oidc, "https://", "ab")]
        {
            assert_ne!(one, other);
        }
    }
}

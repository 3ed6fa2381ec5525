//! What a member may do in a company: five roles, each of which includes those below it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A member's role in one company. Ordered: a greater role may do whatever a lesser one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Works: runs automations, asks, uploads.
    Member,
    /// Sees usage besides.
    Dev,
    /// Manages members and keys besides.
    Admin,
    /// The company is theirs: transfers and deletes it.
    Owner,
}

/// A word that names no role.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a role: expected owner, admin, dev, member or viewer")]
pub struct UnknownRole;

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Member, Self::Dev, Self::Admin, Self::Owner];

    /// Whether this role may do what needs `needed`.
    #[must_use]
    pub fn allows(self, needed: Self) -> bool {
        self >= needed
    }

    /// Whether this role may change or delete a thing of the company: a member their own, `dev` and above everybody's.
    #[must_use]
    pub fn may_change(self, own: bool) -> bool {
        self.allows(Self::Dev) || (own && self.allows(Self::Member))
    }

    /// The role's name in columns and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Dev => "dev",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_allows_itself_and_what_is_below_and_nothing_above() {
        for (place, role) in Role::ALL.into_iter().enumerate() {
            for (other_place, other) in Role::ALL.into_iter().enumerate() {
                assert_eq!(role.allows(other), place >= other_place, "{role} for {other}");
            }
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
        assert_eq!("root".parse::<Role>(), Err(UnknownRole));
        assert_eq!(Role::ALL.map(|role| role.may_change(true)), [false, true, true, true, true]);
        assert_eq!(Role::ALL.map(|role| role.may_change(false)), [false, false, true, true, true]);
    }
}

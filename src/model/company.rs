//! Companies: the tenants, and who belongs to them.

use std::time::Duration;

use super::ids::{CompanyId, UserId};
use super::role::Role;
use super::user::User;
use crate::base::clock::Timestamp;

/// A company: whatever carries its id is seen by its members only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Company {
    /// The company.
    pub id: CompanyId,
    /// A small number, never given twice: the high half of its chunks' ids.
    pub number: u32,
    /// How it is shown.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: UserId,
}

/// A company together with one member's role in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The company.
    pub company: Company,
    /// The member's role.
    pub role: Role,
}

/// Somebody who belongs to a company, as the others see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: User,
    /// Their role in this company.
    pub role: Role,
    /// Since when they belong to it.
    pub since: Timestamp,
    /// When they last used the appliance, to the minute; `None` = never.
    pub last_seen_at: Option<Timestamp>,
}

/// What somebody used in a company: a member, or whoever was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberUse {
    /// Who.
    pub user: User,
    /// Their role in the company; `None` = they left.
    pub role: Option<Role>,
    /// Tokens they spent.
    pub spent: u64,
    /// The rows of the ledger that say so.
    pub entries: u64,
    /// The time of the latest.
    pub last_at: Timestamp,
}

/// How long the deletion of a company can be undone. Its rows are removed afterwards.
pub const DELETION_GRACE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What a company holds: what would be lost with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompanyHoldings {
    /// Its automations.
    pub automations: u64,
    /// Their reports.
    pub reports: u64,
    /// Its documents, the latest version of each.
    pub documents: u64,
    /// The bytes of all versions.
    pub document_bytes: u64,
    /// Conversations of all its members.
    pub conversations: u64,
    /// Its members.
    pub members: u64,
    /// Invitations that are open.
    pub invitations: u64,
}

/// A company that was deleted and can still be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedCompany {
    /// The company.
    pub id: CompanyId,
    /// Its name.
    pub name: String,
    /// When it was deleted.
    pub deleted_at: Timestamp,
}

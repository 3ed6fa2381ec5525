//! Invitations: a one-time link that makes somebody a member of a company, with an account if they have none.

use std::time::Duration;

use super::company::Company;
use super::ids::{CompanyId, InvitationId, UserId};
use super::role::Role;
use super::user::Email;
use crate::base::clock::Timestamp;

/// How long an invitation can be accepted.
pub const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// An invitation as stored. Its token is nowhere but in the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The invitation.
    pub id: InvitationId,
    /// Into which company.
    pub company: CompanyId,
    /// Whom.
    pub email: Email,
    /// As what.
    pub role: Role,
    /// By whom.
    pub invited_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
    /// When it was accepted.
    pub accepted_at: Option<Timestamp>,
    /// When it was taken back, or replaced by a newer one for the same address.
    pub withdrawn_at: Option<Timestamp>,
}

/// What an invitation is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvitationState {
    /// It can be accepted.
    Open,
    /// Somebody accepted it.
    Accepted,
    /// Its time is over.
    Expired,
    /// It was taken back or replaced.
    Withdrawn,
}

impl InvitationState {
    /// The state in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Accepted => "accepted",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl Invitation {
    /// What it is good for at `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> InvitationState {
        if self.accepted_at.is_some() {
            InvitationState::Accepted
        } else if self.withdrawn_at.is_some() {
            InvitationState::Withdrawn
        } else if now >= self.expires_at {
            InvitationState::Expired
        } else {
            InvitationState::Open
        }
    }
}

/// What the holder of an invitation's link may know before accepting it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// The invitation.
    pub invitation: Invitation,
    /// Where it leads.
    pub company: Company,
    /// Whether the address has an account already: then its owner signs in instead of making one.
    pub has_account: bool,
}

/// Whether somebody of role `by` may invite or make another `role`: nobody gives more than they have, and ownership is handed over only by an owner.
#[must_use]
pub fn may_give(by: Role, role: Role) -> bool {
    by.allows(Role::Admin) && by.allows(role)
}

/// Whether somebody of role `by` may change or end the membership of somebody of role `of`.
#[must_use]
pub fn may_manage(by: Role, of: Role) -> bool {
    by.allows(Role::Admin) && by.allows(of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seams::Seams;

    #[test]
    fn an_invitation_is_open_until_one_thing_ends_it() {
        let seams = Seams::system();
        let at = Timestamp::from_millis(1_000);
        let open = Invitation {
            id: InvitationId::new(&seams),
            company: CompanyId::new(&seams),
            email: "ada@example.org".parse().unwrap(),
            role: Role::Member,
            invited_by: UserId::new(&seams),
            created_at: at,
            expires_at: at.plus(LIFETIME),
            accepted_at: None,
            withdrawn_at: None,
        };
        assert_eq!(open.state(at), InvitationState::Open);
        assert_eq!(open.state(open.expires_at), InvitationState::Expired);
        let withdrawn = Invitation { withdrawn_at: Some(at), ..open.clone() };
        assert_eq!(withdrawn.state(open.expires_at), InvitationState::Withdrawn);
        assert_eq!(Invitation { accepted_at: Some(at), ..open.clone() }.state(open.expires_at), InvitationState::Accepted);
    }

    #[test]
    fn nobody_gives_or_touches_more_than_they_have() {
        for by in Role::ALL {
            for other in Role::ALL {
                let manages = matches!(by, Role::Admin | Role::Owner);
                assert_eq!(may_give(by, other), manages && other <= by, "{by} gives {other}");
                assert_eq!(may_manage(by, other), manages && other <= by, "{by} manages {other}");
            }
        }
    }
}

//! Who belongs to a company, who is invited, and whose accounts there are on the appliance.

mod invitations;
mod users;

use crate::base::seams::Seams;
use crate::model::audit::{Actor, Entry};
use crate::model::company::Member;
use crate::model::ids::{CompanyId, UserId};
use crate::model::part::Part;
use crate::model::role::Role;
use crate::model::session::Origin;
use crate::model::user::Caller;
use crate::services::auth::Auth;
use crate::services::licensing::Licensing;
use crate::services::mail::Outbox;
use crate::store::members::{MemberChange, MemberChanged};
use crate::store::{Store, StoreError};

pub use invitations::{AcceptError, Accepted, InviteError, NewInvitation};
pub use users::UserChangeError;

/// Members, invitations and accounts. Cheap to clone.
#[derive(Clone)]
pub struct Members {
    store: Store,
    seams: Seams,
    auth: Auth,
    licensing: Licensing,
    outbox: Outbox,
}

/// Why a membership stayed as it was.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// There is no such member.
    #[error("there is no such member")]
    NotThere,
    /// The caller's role does not allow it.
    #[error("only somebody with at least the same role, admin or above, may do this")]
    NotAllowed,
    /// The company would have no owner.
    #[error("the company would have no owner")]
    LastOwner,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Members {
    /// Builds the feature.
    #[must_use]
    pub const fn new(store: Store, seams: Seams, auth: Auth, licensing: Licensing, outbox: Outbox) -> Self {
        Self { store, seams, auth, licensing, outbox }
    }

    /// The members of a company: owners first, then by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, company: &CompanyId, part: &Part<UserId>) -> Result<Vec<Member>, StoreError> {
        self.store.members_of(company.clone(), part.clone()).await
    }

    /// Gives a member another role.
    ///
    /// # Errors
    /// See [`MemberError`].
    pub async fn set_role(&self, by: &Caller, company: &CompanyId, member: UserId, role: Role, origin: &Origin) -> Result<(), MemberError> {
        self.change(by, company, member, Some(role), origin).await
    }

    /// Hands the company over to another member, who becomes an owner; whoever gives it, an owner, becomes an admin.
    ///
    /// # Errors
    /// See [`MemberError`].
    pub async fn transfer(&self, by: &Caller, company: &CompanyId, to: UserId, origin: &Origin) -> Result<(), MemberError> {
        let at = self.seams.now();
        let entry = Entry::new(at, Actor::User(Some(by.user.id.clone())), "company.transferred", company.as_str()).in_company(company.clone());
        let entry = entry.from(origin.address).detail(serde_json::json!({"from": by.user.id, "to": to}));
        told(self.store.transfer_company(company.clone(), by.user.id.clone(), to, at, entry).await?)
    }

    /// Ends a membership. Anybody may leave; what they made stays with the company, and what of it has a schedule rests.
    ///
    /// # Errors
    /// See [`MemberError`].
    pub async fn remove(&self, by: &Caller, company: &CompanyId, member: UserId, origin: &Origin) -> Result<(), MemberError> {
        self.change(by, company, member, None, origin).await
    }

    async fn change(&self, by: &Caller, company: &CompanyId, member: UserId, role: Option<Role>, origin: &Origin) -> Result<(), MemberError> {
        let at = self.seams.now();
        let action = if role.is_some() { "member.role_set" } else { "member.removed" };
        let entry = Entry::new(at, Actor::User(Some(by.user.id.clone())), action, member.as_str()).in_company(company.clone());
        let entry = entry.from(origin.address).detail(serde_json::json!({"role": role}));
        let change = MemberChange { company: company.clone(), by: by.user.id.clone(), member, role, at };
        told(self.store.change_member(change, entry).await?)
    }

    /// How many active users the licence allows; `None` = any number.
    async fn seats(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.licensing.status().await?.seats().number())
    }
}

const fn told(changed: MemberChanged) -> Result<(), MemberError> {
    match changed {
        MemberChanged::Done => Ok(()),
        MemberChanged::NotThere => Err(MemberError::NotThere),
        MemberChanged::NotAllowed => Err(MemberError::NotAllowed),
        MemberChanged::LastOwner => Err(MemberError::LastOwner),
    }
}

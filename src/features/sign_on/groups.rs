//! Groups of other services that give roles here: made by system admins, looked at whenever somebody signs in.

use super::SignOn;
use crate::model::audit::{Actor, Entry};
use crate::model::ids::{CompanyId, GroupRoleId};
use crate::model::invalid::Invalid;
use crate::model::role::Role;
use crate::model::session::Origin;
use crate::model::sso::{GroupRole, SsoSource};
use crate::model::user::Caller;
use crate::store::StoreError;
use crate::store::sso::GroupRoleAdded;

/// A group's role as somebody asks for it.
#[derive(Clone, Debug)]
pub struct GroupRoleDraft {
    /// Whose group.
    pub source: SsoSource,
    /// The group.
    pub group: String,
    /// In which company.
    pub company: CompanyId,
    /// Which role.
    pub role: Role,
}

/// Why a group has no role.
#[derive(Debug, thiserror::Error)]
pub enum GroupRoleError {
    /// A part of it does not hold.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It has one in this company.
    #[error("this group has a role in the company already")]
    Exists,
    /// There is no such company.
    #[error("there is no such company")]
    NoCompany,
    /// There are as many as may be.
    #[error("there are as many groups with roles as may be")]
    Full,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SignOn {
    /// The groups that give roles, with the names of their companies.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn group_roles(&self) -> Result<Vec<(GroupRole, String)>, StoreError> {
        self.inner.store.group_roles().await
    }

    /// Gives a group a role in a company. Whoever is in the group has it from their next sign-in on.
    ///
    /// # Errors
    /// See [`GroupRoleError`].
    pub async fn add_group_role(&self, by: &Caller, draft: GroupRoleDraft, origin: &Origin) -> Result<GroupRole, GroupRoleError> {
        let GroupRoleDraft { source, group, company, role } = draft;
        let group = GroupRole::check(source, &group, role)?;
        let (id, created_at) = (GroupRoleId::new(&self.inner.seams), self.inner.seams.now());
        let new = GroupRole { id, source, group, company, role, created_at };
        let entry = self.group_entry(by, "sso_group.added", &new.id, origin).in_company(new.company.clone());
        let entry = entry.detail(serde_json::json!({"source": source, "group": new.group, "role": role}));
        match self.inner.store.add_group_role(new.clone(), entry).await? {
            GroupRoleAdded::Added => Ok(new),
            GroupRoleAdded::Exists => Err(GroupRoleError::Exists),
            GroupRoleAdded::NoCompany => Err(GroupRoleError::NoCompany),
            GroupRoleAdded::Full => Err(GroupRoleError::Full),
        }
    }

    /// Takes a group's role away. `false`: there is none such.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn remove_group_role(&self, by: &Caller, id: GroupRoleId, origin: &Origin) -> Result<bool, StoreError> {
        let entry = self.group_entry(by, "sso_group.removed", &id, origin);
        Ok(self.inner.store.remove_group_role(id, entry).await?.is_some())
    }

    fn group_entry(&self, by: &Caller, action: &'static str, id: &GroupRoleId, origin: &Origin) -> Entry {
        Entry::new(self.inner.seams.now(), Actor::User(Some(by.user.id.clone())), action, id.as_str()).from(origin.address)
    }
}

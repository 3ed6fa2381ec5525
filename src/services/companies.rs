//! Companies: made by a system admin, seen by their members.

use crate::base::seams::Seams;
use crate::model::audit::{Actor, Entry};
use crate::model::company::{Company, Membership};
use crate::model::ids::{CompanyId, UserId};
use crate::model::role::Role;
use crate::model::session::Origin;
use crate::model::user::{Caller, DisplayName};
use crate::store::companies::NewCompany;
use crate::store::{Store, StoreError};

/// Makes and finds companies. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Companies {
    store: Store,
    seams: Seams,
}

impl Companies {
    /// Names the store and the seams.
    #[must_use]
    pub const fn new(store: Store, seams: Seams) -> Self {
        Self { store, seams }
    }

    /// Makes a company; its maker becomes the owner.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn create(&self, by: &Caller, name: &DisplayName, origin: &Origin) -> Result<Membership, StoreError> {
        let (id, at) = (CompanyId::new(&self.seams), self.seams.now());
        let entry = Entry::new(at, Actor::User(Some(by.user.id.clone())), "company.created", id.as_str())
            .in_company(id.clone())
            .from(origin.address)
            .detail(serde_json::json!({"name": name}));
        self.store.create_company(NewCompany { id, name: name.as_str().to_owned(), owner: by.user.id.clone(), at }, entry).await
    }

    /// Gives a user a role in a company. `false`: there is no such company.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn set_role(&self, by: &Caller, company: CompanyId, user: UserId, role: Role, origin: &Origin) -> Result<bool, StoreError> {
        let at = self.seams.now();
        let entry = Entry::new(at, Actor::User(Some(by.user.id.clone())), "member.role_set", user.as_str())
            .in_company(company.clone())
            .from(origin.address)
            .detail(serde_json::json!({"role": role}));
        self.store.set_role(company, user, role, at, entry).await
    }

    /// The companies a user belongs to, the oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_for(&self, user: &UserId) -> Result<Vec<Membership>, StoreError> {
        self.store.memberships_of(user.clone()).await
    }

    /// A company and a user's role in it. `None`: there is none, or it is not theirs to see.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn membership(&self, company: &CompanyId, user: &UserId) -> Result<Option<Membership>, StoreError> {
        self.store.membership(company.clone(), user.clone()).await
    }

    /// Every company, for whoever looks after the appliance; at most 10,000.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn all(&self) -> Result<Vec<Company>, StoreError> {
        self.store.companies().await
    }

    /// A company, for work that no member asked for: schedules, retention.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, company: &CompanyId) -> Result<Option<Company>, StoreError> {
        self.store.company(company.clone()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::audit::{GENESIS, verify_chain};
    use crate::model::ids::SessionId;
    use crate::model::user::User;
    use crate::store::testing;
    use crate::store::users::NewUser;

    async fn person(store: &Store, seams: &Seams, email: &str) -> Caller {
        let new = NewUser {
            id: UserId::new(seams),
            email: email.parse().unwrap(),
            name: "A".into(),
            password_hash: "-".into(),
            system_admin: false,
            at: seams.now(),
        };
        let entry = Entry::new(seams.now(), Actor::System, "user.created", new.id.as_str());
        let user: User = store.create_user(new, entry).await.unwrap().unwrap();
        Caller { user, session_id: SessionId::new(seams), proven_at: seams.now(), must_enrol: false }
    }

    #[tokio::test]
    async fn a_company_is_seen_by_its_members_only_and_numbers_are_not_given_twice() {
        let (store, _folder) = testing::store();
        let seams = Seams::system();
        let companies = Companies::new(store.clone(), seams.clone());
        let (ada, eve) = (person(&store, &seams, "ada@example.org").await, person(&store, &seams, "eve@example.org").await);
        let origin = Origin::default();
        let names: Vec<DisplayName> = (0..8).map(|n| format!("Company {n}").parse().unwrap()).collect();
        let made = futures_util::future::join_all(names.iter().map(|name| companies.create(&ada, name, &origin))).await;
        let mut numbers: Vec<u32> = made.iter().map(|made| made.as_ref().unwrap().company.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=8).collect::<Vec<_>>());

        let first = companies.list_for(&ada.user.id).await.unwrap().remove(0);
        assert_eq!((first.role, first.company.number), (Role::Owner, 1));
        let role_of =
            async |caller: &Caller| companies.membership(&first.company.id, &caller.user.id).await.unwrap().map(|membership| membership.role);
        assert_eq!((role_of(&ada).await, role_of(&eve).await), (Some(Role::Owner), None));
        assert_eq!(companies.list_for(&eve.user.id).await.unwrap(), []);

        let dev = companies.set_role(&ada, first.company.id.clone(), eve.user.id.clone(), Role::Dev, &origin).await.unwrap();
        assert!(dev);
        assert_eq!(role_of(&eve).await, Some(Role::Dev));
        let nowhere = companies.set_role(&ada, CompanyId::new(&seams), eve.user.id.clone(), Role::Dev, &origin).await.unwrap();
        assert!(!nowhere);
        assert!(verify_chain((0, GENESIS), &store.audit_after(0, 100).await.unwrap()).is_ok());
    }
}

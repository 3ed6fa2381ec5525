//! Single sign-on: sign-ins that are under way elsewhere, and groups that give roles. What happens when somebody comes back is in `sso_entries`.

use rusqlite::OptionalExtension;

use super::audit::append_audit;
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::Entry;
use crate::model::ids::{GroupRoleId, UserId};
use crate::model::sso::{GroupRole, SsoSource};

crate::text_column!(SsoSource);

/// Sign-ins under way elsewhere at once; the oldest goes first. Who begins them is counted by address before.
const PENDING_MAX: u32 = 20_000;
/// Groups that give roles at most, in all companies.
const GROUP_ROLES_MAX: u32 = 5_000;

/// What came of a group's new role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRoleAdded {
    /// It is kept.
    Added,
    /// The group has a role in the company already.
    Exists,
    /// There is no such company.
    NoCompany,
    /// There are as many as may be.
    Full,
}

impl Store {
    /// Keeps a sign-in that goes elsewhere. Those whose time is over go.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn begin_sso(&self, secret_hash: [u8; 32], at: Timestamp, expires_at: Timestamp) -> Result<(), StoreError> {
        self.write("begin single sign-on", move |tx| {
            tx.prepare_cached("DELETE FROM sso_pending WHERE expires_at <= ?1")?.execute([at])?;
            tx.prepare_cached("INSERT INTO sso_pending (secret_hash, created_at, expires_at) VALUES (?1, ?2, ?3)")?.execute((
                secret_hash,
                at,
                expires_at,
            ))?;
            let many = "SELECT count(*) FROM sso_pending";
            if tx.prepare_cached(many)?.query_row([], |row| row.get::<_, u32>(0))? > PENDING_MAX {
                let oldest = "DELETE FROM sso_pending WHERE secret_hash IN (SELECT secret_hash FROM sso_pending ORDER BY expires_at LIMIT 1)";
                tx.prepare_cached(oldest)?.execute([])?;
            }
            Ok(())
        })
        .await
    }

    /// Takes a sign-in that went elsewhere, once. When it began; `None`: there is none, or its time is over.
    ///
    /// # Errors
    /// When it could not be taken.
    pub async fn take_sso(&self, secret_hash: [u8; 32], now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.write("take single sign-on", move |tx| {
            let sql = "DELETE FROM sso_pending WHERE secret_hash = ?1 RETURNING created_at, expires_at";
            let taken = tx.prepare_cached(sql)?.query_row([secret_hash], |row| Ok((row.get(0)?, row.get::<_, Timestamp>(1)?))).optional()?;
            Ok(taken.filter(|(_, expires_at)| now < *expires_at).map(|(began_at, _)| began_at))
        })
        .await
    }

    /// Whether an account was made for somebody who comes by another service.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn comes_from_elsewhere(&self, user: UserId) -> Result<bool, StoreError> {
        self.read("look where someone comes from", move |conn| {
            let sql = "SELECT came_by_sso FROM users WHERE id = ?1";
            Ok(conn.prepare_cached(sql)?.query_row([&user], |row| row.get(0)).optional()?.unwrap_or_default())
        })
        .await
    }

    /// Gives a group a role in a company.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn add_group_role(&self, new: GroupRole, audit: Entry) -> Result<GroupRoleAdded, StoreError> {
        self.write("add group role", move |tx| {
            let there = "SELECT EXISTS (SELECT 1 FROM companies WHERE id = ?1 AND deleted_at IS NULL)";
            if !tx.prepare_cached(there)?.query_row([&new.company], |row| row.get::<_, bool>(0))? {
                return Ok(GroupRoleAdded::NoCompany);
            }
            if tx.query_row("SELECT count(*) FROM sso_group_roles", [], |row| row.get::<_, u32>(0))? >= GROUP_ROLES_MAX {
                return Ok(GroupRoleAdded::Full);
            }
            let added = tx.execute(
                "INSERT INTO sso_group_roles (id, source, group_name, company_id, role, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (source, group_name, company_id) DO NOTHING",
                (&new.id, new.source, &new.group, &new.company, new.role, new.created_at),
            )?;
            if added == 0 {
                return Ok(GroupRoleAdded::Exists);
            }
            append_audit(tx, &audit)?;
            Ok(GroupRoleAdded::Added)
        })
        .await
    }

    /// Takes a group's role away, and returns it. Who has it by the group keeps it until they sign in again.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn remove_group_role(&self, id: GroupRoleId, audit: Entry) -> Result<Option<GroupRole>, StoreError> {
        self.write("remove group role", move |tx| {
            let sql = "DELETE FROM sso_group_roles WHERE id = ?1 RETURNING id, source, group_name, company_id, role, created_at";
            let Some(removed) = tx.query_row(sql, [&id], read_group_role).optional()? else { return Ok(None) };
            let detail = serde_json::json!({"source": removed.source, "group": removed.group, "role": removed.role});
            append_audit(tx, &audit.in_company(removed.company.clone()).detail(detail))?;
            Ok(Some(removed))
        })
        .await
    }

    /// The groups that give roles, with the names of their companies, by company and group.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn group_roles(&self) -> Result<Vec<(GroupRole, String)>, StoreError> {
        self.read("list group roles", |conn| {
            let mut list = conn.prepare_cached(
                "SELECT sso_group_roles.id, source, group_name, company_id, role, sso_group_roles.created_at, companies.name
                 FROM sso_group_roles JOIN companies ON companies.id = company_id WHERE companies.deleted_at IS NULL
                 ORDER BY companies.number, source, group_name",
            )?;
            Ok(list.query_map([], |row| Ok((read_group_role(row)?, row.get(6)?)))?.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn read_group_role(row: &rusqlite::Row<'_>) -> rusqlite::Result<GroupRole> {
    Ok(GroupRole { id: row.get(0)?, source: row.get(1)?, group: row.get(2)?, company: row.get(3)?, role: row.get(4)?, created_at: row.get(5)? })
}

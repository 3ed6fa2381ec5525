//! Companies and who belongs to them. A deleted company is not there for anybody.

use rusqlite::{Connection, OptionalExtension, Row};

use super::audit::append_audit;
use super::sso_entries::person_gave;
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::Entry;
use crate::model::company::{Company, Membership};
use crate::model::ids::{CompanyId, UserId};
use crate::model::role::Role;

crate::text_column!(Role);

/// Companies shown at most.
const LISTED_MAX: u32 = 10_000;

pub(in crate::store) const COLUMNS: &str = "companies.id, companies.number, companies.name, companies.created_at, companies.created_by";

/// A company to make.
#[derive(Clone, Debug)]
pub struct NewCompany {
    /// The company.
    pub id: CompanyId,
    /// How it is shown.
    pub name: String,
    /// Its first owner.
    pub owner: UserId,
    /// Now.
    pub at: Timestamp,
}

impl Store {
    /// Makes a company with the next number; its maker becomes the owner.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn create_company(&self, company: NewCompany, audit: Entry) -> Result<Membership, StoreError> {
        self.write("create company", move |tx| {
            // Deleted companies keep their row, so that a number, and with it the place of the chunks, is never given twice.
            let sql = format!(
                "INSERT INTO companies (id, number, name, created_at, created_by)
                 SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4 FROM companies RETURNING {COLUMNS}"
            );
            let values = (&company.id, &company.name, company.at, &company.owner);
            let made = tx.query_row(&sql, values, read_company)?;
            insert_membership(tx, &company.id, &company.owner, Role::Owner, company.at)?;
            append_audit(tx, &audit)?;
            Ok(Membership { company: made, role: Role::Owner })
        })
        .await
    }

    /// Gives a user a role in a company, whether or not they had one. `false`: there is no such company.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn set_role(&self, company: CompanyId, user: UserId, role: Role, at: Timestamp, audit: Entry) -> Result<bool, StoreError> {
        self.write("set role", move |tx| {
            let there: bool =
                tx.query_row("SELECT EXISTS (SELECT 1 FROM companies WHERE id = ?1 AND deleted_at IS NULL)", [&company], |row| row.get(0))?;
            if there {
                insert_membership(tx, &company, &user, role, at)?;
                person_gave(tx, &company, &user)?;
                append_audit(tx, &audit)?;
            }
            Ok(there)
        })
        .await
    }

    /// The companies a user belongs to, the oldest first, with the user's role in each.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn memberships_of(&self, user: UserId) -> Result<Vec<Membership>, StoreError> {
        self.read("list companies", move |conn| {
            let sql = format!(
                "SELECT {COLUMNS}, memberships.role FROM memberships JOIN companies ON companies.id = memberships.company_id
                 WHERE memberships.user_id = ?1 AND companies.deleted_at IS NULL ORDER BY companies.number"
            );
            let mut statement = conn.prepare_cached(&sql)?;
            Ok(statement.query_map([&user], read_membership)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// A company and a user's role in it. `None`: no such company, or not a member.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn membership(&self, company: CompanyId, user: UserId) -> Result<Option<Membership>, StoreError> {
        self.read("read membership", move |conn| {
            let sql = format!(
                "SELECT {COLUMNS}, memberships.role FROM memberships JOIN companies ON companies.id = memberships.company_id
                 WHERE memberships.company_id = ?1 AND memberships.user_id = ?2 AND companies.deleted_at IS NULL"
            );
            Ok(conn.prepare_cached(&sql)?.query_row((&company, &user), read_membership).optional()?)
        })
        .await
    }

    /// Every company, the oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn companies(&self) -> Result<Vec<Company>, StoreError> {
        self.read("list all companies", |conn| {
            let sql = format!("SELECT {COLUMNS} FROM companies WHERE deleted_at IS NULL ORDER BY number LIMIT {LISTED_MAX}");
            Ok(conn.prepare_cached(&sql)?.query_map([], read_company)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// A company, for work that no member asked for: schedules, retention.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn company(&self, id: CompanyId) -> Result<Option<Company>, StoreError> {
        self.read("read company", move |conn| {
            let sql = format!("SELECT {COLUMNS} FROM companies WHERE id = ?1 AND deleted_at IS NULL");
            Ok(conn.prepare_cached(&sql)?.query_row([&id], read_company).optional()?)
        })
        .await
    }
}

/// Gives a user a role in a company inside another store method's transaction, whether or not they had one.
pub(in crate::store) fn insert_membership(tx: &Connection, company: &CompanyId, user: &UserId, role: Role, at: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO memberships (company_id, user_id, role, created_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (company_id, user_id) DO UPDATE SET role = excluded.role",
    )?
    .execute((company, user, role, at))?;
    Ok(())
}

/// Reads [`COLUMNS`] from the row's first columns.
pub(in crate::store) fn read_company(row: &Row<'_>) -> rusqlite::Result<Company> {
    Ok(Company { id: row.get(0)?, number: row.get(1)?, name: row.get(2)?, created_at: row.get(3)?, created_by: row.get(4)? })
}

fn read_membership(row: &Row<'_>) -> rusqlite::Result<Membership> {
    Ok(Membership { company: read_company(row)?, role: row.get(5)? })
}

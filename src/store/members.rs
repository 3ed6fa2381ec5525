//! Members of a company. What somebody may do to another is looked at in the transaction that does it.

use rusqlite::{Connection, OptionalExtension};

use super::api_keys::end_keys;
use super::audit::append_audit;
use super::companies::insert_membership;
use super::departures;
use super::sso_entries::{person_gave, person_removed};
use super::users::{USER_COLUMNS, read_user, user_in};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::Entry;
use crate::model::company::Member;
use crate::model::ids::{CompanyId, UserId};
use crate::model::invitation::{may_give, may_manage};
use crate::model::part::Part;
use crate::model::role::Role;

/// A change to a membership.
#[derive(Clone, Debug)]
pub struct MemberChange {
    /// In which company.
    pub company: CompanyId,
    /// Who changes it.
    pub by: UserId,
    /// Whose membership.
    pub member: UserId,
    /// The new role; `None` ends the membership.
    pub role: Option<Role>,
    /// Now.
    pub at: Timestamp,
}

/// What came of a change to a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberChanged {
    /// It is so now.
    Done,
    /// There is no such member.
    NotThere,
    /// The one who asks may not do this to that member.
    NotAllowed,
    /// A company has an owner: this is its last.
    LastOwner,
}

impl Store {
    /// The members of a company: owners first, then by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn members_of(&self, company: CompanyId, part: Part<UserId>) -> Result<Vec<Member>, StoreError> {
        self.read("list members", move |conn| {
            let place =
                "SELECT m.role <> 'owner', lower(opened('users', 'name', u.id, u.name)), u.id FROM memberships m JOIN users u ON u.id = m.user_id
                         WHERE m.company_id = ?1 AND m.user_id = ?2";
            let further = match part.after {
                Some(_) => format!("(memberships.role <> 'owner', lower(opened('users', 'name', users.id, users.name)), users.id) > ({place})"),
                None => "?2 IS NULL".into(),
            };
            let sql = format!(
                "SELECT {USER_COLUMNS}, memberships.role, memberships.created_at,
                        (SELECT max(sessions.last_seen_at) FROM sessions WHERE sessions.user_id = users.id)
                 FROM memberships JOIN users ON users.id = memberships.user_id
                 WHERE memberships.company_id = ?1 AND {further}
                 ORDER BY memberships.role <> 'owner', lower(opened('users', 'name', users.id, users.name)), users.id LIMIT ?3"
            );
            let mut statement = conn.prepare_cached(&sql)?;
            let members = statement.query_map((&company, &part.after, part.limit), |row| {
                Ok(Member { user: read_user(row)?, role: row.get(6)?, since: row.get(7)?, last_seen_at: row.get(8)? })
            })?;
            Ok(members.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Hands a company over: `to` becomes an owner, and `by`, who has to be one, an admin.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn transfer_company(
        &self,
        company: CompanyId,
        by: UserId,
        to: UserId,
        at: Timestamp,
        audit: Entry,
    ) -> Result<MemberChanged, StoreError> {
        self.write_departure("transfer company", move |tx| {
            if role_of(tx, &company, &by)? != Some(Role::Owner) {
                return Ok(MemberChanged::NotAllowed);
            }
            let active = user_in(tx, &to)?.is_some_and(|user| user.disabled_at.is_none());
            if by == to || !active || role_of(tx, &company, &to)?.is_none() {
                return Ok(MemberChanged::NotThere);
            }
            insert_membership(tx, &company, &to, Role::Owner, at)?;
            insert_membership(tx, &company, &by, Role::Admin, at)?;
            departures::left(tx, &company, &by, Some(Role::Admin), at)?;
            person_gave(tx, &company, &to)?;
            person_gave(tx, &company, &by)?;
            append_audit(tx, &audit)?;
            Ok(MemberChanged::Done)
        })
        .await
    }

    /// Changes or ends a membership, if the one who asks may do so at that moment. Anybody may end their own.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn change_member(&self, change: MemberChange, audit: Entry) -> Result<MemberChanged, StoreError> {
        self.write_departure("change member", move |tx| {
            let Some(now) = role_of(tx, &change.company, &change.member)? else { return Ok(MemberChanged::NotThere) };
            let by = role_of(tx, &change.company, &change.by)?;
            let leaves = change.by == change.member && change.role.is_none();
            let may = by.is_some_and(|by| may_manage(by, now) && change.role.is_none_or(|role| may_give(by, role)));
            if !may && !leaves {
                return Ok(MemberChanged::NotAllowed);
            }
            if now == Role::Owner && change.role != Some(Role::Owner) && owners(tx, &change.company)? < 2 {
                return Ok(MemberChanged::LastOwner);
            }
            match change.role {
                Some(role) => {
                    insert_membership(tx, &change.company, &change.member, role, change.at)?;
                    person_gave(tx, &change.company, &change.member)?;
                }
                None => {
                    tx.prepare_cached("DELETE FROM memberships WHERE company_id = ?1 AND user_id = ?2")?
                        .execute((&change.company, &change.member))?;
                    end_keys(tx, &change.member, Some(&change.company), change.at)?;
                    person_removed(tx, &change.company, &change.member, change.at)?;
                }
            }
            departures::left(tx, &change.company, &change.member, change.role, change.at)?;
            append_audit(tx, &audit)?;
            Ok(MemberChanged::Done)
        })
        .await
    }
}

/// A user's role in a company, inside another store method's transaction.
pub(in crate::store) fn role_of(conn: &Connection, company: &CompanyId, user: &UserId) -> Result<Option<Role>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT role FROM memberships WHERE company_id = ?1 AND user_id = ?2")?;
    Ok(statement.query_row((company, user), |row| row.get(0)).optional()?)
}

fn owners(conn: &Connection, company: &CompanyId) -> Result<u32, StoreError> {
    let sql = "SELECT count(*) FROM memberships JOIN users ON users.id = memberships.user_id
               WHERE memberships.company_id = ?1 AND memberships.role = 'owner' AND users.disabled_at IS NULL";
    Ok(conn.prepare_cached(sql)?.query_row([company], |row| row.get(0))?)
}

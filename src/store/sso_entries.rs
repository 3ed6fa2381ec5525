//! Somebody whom another service knows comes in: their account is found, linked or made, and what their groups give is given, all in one
//! transaction.

use std::net::IpAddr;

use rusqlite::{Connection, OptionalExtension};

use super::addresses::mark_verified;
use super::api_keys::end_keys;
use super::audit::append_audit;
use super::companies::insert_membership;
use super::departures;
use super::members::role_of;
use super::users::{HAS_EMAIL, NewUser, USER_COLUMNS, insert_user, read_user, seat_free, user_in};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::{Actor, Entry};
use crate::model::ids::{CompanyId, UserId};
use crate::model::role::Role;
use crate::model::sso::{SsoIdentity, greatest_roles};
use crate::model::user::User;

/// Somebody who comes in.
#[derive(Clone)]
pub struct SsoEntry {
    /// What the service says of them.
    pub identity: SsoIdentity,
    /// The account to make if they have none; without a password that anybody knows.
    pub new_user: Option<NewUser>,
    /// How many active users there may be; `None` = any number.
    pub seats: Option<u64>,
    /// Now.
    pub at: Timestamp,
    /// From where.
    pub address: Option<IpAddr>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SsoEntered {
    /// They may come in.
    In(User),
    /// They need an account, and none was brought.
    NeedsAccount,
    /// No group of theirs gives them a place, and nobody else did.
    NoPlace,
    /// The service names no mail address, which an account needs.
    NoMail,
    /// Nobody says that the address is theirs, or it has an account whose holder has not shown that it is theirs.
    AddressNotVerified,
    /// Their address is that of a system admin's account, which no other service opens.
    AddressOfAdmin,
    /// Their account is kept out.
    Disabled,
    /// Every seat is taken.
    SeatsTaken,
}

impl Store {
    /// Lets somebody in whom another service knows.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn enter_by_sso(&self, entry: SsoEntry) -> Result<SsoEntered, StoreError> {
        self.write_departure("enter by single sign-on", move |tx| enter(tx, &entry)).await
    }

    /// Whether there is an account to link to, or one that is linked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_account_for(&self, identity: SsoIdentity) -> Result<bool, StoreError> {
        self.read("look for an account", move |conn| {
            if linked(conn, &identity)?.is_some() {
                return Ok(true);
            }
            Ok(account_of_address(conn, &identity)?.is_some())
        })
        .await
    }

    /// Who signed in at the directory last with the name of this hash.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn user_of_directory_name(&self, name_hash: [u8; 32]) -> Result<Option<User>, StoreError> {
        self.read("look for a name of the directory", move |conn| {
            let sql = "SELECT user_id FROM sso_identities WHERE name_hash = ?1 ORDER BY last_used_at DESC LIMIT 1";
            let id: Option<UserId> = conn.prepare_cached(sql)?.query_row([name_hash], |row| row.get(0)).optional()?;
            id.map_or(Ok(None), |id| user_in(conn, &id))
        })
        .await
    }

    /// Keeps with which name an identity signed in at the directory. One that is not linked has none.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn keep_directory_name(&self, identity_hash: [u8; 32], name_hash: [u8; 32]) -> Result<(), StoreError> {
        self.write("keep a name of the directory", move |tx| {
            let sql = "UPDATE sso_identities SET name_hash = ?2 WHERE identity_hash = ?1 AND name_hash IS NOT ?2";
            tx.prepare_cached(sql)?.execute((identity_hash, name_hash))?;
            Ok(())
        })
        .await
    }
}

fn enter(tx: &Connection, entry: &SsoEntry) -> Result<SsoEntered, StoreError> {
    let wanted = given(tx, &entry.identity)?;
    let user = match linked(tx, &entry.identity)? {
        Some(user) => user,
        None => match first_time(tx, entry, !wanted.is_empty())? {
            Ok(user) => user,
            Err(refused) => return Ok(refused),
        },
    };
    if user.disabled_at.is_some() {
        return Ok(SsoEntered::Disabled);
    }
    // Somebody who was linked as a person like others and has become an admin since.
    if user.system_admin {
        return Ok(SsoEntered::AddressOfAdmin);
    }
    place(tx, entry, &user.id, &wanted)?;
    if !has_place(tx, &user.id)? {
        return Ok(SsoEntered::NoPlace);
    }
    let used = "UPDATE sso_identities SET last_used_at = ?2 WHERE identity_hash = ?1";
    tx.prepare_cached(used)?.execute((entry.identity.hash(), entry.at))?;
    Ok(SsoEntered::In(user))
}

fn linked(conn: &Connection, identity: &SsoIdentity) -> Result<Option<User>, StoreError> {
    let sql = "SELECT user_id FROM sso_identities WHERE identity_hash = ?1";
    let id: Option<UserId> = conn.prepare_cached(sql)?.query_row([identity.hash()], |row| row.get(0)).optional()?;
    id.map_or(Ok(None), |id| user_in(conn, &id))
}

fn account_of_address(conn: &Connection, identity: &SsoIdentity) -> Result<Option<User>, StoreError> {
    let Some(email) = &identity.email else { return Ok(None) };
    let sql = format!("SELECT {USER_COLUMNS} FROM users WHERE {HAS_EMAIL}");
    Ok(conn.prepare_cached(&sql)?.query_row([email], read_user).optional()?)
}

/// Somebody who was not here by this service before: the account of their address is linked if the service vouches for the address and the account's
/// holder has shown that it is theirs, and one is made if the service vouches for the address and a group gives them a place. Else whoever claims
/// another's address first would hold the account into which its owner comes later.
fn first_time(tx: &Connection, entry: &SsoEntry, has_group: bool) -> Result<Result<User, SsoEntered>, StoreError> {
    let SsoEntry { identity, new_user, .. } = entry;
    if identity.email.is_none() {
        return Ok(Err(SsoEntered::NoMail));
    }
    if let Some(user) = account_of_address(tx, identity)? {
        let refused = match () {
            () if !identity.email_verified => SsoEntered::AddressNotVerified,
            () if user.system_admin => SsoEntered::AddressOfAdmin,
            () if user.disabled_at.is_some() => SsoEntered::Disabled,
            () if !is_verified(tx, &user.id)? => SsoEntered::AddressNotVerified,
            () if !has_group && !has_place(tx, &user.id)? => SsoEntered::NoPlace,
            () => {
                link(tx, entry, &user)?;
                return Ok(Ok(user));
            }
        };
        return Ok(Err(refused));
    }
    if !has_group {
        return Ok(Err(SsoEntered::NoPlace));
    }
    if !identity.email_verified {
        return Ok(Err(SsoEntered::AddressNotVerified));
    }
    if !seat_free(tx, entry.seats)? {
        return Ok(Err(SsoEntered::SeatsTaken));
    }
    let Some(new) = new_user else { return Ok(Err(SsoEntered::NeedsAccount)) };
    let Some(user) = insert_user(tx, new)? else { return Ok(Err(SsoEntered::AddressNotVerified)) };
    tx.execute("UPDATE users SET came_by_sso = 1 WHERE id = ?1", [&user.id])?;
    let made = Entry::new(entry.at, Actor::User(Some(user.id.clone())), "user.created", user.id.as_str()).from(entry.address);
    append_audit(tx, &made.detail(serde_json::json!({"email": user.email, "by": identity.source})))?;
    link(tx, entry, &user)?;
    Ok(Ok(user))
}

fn is_verified(tx: &Connection, user: &UserId) -> Result<bool, StoreError> {
    let sql = "SELECT email_verified_at IS NOT NULL FROM users WHERE id = ?1";
    Ok(tx.prepare_cached(sql)?.query_row([user], |row| row.get(0))?)
}

fn link(tx: &Connection, entry: &SsoEntry, user: &User) -> Result<(), StoreError> {
    let SsoEntry { identity, at, .. } = entry;
    tx.prepare_cached("INSERT INTO sso_identities (identity_hash, source, user_id, created_at, last_used_at) VALUES (?1, ?2, ?3, ?4, ?4)")?
        .execute((identity.hash(), identity.source, &user.id, at))?;
    // The service vouches for it: see `first_time`.
    mark_verified(tx, &user.id, *at)?;
    let linked = Entry::new(*at, Actor::User(Some(user.id.clone())), "sso.linked", user.id.as_str()).from(entry.address);
    append_audit(tx, &linked.detail(serde_json::json!({"by": identity.source, "issuer": identity.issuer})))
}

/// What their groups give: in each company the greatest role.
fn given(conn: &Connection, identity: &SsoIdentity) -> Result<Vec<(CompanyId, Role)>, StoreError> {
    let groups = serde_json::Value::from(identity.groups.clone()).to_string();
    let mut list = conn.prepare_cached(
        "SELECT company_id, role FROM sso_group_roles JOIN companies ON companies.id = company_id
         WHERE source = ?1 AND group_name IN (SELECT value FROM json_each(?2)) AND companies.deleted_at IS NULL",
    )?;
    let given = list.query_map((identity.source, groups), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Vec<_>, _>>()?;
    Ok(greatest_roles(given))
}

/// Makes the memberships that groups give what the groups say now. What a person gave, and an owner, stays as it is, and where a person removed them
/// they stay out.
fn place(tx: &Connection, entry: &SsoEntry, user: &UserId, wanted: &[(CompanyId, Role)]) -> Result<(), StoreError> {
    let source = entry.identity.source;
    let mut list = tx.prepare_cached("SELECT company_id FROM sso_memberships WHERE user_id = ?1 AND source = ?2")?;
    let had: Vec<CompanyId> = list.query_map((user, source), |row| row.get(0))?.collect::<Result<_, _>>()?;
    for (company, role) in wanted {
        match role_of(tx, company, user)? {
            None if is_kept_out(tx, company, user)? => {}
            None => {
                insert_membership(tx, company, user, *role, entry.at)?;
                let mark = "INSERT INTO sso_memberships (company_id, user_id, source) VALUES (?1, ?2, ?3)";
                tx.prepare_cached(mark)?.execute((company, user, source))?;
                record(tx, entry, user, company, Some(*role))?;
            }
            Some(now) if now != *role && now != Role::Owner && had.contains(company) => {
                insert_membership(tx, company, user, *role, entry.at)?;
                departures::left(tx, company, user, Some(*role), entry.at)?;
                record(tx, entry, user, company, Some(*role))?;
            }
            Some(_) => {}
        }
    }
    for company in had.into_iter().filter(|company| !wanted.iter().any(|(still, _)| still == company)) {
        if role_of(tx, &company, user)? == Some(Role::Owner) {
            continue;
        }
        tx.prepare_cached("DELETE FROM memberships WHERE company_id = ?1 AND user_id = ?2")?.execute((&company, user))?;
        end_keys(tx, user, Some(&company), entry.at)?;
        departures::left(tx, &company, user, None, entry.at)?;
        record(tx, entry, user, &company, None)?;
    }
    Ok(())
}

fn record(tx: &Connection, entry: &SsoEntry, user: &UserId, company: &CompanyId, role: Option<Role>) -> Result<(), StoreError> {
    let action = if role.is_some() { "member.role_set" } else { "member.removed" };
    let change = Entry::new(entry.at, Actor::System, action, user.as_str()).in_company(company.clone()).from(entry.address);
    append_audit(tx, &change.detail(serde_json::json!({"role": role, "by": entry.identity.source})))
}

fn has_place(conn: &Connection, user: &UserId) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM memberships JOIN companies ON companies.id = memberships.company_id
                 WHERE memberships.user_id = ?1 AND companies.deleted_at IS NULL)";
    Ok(conn.prepare_cached(sql)?.query_row([user], |row| row.get(0))?)
}

fn is_kept_out(conn: &Connection, company: &CompanyId, user: &UserId) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sso_kept_out WHERE company_id = ?1 AND user_id = ?2)";
    Ok(conn.prepare_cached(sql)?.query_row((company, user), |row| row.get(0))?)
}

/// A person gave somebody a role: from now on no group takes or changes it. Inside another store method's transaction.
pub(in crate::store) fn person_gave(tx: &Connection, company: &CompanyId, user: &UserId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM sso_memberships WHERE company_id = ?1 AND user_id = ?2")?.execute((company, user))?;
    tx.prepare_cached("DELETE FROM sso_kept_out WHERE company_id = ?1 AND user_id = ?2")?.execute((company, user))?;
    Ok(())
}

/// A person ended somebody's membership: no group brings them back until a person does. Inside another store method's transaction.
pub(in crate::store) fn person_removed(tx: &Connection, company: &CompanyId, user: &UserId, at: Timestamp) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO sso_kept_out (company_id, user_id, at) VALUES (?1, ?2, ?3) ON CONFLICT (company_id, user_id) DO UPDATE SET at = excluded.at";
    tx.prepare_cached(sql)?.execute((company, user, at))?;
    Ok(())
}

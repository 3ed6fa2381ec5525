//! Invitations. Accepting one is a single transaction in the one writer thread: of any number at once, one wins.

use rusqlite::{Connection, OptionalExtension, Row};

use super::audit::append_audit;
use super::companies::{self, insert_membership, read_company};
use super::departures::inviter_still_may;
use super::mail::{NewMail, insert_mail};
use super::members::role_of;
use super::sessions::insert_session;
use super::sso_entries::person_gave;
use super::users::{NewUser, insert_user, seat_free, user_in};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::{Actor, Entry};
use crate::model::ids::{CompanyId, InvitationId, UserId};
use crate::model::invitation::{Invitation, InvitationState, Invited};
use crate::model::session::{NewSession, Origin};
use crate::model::user::User;

const COLUMNS: &str = "invitations.id, invitations.company_id,
    opened('invitations', 'email', invitations.id, invitations.email), invitations.role, invitations.invited_by,
    invitations.created_at, invitations.expires_at, invitations.accepted_at, invitations.withdrawn_at";
/// Invitations shown of a company, the newest.
const LISTED_MAX: u32 = 500;

/// Who accepts an invitation.
#[derive(Clone)]
pub enum Accepter {
    /// Somebody who had no account, with the one they made, and the session it opens.
    NewAccount(Box<NewUser>, NewSession),
    /// The same where signing in asks for more than a password: no session yet.
    NewAccountOnly(Box<NewUser>, Origin),
    /// Somebody who is signed in.
    Account(UserId, Origin),
}

/// What came of accepting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// They belong to the company now.
    Done(User, CompanyId),
    /// There is no such invitation.
    Unknown,
    /// It cannot be accepted (any more).
    Ended(InvitationState),
    /// The address has an account: its owner has to sign in.
    HasAccount,
    /// It is for another address than that of the account.
    OtherAddress,
    /// Every seat is taken.
    SeatsTaken,
}

impl Store {
    /// Keeps an invitation, with the mail that carries it; an open one of the same company to the same address is withdrawn.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn invite(&self, invitation: Invitation, token_hash: [u8; 32], mail: Option<NewMail>, audit: Entry) -> Result<Invitation, StoreError> {
        self.write("invite", move |tx| {
            tx.prepare_cached(
                "UPDATE invitations SET withdrawn_at = ?3 WHERE company_id = ?1 AND accepted_at IS NULL AND withdrawn_at IS NULL
                   AND email_index IN (SELECT value FROM json_each(indexes('invitations.email', ?2)))",
            )?
            .execute((&invitation.company, &invitation.email, invitation.created_at))?;
            tx.prepare_cached(
                "INSERT INTO invitations (id, company_id, email_index, email, role, token_hash, invited_by, created_at, expires_at)
                 VALUES (?1, ?2, indexed('invitations.email', ?3), sealed('invitations', 'email', ?1, ?3), ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((
                &invitation.id,
                &invitation.company,
                &invitation.email,
                invitation.role,
                token_hash,
                &invitation.invited_by,
                invitation.created_at,
                invitation.expires_at,
            ))?;
            mail.map_or(Ok(()), |mail| insert_mail(tx, &mail))?;
            append_audit(tx, &audit)?;
            Ok(invitation)
        })
        .await
    }

    /// A company's invitations, the newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn invitations_of(&self, company: CompanyId) -> Result<Vec<Invitation>, StoreError> {
        self.read("list invitations", move |conn| {
            let sql = format!("SELECT {COLUMNS} FROM invitations WHERE company_id = ?1 ORDER BY created_at DESC, id DESC LIMIT {LISTED_MAX}");
            Ok(conn.prepare_cached(&sql)?.query_map([&company], read_invitation)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What the holder of a token may see of the invitation behind it, in whatever state.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn invitation_by_token(&self, token_hash: [u8; 32]) -> Result<Option<Invited>, StoreError> {
        self.read("read invitation", move |conn| invited(conn, token_hash)).await
    }

    /// Takes an open invitation back. `false`: there is none such.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn withdraw_invitation(&self, company: CompanyId, id: InvitationId, at: Timestamp, audit: Entry) -> Result<bool, StoreError> {
        self.write("withdraw invitation", move |tx| {
            let withdrawn = tx
                .prepare_cached(
                    "UPDATE invitations SET withdrawn_at = ?3 WHERE company_id = ?1 AND id = ?2 AND accepted_at IS NULL AND withdrawn_at IS NULL",
                )?
                .execute((&company, &id, at))?;
            if withdrawn > 0 {
                append_audit(tx, &audit)?;
            }
            Ok(withdrawn > 0)
        })
        .await
    }

    /// Accepts an invitation: marks it used, makes the account if there is none, and the membership, all or nothing. Somebody who is a
    /// member already keeps their role. `seats` is how many active users there may be; `None` = any number.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn accept_invitation(
        &self,
        token_hash: [u8; 32],
        accepter: Accepter,
        seats: Option<u64>,
        at: Timestamp,
    ) -> Result<Acceptance, StoreError> {
        self.write("accept invitation", move |tx| accept(tx, token_hash, &accepter, seats, at)).await
    }
}

fn accept(tx: &Connection, token_hash: [u8; 32], accepter: &Accepter, seats: Option<u64>, at: Timestamp) -> Result<Acceptance, StoreError> {
    let Some(Invited { invitation, .. }) = invited(tx, token_hash)? else { return Ok(Acceptance::Unknown) };
    let state = invitation.state(at);
    if state != InvitationState::Open {
        return Ok(Acceptance::Ended(state));
    }
    if !inviter_still_may(tx, &invitation.company, &invitation.invited_by, invitation.role)? {
        return Ok(Acceptance::Ended(InvitationState::Withdrawn));
    }
    let (user, origin) = match accepter {
        Accepter::NewAccount(new, _) | Accepter::NewAccountOnly(new, _) => {
            if new.email != invitation.email {
                return Ok(Acceptance::OtherAddress);
            }
            if !seat_free(tx, seats)? {
                return Ok(Acceptance::SeatsTaken);
            }
            let Some(user) = insert_user(tx, new)? else { return Ok(Acceptance::HasAccount) };
            let origin = match accepter {
                Accepter::NewAccount(_, session) => {
                    insert_session(tx, &user.id, session)?;
                    &session.origin
                }
                Accepter::NewAccountOnly(_, origin) | Accepter::Account(_, origin) => origin,
            };
            (user, origin)
        }
        Accepter::Account(id, origin) => {
            let Some(user) = user_in(tx, id)? else { return Ok(Acceptance::Unknown) };
            if user.email != invitation.email {
                return Ok(Acceptance::OtherAddress);
            }
            (user, origin)
        }
    };
    tx.prepare_cached("UPDATE invitations SET accepted_at = ?2, accepted_by = ?3 WHERE id = ?1")?.execute((&invitation.id, at, &user.id))?;
    if role_of(tx, &invitation.company, &user.id)?.is_none() {
        insert_membership(tx, &invitation.company, &user.id, invitation.role, at)?;
        person_gave(tx, &invitation.company, &user.id)?;
    }
    let entry = Entry::new(at, Actor::User(Some(user.id.clone())), "invitation.accepted", invitation.id.as_str())
        .in_company(invitation.company.clone())
        .from(origin.address)
        .detail(serde_json::json!({"user_id": user.id, "email": user.email, "role": invitation.role}));
    append_audit(tx, &entry)?;
    Ok(Acceptance::Done(user, invitation.company))
}

fn invited(conn: &Connection, token_hash: [u8; 32]) -> Result<Option<Invited>, StoreError> {
    let sql = format!(
        "SELECT {}, {COLUMNS}, EXISTS (SELECT 1 FROM users WHERE users.email_index IN (SELECT value FROM
           json_each(indexes('users.email', opened('invitations', 'email', invitations.id, invitations.email)))))
         FROM invitations JOIN companies ON companies.id = invitations.company_id
         WHERE invitations.token_hash = ?1 AND companies.deleted_at IS NULL",
        companies::COLUMNS
    );
    let found = conn.prepare_cached(&sql)?.query_row([token_hash], |row| {
        Ok(Invited { company: read_company(row)?, invitation: read_invitation_at(row, 5)?, has_account: row.get(14)? })
    });
    Ok(found.optional()?)
}

fn read_invitation(row: &Row<'_>) -> rusqlite::Result<Invitation> {
    read_invitation_at(row, 0)
}

fn read_invitation_at(row: &Row<'_>, first: usize) -> rusqlite::Result<Invitation> {
    Ok(Invitation {
        id: row.get(first)?,
        company: row.get(first + 1)?,
        email: row.get(first + 2)?,
        role: row.get(first + 3)?,
        invited_by: row.get(first + 4)?,
        created_at: row.get(first + 5)?,
        expires_at: row.get(first + 6)?,
        accepted_at: row.get(first + 7)?,
        withdrawn_at: row.get(first + 8)?,
    })
}

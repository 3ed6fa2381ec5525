//! What ends with somebody's place in a company: their automations rest, their runs stop, their invitations open nothing. It happens in the
//! transaction that takes the place away.

use rusqlite::{Connection, OptionalExtension};

use super::audit::append_audit;
use super::members::role_of;
use super::runs::ask_cancel;
use super::widgets::{PausedColumns, set_maker};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::base::signal::Nudge;
use crate::model::audit::Entry;
use crate::model::ids::{CompanyId, RunId, UserId, WidgetId};
use crate::model::invitation::may_give;
use crate::model::paused::PausedReason;
use crate::model::role::Role;
use crate::model::run::RunState;

crate::text_column!(PausedReason);

impl Store {
    /// Wakes whoever stops the work of runs that were asked to: somebody lost their place, or a company ended.
    #[must_use]
    pub fn stops(&self) -> Nudge {
        self.inner.stops.clone()
    }

    /// As [`Store::write`], for what may take a place away: whoever stops runs looks once it is kept.
    pub(in crate::store) async fn write_departure<T, F>(&self, operation: &'static str, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let answer = self.write(operation, job).await?;
        self.inner.stops.nudge();
        Ok(answer)
    }

    /// Working runs that were asked to stop.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn runs_asked_to_stop(&self) -> Result<Vec<RunId>, StoreError> {
        self.read("list runs to stop", move |conn| {
            let mut list = conn.prepare_cached(
                "SELECT id FROM widget_runs WHERE state IN ('queued', 'collecting', 'extracting', 'reporting') AND cancel_asked = 1",
            )?;
            Ok(list.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Whether somebody may run automations in a company now: a member, more than a viewer, whom nobody keeps out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn may_run(&self, company: CompanyId, user: UserId) -> Result<bool, StoreError> {
        self.read("look whether someone may run", move |conn| {
            let sql = "SELECT users.disabled_at IS NULL FROM users WHERE users.id = ?1";
            let active: bool = conn.prepare_cached(sql)?.query_row([&user], |row| row.get(0)).optional()?.unwrap_or_default();
            Ok(active && role_of(conn, &company, &user)?.is_some_and(|role| role.allows(Role::Member)))
        })
        .await
    }

    /// Makes somebody the maker of a widget, who pays for its schedule from now on. False: there is no such widget.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn take_over_widget(
        &self,
        company: CompanyId,
        widget: WidgetId,
        by: UserId,
        next_run_at: Option<Timestamp>,
        audit: Entry,
    ) -> Result<bool, StoreError> {
        self.write("take over widget", move |tx| {
            let taken = set_maker(tx, &company, &widget, &by, PausedColumns { next_run_at, at: audit.at })?;
            if taken {
                append_audit(tx, &audit)?;
            }
            Ok(taken)
        })
        .await
    }
}

/// Somebody has lost their place in a company, or so much of their role that they cannot run automations (`role`: what is left of it).
pub(in crate::store) fn left(tx: &Connection, company: &CompanyId, user: &UserId, role: Option<Role>, at: Timestamp) -> Result<(), StoreError> {
    if !role.is_some_and(|role| role.allows(Role::Member)) {
        rest(tx, Some(company), user, PausedReason::MakerLeft, at)?;
        stop_runs(tx, Some(company), Some(user), at)?;
    }
    withdraw_invitations(tx, Some(company), user, role, at)
}

/// Somebody is kept out of the appliance.
pub(in crate::store) fn disabled(tx: &Connection, user: &UserId, at: Timestamp) -> Result<(), StoreError> {
    rest(tx, None, user, PausedReason::MakerDisabled, at)?;
    stop_runs(tx, None, Some(user), at)?;
    withdraw_invitations(tx, None, user, None, at)
}

/// A company is no more: nothing runs there.
pub(in crate::store) fn company_ended(tx: &Connection, company: &CompanyId, at: Timestamp) -> Result<(), StoreError> {
    stop_runs(tx, Some(company), None, at)
}

/// Whether whoever made an invitation could make it now.
pub(in crate::store) fn inviter_still_may(tx: &Connection, company: &CompanyId, inviter: &UserId, gives: Role) -> Result<bool, StoreError> {
    let sql = "SELECT users.disabled_at IS NULL FROM users WHERE users.id = ?1";
    let active: bool = tx.prepare_cached(sql)?.query_row([inviter], |row| row.get(0)).optional()?.unwrap_or_default();
    Ok(active && role_of(tx, company, inviter)?.is_some_and(|role| may_give(role, gives)))
}

fn rest(tx: &Connection, company: Option<&CompanyId>, user: &UserId, why: PausedReason, at: Timestamp) -> Result<(), StoreError> {
    // One that somebody had paused rests too: to let it go on would spend the tokens of whoever left.
    tx.prepare_cached(
        "UPDATE widgets SET paused = 1, paused_reason = ?3, next_run_at = NULL, updated_at = ?4
         WHERE created_by = ?2 AND (?1 IS NULL OR company_id = ?1) AND deleted_at IS NULL AND paused_reason IS NULL",
    )?
    .execute((company, user, why, at))?;
    Ok(())
}

/// Those that wait are over; those at work are marked, so that neither the next step nor the next process goes on with them.
fn stop_runs(tx: &Connection, company: Option<&CompanyId>, user: Option<&UserId>, at: Timestamp) -> Result<(), StoreError> {
    let mut list = tx.prepare_cached(
        "SELECT id, state FROM widget_runs WHERE state IN ('queued', 'collecting', 'extracting', 'reporting')
         AND (?1 IS NULL OR company_id = ?1) AND (?2 IS NULL OR requested_by = ?2)",
    )?;
    let active: Vec<(RunId, RunState)> = list.query_map((company, user), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (run, state) in active {
        ask_cancel(tx, &run, state, at)?;
    }
    Ok(())
}

fn withdraw_invitations(tx: &Connection, company: Option<&CompanyId>, inviter: &UserId, role: Option<Role>, at: Timestamp) -> Result<(), StoreError> {
    let mut withdraw = tx.prepare_cached(
        "UPDATE invitations SET withdrawn_at = ?4 WHERE invited_by = ?2 AND (?1 IS NULL OR company_id = ?1) AND role = ?3
           AND accepted_at IS NULL AND withdrawn_at IS NULL",
    )?;
    for gives in Role::ALL.into_iter().filter(|gives| !role.is_some_and(|role| may_give(role, *gives))) {
        withdraw.execute((company, inviter, gives, at))?;
    }
    Ok(())
}

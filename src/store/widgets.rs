//! Widgets. A deleted one keeps its row, so that what it reported stays explained, and is seen by nobody.

use rusqlite::{Connection, Row};

use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::ids::{CompanyId, RunId, UserId, WidgetId};
use crate::model::part::Part;
use crate::model::widget::{Visibility, Widget, WidgetSpec};

crate::text_column!(Visibility);

const COLUMNS: &str = "id, company_id, title, objective, source_config_json, schedule_json, stale_after_hours, upstream_widget_id, visibility, \
                       deep_collection, paused, next_run_at, created_by, created_at, updated_at, paused_reason";

/// Whether a widget was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WidgetAdded {
    /// It is there.
    Added,
    /// The company has as many as it may.
    LimitReached {
        /// How many it has.
        used: u64,
    },
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WidgetUpdated {
    /// It is made.
    Updated,
    /// Somebody else changed it since it was read.
    ChangedMeanwhile,
    /// There is no such widget.
    NotThere,
}

/// [`Widget::is_shown_to`] in SQL: of the widget `w` to `:viewer`, a member of its company, by what both are now.
macro_rules! shown {
    () => {
        "(w.visibility <> 'private' OR w.created_by = :viewer OR EXISTS (SELECT 1 FROM memberships m
           WHERE m.company_id = w.company_id AND m.user_id = :viewer AND m.role IN ('admin', 'owner')))"
    };
}
pub(in crate::store) use shown;

impl Store {
    /// Adds a widget, unless the company already has `limit` of them. Counted and added in one transaction, so that a race cannot exceed it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn insert_widget(&self, widget: Widget, limit: Option<u64>) -> Result<WidgetAdded, StoreError> {
        self.write("insert widget", move |tx| {
            let used = count(tx, &widget.company_id)?;
            if limit.is_some_and(|limit| used >= limit) {
                return Ok(WidgetAdded::LimitReached { used });
            }
            let spec = &widget.spec;
            tx.prepare_cached(&format!("INSERT INTO widgets ({COLUMNS}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)"))?.execute(
                rusqlite::params![
                    widget.id,
                    widget.company_id,
                    spec.title,
                    spec.objective,
                    serde_json::to_string(&spec.source)?,
                    serde_json::to_string(&spec.schedule)?,
                    spec.stale_after_hours,
                    spec.upstream_widget_id,
                    spec.visibility,
                    spec.deep_collection,
                    spec.paused,
                    widget.next_run_at,
                    widget.created_by,
                    widget.created_at,
                    widget.updated_at,
                    widget.paused_reason,
                ],
            )?;
            Ok(WidgetAdded::Added)
        })
        .await
    }

    /// Changes what a widget is, if it still is as it was read: two people's edits at once are both made, one after the other. `reschedule` sets when
    /// it runs next; without it that stays, for the scheduler moves it meanwhile.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn update_widget(
        &self,
        read: Widget,
        spec: WidgetSpec,
        reschedule: Option<Option<Timestamp>>,
        now: Timestamp,
    ) -> Result<WidgetUpdated, StoreError> {
        self.write("update widget", move |tx| {
            let mut find = tx.prepare_cached(&format!("SELECT {COLUMNS} FROM widgets WHERE company_id = ?1 AND id = ?2 AND deleted_at IS NULL"))?;
            let mut rows = find.query((&read.company_id, &read.id))?;
            let Some(present) = rows.next()?.map(from_row).transpose()? else { return Ok(WidgetUpdated::NotThere) };
            if (present.updated_at, &present.spec, &present.created_by) != (read.updated_at, &read.spec, &read.created_by) {
                return Ok(WidgetUpdated::ChangedMeanwhile);
            }
            tx.prepare_cached(
                "UPDATE widgets SET title = ?3, objective = ?4, source_config_json = ?5, schedule_json = ?6, stale_after_hours = ?7,
                       upstream_widget_id = ?8, visibility = ?9, deep_collection = ?10, paused = ?11, next_run_at = ?12, updated_at = ?13,
                       paused_reason = CASE WHEN ?11 THEN paused_reason END
                     WHERE company_id = ?1 AND id = ?2 AND deleted_at IS NULL",
            )?
            .execute(rusqlite::params![
                read.company_id,
                read.id,
                spec.title,
                spec.objective,
                serde_json::to_string(&spec.source)?,
                serde_json::to_string(&spec.schedule)?,
                spec.stale_after_hours,
                spec.upstream_widget_id,
                spec.visibility,
                spec.deep_collection,
                spec.paused,
                reschedule.unwrap_or(present.next_run_at),
                now,
            ])?;
            Ok(WidgetUpdated::Updated)
        })
        .await
    }

    /// Deletes a widget and asks its active run to stop. `None` when there is no widget; else the active run, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_widget(&self, company: CompanyId, id: WidgetId, now: Timestamp) -> Result<Option<Option<RunId>>, StoreError> {
        self.write("delete widget", move |tx| {
            let changed = tx.execute(
                "UPDATE widgets SET deleted_at = ?3, next_run_at = NULL WHERE company_id = ?1 AND id = ?2 AND deleted_at IS NULL",
                (&company, &id, now),
            )?;
            if changed == 0 {
                return Ok(None);
            }
            let active = super::runs::active_run(tx, &id)?;
            tx.execute("UPDATE widget_runs SET cancel_asked = 1 WHERE id = ?1", [&active])?;
            Ok(Some(active))
        })
        .await
    }

    /// One widget of a company.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn widget(&self, company: CompanyId, id: WidgetId) -> Result<Option<Widget>, StoreError> {
        self.read("read widget", move |conn| {
            let mut statement =
                conn.prepare_cached(&format!("SELECT {COLUMNS} FROM widgets WHERE company_id = ?1 AND id = ?2 AND deleted_at IS NULL"))?;
            let mut rows = statement.query((&company, &id))?;
            rows.next()?.map(from_row).transpose()
        })
        .await
    }

    /// A company's widgets, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn widgets(&self, company: CompanyId) -> Result<Vec<Widget>, StoreError> {
        self.read("list widgets", move |conn| {
            let sql = format!("SELECT {COLUMNS} FROM widgets WHERE company_id = ?1 AND deleted_at IS NULL ORDER BY created_at, id");
            let mut statement = conn.prepare_cached(&sql)?;
            let mut rows = statement.query([&company])?;
            let mut widgets = Vec::new();
            while let Some(row) = rows.next()? {
                widgets.push(from_row(row)?);
            }
            Ok(widgets)
        })
        .await
    }

    /// A part of a company's widgets, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn widgets_in(&self, company: CompanyId, part: Part<WidgetId>) -> Result<Vec<Widget>, StoreError> {
        self.read("list widgets", move |conn| {
            let place = "(SELECT created_at, id FROM widgets WHERE id = ?2 AND company_id = ?1)";
            let further = if part.after.is_some() { format!("(created_at, id) > {place}") } else { "?2 IS NULL".into() };
            let sql =
                format!("SELECT {COLUMNS} FROM widgets WHERE company_id = ?1 AND deleted_at IS NULL AND {further} ORDER BY created_at, id LIMIT ?3");
            let mut statement = conn.prepare_cached(&sql)?;
            let mut rows = statement.query((&company, &part.after, part.limit))?;
            let mut widgets = Vec::new();
            while let Some(row) = rows.next()? {
                widgets.push(from_row(row)?);
            }
            Ok(widgets)
        })
        .await
    }

    /// How many widgets a company has.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count_widgets(&self, company: CompanyId) -> Result<u64, StoreError> {
        self.read("count widgets", move |conn| count(conn, &company)).await
    }

    /// Widgets that are due, the longest-waiting first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn due_widgets(&self, now: Timestamp, limit: u32) -> Result<Vec<Widget>, StoreError> {
        self.read("due widgets", move |conn| {
            let sql = format!(
                "SELECT {COLUMNS} FROM widgets WHERE next_run_at IS NOT NULL AND paused = 0 AND deleted_at IS NULL AND next_run_at <= ?1
                   AND NOT EXISTS (SELECT 1 FROM companies c WHERE c.id = widgets.company_id AND c.deleted_at IS NOT NULL)
                 ORDER BY next_run_at LIMIT ?2"
            );
            let mut statement = conn.prepare_cached(&sql)?;
            let mut rows = statement.query((now, limit))?;
            let mut widgets = Vec::new();
            while let Some(row) = rows.next()? {
                widgets.push(from_row(row)?);
            }
            Ok(widgets)
        })
        .await
    }
}

/// What changes with a widget's maker besides them.
pub(in crate::store) struct PausedColumns {
    pub(in crate::store) next_run_at: Option<Timestamp>,
    pub(in crate::store) at: Timestamp,
}

/// Makes somebody the maker of a widget, which goes on. False: there is no such widget.
pub(in crate::store) fn set_maker(
    tx: &Connection,
    company: &CompanyId,
    id: &WidgetId,
    maker: &UserId,
    next: PausedColumns,
) -> Result<bool, StoreError> {
    let mut change = tx.prepare_cached(
        "UPDATE widgets SET created_by = ?3, paused = 0, paused_reason = NULL, next_run_at = ?4, updated_at = ?5
         WHERE company_id = ?1 AND id = ?2 AND deleted_at IS NULL",
    )?;
    Ok(change.execute((company, id, maker, next.next_run_at, next.at))? == 1)
}

fn count(conn: &Connection, company: &CompanyId) -> Result<u64, StoreError> {
    let count: i64 =
        conn.prepare_cached("SELECT count(*) FROM widgets WHERE company_id = ?1 AND deleted_at IS NULL")?.query_row([company], |row| row.get(0))?;
    u64::try_from(count).map_err(|_| StoreError::corrupt("a negative count"))
}

fn from_row(row: &Row<'_>) -> Result<Widget, StoreError> {
    Ok(Widget {
        id: row.get(0)?,
        company_id: row.get(1)?,
        spec: WidgetSpec {
            title: row.get(2)?,
            objective: row.get(3)?,
            source: serde_json::from_str(&row.get::<_, String>(4)?)?,
            schedule: serde_json::from_str(&row.get::<_, String>(5)?)?,
            stale_after_hours: row.get(6)?,
            upstream_widget_id: row.get(7)?,
            visibility: row.get(8)?,
            deep_collection: row.get(9)?,
            paused: row.get(10)?,
        },
        next_run_at: row.get(11)?,
        created_by: row.get(12)?,
        created_at: row.get(13)?,
        updated_at: row.get(14)?,
        paused_reason: row.get(15)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::runs::testing::{company, widget};
    use super::*;
    use crate::model::role::Role;
    use crate::model::schedule::Schedule;
    use crate::model::widget::Visibility;
    use crate::store::testing;

    #[tokio::test]
    async fn a_widget_is_kept_as_it_is_and_seen_by_its_company_only() {
        let (store, _folder) = testing::store();
        let (mine, theirs) = (company(&store, 1).await, company(&store, 2).await);
        let mut kept = widget(&mine);
        assert_eq!(store.insert_widget(kept.clone(), Some(1)).await.unwrap(), WidgetAdded::Added);
        assert_eq!(store.insert_widget(widget(&mine), Some(1)).await.unwrap(), WidgetAdded::LimitReached { used: 1 });
        assert_eq!(store.widget(mine.0.clone(), kept.id.clone()).await.unwrap(), Some(kept.clone()));
        assert_eq!(store.widget(theirs.0.clone(), kept.id.clone()).await.unwrap(), None);

        let read = kept.clone();
        (kept.spec.title, kept.updated_at) = ("Other".into(), Timestamp::from_millis(7));
        let update = async |read: Widget| store.update_widget(read, kept.spec.clone(), None, kept.updated_at).await.unwrap();
        assert_eq!(update(read.clone()).await, WidgetUpdated::Updated);
        assert_eq!(update(read).await, WidgetUpdated::ChangedMeanwhile);
        assert_eq!(update(Widget { company_id: theirs.0.clone(), ..kept.clone() }).await, WidgetUpdated::NotThere);
        assert_eq!(store.widgets(mine.0.clone()).await.unwrap(), vec![kept.clone()]);

        assert_eq!(store.delete_widget(theirs.0, kept.id.clone(), kept.created_at).await.unwrap(), None);
        assert_eq!(store.delete_widget(mine.0.clone(), kept.id.clone(), kept.created_at).await.unwrap(), Some(None));
        assert_eq!(store.count_widgets(mine.0).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_rule_of_who_sees_a_widget_is_the_same_in_sql() {
        let (store, _folder) = testing::store();
        let mine = company(&store, 1).await;
        let (stranger, _) = testing::user_and_company(&store).await;
        for visibility in [Visibility::Private, Visibility::Company, Visibility::Public] {
            let mut one = widget(&mine);
            one.spec.visibility = visibility;
            store.insert_widget(one.clone(), None).await.unwrap();
            for (member, role) in Role::ALL.into_iter().flat_map(|role| [(&one.created_by, role), (&stranger, role)]) {
                let sql = "INSERT INTO memberships VALUES (?1, ?2, ?3, 0) ON CONFLICT (company_id, user_id) DO UPDATE SET role = excluded.role";
                testing::execute(&store, sql, (one.company_id.clone(), member.clone(), role)).await;
                let (id, viewer) = (one.id.clone(), member.clone());
                let in_sql: bool = store
                    .read("shown", move |conn| {
                        let sql = concat!("SELECT ", shown!(), " FROM widgets w WHERE w.id = :id");
                        Ok(conn.query_row(sql, rusqlite::named_params! {":id": id, ":viewer": viewer}, |row| row.get(0))?)
                    })
                    .await
                    .unwrap();
                assert_eq!(in_sql, one.is_shown_to(member, role), "{visibility:?} to {role}, its maker: {}", *member == one.created_by);
            }
        }
    }

    #[tokio::test]
    async fn only_what_is_due_is_due() {
        let (store, _folder) = testing::store();
        let mine = company(&store, 1).await;
        let at = Timestamp::from_millis(1_000);
        for (next, paused) in [(Some(at), false), (Some(at), true), (None, false), (Some(Timestamp::from_millis(5_000)), false)] {
            let mut one = widget(&mine);
            one.spec.schedule = Schedule::Every { minutes: 5 };
            (one.next_run_at, one.spec.paused) = (next, paused);
            store.insert_widget(one, None).await.unwrap();
        }
        assert_eq!(store.due_widgets(Timestamp::from_millis(999), 9).await.unwrap().len(), 0);
        assert_eq!(store.due_widgets(at, 9).await.unwrap().len(), 1);
    }
}

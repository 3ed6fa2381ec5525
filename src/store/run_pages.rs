//! The fate of each page of a run, and what the next conditional request needs.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use super::page_texts;
use super::runs::tell;
use super::{Store, StoreError};
use crate::model::ids::{CompanyId, RunId, WidgetId};
use crate::model::kept_text::KeptText;
use crate::model::run::{KnownPage, PageFate, Run, RunPage};
use crate::model::run_event::RunEvent;

impl Store {
    /// Keeps the fate of a page with its text, if it has one, and tells the run's followers: all or nothing, so that a text is never there without
    /// what needs it. A page that an earlier attempt of the run met is replaced.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn record_page(&self, run: &Run, page: RunPage, text: Option<KeptText>, budget: u32) -> Result<(), StoreError> {
        let (id, company, widget) = (run.id.clone(), run.company_id.clone(), run.widget_id.clone());
        self.write("record page", move |tx| {
            if let Some(text) = &text {
                page_texts::put_in(tx, &company, text)?;
            }
            let known: Option<(i64, PageFate)> = tx
                .prepare_cached("SELECT position, fate FROM run_pages WHERE widget_id = ?1 AND url = ?2 AND run_id = ?3")?
                .query_row((&widget, &page.url, &id), |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let was_collected = known.is_some_and(|(_, fate)| fate.is_collected());
            let position = match known {
                Some((position, _)) => position,
                None => next_position(tx, &id)?,
            };
            tx.prepare_cached(
                "INSERT INTO run_pages (run_id, position, company_id, widget_id, url, fate, reason, status, bytes, content_hash, etag, last_modified,
                   fetched_at, final_url, title) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)
                 ON CONFLICT (run_id, position) DO UPDATE SET fate = ?6, reason = ?7, status = ?8, bytes = ?9, content_hash = ?10, etag = ?11,
                   last_modified = ?12, fetched_at = ?13, final_url = ?14, title = ?15",
            )?
            .execute(rusqlite::params![
                id,
                position,
                company,
                widget,
                page.url,
                page.fate,
                page.reason,
                page.status,
                i64::try_from(page.bytes).unwrap_or(i64::MAX),
                page.content_hash,
                page.etag,
                page.last_modified,
                page.fetched_at,
                page.final_url,
                page.title,
            ])?;
            let change = i64::from(page.fate.is_collected()) - i64::from(was_collected);
            let n: u32 = tx
                .prepare_cached("UPDATE widget_runs SET pages_collected = pages_collected + ?2 WHERE id = ?1 RETURNING pages_collected")?
                .query_row((&id, change), |row| row.get(0))?;
            tell(tx, &id, &[RunEvent::Page { url: page.url, fate: page.fate, reason: page.reason, n, budget }], page.fetched_at)
        })
        .await
    }

    /// The pages of a run in the order they were met: at most `limit` after place `after` (0 = from the start), each with its place.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_pages(&self, company: CompanyId, run: RunId, after: i64, limit: u32) -> Result<Vec<(i64, RunPage)>, StoreError> {
        self.read("list run pages", move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT url, fate, reason, status, bytes, content_hash, etag, last_modified, fetched_at, position, final_url, title FROM run_pages
                 WHERE run_id = ?1 AND company_id = ?2 AND position > ?3 ORDER BY position LIMIT ?4",
            )?;
            let mut rows = statement.query((&run, &company, after, limit))?;
            let mut pages = Vec::new();
            while let Some(row) = rows.next()? {
                let page = RunPage {
                    url: row.get(0)?,
                    final_url: row.get(10)?,
                    title: row.get(11)?,
                    fate: row.get(1)?,
                    reason: row.get(2)?,
                    status: row.get(3)?,
                    bytes: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
                    content_hash: row.get(5)?,
                    etag: row.get(6)?,
                    last_modified: row.get(7)?,
                    fetched_at: row.get(8)?,
                };
                pages.push((row.get(9)?, page));
            }
            Ok(pages)
        })
        .await
    }

    /// What earlier visits know of the pages of a widget, by address: those of this run's earlier attempts, else of its last `runs` runs with a report.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn known_pages(&self, widget: WidgetId, this_run: RunId, runs: u32) -> Result<HashMap<String, KnownPage>, StoreError> {
        self.read("known pages", move |conn| {
            // Older visits first, so that a later one replaces them; this run's own come last.
            let mut statement = conn.prepare_cached(
                "WITH visits AS (
                   SELECT id, queued_at, 0 AS own FROM
                     (SELECT id, queued_at FROM widget_runs WHERE widget_id = ?1 AND state = 'succeeded' ORDER BY queued_at DESC, id DESC LIMIT ?3) AS r
                   UNION ALL SELECT id, queued_at, 1 FROM widget_runs WHERE id = ?2)
                 SELECT p.url, p.content_hash, p.etag, p.last_modified, p.fate, v.own, p.final_url, p.title FROM visits v JOIN run_pages p ON p.run_id = v.id
                 WHERE p.content_hash IS NOT NULL AND p.fate IN ('new', 'changed', 'unchanged') ORDER BY v.own, v.queued_at, v.id, p.position",
            )?;
            let mut rows = statement.query((&widget, &this_run, runs))?;
            let mut known = HashMap::new();
            while let Some(row) = rows.next()? {
                let fate: PageFate = row.get(4)?;
                let page = KnownPage {
                    final_url: row.get(6)?,
                    title: row.get(7)?,
                    content_hash: row.get(1)?,
                    etag: row.get(2)?,
                    last_modified: row.get(3)?,
                    this_run: row.get::<_, bool>(5)?.then_some(fate),
                };
                known.insert(row.get(0)?, page);
            }
            Ok(known)
        })
        .await
    }
}

fn next_position(tx: &Connection, run: &RunId) -> Result<i64, StoreError> {
    Ok(tx.prepare_cached("SELECT coalesce(max(position), 0) + 1 FROM run_pages WHERE run_id = ?1")?.query_row([run], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::super::runs::testing::{company, new_run, widget};
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::model::run::RunState;
    use crate::store::runs::QueueOutcome;
    use crate::store::testing;

    fn page(url: &str, fate: PageFate, hash: &str) -> RunPage {
        RunPage {
            final_url: None,
            title: Some("T".into()),
            url: url.into(),
            fate,
            reason: None,
            status: Some(200),
            bytes: 10,
            content_hash: Some(hash.into()),
            etag: Some(format!("\"{hash}\"")),
            last_modified: None,
            fetched_at: Timestamp::from_millis(1),
        }
    }

    #[tokio::test]
    async fn a_page_met_again_by_a_second_attempt_counts_once() {
        let (store, _folder) = testing::store();
        let widget = widget(&company(&store, 1).await);
        store.insert_widget(widget.clone(), None).await.unwrap();
        let QueueOutcome::Queued(run) = store.queue_run(new_run(&widget)).await.unwrap() else { panic!("not queued") };
        store.record_page(&run, page("http://a/1", PageFate::New, "h1"), None, 5).await.unwrap();
        store.record_page(&run, page("http://a/2", PageFate::Failed, "h2"), None, 5).await.unwrap();
        store.record_page(&run, page("http://a/1", PageFate::New, "h1"), None, 5).await.unwrap();
        store.record_page(&run, page("http://a/2", PageFate::New, "h2"), None, 5).await.unwrap();
        let (first, second) = ((1, page("http://a/1", PageFate::New, "h1")), (2, page("http://a/2", PageFate::New, "h2")));
        let pages = |after, limit| store.run_pages(widget.company_id.clone(), run.id.clone(), after, limit);
        assert_eq!(pages(0, 10).await.unwrap(), [first.clone(), second.clone()]);
        assert_eq!((pages(0, 1).await.unwrap(), pages(1, 1).await.unwrap(), pages(2, 1).await.unwrap()), (vec![first], vec![second], vec![]));
        let run = store.run(widget.company_id.clone(), run.id).await.unwrap().unwrap();
        assert_eq!(run.pages_collected, 2);
        let events = store.events_after(run.id.to_string(), 0, 100).await.unwrap();
        assert_eq!(events.last().unwrap().data, serde_json::json!({"url": "http://a/2", "fate": "new", "reason": null, "n": 2, "budget": 5}));
    }

    #[tokio::test]
    async fn a_pages_text_is_there_with_the_page_or_not_at_all() {
        let (store, _folder) = testing::store();
        let widget = widget(&company(&store, 1).await);
        store.insert_widget(widget.clone(), None).await.unwrap();
        let QueueOutcome::Queued(run) = store.queue_run(new_run(&widget)).await.unwrap() else { panic!("not queued") };
        let text = |hash: &str| KeptText {
            content_hash: hash.into(),
            url: Some("http://a/1".into()),
            document_id: None,
            title: "T".into(),
            text: "Hello".into(),
            structure_json: "{}".into(),
            collected_at: Timestamp::from_millis(1),
        };
        store.record_page(&run, page("http://a/1", PageFate::New, "h1"), Some(text("h1")), 5).await.unwrap();
        let late = Timestamp::from_millis(i64::MAX);
        assert_eq!(store.prune_page_texts(late, 9).await.unwrap(), 0, "however late the look for unneeded texts comes");
        assert!(store.page_text(widget.company_id.clone(), "h1".into()).await.unwrap().is_some());
        let gone = Run { id: RunId::new(&crate::base::seams::Seams::system()), ..*run };
        assert!(store.record_page(&gone, page("http://a/2", PageFate::New, "h2"), Some(text("h2")), 5).await.is_err());
        assert!(store.page_text(widget.company_id, "h2".into()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn the_last_runs_pages_are_known_and_this_runs_own_win() {
        let (store, _folder) = testing::store();
        let widget = widget(&company(&store, 1).await);
        store.insert_widget(widget.clone(), None).await.unwrap();
        let now = widget.created_at;
        store.queue_run(new_run(&widget)).await.unwrap();
        let first = store.claim_next_run(crate::store::runs::Turn::anybody(), now).await.unwrap().unwrap();
        store.record_page(&first, page("http://a/1", PageFate::New, "old"), None, 5).await.unwrap();
        store.record_page(&first, page("http://a/2", PageFate::New, "same"), None, 5).await.unwrap();
        let finish = |tx: &Connection| Ok(tx.execute("UPDATE widget_runs SET state = 'succeeded'", [])?);
        store.write("finish", finish).await.unwrap();
        store.queue_run(new_run(&widget)).await.unwrap();
        let second = store.claim_next_run(crate::store::runs::Turn::anybody(), now).await.unwrap().unwrap();
        assert_eq!(second.state, RunState::Collecting);
        store.record_page(&second, page("http://a/1", PageFate::Changed, "new"), None, 5).await.unwrap();

        let known = store.known_pages(widget.id.clone(), second.id, 2).await.unwrap();
        assert_eq!(known.len(), 2);
        assert_eq!(KnownPage::fate(known.get("http://a/1"), "new"), PageFate::Changed, "met by this run's earlier attempt: still changed");
        assert_eq!(KnownPage::fate(known.get("http://a/2"), "same"), PageFate::Unchanged);
        assert_eq!(KnownPage::fate(known.get("http://a/2"), "other"), PageFate::Changed);
        assert_eq!(KnownPage::fate(known.get("http://a/3"), "x"), PageFate::New);
    }
}

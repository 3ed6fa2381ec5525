//! The canonical texts of pages and documents: once per company and content.

use rusqlite::{Connection, OptionalExtension, named_params};

use super::widgets::shown;
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::ids::{CompanyId, DocumentId, UserId};
use crate::model::kept_text::KeptText;

impl Store {
    /// Keeps texts that nothing needs. One that is there already takes the newer place, title and time.
    #[cfg(test)]
    pub(crate) async fn put_page_texts(&self, company: CompanyId, texts: Vec<KeptText>) -> Result<(), StoreError> {
        self.write("keep texts", move |tx| texts.iter().try_for_each(|text| put_in(tx, &company, text))).await
    }

    /// The text of this content, if the company has it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page_text(&self, company: CompanyId, content_hash: String) -> Result<Option<KeptText>, StoreError> {
        self.read("read a text", move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT content_hash, url, document_id, title, text, blocks_json, collected_at FROM page_texts
                 WHERE company_id = ?1 AND content_hash = ?2",
            )?;
            let text = statement.query_row((&company, &content_hash), |row| {
                Ok(KeptText {
                    content_hash: row.get(0)?,
                    url: row.get(1)?,
                    document_id: row.get(2)?,
                    title: row.get(3)?,
                    text: row.get(4)?,
                    structure_json: row.get(5)?,
                    collected_at: row.get(6)?,
                })
            });
            Ok(text.optional()?)
        })
        .await
    }
}

impl Store {
    /// The text of this content, if the company has it and a member may see where it is from: a document, or a page collected by a widget
    /// that is shown to them. Place, title and time are those of what they may see, the latest page first: others may have the same text elsewhere.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page_text_for(&self, company: CompanyId, viewer: UserId, content_hash: String) -> Result<Option<KeptText>, StoreError> {
        let (of, hash) = (company.clone(), content_hash.clone());
        let place = self.read("look where a text is seen", move |conn| place_for(conn, &of, &viewer, &hash)).await?;
        let Some(Place { url, document_id, title, collected_at }) = place else { return Ok(None) };
        let kept = self.page_text(company, content_hash).await?;
        Ok(kept.map(|kept| KeptText { url, document_id, title, collected_at, ..kept }))
    }
}

/// Where somebody sees a text.
struct Place {
    url: Option<String>,
    document_id: Option<DocumentId>,
    title: String,
    collected_at: Timestamp,
}

fn place_for(conn: &Connection, company: &CompanyId, viewer: &UserId, content_hash: &str) -> Result<Option<Place>, StoreError> {
    let document = conn
        .prepare_cached(
            "SELECT id, name, uploaded_at FROM documents WHERE company_id = ?1 AND text_hash = ?2 AND deleted_at IS NULL
             ORDER BY uploaded_at DESC, id DESC LIMIT 1",
        )?
        .query_row((company, content_hash), |row| Ok((row.get::<_, DocumentId>(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    // A page from before titles were noted has that of its text, if that was kept under the page's own address.
    let sql = concat!(
        "SELECT coalesce(p.final_url, p.url) AS place,
           coalesce(p.title, (SELECT t.title FROM page_texts t WHERE t.company_id = p.company_id AND t.content_hash = p.content_hash
             AND t.url = coalesce(p.final_url, p.url)), coalesce(p.final_url, p.url)), p.fetched_at
         FROM run_pages p JOIN widgets w ON w.id = p.widget_id
         WHERE p.company_id = :company AND p.content_hash = :hash AND p.url NOT LIKE 'document:%' AND w.deleted_at IS NULL AND ",
        shown!(),
        " ORDER BY p.fetched_at DESC, p.run_id DESC LIMIT 1"
    );
    let parameters = named_params! {":company": company, ":hash": content_hash, ":viewer": viewer};
    let page = conn.prepare_cached(sql)?.query_row(parameters, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    Ok(match (page, document) {
        (Some((url, title, collected_at)), document) => Some(Place { url: Some(url), document_id: document.map(|(id, ..)| id), title, collected_at }),
        (None, Some((id, title, collected_at))) => Some(Place { url: None, document_id: Some(id), title, collected_at }),
        (None, None) => None,
    })
}

/// Keeps a text inside another store method's transaction. Place, title and structure, whose links are the page's own, are always of one page.
pub(in crate::store) fn put_in(tx: &Connection, company: &CompanyId, text: &KeptText) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO page_texts (company_id, content_hash, url, document_id, title, text, blocks_json, collected_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (company_id, content_hash) DO UPDATE SET
           url = excluded.url, document_id = excluded.document_id, title = excluded.title, blocks_json = excluded.blocks_json, collected_at = max(page_texts.collected_at, excluded.collected_at)",
    )?;
    insert.execute((company, &text.content_hash, &text.url, &text.document_id, &text.title, &text.text, &text.structure_json, text.collected_at))?;
    Ok(())
}

/// Why a text is kept: a document that is there, or a page that some run met on the web. What a run read in a document goes with the document.
const NEEDED: &str = "EXISTS (SELECT 1 FROM documents d WHERE d.company_id = t.company_id AND d.text_hash = t.content_hash AND d.deleted_at IS NULL)
    OR EXISTS (SELECT 1 FROM run_pages p WHERE p.company_id = t.company_id AND p.content_hash = t.content_hash AND p.url NOT LIKE 'document:%')";

/// Removes a text inside another store method's transaction, unless something needs it. Returns whether it went.
pub(in crate::store) fn remove_unneeded(tx: &Connection, company: &CompanyId, content_hash: &str) -> Result<bool, StoreError> {
    let mut delete = tx.prepare_cached(&format!("DELETE FROM page_texts AS t WHERE t.company_id = ?1 AND t.content_hash = ?2 AND NOT ({NEEDED})"))?;
    let removed = delete.execute((company, content_hash))? > 0;
    if !removed {
        // It may have been kept under the name of a document that is gone.
        tx.prepare_cached(
            "UPDATE page_texts SET document_id = (SELECT min(d.id) FROM documents d WHERE d.company_id = ?1 AND d.text_hash = ?2
               AND d.deleted_at IS NULL) WHERE company_id = ?1 AND content_hash = ?2 AND document_id IS NOT NULL",
        )?
        .execute((company, content_hash))?;
    }
    Ok(removed)
}

impl Store {
    /// Removes texts last collected before `before` that nothing needs, at most `limit` of them. Returns how many went.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune_page_texts(&self, before: Timestamp, limit: u32) -> Result<usize, StoreError> {
        let unneeded: Vec<(CompanyId, String)> = self
            .read("find unneeded texts", move |conn| {
                let mut find = conn.prepare_cached(&format!(
                    "SELECT t.company_id, t.content_hash FROM page_texts AS t WHERE t.collected_at < ?1 AND NOT ({NEEDED}) LIMIT ?2"
                ))?;
                Ok(find.query_map((before, limit), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
            })
            .await?;
        if unneeded.is_empty() {
            return Ok(0);
        }
        self.write("remove unneeded texts", move |tx| {
            let mut removed = 0;
            for (company, content_hash) in &unneeded {
                removed += usize::from(remove_unneeded(tx, company, content_hash)?);
            }
            Ok(removed)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seams::Seams;
    use crate::model::ids::{RunId, WidgetId};
    use crate::store::documents::testing::company_and_user;
    use crate::store::testing;

    fn text(url: &str, at: i64) -> KeptText {
        KeptText {
            content_hash: "aa".into(),
            url: Some(url.into()),
            document_id: None,
            title: "T".into(),
            text: "Hello".into(),
            structure_json: "{}".into(),
            collected_at: Timestamp::from_millis(at),
        }
    }

    #[tokio::test]
    async fn a_text_is_kept_once_and_only_its_company_sees_it() {
        let (store, _folder) = testing::store();
        let seams = Seams::system();
        let (company, _) = company_and_user(&store, &seams).await;
        let (other, _) = company_and_user(&store, &seams).await;
        store.put_page_texts(company.clone(), vec![text("http://a/", 5), text("http://b/", 3)]).await.unwrap();
        let kept = store.page_text(company, "aa".into()).await.unwrap().unwrap();
        assert_eq!((kept.url.as_deref(), kept.collected_at.millis()), (Some("http://b/"), 5));
        assert_eq!(store.page_text(other, "aa".into()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn everybody_sees_a_text_where_they_may_see_it() {
        let (store, _folder) = testing::store();
        let (maker, company) = testing::user_and_company(&store).await;
        let (colleague, _) = testing::user_and_company(&store).await;
        let (open, open_run, _) = crate::store::chunks::testing::run(&store, &company, &maker, None, 0).await;
        let (secret, secret_run, _) = crate::store::chunks::testing::run(&store, &company, &maker, None, 0).await;
        testing::execute(&store, "UPDATE widgets SET visibility = 'private' WHERE id = ?1", [secret.clone()]).await;
        let page = async |run: &RunId, widget: &WidgetId, url: &'static str, title: Option<&'static str>, at: i64| {
            let sql = "INSERT INTO run_pages (run_id, position, company_id, widget_id, url, title, fate, content_hash, fetched_at)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'new', 'aa', ?2)";
            testing::execute(&store, sql, (run.clone(), at, company.clone(), widget.clone(), url, title)).await;
        };
        page(&open_run, &open, "http://open/", Some("Open"), 1).await;
        page(&secret_run, &secret, "http://secret/?token=1", Some("Secret"), 2).await;
        store.put_page_texts(company.clone(), vec![text("http://secret/?token=1", 2)]).await.unwrap();
        let seen = async |viewer: &UserId| {
            let kept = store.page_text_for(company.clone(), viewer.clone(), "aa".into()).await.unwrap();
            kept.map(|kept| (kept.url.unwrap_or_default(), kept.title, kept.collected_at.millis(), kept.text))
        };
        let of = |url: &str, title: &str, at| Some((url.to_owned(), title.to_owned(), at, "Hello".to_owned()));
        assert_eq!(seen(&colleague).await, of("http://open/", "Open", 1));
        assert_eq!(seen(&maker).await, of("http://secret/?token=1", "Secret", 2));
        // A page from before titles were noted does not take another's.
        testing::execute(&store, "UPDATE run_pages SET title = NULL", []).await;
        assert_eq!(seen(&colleague).await, of("http://open/", "http://open/", 1));
        assert_eq!(seen(&maker).await, of("http://secret/?token=1", "T", 2));
        testing::execute(&store, "DELETE FROM run_pages WHERE widget_id = ?1", [open]).await;
        assert_eq!(seen(&colleague).await, None);
    }
}

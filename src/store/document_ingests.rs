//! The background ingest of documents: durable, because what waits is a column of the document.

use rusqlite::{Connection, OptionalExtension};

use super::documents::{COLUMNS, from_row};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::document::{Document, DocumentNotice, DocumentState};
use crate::model::ids::{CompanyId, DocumentId};

/// Versions of a name whose files and texts are kept, the latest counted: enough to go back after a mistake.
const VERSIONS_KEPT: u32 = 5;
/// Documents that wait and are not to be left alone for now.
const WAITING: &str = "state IN ('stored', 'ingesting') AND deleted_at IS NULL AND (ingest_after IS NULL OR ingest_after <= ?1)
    AND company_id NOT IN (SELECT c.id FROM companies c WHERE c.deleted_at IS NOT NULL AND c.purged_at IS NULL)";

impl Store {
    /// Takes up a document that is to be made recallable, or whose ingest a restart cut off. Companies take turns: the one after `after` comes
    /// next, with the document that has waited longest. `None` when none waits.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claim_next_document(&self, after: Option<CompanyId>, now: Timestamp) -> Result<Option<Document>, StoreError> {
        self.write("claim a document", move |tx| {
            let mut claim = tx.prepare_cached(&format!(
                "UPDATE documents SET state = 'ingesting', ingest_after = NULL, waiting_json = NULL WHERE id =
                   (SELECT id FROM documents WHERE {WAITING}
                    ORDER BY company_id > ?2 DESC, company_id, coalesce(ingest_after, uploaded_at), id LIMIT 1)
                 RETURNING {COLUMNS}"
            ))?;
            let after = after.as_ref().map_or("", CompanyId::as_str);
            claim.query_row((now, after), |row| Ok(from_row(row))).optional()?.transpose()
        })
        .await
    }

    /// Whether a document other than `id` is to be taken up.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn another_document_waits(&self, id: DocumentId, now: Timestamp) -> Result<bool, StoreError> {
        self.read("look for waiting documents", move |conn| {
            Ok(conn.prepare_cached(&format!("SELECT 1 FROM documents WHERE {WAITING} AND id <> ?2"))?.exists((now, &id))?)
        })
        .await
    }

    /// Lets a document wait at least until `until`, and says why unless it only gave its turn to another.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn postpone_document(&self, id: DocumentId, until: Timestamp, why: Option<DocumentNotice>) -> Result<(), StoreError> {
        self.write("postpone a document", move |tx| {
            let state = if why.is_some() { DocumentState::Stored } else { DocumentState::Ingesting };
            let why = why.as_ref().map(serde_json::to_string).transpose()?;
            tx.execute(
                "UPDATE documents SET state = ?2, ingest_after = ?3, waiting_json = ?4 WHERE id = ?1 AND state = 'ingesting'",
                (&id, state.as_str(), until, why),
            )?;
            Ok(())
        })
        .await
    }

    /// A document can be recalled from now on, and its earlier versions no longer: all or nothing. False, and nothing is done, when it was
    /// deleted or superseded meanwhile. Of the versions of its name the latest five keep their files and texts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn finish_document(&self, document: &Document, chunks: u32, at: Timestamp) -> Result<bool, StoreError> {
        let Document { id, company, name, version, .. } = document.clone();
        self.write("finish a document", move |tx| {
            let finished = tx.execute(
                "UPDATE documents SET state = 'ready', chunks = ?2 WHERE id = ?1 AND deleted_at IS NULL AND superseded_at IS NULL",
                (&id, chunks),
            )?;
            if finished == 0 {
                return Ok(false);
            }
            tx.execute(
                "UPDATE documents SET superseded_at = ?4, forgetting = 1, chunks = 0, waiting_json = NULL,
                   state = CASE WHEN state = 'failed' THEN state ELSE 'ready' END
                 WHERE company_id = ?1 AND name = ?2 AND version < ?3 AND deleted_at IS NULL AND superseded_at IS NULL",
                (&company, &name, version, at),
            )?;
            drop_old_versions(tx, &company, &name, version)?;
            Ok(true)
        })
        .await
    }

    /// A document cannot be made recallable. What an interrupted ingest had put in is to be removed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn fail_document(&self, id: DocumentId, why: DocumentNotice) -> Result<(), StoreError> {
        self.write("fail a document", move |tx| {
            tx.execute(
                "UPDATE documents SET state = 'failed', chunks = 0, forgetting = 1, error_json = ?2 WHERE id = ?1 AND deleted_at IS NULL",
                (&id, serde_json::to_string(&why)?),
            )?;
            Ok(())
        })
        .await
    }

    /// How many documents wait or are being made recallable.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count_documents_to_ingest(&self) -> Result<u64, StoreError> {
        self.read("count documents to ingest", |conn| {
            let count: i64 =
                conn.query_row("SELECT count(*) FROM documents WHERE state IN ('stored', 'ingesting') AND deleted_at IS NULL", [], |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
        .await
    }
}

/// Files go at once. Texts lose their reference; they are removed like all that nothing needs.
fn drop_old_versions(tx: &Connection, company: &CompanyId, name: &str, latest: u32) -> Result<(), StoreError> {
    let old: Vec<DocumentId> = tx
        .prepare_cached(
            "SELECT id FROM documents WHERE company_id = ?1 AND name = ?2 AND version <= ?3 AND deleted_at IS NULL
             ORDER BY version DESC LIMIT -1 OFFSET ?4",
        )?
        .query_map((company, name, latest, VERSIONS_KEPT), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in &old {
        tx.prepare_cached("DELETE FROM document_contents WHERE document_id = ?1")?.execute([id])?;
        tx.prepare_cached("UPDATE documents SET text_hash = NULL WHERE id = ?1 AND text_hash IS NOT NULL")?.execute([id])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seams::Seams;
    use crate::store::documents::testing::{company_and_user, new_document};
    use crate::store::testing::store;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    #[tokio::test]
    async fn companies_take_turns_and_what_waits_for_tokens_holds_up_nobody() {
        let (store, _folder) = store();
        let seams = Seams::system();
        let mut owners = [company_and_user(&store, &seams).await, company_and_user(&store, &seams).await];
        owners.sort();
        let mut ids = Vec::new();
        for (company, user) in &owners {
            let mut own = Vec::new();
            for name in ["a.txt", "b.txt"] {
                let new = new_document(&seams, company, user, name, &format!("{company} {name}"));
                own.push(store.insert_document(new).await.unwrap().id);
            }
            // Uploaded at one moment, they go by their ids.
            own.sort();
            ids.extend(own);
        }
        let mut after = None;
        let mut order = Vec::new();
        while let Some(document) = store.claim_next_document(after, NOW).await.unwrap() {
            assert_eq!(document.state, DocumentState::Ingesting);
            if document.id == ids[0] {
                let why = DocumentNotice { code: "tokens_insufficient".into(), message: "wait".into(), remedy: None };
                store.postpone_document(document.id.clone(), Timestamp::from_millis(5_000), Some(why)).await.unwrap();
            } else {
                assert!(store.finish_document(&document, 1, NOW).await.unwrap());
            }
            order.push(document.id);
            after = Some(document.company);
        }
        assert_eq!(order, [&ids[0], &ids[2], &ids[1], &ids[3]].map(Clone::clone));
        let waiting = store.document(owners[0].0.clone(), ids[0].clone()).await.unwrap().unwrap();
        assert_eq!((waiting.state, waiting.notice.unwrap().code.as_str()), (DocumentState::Stored, "tokens_insufficient"));
        assert!(!store.another_document_waits(ids[3].clone(), NOW).await.unwrap());
        assert!(store.another_document_waits(ids[3].clone(), Timestamp::from_millis(5_000)).await.unwrap());
        let again = store.claim_next_document(None, Timestamp::from_millis(5_000)).await.unwrap().unwrap();
        assert_eq!((again.id, again.notice), (ids[0].clone(), None));
    }

    #[tokio::test]
    async fn five_versions_keep_their_files_and_the_texts_of_older_ones_go() {
        let (store, _folder) = store();
        let seams = Seams::system();
        let (company, user) = company_and_user(&store, &seams).await;
        let mut versions = Vec::new();
        for n in 1..=7 {
            let new = new_document(&seams, &company, &user, "a.txt", &format!("version {n}"));
            versions.push(store.insert_document(new).await.unwrap());
            let document = store.claim_next_document(None, NOW).await.unwrap().unwrap();
            assert!(store.finish_document(&document, 1, NOW).await.unwrap());
        }
        assert!(!store.finish_document(&versions[0], 1, NOW).await.unwrap(), "it is superseded");
        assert_eq!(store.prune_page_texts(NOW, 1).await.unwrap(), 1);
        assert_eq!(store.prune_page_texts(NOW, 9).await.unwrap(), 1);
        for (n, document) in versions.iter().enumerate() {
            let content = store.document_content(company.clone(), document.id.clone()).await.unwrap();
            let text = store.page_text(company.clone(), document.text_hash.clone().unwrap()).await.unwrap();
            assert_eq!((content.is_some(), text.is_some()), (n >= 2, n >= 2), "version {}", n + 1);
        }
    }
}

//! Documents: files, their versions by name, and how far each is.

use rusqlite::{Connection, OptionalExtension, Row};

use super::page_texts;
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::document::{Document, DocumentNotice, DocumentState};
use crate::model::ids::{CompanyId, DocumentId, UserId};
use crate::model::kept_text::KeptText;
use crate::model::part::Part;

/// The columns that [`from_row`] reads.
pub(super) const COLUMNS: &str = "id, company_id, name, media_type, size_bytes, version, content_hash, text_hash, state, \
                                  coalesce(waiting_json, error_json) AS notice_json, chunks, uploaded_by, uploaded_at";

/// A document to keep.
#[derive(Clone, Debug)]
pub struct NewDocument {
    /// Its id.
    pub id: DocumentId,
    /// Whose it is.
    pub company: CompanyId,
    /// The file's name.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// The file.
    pub content: Vec<u8>,
    /// SHA-256 of the file, hexadecimal.
    pub content_hash: String,
    /// Its text.
    pub text: KeptText,
    /// What is to be known about it.
    pub notice: Option<DocumentNotice>,
    /// Who uploaded it.
    pub uploaded_by: UserId,
    /// When.
    pub uploaded_at: Timestamp,
}

impl Store {
    /// Keeps a document as the next version of its name, with its content and its text. When the latest version of that name holds the
    /// very same file, that one is returned instead.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn insert_document(&self, new: NewDocument) -> Result<Document, StoreError> {
        self.write("keep a document", move |tx| insert_in(tx, &new)).await
    }

    /// As [`Store::insert_document`], unless a version of that name is somebody else's: `None` then.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn insert_own_document(&self, new: NewDocument) -> Result<Option<Document>, StoreError> {
        self.write("keep a document", move |tx| {
            if others_have(tx, &new.company, &new.name, &new.uploaded_by)? { Ok(None) } else { insert_in(tx, &new).map(Some) }
        })
        .await
    }

    /// A company's documents, the latest version of each name, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn documents(&self, company: CompanyId, part: Part<DocumentId>) -> Result<Vec<Document>, StoreError> {
        self.read("list documents", move |conn| {
            let place = "(SELECT uploaded_at, id FROM documents WHERE id = ?2 AND company_id = ?1)";
            let further = if part.after.is_some() { format!("AND (uploaded_at, id) < {place}") } else { "AND ?2 IS NULL".into() };
            let mut statement = conn.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM documents AS d WHERE company_id = ?1 AND deleted_at IS NULL {further}
                   AND version = (SELECT max(version) FROM documents WHERE company_id = d.company_id AND name = d.name AND deleted_at IS NULL)
                 ORDER BY uploaded_at DESC, id DESC LIMIT ?3"
            ))?;
            let rows = statement.query_map((&company, &part.after, part.limit), |row| Ok(from_row(row)))?;
            rows.map(|row| row?).collect()
        })
        .await
    }

    /// A document of a company, unless it was deleted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn document(&self, company: CompanyId, id: DocumentId) -> Result<Option<Document>, StoreError> {
        self.read("read a document", move |conn| one(conn, &company, &id)).await
    }

    /// Deletes a document with all versions of its name, their files, and their texts unless something else needs them. From then on nothing of
    /// it is recalled; its chunks are to be removed ([`Store::documents_to_forget`]). Returns what was deleted; none when there was nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_document(&self, company: CompanyId, id: DocumentId, at: Timestamp) -> Result<Vec<DocumentId>, StoreError> {
        self.write("delete a document", move |tx| match one(tx, &company, &id)? {
            Some(document) => delete_in(tx, &document, at),
            None => Ok(Vec::new()),
        })
        .await
    }

    /// As [`Store::delete_document`], unless a version of its name is not `by` this user: `None` then.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_own_document(
        &self,
        company: CompanyId,
        id: DocumentId,
        by: UserId,
        at: Timestamp,
    ) -> Result<Option<Vec<DocumentId>>, StoreError> {
        self.write("delete a document", move |tx| match one(tx, &company, &id)? {
            Some(document) if others_have(tx, &company, &document.name, &by)? => Ok(None),
            Some(document) => delete_in(tx, &document, at).map(Some),
            None => Ok(Some(Vec::new())),
        })
        .await
    }
}

fn insert_in(tx: &Connection, new: &NewDocument) -> Result<Document, StoreError> {
    let latest = tx
        .prepare_cached(&format!("SELECT {COLUMNS} FROM documents WHERE company_id = ?1 AND name = ?2 ORDER BY version DESC LIMIT 1"))?
        .query_row((&new.company, &new.name), |row| Ok((from_row(row), deleted(tx, row)?)))
        .optional()?;
    let (latest, gone) = match latest {
        Some((document, gone)) => (Some(document?), gone),
        None => (None, false),
    };
    if let Some(same) = latest.as_ref().filter(|same| !gone && same.content_hash == new.content_hash && same.state != DocumentState::Failed) {
        return Ok(same.clone());
    }
    let version = latest.map_or(1, |document| document.version.saturating_add(1));
    let notice = new.notice.as_ref().map(serde_json::to_string).transpose()?;
    tx.execute(
        "INSERT INTO documents (id, company_id, name, media_type, size_bytes, version, content_hash, text_hash, state, error_json,
           uploaded_by, uploaded_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'stored', ?9, ?10, ?11)",
        (
            &new.id,
            &new.company,
            &new.name,
            &new.media_type,
            i64::try_from(new.content.len()).unwrap_or(i64::MAX),
            version,
            &new.content_hash,
            &new.text.content_hash,
            notice,
            &new.uploaded_by,
            new.uploaded_at,
        ),
    )?;
    tx.execute("INSERT INTO document_contents (document_id, company_id, content) VALUES (?1, ?2, ?3)", (&new.id, &new.company, &new.content))?;
    page_texts::put_in(tx, &new.company, &new.text)?;
    one(tx, &new.company, &new.id)?.ok_or_else(|| StoreError::corrupt("a document that was just kept"))
}

fn delete_in(tx: &Connection, document: &Document, at: Timestamp) -> Result<Vec<DocumentId>, StoreError> {
    let deleted: Vec<(DocumentId, Option<String>)> = tx
        .prepare_cached(
            "UPDATE documents SET deleted_at = ?3, chunks = 0, forgetting = 1 WHERE company_id = ?1 AND name = ?2 AND deleted_at IS NULL
             RETURNING id, text_hash",
        )?
        .query_map((&document.company, &document.name, at), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (id, text_hash) in &deleted {
        tx.execute("DELETE FROM document_contents WHERE document_id = ?1", [id])?;
        if let Some(text_hash) = text_hash {
            page_texts::remove_unneeded(tx, &document.company, text_hash)?;
        }
    }
    Ok(deleted.into_iter().map(|(id, _)| id).collect())
}

/// Whether a version of a name that is there was uploaded by somebody else.
fn others_have(tx: &Connection, company: &CompanyId, name: &str, user: &UserId) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM documents WHERE company_id = ?1 AND name = ?2 AND deleted_at IS NULL AND uploaded_by <> ?3)";
    Ok(tx.prepare_cached(sql)?.query_row((company, name, user), |row| row.get(0))?)
}

fn one(conn: &Connection, company: &CompanyId, id: &DocumentId) -> Result<Option<Document>, StoreError> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM documents WHERE company_id = ?1 AND id = ?2 AND deleted_at IS NULL"))?;
    statement.query_row((company, id), |row| Ok(from_row(row))).optional()?.transpose()
}

fn deleted(tx: &Connection, row: &Row<'_>) -> rusqlite::Result<bool> {
    let id: DocumentId = row.get("id")?;
    tx.query_row("SELECT deleted_at IS NOT NULL FROM documents WHERE id = ?1", [&id], |row| row.get(0))
}

pub(super) fn from_row(row: &Row<'_>) -> Result<Document, StoreError> {
    let state: String = row.get("state")?;
    let notice: Option<String> = row.get("notice_json")?;
    let size: i64 = row.get("size_bytes")?;
    Ok(Document {
        id: row.get("id")?,
        company: row.get("company_id")?,
        name: row.get("name")?,
        media_type: row.get("media_type")?,
        size_bytes: u64::try_from(size).map_err(|_| StoreError::corrupt("a document of negative size"))?,
        version: row.get("version")?,
        content_hash: row.get("content_hash")?,
        text_hash: row.get("text_hash")?,
        state: DocumentState::parse(&state).ok_or_else(|| StoreError::corrupt("a document's state"))?,
        notice: notice.as_deref().map(serde_json::from_str).transpose()?,
        chunks: row.get("chunks")?,
        uploaded_by: row.get("uploaded_by")?,
        uploaded_at: row.get("uploaded_at")?,
    })
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::base::seams::Seams;

    impl Store {
        /// The whole file of a document, as it was uploaded. The appliance reads it in pieces.
        pub(crate) async fn document_content(&self, company: CompanyId, id: DocumentId) -> Result<Option<Vec<u8>>, StoreError> {
            self.read("read a document's file", move |conn| {
                let mut statement = conn.prepare_cached("SELECT content FROM document_contents WHERE company_id = ?1 AND document_id = ?2")?;
                Ok(statement.query_row((&company, &id), |row| row.get(0)).optional()?)
            })
            .await
        }
    }

    /// A company and a user, as bare rows.
    pub(crate) async fn company_and_user(store: &Store, seams: &Seams) -> (CompanyId, UserId) {
        let (company, user) = (CompanyId::new(seams), UserId::new(seams));
        let ids = (company.clone(), user.clone());
        store
            .write("test rows", move |tx| {
                tx.execute("INSERT INTO users (id, email_index, name, password_hash, created_at) VALUES (?1, ?1, x'0041', '', 0)", [&user])?;
                tx.execute(
                    "INSERT INTO companies (id, number, name, created_at, created_by)
                     SELECT ?1, coalesce(max(number), 0) + 1, 'C', 0, ?2 FROM companies",
                    (&company, &user),
                )?;
                Ok(())
            })
            .await
            .unwrap();
        ids
    }

    pub(crate) fn new_document(seams: &Seams, company: &CompanyId, user: &UserId, name: &str, content: &str) -> NewDocument {
        let id = DocumentId::new(seams);
        NewDocument {
            company: company.clone(),
            name: name.into(),
            media_type: "text/plain".into(),
            content: content.as_bytes().to_vec(),
            content_hash: crate::base::secret::sha256_hex(content.as_bytes()),
            text: KeptText {
                content_hash: crate::base::secret::sha256_hex(content.as_bytes()),
                url: None,
                document_id: Some(id.clone()),
                title: name.into(),
                text: content.into(),
                structure_json: "{}".into(),
                collected_at: Timestamp::from_millis(1),
            },
            notice: None,
            uploaded_by: user.clone(),
            uploaded_at: Timestamp::from_millis(1),
            id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{company_and_user, new_document};
    use super::*;
    use crate::base::seams::Seams;
    use crate::store::testing::store;

    #[tokio::test]
    async fn a_name_has_versions_and_the_same_file_again_is_no_new_one() {
        let (store, _folder) = store();
        let seams = Seams::system();
        let (company, user) = company_and_user(&store, &seams).await;
        let new = |content: &str| new_document(&seams, &company, &user, "a.txt", content);
        let first = store.insert_document(new("one")).await.unwrap();
        let again = store.insert_document(new("one")).await.unwrap();
        let second = store.insert_document(new("two")).await.unwrap();
        assert_eq!((first.version, again.id == first.id, second.version), (1, true, 2));
        assert_eq!(store.documents(company.clone(), Part::default()).await.unwrap(), std::slice::from_ref(&second));
        assert_eq!(store.document_content(company.clone(), first.id.clone()).await.unwrap().as_deref(), Some(b"one".as_slice()));
        assert!(store.finish_document(&second, 1, Timestamp::from_millis(2)).await.unwrap());
        assert_eq!(store.claim_next_document(None, Timestamp::from_millis(2)).await.unwrap(), None, "an earlier version is not taken up");
    }

    #[tokio::test]
    async fn deleting_takes_all_versions_with_files_and_texts_and_is_seen_by_its_company_only() {
        let (store, _folder) = store();
        let seams = Seams::system();
        let (company, user) = company_and_user(&store, &seams).await;
        let (other, _) = company_and_user(&store, &seams).await;
        let first = store.insert_document(new_document(&seams, &company, &user, "a.txt", "one")).await.unwrap();
        let second = store.insert_document(new_document(&seams, &company, &user, "a.txt", "two")).await.unwrap();
        let at = Timestamp::from_millis(9);
        assert!(store.document(other.clone(), first.id.clone()).await.unwrap().is_none());
        assert!(store.delete_document(other, first.id.clone(), at).await.unwrap().is_empty());
        let gone = store.delete_document(company.clone(), second.id.clone(), at).await.unwrap();
        assert_eq!(std::collections::BTreeSet::from_iter(gone), [first.id.clone(), second.id.clone()].into());
        assert!(store.document_content(company.clone(), first.id).await.unwrap().is_none());
        assert!(store.page_text(company.clone(), second.text_hash.clone().unwrap()).await.unwrap().is_none());
        assert!(!store.finish_document(&second, 1, at).await.unwrap());
        let third = store.insert_document(new_document(&seams, &company, &user, "a.txt", "two")).await.unwrap();
        assert_eq!(third.version, 3);
    }

    #[tokio::test]
    async fn what_is_somebody_elses_is_neither_replaced_nor_deleted_with_ones_own() {
        let (store, _folder) = store();
        let seams = Seams::system();
        let (company, user) = company_and_user(&store, &seams).await;
        let (other, _) = crate::store::testing::user_and_company(&store).await;
        let at = Timestamp::from_millis(9);
        let mine = store.insert_own_document(new_document(&seams, &company, &user, "a.txt", "one")).await.unwrap().unwrap();
        let theirs = new_document(&seams, &company, &other, "a.txt", "two");
        assert_eq!(store.insert_own_document(theirs.clone()).await.unwrap(), None);
        store.insert_document(theirs).await.unwrap();
        assert_eq!(store.delete_own_document(company.clone(), mine.id.clone(), user.clone(), at).await.unwrap(), None, "a later version is not");
        assert!(store.document(company.clone(), mine.id.clone()).await.unwrap().is_some());
        assert_eq!(store.delete_document(company.clone(), mine.id.clone(), at).await.unwrap().len(), 2);
        assert_eq!(store.delete_own_document(company, mine.id, user, at).await.unwrap(), Some(vec![]), "it is gone");
    }

    #[tokio::test]
    async fn a_text_that_another_document_or_a_page_needs_stays() {
        let (store, _folder) = store();
        let seams = Seams::system();
        let (company, user) = company_and_user(&store, &seams).await;
        let a = store.insert_document(new_document(&seams, &company, &user, "a.txt", "same")).await.unwrap();
        let b = store.insert_document(new_document(&seams, &company, &user, "b.txt", "same")).await.unwrap();
        let (hash, at) = (a.text_hash.unwrap(), Timestamp::from_millis(9));
        let text = async || store.page_text(company.clone(), hash.clone()).await.unwrap();
        store.delete_document(company.clone(), b.id, at).await.unwrap();
        assert_eq!(text().await.unwrap().document_id, Some(a.id.clone()), "it is under the name of the one that is there");
        let (_, run, _) = crate::store::chunks::testing::run(&store, &company, &user, None, 0).await;
        let (page, owner) = (hash.clone(), company.clone());
        store
            .write("test page", move |tx| {
                let insert = "INSERT INTO run_pages (run_id, position, company_id, widget_id, url, fate, content_hash, fetched_at)
                              VALUES (?1, 1, ?2, '', ?3, 'new', ?4, 0)";
                Ok(tx.execute(insert, (&run, &owner, "http://a.example/", &page))?)
            })
            .await
            .unwrap();
        store.delete_document(company.clone(), a.id, at).await.unwrap();
        assert!(text().await.is_some());
        assert_eq!(store.prune_page_texts(at, 9).await.unwrap(), 0);
        // What a run read in the document goes with the document.
        store.write("test page", |tx| Ok(tx.execute("UPDATE run_pages SET url = 'document:x'", [])?)).await.unwrap();
        assert_eq!(store.prune_page_texts(Timestamp::from_millis(1), 9).await.unwrap(), 0, "it is younger");
        assert_eq!(store.prune_page_texts(at, 9).await.unwrap(), 1);
        assert!(text().await.is_none());
    }
}

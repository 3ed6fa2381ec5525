//! The versions of a document: which one stands for its name now, and which came before.

use rusqlite::OptionalExtension;

use super::documents::{COLUMNS, from_row};
use super::{Store, StoreError};
use crate::model::document::Document;
use crate::model::ids::{CompanyId, DocumentId};

/// Whether the document of the chunk `c` has a later version that says something else. One that is deleted has none; a later version with the same
/// text leaves what was found in the earlier one as true as it was.
macro_rules! outdated {
    () => {
        "coalesce((SELECT l.text_hash IS NOT c.content_hash FROM documents v JOIN documents l
            ON l.company_id = v.company_id AND l.name = v.name AND l.version > v.version AND l.deleted_at IS NULL
          WHERE v.id = c.document_id ORDER BY l.version DESC LIMIT 1), 0)"
    };
}
pub(in crate::store) use outdated;

impl Store {
    /// What each of these documents is now: the latest version of its name, in the order named. Those that are deleted are left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn current_documents(&self, company: CompanyId, named: Vec<DocumentId>) -> Result<Vec<(DocumentId, Document)>, StoreError> {
        self.read("find current documents", move |conn| {
            let mut find = conn.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM documents WHERE company_id = ?1 AND deleted_at IS NULL AND name =
                   (SELECT d.name FROM documents d WHERE d.id = ?2 AND d.company_id = ?1 AND d.deleted_at IS NULL)
                 ORDER BY version DESC LIMIT 1"
            ))?;
            let mut current = Vec::with_capacity(named.len());
            for id in named {
                if let Some(document) = find.query_row((&company, &id), |row| Ok(from_row(row))).optional()? {
                    current.push((id, document?));
                }
            }
            Ok(current)
        })
        .await
    }

    /// How many documents a company has, each name counted once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count_documents(&self, company: CompanyId) -> Result<u32, StoreError> {
        self.read("count documents", move |conn| {
            let sql = "SELECT count(DISTINCT name) FROM documents WHERE company_id = ?1 AND deleted_at IS NULL";
            Ok(conn.prepare_cached(sql)?.query_row([&company], |row| row.get(0))?)
        })
        .await
    }

    /// The versions of a document's name before it, the latest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn earlier_versions(&self, document: &Document) -> Result<Vec<DocumentId>, StoreError> {
        let (company, name, version) = (document.company.clone(), document.name.clone(), document.version);
        self.read("list earlier versions", move |conn| {
            let mut list = conn.prepare_cached(
                "SELECT id FROM documents WHERE company_id = ?1 AND name = ?2 AND version < ?3 AND deleted_at IS NULL ORDER BY version DESC",
            )?;
            Ok(list.query_map((&company, &name, version), |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::base::seams::Seams;
    use crate::store::documents::testing::{company_and_user, new_document};
    use crate::store::testing::store;

    #[tokio::test]
    async fn a_name_stands_for_its_latest_version_within_its_company() {
        let (store, _folder) = store();
        let seams = Seams::system();
        let (company, user) = company_and_user(&store, &seams).await;
        let (other, _) = company_and_user(&store, &seams).await;
        let upload = async |name: &str, text: &str| store.insert_document(new_document(&seams, &company, &user, name, text)).await.unwrap();
        let (first, beside, second, third) =
            (upload("a.txt", "one").await, upload("b.txt", "b").await, upload("a.txt", "two").await, upload("a.txt", "three").await);
        let named = vec![first.id.clone(), beside.id.clone(), third.id.clone()];
        let current = store.current_documents(company.clone(), named.clone()).await.unwrap();
        let current: Vec<(DocumentId, DocumentId)> = current.into_iter().map(|(id, document)| (id, document.id)).collect();
        assert_eq!(current, [(&first.id, &third.id), (&beside.id, &beside.id), (&third.id, &third.id)].map(|(a, b)| (a.clone(), b.clone())));
        assert_eq!((store.count_documents(company.clone()).await.unwrap(), store.count_documents(other.clone()).await.unwrap()), (2, 0));
        assert_eq!(store.earlier_versions(&third).await.unwrap(), [second.id, first.id.clone()]);
        assert_eq!(store.current_documents(other, named).await.unwrap(), []);
        // Deleted and uploaded again it is another document: what named the old one names nothing.
        store.delete_document(company.clone(), third.id, Timestamp::from_millis(2)).await.unwrap();
        upload("a.txt", "four").await;
        assert_eq!(store.current_documents(company, vec![first.id]).await.unwrap(), []);
    }
}

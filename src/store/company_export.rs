//! What a company takes with it: its rows as JSON, a page at a time by their keys, and its documents' files piece by piece.

use rusqlite::OptionalExtension;

use super::{Store, StoreError};
use crate::model::ids::{CompanyId, DocumentId, UserId};

/// A kind of rows in an export.
#[derive(Clone, Copy, Debug)]
pub struct ExportKind {
    /// Its name, and that of its files.
    pub name: &'static str,
    /// Rows read at once: few where each may be long.
    rows_max: u32,
    /// Selects key and JSON of the rows of company `:company` after key `:after`; `:user` is whoever exports.
    sql: &'static str,
}

/// Rows with the key of the last.
#[derive(Clone, Debug, Default)]
pub struct ExportRows {
    /// One JSON value each.
    pub rows: Vec<String>,
    /// Where the next page begins; `None` = there are no rows.
    pub last: Option<String>,
}

/// A document's file in an export.
#[derive(Clone, Debug)]
pub struct ExportFile {
    /// The document.
    pub id: DocumentId,
    /// The name it was uploaded by.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
}

/// Everything but the files. No hash of a token or password is in it.
pub const EXPORTED: &[ExportKind] = &[
    ExportKind {
        name: "company",
        rows_max: 1,
        sql: "SELECT id, json_object('id', id, 'name', name, 'created_at', created_at, 'created_by', created_by)
              FROM companies WHERE id = :company AND id > :after AND :user IS NOT NULL",
    },
    ExportKind {
        name: "members",
        rows_max: 500,
        sql: "SELECT u.id, json_object('user_id', u.id, 'name', opened('users', 'name', u.id, u.name),
                'email', opened('users', 'email', u.id, u.email), 'role', m.role, 'since', m.created_at)
              FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.company_id = :company AND m.user_id > :after AND :user IS NOT NULL
              ORDER BY m.user_id",
    },
    ExportKind {
        name: "invitations",
        rows_max: 500,
        sql: "SELECT id, json_object('id', id, 'email', opened('invitations', 'email', id, email), 'role', role,
                 'invited_by', invited_by, 'created_at', created_at, 'expires_at', expires_at,
                'accepted_at', accepted_at, 'accepted_by', accepted_by, 'withdrawn_at', withdrawn_at)
              FROM invitations WHERE company_id = :company AND id > :after AND :user IS NOT NULL ORDER BY id",
    },
    ExportKind {
        name: "api-keys",
        rows_max: 500,
        sql: "SELECT id, json_object('id', id, 'name', name, 'prefix', prefix, 'scopes', scopes, 'user_id', user_id, 'created_at', created_at,
                'expires_at', expires_at, 'last_used_at', last_used_at, 'revoked_at', revoked_at, 'revoked_by', revoked_by)
              FROM api_keys WHERE company_id = :company AND id > :after AND :user IS NOT NULL ORDER BY id",
    },
    ExportKind {
        name: "automations",
        rows_max: 200,
        sql: "SELECT id, json_object('id', id, 'title', title, 'objective', objective, 'source_config', json(source_config_json), 'schedule', json(schedule_json),
                'stale_after_hours', stale_after_hours, 'upstream_widget_id', upstream_widget_id, 'extraction', json(extraction_json), 'visibility', visibility,
                'deep_collection', deep_collection, 'paused', paused, 'paused_reason', paused_reason, 'created_by', created_by, 'created_at', created_at,
                'updated_at', updated_at)
              FROM widgets WHERE company_id = :company AND id > :after AND deleted_at IS NULL AND :user IS NOT NULL ORDER BY id",
    },
    ExportKind {
        name: "runs",
        rows_max: 100,
        sql: "SELECT r.id, json_object('id', r.id, 'automation_id', r.widget_id, 'state', r.state, 'trigger', r.trigger, 'requested_by', r.requested_by,
                'report_id', r.report_id, 'error', json(r.error_json), 'queued_at', r.queued_at, 'started_at', r.started_at, 'finished_at', r.finished_at,
                'pages', json((SELECT json_group_array(json_object('url', p.url, 'fate', p.fate, 'reason', p.reason, 'status', p.status, 'bytes', p.bytes,
                   'content_hash', p.content_hash, 'fetched_at', p.fetched_at)) FROM run_pages p WHERE p.run_id = r.id)))
              FROM widget_runs r WHERE r.company_id = :company AND r.id > :after AND :user IS NOT NULL ORDER BY r.id",
    },
    ExportKind {
        name: "reports",
        rows_max: 16,
        sql: "SELECT id, json_object('id', id, 'automation_id', widget_id, 'run_id', run_id, 'title', title, 'body', json(body_json), 'collected_at', collected_at,
                'created_at', created_at)
              FROM reports WHERE company_id = :company AND id > :after AND :user IS NOT NULL ORDER BY id",
    },
    ExportKind {
        name: "pages",
        rows_max: 16,
        sql: "SELECT content_hash, json_object('content_hash', content_hash, 'url', url, 'document_id', document_id, 'title', title, 'text', text,
                'collected_at', collected_at)
              FROM page_texts WHERE company_id = :company AND content_hash > :after AND :user IS NOT NULL ORDER BY content_hash",
    },
    ExportKind {
        name: "documents",
        rows_max: 500,
        sql: "SELECT id, json_object('id', id, 'name', name, 'media_type', media_type, 'bytes', size_bytes, 'version', version, 'sha256', content_hash,
                'state', state, 'uploaded_by', uploaded_by, 'uploaded_at', uploaded_at, 'superseded_at', superseded_at)
              FROM documents WHERE company_id = :company AND id > :after AND deleted_at IS NULL AND :user IS NOT NULL ORDER BY id",
    },
    // A conversation is its owner's alone, whatever role asks: those of others are not in it.
    ExportKind {
        name: "conversations",
        rows_max: 8,
        sql: "SELECT c.id, json_object('id', c.id, 'title', c.title, 'created_at', c.created_at, 'updated_at', c.updated_at, 'messages',
                json((SELECT json_group_array(json_object('role', m.role, 'text', m.text, 'citations', json(m.citations_json), 'model', m.model, 'created_at', m.created_at)
                   ORDER BY m.position) FROM messages m WHERE m.conversation_id = c.id)))
              FROM conversations c WHERE c.company_id = :company AND c.user_id = :user AND c.id > :after AND c.deleted_at IS NULL ORDER BY c.id",
    },
    ExportKind {
        name: "token-transactions",
        rows_max: 500,
        sql: "SELECT id, json_object('id', id, 'user_id', user_id, 'amount', amount, 'tx_type', tx_type, 'reference_key', reference_key,
                'reference_id', reference_id, 'metadata', json(metadata_json), 'created_at', created_at)
              FROM token_transactions WHERE company_id = :company AND id > :after AND :user IS NOT NULL ORDER BY id",
    },
    ExportKind {
        name: "audit",
        rows_max: 500,
        sql: "SELECT printf('%016d', sequence), json_object('sequence', sequence, 'at', at, 'actor', actor, 'action', action, 'object', object,
                'address', address, 'outcome', outcome, 'detail', json(detail_json))
              FROM audit_log WHERE company_id = :company AND sequence > CAST(:after AS INTEGER) AND :user IS NOT NULL ORDER BY sequence",
    },
];

impl Store {
    /// The next rows of a kind after key `after` (at first empty).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn export_rows(&self, kind: ExportKind, company: CompanyId, user: UserId, after: String) -> Result<ExportRows, StoreError> {
        self.read("export rows", move |conn| {
            let mut select = conn.prepare_cached(&format!("{} LIMIT {}", kind.sql, kind.rows_max))?;
            let given = rusqlite::named_params! {":company": company, ":user": user, ":after": after};
            let read = select.query_map(given, |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
            let mut page = ExportRows::default();
            for row in read {
                let (key, json) = row?;
                page.rows.push(json);
                page.last = Some(key);
            }
            Ok(page)
        })
        .await
    }

    /// The next file after document `after`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn next_export_file(&self, company: CompanyId, after: String) -> Result<Option<ExportFile>, StoreError> {
        self.read("find an export's next file", move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT d.id, d.name, length(c.content) FROM documents d JOIN document_contents c ON c.document_id = d.id
                 WHERE d.company_id = ?1 AND d.id > ?2 AND d.deleted_at IS NULL ORDER BY d.id LIMIT 1",
            )?;
            let file = find.query_row((&company, &after), |row| {
                let bytes: i64 = row.get(2)?;
                Ok(ExportFile { id: row.get(0)?, name: row.get(1)?, bytes: bytes.unsigned_abs() })
            });
            Ok(file.optional()?)
        })
        .await
    }

    /// A piece of a document's file. Only SQLite reads a piece without the whole.
    ///
    /// # Errors
    /// When the store fails, or the document is gone.
    pub async fn document_piece(&self, company: CompanyId, id: DocumentId, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        self.read("read a piece of a file", move |conn| {
            let sql = "SELECT rowid FROM document_contents WHERE company_id = ?1 AND document_id = ?2";
            let row: i64 = conn.prepare_cached(sql)?.query_row((&company, &id), |row| row.get(0))?;
            let blob = conn.blob_open("main", "document_contents", "content", row, true)?;
            let offset = usize::try_from(offset).map_err(|_| StoreError::corrupt("a file longer than memory"))?;
            let mut piece = vec![0; length.min(blob.len().saturating_sub(offset))];
            blob.read_at_exact(&mut piece, offset)?;
            Ok(piece)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seams::Seams;
    use crate::store::documents::testing::{company_and_user, new_document};
    use crate::store::testing::store;

    #[tokio::test]
    async fn every_kind_is_read_in_pages_and_a_file_in_pieces() {
        let (store, _folder) = store();
        let seams = Seams::system();
        let (company, user) = company_and_user(&store, &seams).await;
        let content = "0123456789".repeat(50_000);
        for n in 0..3 {
            store.insert_document(new_document(&seams, &company, &user, &format!("{n}.txt"), &format!("{n}{content}"))).await.unwrap();
        }
        for kind in EXPORTED {
            let (mut after, mut rows) = (String::new(), 0);
            loop {
                let page = store.export_rows(ExportKind { rows_max: 1, ..*kind }, company.clone(), user.clone(), after.clone()).await.unwrap();
                let Some(last) = page.last else { break };
                assert!(page.rows.iter().all(|row| serde_json::from_str::<serde_json::Value>(row).unwrap().is_object()), "{}", kind.name);
                rows += page.rows.len();
                after = last;
            }
            let expected = match kind.name {
                "company" => Some(1),
                "documents" => Some(3),
                _ => None,
            };
            assert!(expected.is_none_or(|expected| rows == expected), "{}: {rows}", kind.name);
        }
        let file = store.next_export_file(company.clone(), String::new()).await.unwrap().unwrap();
        let (mut whole, mut offset) = (Vec::new(), 0);
        while offset < file.bytes {
            let piece = store.document_piece(company.clone(), file.id.clone(), offset, 70_000).await.unwrap();
            offset += piece.len() as u64;
            whole.extend(piece);
        }
        assert_eq!(whole.len() as u64, file.bytes);
        assert!(whole.ends_with(content.as_bytes()));
        let next = store.next_export_file(company.clone(), file.id.to_string()).await.unwrap().unwrap();
        assert!(next.id.as_str() > file.id.as_str());
        assert!(store.next_export_file(company, "doc_zzzz".into()).await.unwrap().is_none());
    }
}

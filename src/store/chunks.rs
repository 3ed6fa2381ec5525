//! Chunks: what can be recalled. Put in and taken out in batches small enough that no other writer waits long.
//!
//! Finding them is in [`super::chunk_index`], with all that only SQLite has.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::chunk_index;
use super::document_versions::outdated;
use super::widgets::shown;
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::chunk::{Chunk, ChunkBody, ChunkId, ChunkType, Origin};
use crate::model::ids::{CompanyId, DocumentId, RunId, UserId, WidgetId};
use crate::model::ledger::Settlement;

crate::text_column!(ChunkType, Origin);

/// Chunks put in by one transaction. Measured: about 0.15 ms each, most of it the full-text index.
const INSERT_BATCH: usize = 64;
/// Chunks taken out by one transaction. Measured: 1,000 take 32 to 63 ms.
const DELETE_BATCH: u32 = 128;

/// A chunk to put in.
#[derive(Clone, Debug, PartialEq)]
pub struct NewChunk {
    /// What it says.
    pub body: ChunkBody,
    /// [`ChunkBody::hash`].
    pub hash: String,
    /// Unit length, of the model's dimension.
    pub vector: Vec<f32>,
    /// Tokens the model read.
    pub tokens: u32,
}

/// A vector that is already there for the same text.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownEmbedding {
    /// Unit length.
    pub vector: Vec<f32>,
    /// Tokens the model read.
    pub tokens: u32,
}

/// What chunks belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkOwner {
    /// All runs of a widget.
    Widget(WidgetId),
    /// One run.
    Run(RunId),
    /// A document as uploaded, not what widgets found in it.
    Document(DocumentId),
    /// A document and what widgets found in it.
    DocumentEverywhere(DocumentId),
}

impl ChunkOwner {
    fn condition(&self) -> &'static str {
        match self {
            Self::Widget(_) => "widget_id = ?1",
            Self::Run(_) => "run_id = ?1",
            Self::Document(_) => "document_id = ?1 AND origin = 'document'",
            Self::DocumentEverywhere(_) => "document_id = ?1",
        }
    }

    /// The id of what they belong to.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Widget(id) => id.as_str(),
            Self::Run(id) => id.as_str(),
            Self::Document(id) | Self::DocumentEverywhere(id) => id.as_str(),
        }
    }
}

impl Store {
    /// Puts chunks in with their vectors, in transactions of at most 64, and returns their ids in order. After a failure those of earlier
    /// transactions stay: ingest goes on from there ([`Store::chunk_hashes`]).
    ///
    /// # Errors
    /// [`StoreError::OwnerEnded`] when the widget or document was deleted or superseded; or the store fails.
    pub async fn insert_chunks(&self, company: CompanyId, embedding_model: &'static str, chunks: Vec<NewChunk>) -> Result<Vec<ChunkId>, StoreError> {
        let mut ids = Vec::with_capacity(chunks.len());
        let mut chunks = chunks.into_iter();
        loop {
            let batch: Vec<NewChunk> = chunks.by_ref().take(INSERT_BATCH).collect();
            if batch.is_empty() {
                return Ok(ids);
            }
            let company = company.clone();
            ids.extend(self.write("insert chunks", move |tx| insert_batch(tx, &company, embedding_model, &batch)).await?);
        }
    }

    /// Puts one batch of chunks in and posts what embedding them cost: all or nothing.
    ///
    /// # Errors
    /// [`StoreError::OwnerEnded`] when the widget or document was deleted or superseded; or the store fails.
    pub async fn insert_settled_chunks(
        &self,
        company: CompanyId,
        embedding_model: &'static str,
        chunks: Vec<NewChunk>,
        settlement: Option<Settlement>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write("insert chunks", move |tx| {
            insert_batch(tx, &company, embedding_model, &chunks)?;
            if let Some(settlement) = &settlement {
                super::ledger::settle_in(tx, settlement, now)?;
            }
            Ok(())
        })
        .await
    }

    /// The vectors that a company's chunks already have for texts with these hashes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn known_embeddings(
        &self,
        company: CompanyId,
        embedding_model: &'static str,
        hashes: Vec<String>,
    ) -> Result<HashMap<String, KnownEmbedding>, StoreError> {
        self.read("find known embeddings", move |conn| {
            let mut find =
                conn.prepare_cached("SELECT id, token_count FROM chunks WHERE company_id = ?1 AND chunk_hash = ?2 AND embedding_model = ?3 LIMIT 1")?;
            let mut known = HashMap::new();
            for hash in hashes {
                let found = find.query_row((&company, &hash, embedding_model), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
                if let Some((id, tokens)) = found
                    && let Some(vector) = chunk_index::vector(conn, ChunkId::from_number(id))?
                {
                    known.insert(hash, KnownEmbedding { vector, tokens });
                }
            }
            Ok(known)
        })
        .await
    }

    /// The places and hashes of the chunks that are there, in order: where an interrupted ingest goes on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn chunk_hashes(&self, owner: ChunkOwner) -> Result<Vec<(u32, String)>, StoreError> {
        self.read("list chunk hashes", move |conn| {
            let mut list = conn.prepare_cached(&format!("SELECT ordinal, chunk_hash FROM chunks WHERE {} ORDER BY ordinal", owner.condition()))?;
            Ok(list.query_map([owner.id()], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Takes out everything that belongs to `owner`, in transactions of at most 128 chunks, and returns how many there were.
    ///
    /// # Errors
    /// When the store fails; what is left can be taken out by another call.
    pub async fn delete_chunks(&self, owner: ChunkOwner) -> Result<usize, StoreError> {
        let mut deleted = 0;
        loop {
            let owner = owner.clone();
            let batch = self
                .write("delete chunks", move |tx| {
                    let sql = format!("SELECT id FROM chunks WHERE {} LIMIT {DELETE_BATCH}", owner.condition());
                    let ids: Vec<i64> = tx.prepare_cached(&sql)?.query_map([owner.id()], |row| row.get(0))?.collect::<Result<_, _>>()?;
                    let mut delete = tx.prepare_cached("DELETE FROM chunks WHERE id = ?1")?;
                    for id in &ids {
                        chunk_index::delete(tx, ChunkId::from_number(*id))?;
                        delete.execute([id])?;
                    }
                    Ok(ids.len())
                })
                .await?;
            deleted += batch;
            if batch < DELETE_BATCH as usize {
                return Ok(deleted);
            }
        }
    }

    /// Takes out the chunks of all but a widget's latest `keep` runs that have any, and returns how many there were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn retain_chunks_of_latest_runs(&self, widget: WidgetId, keep: u32) -> Result<usize, StoreError> {
        let old: Vec<RunId> = self
            .read("find runs past their retention", move |conn| {
                let mut list = conn.prepare_cached(
                    "SELECT r.id FROM widget_runs r WHERE r.widget_id = ?1 AND EXISTS (SELECT 1 FROM chunks c WHERE c.run_id = r.id)
                     ORDER BY r.queued_at DESC, r.id DESC LIMIT -1 OFFSET ?2",
                )?;
                Ok(list.query_map((&widget, keep), |row| row.get(0))?.collect::<Result<_, _>>()?)
            })
            .await?;
        let mut deleted = 0;
        for run in old {
            deleted += self.delete_chunks(ChunkOwner::Run(run)).await?;
        }
        Ok(deleted)
    }

    /// A company's chunk, if it is there and `viewer` may see it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn chunk(&self, company: CompanyId, viewer: UserId, id: ChunkId) -> Result<Option<Chunk>, StoreError> {
        self.read("read a chunk", move |conn| {
            let sql = format!("{SELECT_CHUNK} {VISIBLE_JOIN} WHERE c.id = :id AND c.company_id = :company AND {VISIBLE}");
            let parameters = named_params! {":id": id.number(), ":company": company, ":viewer": viewer};
            Ok(conn.prepare_cached(&sql)?.query_row(parameters, read_chunk).optional()?)
        })
        .await
    }
}

/// The columns that [`read_chunk`] reads, from `chunks c`.
pub(super) const SELECT_CHUNK: &str = concat!(
    "SELECT c.id, c.company_id, c.origin, c.widget_id, c.run_id, c.report_id, c.document_id, c.chunk_type, c.ordinal,
    c.title, c.content, c.source_urls, c.page_number, c.content_hash, c.entity_tags, c.metric_tags, c.metric_value, c.collected_at,
    c.stale_after_hours, c.metadata_json, c.token_count, c.embedding_model, ",
    outdated!(),
    " FROM chunks c"
);
/// What decides who may see a chunk.
pub(super) const VISIBLE_JOIN: &str = "LEFT JOIN widgets w ON w.id = c.widget_id LEFT JOIN documents d ON d.id = c.document_id";
/// Whether `:viewer`, a member of the chunk's company, may see it: by what its widget and document are now, not by what they were when the chunk
/// was made. An earlier version of a document is seen until the later one can be recalled: then as outdated.
pub(super) const VISIBLE: &str = concat!(
    "(w.id IS NULL OR (w.deleted_at IS NULL AND ",
    shown!(),
    "))
    AND (d.id IS NULL OR (d.deleted_at IS NULL AND (c.origin <> 'document' OR d.superseded_at IS NULL)))"
);

pub(super) fn read_chunk(row: &Row<'_>) -> rusqlite::Result<Chunk> {
    Ok(Chunk {
        id: ChunkId::from_number(row.get(0)?),
        company_id: row.get(1)?,
        body: ChunkBody {
            origin: row.get(2)?,
            widget_id: row.get(3)?,
            run_id: row.get(4)?,
            report_id: row.get(5)?,
            document_id: row.get(6)?,
            chunk_type: row.get(7)?,
            ordinal: row.get(8)?,
            title: row.get(9)?,
            content: row.get(10)?,
            source_urls: json(row, 11)?,
            page_number: row.get(12)?,
            content_hash: row.get(13)?,
            entity_tags: json(row, 14)?,
            metric_tags: json(row, 15)?,
            metric_value: row.get(16)?,
            collected_at: row.get(17)?,
            stale_after_hours: row.get(18)?,
            metadata: json(row, 19)?,
        },
        tokens: row.get(20)?,
        embedding_model: row.get(21)?,
        outdated: row.get(22)?,
    })
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error)))
}

/// A company's number: the high half of its chunks' ids.
pub(super) fn company_number(conn: &Connection, company: &CompanyId) -> Result<Option<u32>, StoreError> {
    Ok(conn.prepare_cached("SELECT number FROM companies WHERE id = ?1")?.query_row([company], |row| row.get(0)).optional()?)
}

fn insert_batch(tx: &Connection, company: &CompanyId, embedding_model: &str, batch: &[NewChunk]) -> Result<Vec<ChunkId>, StoreError> {
    let number = company_number(tx, company)?.ok_or_else(|| StoreError::corrupt("chunks of a company that is not there"))?;
    check_owners(tx, batch)?;
    let count = i64::try_from(batch.len()).unwrap_or(i64::MAX);
    let last: i64 = tx
        .prepare_cached(
            "INSERT INTO chunk_sequences (company_id, last) VALUES (?1, ?2) ON CONFLICT (company_id) DO UPDATE SET last = last + excluded.last
             RETURNING last",
        )?
        .query_row((company, count), |row| row.get(0))?;
    let first = *ChunkId::range_of(number).start() + last - count + 1;
    let mut insert = tx.prepare_cached(
        "INSERT INTO chunks (id, company_id, origin, widget_id, run_id, report_id, document_id, chunk_type, ordinal, title, content, chunk_hash,
           source_urls, page_number, content_hash, entity_tags, metric_tags, metric_value, collected_at, stale_after_hours, token_count,
           embedding_model, metadata_json)
         VALUES (:id, :company, :origin, :widget, :run, :report, :document, :type, :ordinal, :title, :content, :hash, :urls, :page, :content_hash,
           :entities, :metrics, :value, :collected, :stale, :tokens, :model, :metadata)",
    )?;
    let mut ids = Vec::with_capacity(batch.len());
    for (id, chunk) in (first..).zip(batch) {
        let body = &chunk.body;
        insert.execute(named_params! {
            ":id": id, ":company": company, ":origin": body.origin, ":widget": body.widget_id, ":run": body.run_id, ":report": body.report_id,
            ":document": body.document_id, ":type": body.chunk_type, ":ordinal": body.ordinal, ":title": body.title, ":content": body.content,
            ":hash": chunk.hash, ":urls": serde_json::to_string(&body.source_urls)?, ":page": body.page_number,
            ":content_hash": body.content_hash, ":entities": serde_json::to_string(&body.entity_tags)?,
            ":metrics": serde_json::to_string(&body.metric_tags)?, ":value": body.metric_value, ":collected": body.collected_at,
            ":stale": body.stale_after_hours, ":tokens": chunk.tokens, ":model": embedding_model,
            ":metadata": serde_json::to_string(&body.metadata)?,
        })?;
        chunk_index::insert(tx, ChunkId::from_number(id), number, &chunk.vector)?;
        ids.push(ChunkId::from_number(id));
    }
    Ok(ids)
}

/// Refuses chunks whose widget or document is no more: whoever makes them did not hear of it yet.
fn check_owners(tx: &Connection, batch: &[NewChunk]) -> Result<(), StoreError> {
    let widgets: BTreeSet<&str> = batch.iter().filter_map(|chunk| chunk.body.widget_id.as_ref()).map(WidgetId::as_str).collect();
    for widget in widgets {
        let there = tx.prepare_cached("SELECT 1 FROM widgets WHERE id = ?1 AND deleted_at IS NULL")?.exists([widget])?;
        if !there {
            return Err(StoreError::owner_ended());
        }
    }
    let documents: BTreeSet<(bool, &str)> =
        batch.iter().filter_map(|chunk| Some((chunk.body.origin == Origin::Document, chunk.body.document_id.as_ref()?.as_str()))).collect();
    for (own, document) in documents {
        if own {
            let mut live = tx.prepare_cached("SELECT 1 FROM documents WHERE id = ?1 AND deleted_at IS NULL AND superseded_at IS NULL")?;
            if !live.exists([document])? {
                return Err(StoreError::owner_ended());
            }
        } else {
            // A widget may still find something in a document that was just deleted: that is removed with the rest of it.
            tx.prepare_cached("UPDATE documents SET forgetting = 1 WHERE id = ?1 AND deleted_at IS NOT NULL")?.execute([document])?;
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::base::seams::Seams;
    use crate::model::chunk::ChunkMetadata;
    use crate::model::ids::ReportId;

    pub(in crate::store) const MODEL: &str = "test-model";

    /// A widget with a run and a report.
    pub(crate) async fn run(
        store: &Store,
        company: &CompanyId,
        user: &UserId,
        widget: Option<&WidgetId>,
        queued_at: i64,
    ) -> (WidgetId, RunId, ReportId) {
        let seams = Seams::system();
        let (new, run, report) = (WidgetId::new(&seams), RunId::new(&seams), ReportId::new(&seams));
        let widget = widget.cloned().unwrap_or(new);
        let rows = (widget.clone(), company.clone(), user.clone(), run.clone(), report.clone());
        store
            .write("test run", move |tx| {
                let (widget, company, user, run, report) = rows;
                tx.execute(
                    "INSERT INTO widgets (id, company_id, title, objective, source_config_json, schedule_json, stale_after_hours, visibility,
                       created_by, created_at, updated_at) VALUES (?1, ?2, 'W', '', '{}', '{}', 48, 'company', ?3, 0, 0) ON CONFLICT DO NOTHING",
                    (&widget, &company, &user),
                )?;
                tx.execute(
                    "INSERT INTO widget_runs (id, company_id, widget_id, state, trigger, requested_by, queued_at)
                       VALUES (?1, ?2, ?3, 'succeeded', 'manual', ?4, ?5)",
                    (&run, &company, &widget, &user, queued_at),
                )?;
                tx.execute(
                    "INSERT INTO reports (id, company_id, widget_id, run_id, title, body_json, pages, findings, metrics, collected_at, created_at)
                       VALUES (?1, ?2, ?3, ?4, 'R', '{}', 0, 0, 0, 0, 0)",
                    (&report, &company, &widget, &run),
                )?;
                Ok(())
            })
            .await
            .unwrap();
        (widget, run, report)
    }

    impl Store {
        /// Makes a run's ingest wait.
        pub(crate) async fn test_ingest_waits(&self, run: RunId) {
            let wait = "UPDATE widget_runs SET ingest = 'pending', finished_at = 0 WHERE id = ?1";
            self.write("test ingest", move |tx| Ok(tx.execute(wait, [&run])?)).await.unwrap();
        }

        /// A document's row.
        pub(crate) async fn test_document(&self, (document, company, user): (DocumentId, CompanyId, UserId)) {
            let insert =
                "INSERT INTO documents (id, company_id, name, media_type, size_bytes, version, content_hash, state, uploaded_by, uploaded_at)
                          VALUES (?1, ?2, 'Handbook', 'text/plain', 0, 1, '00', 'stored', ?3, 0)";
            self.write("test document", move |tx| Ok(tx.execute(insert, (&document, &company, &user))?)).await.unwrap();
        }
    }

    /// A unit vector that points mostly along `axis`.
    pub(in crate::store) fn pointing(axis: usize, rest: f32) -> Vec<f32> {
        let mut vector = vec![0.0; 384];
        vector[axis] = (1.0 - rest * rest).sqrt();
        vector[383] = rest;
        vector
    }

    /// A chunk of a run, or of a document that is not in the table when there is none.
    pub(in crate::store) fn chunk(of: Option<(&WidgetId, &RunId)>, ordinal: u32, content: &str, vector: Vec<f32>) -> NewChunk {
        let body = ChunkBody {
            origin: if of.is_some() { Origin::Automation } else { Origin::Document },
            widget_id: of.map(|(widget, _)| widget.clone()),
            run_id: of.map(|(_, run)| run.clone()),
            report_id: None,
            document_id: None,
            chunk_type: if of.is_some() { ChunkType::Evidence } else { ChunkType::Document },
            ordinal,
            title: "Title".into(),
            content: content.into(),
            source_urls: vec!["http://a.example/".into()],
            page_number: None,
            content_hash: "00".into(),
            entity_tags: vec!["Rhine".into()],
            metric_tags: Vec::new(),
            metric_value: Some(1.5),
            collected_at: Timestamp::from_millis(1_000),
            stale_after_hours: 48,
            metadata: ChunkMetadata { quotes: vec!["q".into()], ..ChunkMetadata::default() },
        };
        NewChunk { hash: body.hash(), body, vector, tokens: 7 }
    }
}

#[cfg(test)]
#[path = "chunks_tests.rs"]
mod tests;

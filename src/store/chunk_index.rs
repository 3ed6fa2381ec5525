//! Finding chunks: by vector, exactly, within the company (sqlite-vec), and by words (FTS5). Only SQLite has these two, so they are only here.
//!
//! The full-text index follows `chunks` by triggers. Vectors are put in and taken out beside their rows.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, ToSql, named_params};

use super::chunks::{SELECT_CHUNK, VISIBLE, VISIBLE_JOIN, company_number, read_chunk};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::chunk::{Chunk, ChunkId};
use crate::model::ids::{CompanyId, UserId, WidgetId};

/// What to look for, and among what.
#[derive(Clone, Debug)]
pub struct ChunkQuery {
    /// Only this company's.
    pub company: CompanyId,
    /// On whose behalf: private widgets' chunks are their creator's alone.
    pub viewer: UserId,
    /// Unit length.
    pub vector: Vec<f32>,
    /// Words of which a chunk holds at least one; may be empty.
    pub words: Vec<String>,
    /// Most chunks of each kind of search.
    pub limit: u16,
    /// Whether automations' chunks are looked at (documents' always are).
    pub automations: bool,
    /// Only what these widgets collected.
    pub widgets: Option<Vec<WidgetId>>,
    /// Only what was collected at or after this moment.
    pub collected_from: Option<Timestamp>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct ChunkMatches {
    /// The nearest by vector, nearest first.
    pub by_vector: Vec<ChunkId>,
    /// The best by words (BM25), best first.
    pub by_words: Vec<ChunkId>,
    /// All of them with their cosine to the query.
    pub chunks: HashMap<ChunkId, (Chunk, f32)>,
}

impl Store {
    /// Searches a company's chunks by vector and by words on one snapshot.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn search_chunks(&self, query: ChunkQuery) -> Result<ChunkMatches, StoreError> {
        self.read("search chunks", move |conn| search(conn, &query)).await
    }
}

fn search(conn: &Connection, query: &ChunkQuery) -> Result<ChunkMatches, StoreError> {
    let Some(number) = company_number(conn, &query.company)? else { return Ok(ChunkMatches::default()) };
    let restricted = restricted(conn, query)?;
    let near = by_vector(conn, query, number, restricted)?;
    let by_words = by_words(conn, query, number, restricted)?;
    let mut chunks = HashMap::new();
    for (id, cosine) in &near {
        chunks.extend(chunk(conn, *id)?.map(|chunk| (*id, (chunk, *cosine))));
    }
    for id in &by_words {
        if !chunks.contains_key(id)
            && let Some((chunk, vector)) = chunk(conn, *id)?.zip(vector(conn, *id)?)
        {
            let cosine = vector.iter().zip(&query.vector).map(|(a, b)| a * b).sum();
            chunks.insert(*id, (chunk, cosine));
        }
    }
    Ok(ChunkMatches { by_vector: near.into_iter().map(|(id, _)| id).collect(), by_words, chunks })
}

/// The chunks that a restricted query may look at.
fn allowed() -> String {
    format!(
        "SELECT c.id FROM chunks c {VISIBLE_JOIN} WHERE c.company_id = :company AND {VISIBLE} AND (:automations OR c.origin = 'document')
           AND (:widgets IS NULL OR c.widget_id IN (SELECT value FROM json_each(:widgets))) AND c.collected_at >= :from"
    )
}

/// Whether the query must look at less than all of the company's chunks: the common case, that it need not, is several times faster.
fn restricted(conn: &Connection, query: &ChunkQuery) -> Result<bool, StoreError> {
    if !query.automations || query.widgets.is_some() || query.collected_from.is_some() {
        return Ok(true);
    }
    let hidden = conn
        .prepare_cached(
            "SELECT 1 FROM widgets w WHERE w.company_id = ?1 AND (w.deleted_at IS NOT NULL OR (w.visibility = 'private' AND w.created_by <> ?2))
               AND EXISTS (SELECT 1 FROM chunks c WHERE c.widget_id = w.id)",
        )?
        .exists((&query.company, &query.viewer))?;
    // A document that is no more restricts until its last chunk is removed, which follows at once.
    Ok(hidden || conn.prepare_cached("SELECT 1 FROM documents WHERE company_id = ?1 AND forgetting = 1")?.exists([&query.company])?)
}

/// The nearest vectors of the company with their cosines. Exact: every vector of the company is compared.
fn by_vector(conn: &Connection, query: &ChunkQuery, number: u32, restricted: bool) -> Result<Vec<(ChunkId, f32)>, StoreError> {
    let filter = if restricted { format!("AND id IN ({})", allowed()) } else { String::new() };
    let sql = format!("SELECT id, distance FROM chunk_vectors WHERE embedding MATCH :vector AND k = :limit AND company = :number {filter}");
    let vector = bytes(&query.vector);
    let own = named_params! {":vector": vector, ":limit": query.limit, ":number": number};
    let mut nearest = with_filter(conn, &sql, own, query, restricted, |row| {
        let distance: f32 = row.get(1)?;
        // Of unit vectors, |a - b|² = 2 - 2·cos.
        Ok((ChunkId::from_number(row.get(0)?), 1.0 - distance * distance / 2.0))
    })?;
    nearest.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    Ok(nearest)
}

fn by_words(conn: &Connection, query: &ChunkQuery, number: u32, restricted: bool) -> Result<Vec<ChunkId>, StoreError> {
    if query.words.is_empty() {
        return Ok(Vec::new());
    }
    let filter = if restricted { format!("AND rowid IN ({})", allowed()) } else { String::new() };
    let sql = format!(
        "SELECT rowid FROM chunk_words WHERE chunk_words MATCH :words AND rowid BETWEEN :first AND :last {filter} ORDER BY bm25(chunk_words) LIMIT :limit"
    );
    let range = ChunkId::range_of(number);
    let own = named_params! {":words": expression(&query.words), ":first": range.start(), ":last": range.end(), ":limit": query.limit};
    with_filter(conn, &sql, own, query, restricted, |row| Ok(ChunkId::from_number(row.get(0)?)))
}

/// Runs a search with its own parameters and, when restricted, those of [`allowed`].
fn with_filter<T>(
    conn: &Connection,
    sql: &str,
    own: &[(&str, &dyn ToSql)],
    query: &ChunkQuery,
    restricted: bool,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let widgets = query.widgets.as_ref().map(|ids| serde_json::to_string(&ids)).transpose()?;
    let from = query.collected_from.map_or(i64::MIN, Timestamp::millis);
    let mut parameters = own.to_vec();
    if restricted {
        parameters.extend_from_slice(named_params! {
            ":company": query.company, ":viewer": query.viewer, ":automations": query.automations, ":widgets": widgets, ":from": from,
        });
    }
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_map(parameters.as_slice(), read)?.collect::<Result<_, _>>()?)
}

/// An FTS5 expression that finds any of the words. Each is quoted: whatever a person types is text, never syntax, and a zero byte does not end it.
fn expression(words: &[String]) -> String {
    words.iter().map(|word| format!("\"{}\"", word.replace(['"', '\0'], " "))).collect::<Vec<_>>().join(" OR ")
}

fn chunk(conn: &Connection, id: ChunkId) -> Result<Option<Chunk>, StoreError> {
    Ok(conn.prepare_cached(&format!("{SELECT_CHUNK} WHERE c.id = ?1"))?.query_row([id.number()], read_chunk).optional()?)
}

/// A chunk's vector.
pub(super) fn vector(conn: &Connection, id: ChunkId) -> Result<Option<Vec<f32>>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT embedding FROM chunk_vectors WHERE id = ?1")?;
    let bytes: Option<Vec<u8>> = statement.query_row([id.number()], |row| row.get(0)).optional()?;
    Ok(bytes.map(|bytes| bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()))
}

pub(super) fn insert(tx: &Connection, id: ChunkId, company_number: u32, vector: &[f32]) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT INTO chunk_vectors (id, company, embedding) VALUES (?1, ?2, ?3)")?.execute((
        id.number(),
        company_number,
        bytes(vector),
    ))?;
    Ok(())
}

pub(super) fn delete(tx: &Connection, id: ChunkId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM chunk_vectors WHERE id = ?1")?.execute([id.number()])?;
    Ok(())
}

/// As sqlite-vec stores it.
fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::chunks::testing::{MODEL, chunk, pointing, run};
    use super::*;
    use crate::store::testing::{store, user_and_company};

    fn query(company: &CompanyId, viewer: &UserId, axis: usize, words: &[&str]) -> ChunkQuery {
        ChunkQuery {
            company: company.clone(),
            viewer: viewer.clone(),
            vector: pointing(axis, 0.0),
            words: words.iter().map(|&word| word.to_owned()).collect(),
            limit: 3,
            automations: true,
            widgets: None,
            collected_from: None,
        }
    }

    #[tokio::test]
    async fn both_searches_stay_within_the_company() {
        let (store, _folder) = store();
        let (user, company) = user_and_company(&store).await;
        let (stranger, foreign) = user_and_company(&store).await;
        let near = |text: &str, axis, rest| chunk(None, 0, text, pointing(axis, rest));
        let texts = [near("Salmon return.", 1, 0.5), near("The Rhine floods.", 1, 0.1), near("Rhine barges.", 2, 0.0), near("Wind.", 3, 0.0)];
        let own = store.insert_chunks(company.clone(), MODEL, texts.to_vec()).await.unwrap();
        let theirs = store.insert_chunks(foreign.clone(), MODEL, vec![near("The Rhine floods.", 1, 0.0)]).await.unwrap();
        let found = store.search_chunks(query(&company, &user, 1, &["rhine", "flood"])).await.unwrap();
        assert_eq!(found.by_vector[..2], [own[1], own[0]]);
        assert_eq!(found.by_words, [own[1], own[2]]);
        assert!((found.chunks[&own[1]].1 - 0.995).abs() < 1e-3, "{}", found.chunks[&own[1]].1);
        assert!(found.chunks[&own[2]].1.abs() < 1e-6, "the cosine of what only the words found is computed too");
        let found = store.search_chunks(query(&foreign, &stranger, 1, &["rhine"])).await.unwrap();
        assert_eq!((found.by_vector, found.by_words), (theirs.clone(), theirs));
    }

    #[tokio::test]
    async fn restrictions_choose_before_the_nearest_are_taken() {
        let (store, _folder) = store();
        let (user, company) = user_and_company(&store).await;
        let (other, _) = user_and_company(&store).await;
        let (secret, secret_run, _) = run(&store, &company, &user, None, 0).await;
        let (open, open_run, _) = run(&store, &company, &user, None, 0).await;
        let hidden: Vec<_> = (0..8).map(|i| chunk(Some((&secret, &secret_run)), i, "Rhine level.", pointing(0, 0.0))).collect();
        let hidden = store.insert_chunks(company.clone(), MODEL, hidden).await.unwrap();
        let mut recent = chunk(Some((&open, &open_run)), 0, "Rhine level today.", pointing(0, 0.3));
        recent.body.collected_at = Timestamp::from_millis(5_000);
        let seen = store.insert_chunks(company.clone(), MODEL, vec![recent, chunk(None, 0, "Rhine atlas.", pointing(0, 0.6))]).await.unwrap();
        let id = secret.clone();
        store.write("hide", move |tx| Ok(tx.execute("UPDATE widgets SET visibility = 'private' WHERE id = ?1", [id])?)).await.unwrap();
        let search = |query: ChunkQuery| async { store.search_chunks(query).await.unwrap() };

        let base = query(&company, &other, 0, &["rhine"]);
        let found = search(base.clone()).await;
        assert_eq!(found.by_vector, seen, "eight nearer ones are hidden and take no place");
        assert_eq!(found.by_words.len(), 2);
        let found = search(query(&company, &user, 0, &["rhine"])).await;
        assert!(found.by_vector.iter().all(|id| hidden.contains(id)), "their creator finds them");
        let found = search(ChunkQuery { automations: false, ..base.clone() }).await;
        assert_eq!((found.by_vector, found.by_words), (vec![seen[1]], vec![seen[1]]));
        let found = search(ChunkQuery { widgets: Some(vec![open.clone(), secret.clone()]), ..base.clone() }).await;
        assert_eq!((found.by_vector, found.by_words), (vec![seen[0]], vec![seen[0]]));
        let found = search(ChunkQuery { collected_from: Some(Timestamp::from_millis(5_000)), ..base }).await;
        assert_eq!((found.by_vector, found.by_words), (vec![seen[0]], vec![seen[0]]));
    }

    #[tokio::test]
    async fn whatever_is_typed_is_text() {
        let (store, _folder) = store();
        let (user, company) = user_and_company(&store).await;
        store.insert_chunks(company.clone(), MODEL, vec![chunk(None, 0, "He said \"near\".", pointing(0, 0.0))]).await.unwrap();
        for words in [&["\"near\" OR"][..], &["NEAR("], &["title:x*"], &["-"], &["'; DROP"], &["^a", "AND"], &["\0"]] {
            assert!(store.search_chunks(query(&company, &user, 0, words)).await.is_ok(), "{words:?}");
        }
        let nobody = CompanyId::new(&crate::base::seams::Seams::system());
        assert!(store.search_chunks(query(&nobody, &user, 0, &["near"])).await.unwrap().chunks.is_empty());
    }
}

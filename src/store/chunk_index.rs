//! Finding chunks: by vector, exactly, within the company, and by words (FTS5). Vectors are kept by sqlite-vec. Only SQLite has these two, so they are
//! only here.
//!
//! The full-text index follows `chunks` by triggers. Vectors are put in and taken out beside their rows. To find the nearest, a company's vectors are
//! compared in memory ([`VectorScan`]) and the best of them exactly, from sqlite-vec. Measured with 10,000 of
//! 100,000 vectors: the scan .5 ms (a plain scan of f32 1.0), the exact comparison of 100 1.7, sqlite-vec's own search for 100 10, filling the memory 70.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, ToSql, named_params};

use super::chunks::{SELECT_CHUNK, VISIBLE, VISIBLE_JOIN, company_number, read_chunk};
use super::vector_scan::{CompanyVectors, VectorScan};
use super::widgets::shown;
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
        let inner = Arc::clone(&self.inner);
        self.read("search chunks", move |conn| search(conn, &inner.vectors, &query)).await
    }
}

fn search(conn: &Connection, vectors: &VectorScan, query: &ChunkQuery) -> Result<ChunkMatches, StoreError> {
    let Some(number) = company_number(conn, &query.company)? else { return Ok(ChunkMatches::default()) };
    let restricted = restricted(conn, query)?;
    let near = by_vector(conn, vectors, query, number, restricted)?;
    let by_words = by_words(conn, query, number, restricted)?;
    let mut chunks = HashMap::new();
    for (id, cosine) in &near {
        chunks.extend(chunk(conn, *id)?.map(|chunk| (*id, (chunk, *cosine))));
    }
    for id in &by_words {
        if !chunks.contains_key(id)
            && let Some((chunk, vector)) = chunk(conn, *id)?.zip(vector(conn, *id)?)
        {
            chunks.insert(*id, (chunk, cosine(&vector, &query.vector)));
        }
    }
    let mut outdated = Vec::new();
    for (id, (chunk, _)) in &chunks {
        if is_outdated(conn, chunk)? {
            outdated.push(*id);
        }
    }
    chunks.retain(|id, _| !outdated.contains(id));
    Ok(ChunkMatches { by_vector: near.into_iter().map(|(id, _)| id).collect(), by_words, chunks })
}

/// Whether a later run, which can be recalled, found the chunk's page with other contents: what it said then is not so any more. A page that a
/// later run did not meet says what it said.
fn is_outdated(conn: &Connection, chunk: &Chunk) -> Result<bool, StoreError> {
    let body = &chunk.body;
    let (Some(run), Some(url)) = (&body.run_id, body.source_urls.first()) else { return Ok(false) };
    let mut statement = conn.prepare_cached(
        "SELECT 1 FROM widget_runs mine JOIN widget_runs later ON later.widget_id = mine.widget_id AND later.queued_at > mine.queued_at
           JOIN run_pages p ON p.run_id = later.id AND p.url = ?2
         WHERE mine.id = ?1 AND later.ingest = 'done' AND p.content_hash <> ?3",
    )?;
    Ok(statement.exists((run, url, &body.content_hash))?)
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
        .prepare_cached(concat!(
            "SELECT 1 FROM widgets w WHERE w.company_id = :company AND (w.deleted_at IS NOT NULL OR NOT ",
            shown!(),
            ") AND EXISTS (SELECT 1 FROM chunks c WHERE c.widget_id = w.id)"
        ))?
        .exists(named_params! {":company": query.company, ":viewer": query.viewer})?;
    // A document that is no more restricts until its last chunk is removed, which follows at once.
    Ok(hidden || conn.prepare_cached("SELECT 1 FROM documents WHERE company_id = ?1 AND forgetting = 1")?.exists([&query.company])?)
}

/// The nearest vectors of the company with their cosines. Exact: every vector of the company is compared.
fn by_vector(conn: &Connection, vectors: &VectorScan, query: &ChunkQuery, number: u32, restricted: bool) -> Result<Vec<(ChunkId, f32)>, StoreError> {
    let Some(last) = last_id(conn, &query.company, number)? else { return Ok(Vec::new()) };
    let company = vectors.company(number);
    if !catch_up(conn, vectors, &company, &query.company, number, last)? {
        return by_sqlite_vec(conn, query, number, restricted);
    }
    let allowed = if restricted { Some(allowed_ids(conn, query)?) } else { None };
    let mut near = Vec::new();
    // Once more when some were gone: they may have taken the places of others.
    for _ in 0..2 {
        let candidates = company.read().candidates(&query.vector, usize::from(query.limit), last, allowed.as_deref());
        near.clear();
        for id in candidates.iter().map(|id| ChunkId::from_number(*id)) {
            near.extend(vector(conn, id)?.map(|vector| (id, cosine(&vector, &query.vector))));
        }
        if near.len() == candidates.len() {
            break;
        }
        company.write().keep(&ids_after(conn, &query.company, None, last)?, last);
    }
    nearest_first(&mut near);
    near.truncate(usize::from(query.limit));
    Ok(near)
}

/// The last id that the company has given to a chunk, in this snapshot.
fn last_id(conn: &Connection, company: &CompanyId, number: u32) -> Result<Option<i64>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT last FROM chunk_sequences WHERE company_id = ?1")?;
    let last: Option<i64> = statement.query_row([company], |row| row.get(0)).optional()?;
    Ok(last.map(|last| ChunkId::range_of(number).start() + last))
}

/// Puts in memory what the snapshot has beyond it. `false` = there are too many.
fn catch_up(
    conn: &Connection,
    vectors: &VectorScan,
    memory: &CompanyVectors,
    company: &CompanyId,
    number: u32,
    last: i64,
) -> Result<bool, StoreError> {
    if memory.read().too_many() {
        return Ok(false);
    }
    if memory.read().seen() >= last {
        return Ok(true);
    }
    // Others who search this company wait here, rather than read the same vectors too.
    let mut rows = memory.write();
    let seen = rows.seen();
    if seen >= last {
        return Ok(true);
    }
    let ids = ids_after(conn, company, (seen > 0).then_some(seen), last)?;
    if !vectors.holds(rows.len() + ids.len()) {
        rows.give_up();
        return Ok(false);
    }
    rows.reserve(ids.len());
    for id in ids {
        if let Some(vector) = vector(conn, ChunkId::from_number(id))? {
            rows.push(id, &vector);
        }
    }
    rows.saw(last);
    drop(rows);
    vectors.make_room_beside(number);
    Ok(true)
}

/// A company's ids up to `last`, in order: all, or those after one.
fn ids_after(conn: &Connection, company: &CompanyId, after: Option<i64>, last: i64) -> Result<Vec<i64>, StoreError> {
    // All are read from the small index by company and hash, a few from the table itself.
    let mut statement = match after {
        None => conn.prepare_cached("SELECT id FROM chunks WHERE company_id = ?3 AND id > ?1 AND id <= ?2")?,
        Some(_) => conn.prepare_cached("SELECT id FROM chunks WHERE id > ?1 AND id <= ?2 AND +company_id = ?3")?,
    };
    let mut ids: Vec<i64> = statement.query_map((after.unwrap_or(0), last, company), |row| row.get(0))?.collect::<Result<_, _>>()?;
    ids.sort_unstable();
    Ok(ids)
}

/// The ids that a restricted query may look at, in order.
fn allowed_ids(conn: &Connection, query: &ChunkQuery) -> Result<Vec<i64>, StoreError> {
    let mut ids = with_filter(conn, &allowed(), &[], query, true, |row| row.get(0))?;
    ids.sort_unstable();
    Ok(ids)
}

/// The same by sqlite-vec alone, which reads all vectors of the company from the database.
fn by_sqlite_vec(conn: &Connection, query: &ChunkQuery, number: u32, restricted: bool) -> Result<Vec<(ChunkId, f32)>, StoreError> {
    let filter = if restricted { format!("AND id IN ({})", allowed()) } else { String::new() };
    let sql = format!("SELECT id, distance FROM chunk_vectors WHERE embedding MATCH :vector AND k = :limit AND company = :number {filter}");
    let vector = bytes(&query.vector);
    let own = named_params! {":vector": vector, ":limit": query.limit, ":number": number};
    let mut nearest = with_filter(conn, &sql, own, query, restricted, |row| {
        let distance: f32 = row.get(1)?;
        // Of unit vectors, |a - b|² = 2 - 2·cos.
        Ok((ChunkId::from_number(row.get(0)?), 1.0 - distance * distance / 2.0))
    })?;
    nearest_first(&mut nearest);
    Ok(nearest)
}

fn nearest_first(found: &mut [(ChunkId, f32)]) {
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
}

/// The cosine of two unit vectors.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
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
    use super::super::chunks::ChunkOwner;
    use super::super::chunks::testing::{MODEL, chunk, pointing, run};
    use super::*;
    use crate::base::random::{Random, SeededRandom};
    use crate::model::ids::RunId;
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

    /// A unit vector near one of eight others, so that many cosines are nearly the same.
    fn crowded(random: &SeededRandom) -> Vec<f32> {
        let mut bytes = [0u8; 385];
        random.fill(&mut bytes);
        let topic = usize::from(bytes[384] % 8);
        let vector: Vec<f32> = (0..384).map(|at| f32::from(bytes[at]) / 2_550.0 + f32::from(u8::from(at % 8 == topic))).collect();
        let length = cosine(&vector, &vector).sqrt();
        vector.iter().map(|x| x / length).collect()
    }

    /// What the search must find: every vector of the company that the query may look at, compared.
    async fn compared(store: &Store, query: &ChunkQuery) -> Vec<ChunkId> {
        let query = query.clone();
        let comparison = move |conn: &Connection| {
            let mut near = Vec::new();
            for id in allowed_ids(conn, &query)?.into_iter().map(ChunkId::from_number) {
                near.extend(vector(conn, id)?.map(|vector| (id, cosine(&vector, &query.vector))));
            }
            nearest_first(&mut near);
            Ok(near.into_iter().take(usize::from(query.limit)).map(|(id, _)| id).collect())
        };
        store.read("compare", comparison).await.unwrap()
    }

    #[tokio::test]
    async fn the_search_is_exact_whatever_comes_goes_and_is_hidden() {
        let (store, _folder) = store();
        let (user, company) = user_and_company(&store).await;
        let (other, _) = user_and_company(&store).await;
        let random = SeededRandom::new(11);
        let (open, open_run, _) = run(&store, &company, &user, None, 0).await;
        let (secret, secret_run, _) = run(&store, &company, &user, None, 0).await;
        let id = secret.clone();
        store.write("hide", move |tx| Ok(tx.execute("UPDATE widgets SET visibility = 'private' WHERE id = ?1", [id])?)).await.unwrap();
        let put = |of: Option<(WidgetId, RunId)>, count: u32| {
            let chunks: Vec<_> = (0..count).map(|i| chunk(of.as_ref().map(|(widget, run)| (widget, run)), i, "Rhine.", crowded(&random))).collect();
            store.insert_chunks(company.clone(), MODEL, chunks)
        };
        let check = async || {
            for _ in 0..4 {
                let vector = crowded(&random);
                for (viewer, automations, widgets) in
                    [(&user, true, None), (&other, true, None), (&user, false, None), (&user, true, Some(vec![open.clone()]))]
                {
                    let query = ChunkQuery { vector: vector.clone(), limit: 10, automations, widgets, ..query(&company, viewer, 0, &[]) };
                    assert_eq!(store.search_chunks(query.clone()).await.unwrap().by_vector, compared(&store, &query).await);
                }
            }
        };
        let vectors = || store.inner.vectors.company(1).read().len();
        check().await;
        put(Some((open.clone(), open_run.clone())), 90).await.unwrap();
        put(Some((secret, secret_run)), 60).await.unwrap();
        check().await;
        assert_eq!(vectors(), 150);
        put(None, 80).await.unwrap();
        check().await;
        store.delete_chunks(ChunkOwner::Run(open_run)).await.unwrap();
        check().await;
        assert_eq!(vectors(), 140, "what is gone is let go when it is met");
        put(None, 10).await.unwrap();
        store.release_idle_memory().await;
        store.release_idle_memory().await;
        assert_eq!(vectors(), 0);
        check().await;
        assert_eq!(vectors(), 150);
        store.inner.vectors.company(1).write().give_up();
        check().await;
        assert_eq!(vectors(), 0, "a company too large for memory is searched in the database");
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

//! Finding chunks: by vector, exactly, within the company, and by words (FTS5). Vectors are kept by sqlite-vec. Only SQLite has these two, so they are
//! only here.
//!
//! The full-text index follows `chunks` by triggers. Vectors are put in and taken out beside their rows. To find the nearest, a company's vectors are
//! compared in memory ([`VectorScan`]) and the best of them exactly, from sqlite-vec. Measured with 10,000 of
//! 100,000 vectors: the scan .5 ms (a plain scan of f32 1.0), the exact comparison of 100 1.7, sqlite-vec's own search for 100 10, filling the memory 70.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use rusqlite::{Connection, OptionalExtension, Row, ToSql, named_params};

use super::chunks::{SELECT_CHUNK, VISIBLE, VISIBLE_JOIN, company_number, read_chunk};
use super::document_versions::outdated;
use super::vector_scan::{CompanyVectors, MARGIN, VectorScan};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::chunk::{Chunk, ChunkId, Origin};
use crate::model::ids::{CompanyId, UserId, WidgetId};

/// Candidates of one kind of search before those that stand are listed first; sqlite-vec gives no more at once.
const CANDIDATES_MAX: usize = if cfg!(test) { 64 } else { 4_096 };

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
    /// The best by the cosine of their vectors and the boost of their origin, best first.
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
    let mut look = Look { conn, query, number, narrow: narrow(conn, query)?, judged: HashMap::new() };
    let near = by_vector(&mut look, vectors)?;
    let by_words = by_words(&mut look)?;
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
    Ok(ChunkMatches { by_vector: near.into_iter().map(|(id, _)| id).collect(), by_words, chunks })
}

/// One search, and what it has learnt.
struct Look<'a> {
    conn: &'a Connection,
    query: &'a ChunkQuery,
    /// The company's.
    number: u32,
    /// All that the query's own limits let through, in order; `None` when it sets none.
    narrow: Option<Vec<i64>>,
    /// What is known of a chunk; `None` when it is gone.
    judged: HashMap<ChunkId, Option<Judged>>,
}

#[derive(Clone, Copy)]
struct Judged {
    stands: bool,
    origin: Origin,
}

/// A chunk and how good it is: more is better.
type Hit = (ChunkId, f64);

/// Whether `c` says what is so: no later run, which can be recalled, found its page with other contents, or gone, and its document has no later
/// version that says something else. A page that a later run did not meet says what it said. A document's own passages are shown as outdated
/// until those of the later version are there.
const CURRENT: &str = concat!(
    "NOT EXISTS (SELECT 1 FROM widget_runs mine JOIN widget_runs later ON later.widget_id = mine.widget_id
      AND later.queued_at > mine.queued_at JOIN run_pages p
        ON (p.run_id = later.id AND p.url = json_extract(c.source_urls, '$[0]'))
        OR (p.run_id = later.id AND p.final_url = json_extract(c.source_urls, '$[0]'))
    WHERE mine.id = c.run_id AND later.ingest = 'done' AND (p.content_hash <> c.content_hash OR p.status IN (404, 410)))
    AND (c.origin = 'document' OR NOT ",
    outdated!(),
    ")"
);

static JUDGE: LazyLock<String> = LazyLock::new(|| format!("SELECT {VISIBLE} AND {CURRENT}, c.origin FROM chunks c {VISIBLE_JOIN} WHERE c.id = :id"));

impl Look<'_> {
    /// The best that stand (the viewer may see them, and they say what is so) of what `find` finds: so many as are wanted, unless there are
    /// fewer, and what is worse than the last of them by `margin` at most.
    ///
    /// They are judged as they are found, best first, and more are asked for until enough of them stand: what somebody else's private automation
    /// found costs nobody anything who asks about other things. Where very many of the best do not stand, those that do are listed first.
    fn standing(
        &mut self,
        margin: f64,
        mut find: impl FnMut(&Self, usize, Option<&[i64]>) -> Result<Vec<Hit>, StoreError>,
    ) -> Result<Vec<ChunkId>, StoreError> {
        let limit = usize::from(self.query.limit);
        let (mut wanted, mut listed) = (limit, None);
        loop {
            let found = find(self, wanted, listed.as_deref().or(self.narrow.as_deref()))?;
            let exhausted = found.len() < wanted;
            let (mut standing, mut least) = (Vec::new(), f64::NEG_INFINITY);
            for (id, goodness) in found {
                if goodness < least {
                    break;
                }
                if self.judge(id)?.is_some_and(|judged| judged.stands) {
                    standing.push(id);
                    if standing.len() == limit {
                        least = goodness - margin;
                    }
                }
            }
            if standing.len() >= limit || exhausted {
                return Ok(standing);
            }
            if wanted < CANDIDATES_MAX {
                wanted = (4 * wanted).min(CANDIDATES_MAX);
            } else {
                (wanted, listed) = (limit, Some(all_standing(self.conn, self.query)?));
            }
        }
    }

    fn judge(&mut self, id: ChunkId) -> Result<Option<Judged>, StoreError> {
        if let Some(known) = self.judged.get(&id) {
            return Ok(*known);
        }
        let parameters = named_params! {":id": id.number(), ":viewer": self.query.viewer};
        let judge = |row: &Row<'_>| Ok(Judged { stands: row.get(0)?, origin: row.get(1)? });
        let judged = self.conn.prepare_cached(&JUDGE)?.query_row(parameters, judge).optional()?;
        self.judged.insert(id, judged);
        Ok(judged)
    }
}

/// The ids that the query's own limits let through, in order: its widgets, its age, and no automations.
fn narrow(conn: &Connection, query: &ChunkQuery) -> Result<Option<Vec<i64>>, StoreError> {
    if query.automations && query.widgets.is_none() && query.collected_from.is_none() {
        return Ok(None);
    }
    Ok(Some(ids_within(conn, query, "", "", &[])?))
}

/// The ids of all that stand within the query's limits, in order. It reads every chunk of the company.
fn all_standing(conn: &Connection, query: &ChunkQuery) -> Result<Vec<i64>, StoreError> {
    ids_within(conn, query, VISIBLE_JOIN, &format!("AND {VISIBLE} AND {CURRENT}"), named_params! {":viewer": query.viewer})
}

fn ids_within(conn: &Connection, query: &ChunkQuery, join: &str, and: &str, own: &[(&str, &dyn ToSql)]) -> Result<Vec<i64>, StoreError> {
    // Named widgets are found by their index.
    let among = match query.widgets {
        Some(_) => "c.widget_id IN (SELECT value FROM json_each(:widgets)) AND +c.company_id = :company",
        None => ":widgets IS NULL AND c.company_id = :company",
    };
    let sql = format!("SELECT c.id FROM chunks c {join} WHERE {among} AND (:automations OR c.origin = 'document') AND c.collected_at >= :from {and}");
    let widgets = query.widgets.as_ref().map(serde_json::to_string).transpose()?;
    let from = query.collected_from.map_or(i64::MIN, Timestamp::millis);
    let mut parameters = own.to_vec();
    parameters.extend_from_slice(named_params! {
        ":company": query.company, ":automations": query.automations, ":widgets": widgets, ":from": from,
    });
    let mut statement = conn.prepare_cached(&sql)?;
    let mut ids: Vec<i64> = statement.query_map(parameters.as_slice(), |row| row.get(0))?.collect::<Result<_, _>>()?;
    ids.sort_unstable();
    Ok(ids)
}

/// The best vectors of the company, by cosine and the boost of their origin, with their cosines. Exact: every vector of the company is compared.
fn by_vector(look: &mut Look<'_>, vectors: &VectorScan) -> Result<Vec<(ChunkId, f32)>, StoreError> {
    let (conn, query, number) = (look.conn, look.query, look.number);
    let Some(last) = last_id(conn, &query.company, number)? else { return Ok(Vec::new()) };
    let company = vectors.company(number);
    let ids = if catch_up(conn, vectors, &company, &query.company, number, last)? {
        look.standing(f64::from(MARGIN), |_, wanted, only| {
            let best = company.read().candidates(&query.vector, wanted, last, only);
            Ok(best.into_iter().map(|(score, id)| (ChunkId::from_number(id), f64::from(score))).collect())
        })?
    } else {
        look.standing(0.0, by_sqlite_vec)?
    };
    if look.judged.values().any(Option::is_none) {
        let there: Vec<i64> = ids_after(conn, &query.company, None, last)?.into_iter().map(|(id, _)| id).collect();
        company.write().keep(&there, last);
    }
    let mut near = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some((vector, Judged { origin, .. })) = vector(conn, id)?.zip(look.judge(id)?) {
            near.push((id, cosine(&vector, &query.vector), origin));
        }
    }
    best_first(&mut near);
    Ok(near.into_iter().take(usize::from(query.limit)).map(|(id, cosine, _)| (id, cosine)).collect())
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
    for (id, origin) in ids {
        if let Some(vector) = vector(conn, ChunkId::from_number(id))? {
            rows.push(id, origin, &vector);
        }
    }
    rows.saw(last);
    drop(rows);
    vectors.make_room_beside(number);
    Ok(true)
}

/// A company's ids up to `last`, in order, with their origins: all, or those after one.
fn ids_after(conn: &Connection, company: &CompanyId, after: Option<i64>, last: i64) -> Result<Vec<(i64, Origin)>, StoreError> {
    // All are read from the small index by company and origin, a few from the table itself.
    let mut statement = match after {
        None => conn.prepare_cached("SELECT id, origin FROM chunks WHERE company_id = ?3 AND id > ?1 AND id <= ?2")?,
        Some(_) => conn.prepare_cached("SELECT id, origin FROM chunks WHERE id > ?1 AND id <= ?2 AND +company_id = ?3")?,
    };
    let found = statement.query_map((after.unwrap_or(0), last, company), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut ids: Vec<(i64, Origin)> = found.collect::<Result<_, _>>()?;
    ids.sort_unstable_by_key(|(id, _)| *id);
    Ok(ids)
}

/// The best by sqlite-vec alone, which reads all vectors of the company from the database. It knows no boosts, so the nearest of each origin are
/// asked for: the best of these are the best of all.
fn by_sqlite_vec(look: &Look<'_>, wanted: usize, only: Option<&[i64]>) -> Result<Vec<Hit>, StoreError> {
    let mut has = look.conn.prepare_cached("SELECT 1 FROM chunks WHERE company_id = ?1 AND origin = ?2 LIMIT 1")?;
    let mut origins = vec![Origin::Document, Origin::Automation];
    for origin in [Origin::Document, Origin::Automation] {
        if !has.exists((&look.query.company, origin))? {
            origins.retain(|other| *other != origin);
        }
    }
    let only = only.map(serde_json::to_string).transpose()?;
    let filter = match (&only, origins.len()) {
        (None, 2) => "AND :only IS NULL AND id IN (SELECT c.id FROM chunks c WHERE c.company_id = :company AND c.origin = :origin)",
        (None, _) => "AND :only IS NULL AND :origin IS NOT NULL AND :company IS NOT NULL",
        (Some(_), _) => {
            "AND id IN (SELECT c.id FROM json_each(:only) CROSS JOIN chunks c ON c.id = value WHERE +c.company_id = :company AND +c.origin = :origin)"
        }
    };
    let sql = format!("SELECT id, distance FROM chunk_vectors WHERE embedding MATCH :vector AND k = :limit AND company = :number {filter}");
    let vector = bytes(&look.query.vector);
    let mut statement = look.conn.prepare_cached(&sql)?;
    let mut best: Vec<Hit> = Vec::new();
    for origin in origins {
        let parameters = named_params! {
            ":vector": vector, ":limit": count(wanted), ":number": look.number, ":only": only, ":company": look.query.company, ":origin": origin,
        };
        let nearest = statement.query_map(parameters, |row| {
            let distance: f64 = row.get(1)?;
            // Of unit vectors, |a - b|² = 2 - 2·cos.
            Ok((ChunkId::from_number(row.get(0)?), 1.0 - distance * distance / 2.0 + f64::from(origin.boost())))
        })?;
        best.extend(nearest.collect::<Result<Vec<Hit>, _>>()?);
    }
    best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    best.truncate(wanted);
    Ok(best)
}

fn best_first(found: &mut [(ChunkId, f32, Origin)]) {
    let score = |(_, cosine, origin): &(ChunkId, f32, Origin)| cosine + origin.boost();
    found.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.0.cmp(&b.0)));
}

/// The cosine of two unit vectors.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn by_words(look: &mut Look<'_>) -> Result<Vec<ChunkId>, StoreError> {
    if look.query.words.is_empty() {
        return Ok(Vec::new());
    }
    let (words, range) = (expression(&look.query.words), ChunkId::range_of(look.number));
    let mut best = look.standing(0.0, |look, wanted, only| {
        // With a plus, so that the list is looked into and not searched for each of its ids.
        let filter = if only.is_some() { "AND +rowid IN (SELECT value FROM json_each(:only))" } else { "AND :only IS NULL" };
        let sql = format!(
            "SELECT rowid, bm25(chunk_words) AS distance FROM chunk_words WHERE chunk_words MATCH :words AND rowid BETWEEN :first AND :last {filter}
             ORDER BY distance LIMIT :limit"
        );
        let only = only.map(serde_json::to_string).transpose()?;
        let parameters = named_params! {":words": words, ":first": range.start(), ":last": range.end(), ":only": only, ":limit": count(wanted)};
        let mut statement = look.conn.prepare_cached(&sql)?;
        let found = statement.query_map(parameters, |row| Ok((ChunkId::from_number(row.get(0)?), -row.get::<_, f64>(1)?)))?;
        Ok(found.collect::<Result<_, _>>()?)
    })?;
    best.truncate(usize::from(look.query.limit));
    Ok(best)
}

fn count(wanted: usize) -> i64 {
    i64::try_from(wanted).unwrap_or(i64::MAX)
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
#[path = "chunk_index_tests.rs"]
mod tests;

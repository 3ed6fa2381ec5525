//! Finding chunks among 100,000 with 384 dimensions, filtered by company: the store's exact search against a plain exact scan of the same vectors in
//! memory, in the same run, and the same search once every company has a private automation of somebody else, whose chunks must not be found. Prints
//! recall@10, milliseconds and the ratios.
//!
//! `cargo bench --bench recall`; a folder on the disk to measure may be given: `-- DIR` (default: the system's temporary folder).

#![expect(clippy::expect_used, clippy::disallowed_methods, reason = "a benchmark measures real time and stops when something fails")]

use std::collections::HashSet;
use std::time::{Duration, Instant};

use onsite::base::clock::Timestamp;
use onsite::base::paths::DataDir;
use onsite::base::random::{Random, SeededRandom};
use onsite::base::seams::Seams;
use onsite::base::vault::Vault;
use onsite::model::chunk::{ChunkBody, ChunkId, ChunkMetadata, ChunkType, Origin};
use onsite::model::ids::{CompanyId, UserId, WidgetId};
use onsite::store::chunk_index::ChunkQuery;
use onsite::store::chunks::NewChunk;
use onsite::store::{Store, StoreOptions};

const DIMENSION: usize = 384;
const COMPANIES: usize = 10;
const CHUNKS_PER_COMPANY: usize = 10_000;
/// Chunks of a company's private automation.
const HIDDEN_PER_COMPANY: usize = 1_000;
const QUERIES: usize = 200;
const K: usize = 10;
/// Candidates that recall asks for.
const CANDIDATES: u16 = 100;
/// Vectors lie around so many centres, as texts lie around topics.
const TOPICS: usize = 200;
const NOW: Timestamp = Timestamp::from_millis(1_795_300_000_000);

struct Bench {
    store: Store,
    user: UserId,
    companies: Vec<CompanyId>,
    /// Each company's ids and vectors, end to end.
    vectors: Vec<(Vec<ChunkId>, Vec<f32>)>,
    runtime: tokio::runtime::Runtime,
}

fn main() {
    let parent = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(&parent).expect("a temporary folder");
    let dir = DataDir::new(folder.path());
    let random = SeededRandom::new(7);
    let topics: Vec<Vec<f32>> = (0..TOPICS).map(|_| unit(noise(&random))).collect();
    let started = Instant::now();
    let bench = fill(&dir, &random, &topics);
    let seconds = started.elapsed().as_secs_f64();
    let total = COMPANIES * CHUNKS_PER_COMPANY;
    println!("filled {total} chunks in {seconds:.1} s ({:.0} chunks/s with vectors and full-text index)", total as f64 / seconds);
    let queries: Vec<(usize, Vec<f32>)> = (0..QUERIES).map(|n| (n % COMPANIES, near(&random, &topics))).collect();

    let mut cold: Vec<Duration> = (0..COMPANIES)
        .map(|company| {
            let started = Instant::now();
            bench.search(company, &queries[company].1, &[], 10);
            started.elapsed()
        })
        .collect();
    let (mut scan, mut exact, mut whole, mut found, mut wanted) = (Vec::new(), Vec::new(), Vec::new(), 0, 0);
    for (company, vector) in &queries {
        let started = Instant::now();
        let truth = plain_scan(&bench.vectors[*company], vector);
        scan.push(started.elapsed());
        let started = Instant::now();
        let answer = bench.search(*company, vector, &[], 10);
        exact.push(started.elapsed());
        let started = Instant::now();
        bench.search(*company, vector, &["river", "length"], CANDIDATES);
        whole.push(started.elapsed());
        let truth: HashSet<ChunkId> = truth.into_iter().collect();
        found += answer.iter().take(K).filter(|id| truth.contains(id)).count();
        wanted += truth.len();
    }
    let recall = found as f64 / wanted as f64;
    println!("{QUERIES} queries, k = {K}, {CHUNKS_PER_COMPANY} of {total} vectors belong to the company");
    println!("                                             p50 ms   p95 ms");
    report("plain exact scan in memory (f32)", &mut scan);
    report("store: a company's first search", &mut cold);
    report("store: vectors, k = 10, rows fetched", &mut exact);
    report("store: as recall asks (100 + 100 by words)", &mut whole);
    let ratio = exact[QUERIES / 2].as_secs_f64() / scan[QUERIES / 2].as_secs_f64();
    println!("recall@{K} {recall:.4}; ratio to the plain scan {ratio:.2}x (p50)");
    assert!(recall >= 1.0, "the search is not exact");

    hide(&dir, &bench, &random, &topics);
    let (mut beside, mut found) = (Vec::new(), 0);
    (0..COMPANIES).for_each(|company| drop(bench.search(company, &queries[company].1, &[], 10)));
    for (company, vector) in &queries {
        let truth: HashSet<ChunkId> = plain_scan(&bench.vectors[*company], vector).into_iter().collect();
        let started = Instant::now();
        let answer = bench.search(*company, vector, &["river", "length"], CANDIDATES);
        beside.push(started.elapsed());
        found += answer.iter().take(K).filter(|id| truth.contains(id)).count();
    }
    report("the same, beside a private automation", &mut beside);
    println!("ratio to no private automation {:.2}x (p50)", beside[QUERIES / 2].as_secs_f64() / whole[QUERIES / 2].as_secs_f64());
    assert!(found == wanted, "what is hidden took the place of what is not");
}

/// Gives every company an automation of somebody else's alone.
fn hide(dir: &DataDir, bench: &Bench, random: &SeededRandom, topics: &[Vec<f32>]) {
    let seams = Seams::system();
    let other = UserId::new(&seams);
    let connection = rusqlite::Connection::open(dir.database()).expect("a connection");
    let sql = "INSERT INTO users (id, email_index, name, password_hash, created_at) VALUES (?1, ?1, x'0041', '', 0)";
    connection.execute(sql, [other.as_str()]).expect("a user");
    for company in &bench.companies {
        let widget = WidgetId::new(&seams);
        let sql =
            "INSERT INTO widgets (id, company_id, title, objective, source_config_json, schedule_json, stale_after_hours, visibility, created_by,
                     created_at, updated_at) VALUES (?1, ?2, 'W', '', '{}', '{}', 48, 'private', ?3, 0, 0)";
        connection.execute(sql, (widget.as_str(), company.as_str(), other.as_str())).expect("a widget");
        let chunks = (0..HIDDEN_PER_COMPANY).map(|_| {
            let mut chunk = chunk(random, near(random, topics));
            (chunk.body.origin, chunk.body.chunk_type, chunk.body.widget_id) = (Origin::Automation, ChunkType::Evidence, Some(widget.clone()));
            chunk
        });
        bench.runtime.block_on(bench.store.insert_chunks(company.clone(), "bench", chunks.collect())).expect("inserted");
    }
}

impl Bench {
    fn search(&self, company: usize, vector: &[f32], words: &[&str], limit: u16) -> Vec<ChunkId> {
        let query = ChunkQuery {
            company: self.companies[company].clone(),
            viewer: self.user.clone(),
            vector: vector.to_vec(),
            words: words.iter().map(|&word| word.to_owned()).collect(),
            limit,
            automations: true,
            widgets: None,
            collected_from: None,
        };
        self.runtime.block_on(self.store.search_chunks(query)).expect("a search").by_vector
    }
}

fn report(name: &str, times: &mut [Duration]) {
    times.sort();
    let millis = |at: usize| times[at].as_secs_f64() * 1e3;
    println!("{name:<44} {:>7.2}  {:>7.2}", millis(times.len() / 2), millis(times.len() * 95 / 100));
}

/// What any program without an index does: every dot product, and the ten largest.
fn plain_scan((ids, vectors): &(Vec<ChunkId>, Vec<f32>), query: &[f32]) -> Vec<ChunkId> {
    let mut scored: Vec<(f32, ChunkId)> = vectors.chunks_exact(DIMENSION).zip(ids).map(|(vector, id)| (dot(vector, query), *id)).collect();
    scored.select_nth_unstable_by(K, |a, b| b.0.total_cmp(&a.0));
    scored.truncate(K);
    scored.into_iter().map(|(_, id)| id).collect()
}

/// Eight sums side by side, which the compiler turns into SIMD.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    for (x, y) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum()
}

fn fill(dir: &DataDir, random: &SeededRandom, topics: &[Vec<f32>]) -> Bench {
    let seams = Seams::system();
    let store = Store::open(dir, StoreOptions { readers_max: 2, now: NOW, vault: Vault::without_key(&Seams::system()) }).expect("a store");
    let user = UserId::new(&seams);
    let companies: Vec<CompanyId> = (0..COMPANIES).map(|_| CompanyId::new(&seams)).collect();
    let connection = rusqlite::Connection::open(dir.database()).expect("a connection");
    let sql = "INSERT INTO users (id, email_index, name, password_hash, created_at) VALUES (?1, ?1, x'0041', '', 0)";
    connection.execute(sql, [user.as_str()]).expect("a user");
    for (number, company) in companies.iter().enumerate() {
        let sql = "INSERT INTO companies (id, number, name, created_at, created_by) VALUES (?1, ?2, 'bench', 0, ?3)";
        connection.execute(sql, (company.as_str(), i64::try_from(number).unwrap_or(0) + 1, user.as_str())).expect("a company");
    }
    drop(connection);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let mut vectors = vec![(Vec::new(), Vec::new()); COMPANIES];
    // Companies take turns, as they do in life: their rows must not lie together by accident.
    for _ in 0..CHUNKS_PER_COMPANY / 1_000 {
        for (company, kept) in companies.iter().zip(&mut vectors) {
            let chunks: Vec<NewChunk> = (0..1_000).map(|_| chunk(random, near(random, topics))).collect();
            kept.1.extend(chunks.iter().flat_map(|chunk| chunk.vector.iter().copied()));
            kept.0.extend(runtime.block_on(store.insert_chunks(company.clone(), "bench", chunks)).expect("inserted"));
        }
    }
    Bench { store, user, companies, vectors, runtime }
}

fn chunk(random: &SeededRandom, vector: Vec<f32>) -> NewChunk {
    const WORDS: [&str; 16] = [
        "river", "length", "report", "budget", "salmon", "bridge", "turbine", "harvest", "signal", "copper", "ledger", "window", "market", "tunnel",
        "orchard", "valley",
    ];
    let mut bytes = [0u8; 40];
    random.fill(&mut bytes);
    // The product of two draws: some words are common and some rare.
    let words = bytes.chunks_exact(2).map(|pair| format!("{}{}", WORDS[usize::from(pair[0]) * usize::from(pair[1]) / 4_096], pair[1] % 50));
    let body = ChunkBody {
        origin: Origin::Document,
        widget_id: None,
        run_id: None,
        report_id: None,
        document_id: None,
        chunk_type: ChunkType::Document,
        ordinal: 0,
        title: "Bench".into(),
        content: format!("{} {}", WORDS[usize::from(bytes[0] % 16)], words.collect::<Vec<_>>().join(" ")),
        source_urls: Vec::new(),
        page_number: None,
        content_hash: "00".into(),
        entity_tags: Vec::new(),
        metric_tags: Vec::new(),
        metric_value: None,
        collected_at: NOW,
        stale_after_hours: 48,
        metadata: ChunkMetadata::default(),
    };
    NewChunk { hash: body.hash(), body, vector, tokens: 22 }
}

/// A vector near one of the topics.
fn near(random: &SeededRandom, topics: &[Vec<f32>]) -> Vec<f32> {
    let mut choice = [0u8; 2];
    random.fill(&mut choice);
    let topic = &topics[usize::from(u16::from_le_bytes(choice)) % topics.len()];
    unit(noise(random).iter().zip(topic).map(|(noise, axis)| axis + noise * 0.04).collect())
}

/// Numbers between -1 and 1.
fn noise(random: &SeededRandom) -> Vec<f32> {
    let mut bytes = [0u8; 2 * DIMENSION];
    random.fill(&mut bytes);
    bytes.as_chunks::<2>().0.iter().map(|pair| f32::from(i16::from_le_bytes(*pair)) / 32_768.0).collect()
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = dot(&vector, &vector).sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
    vector
}

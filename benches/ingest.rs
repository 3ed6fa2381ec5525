//! Chunks embedded per second by the model in the binary: two workers of one thread each against one worker of two, and full chunks against short
//! ones that share a pass. Prints the ratio.
//!
//! `cargo bench --bench ingest`

#![expect(clippy::expect_used, clippy::disallowed_methods, reason = "a benchmark measures real time and stops when something fails")]

use std::time::{Duration, Instant};

use onsite::base::tasks::Tasks;
use onsite::model::chunk::CHUNK_TOKENS;
use onsite::model::chunker::{PieceSize, split};
use onsite::services::embed::{BuiltInEmbedder, EmbedKind, EmbedSettings, Embedder};

/// Chunks of one round.
const CHUNKS: usize = 12;
/// Rounds of each side, taken in turns; the best counts, since other load only slows.
const ROUNDS: usize = 3;
/// Short texts of one round, as table rows and figures are.
const SHORT_TEXTS: usize = 128;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let embedder = |bulk_workers, threads_per_worker| {
        BuiltInEmbedder::new(Tasks::default(), EmbedSettings { bulk_workers, threads_per_worker, idle: Duration::from_secs(30) })
    };
    let (two_by_one, one_by_two) = (embedder(2, 1), embedder(1, 2));
    let chunks = chunks(&two_by_one);
    let shorts: Vec<String> = (0..SHORT_TEXTS).map(|n| format!("Rhine at Cologne: level {n} cm, discharge {} m³/s, falling", 1_000 + n)).collect();

    let rate = |embedder: &BuiltInEmbedder, texts: &[String]| {
        let started = Instant::now();
        let embeddings = runtime.block_on(embedder.embed(texts.to_vec(), EmbedKind::Bulk)).expect("embedded");
        let tokens: u32 = embeddings.iter().map(|embedding| embedding.tokens).sum();
        (texts.len() as f64 / started.elapsed().as_secs_f64(), f64::from(tokens) / started.elapsed().as_secs_f64())
    };
    for side in [&two_by_one, &one_by_two] {
        rate(side, &shorts[..4]);
    }
    let mut best = [(0.0f64, 0.0f64); 3];
    for _ in 0..ROUNDS {
        for (best, (side, texts)) in best.iter_mut().zip([(&two_by_one, &chunks), (&one_by_two, &chunks), (&two_by_one, &shorts)]) {
            let (texts, tokens) = rate(side, texts);
            *best = (best.0.max(texts), best.1.max(tokens));
        }
    }
    let [parallel, wide, short] = best;
    println!("2 workers x 1 thread, chunks of 512 tokens  {:>7.2} chunks/s {:>7.0} tokens/s", parallel.0, parallel.1);
    println!("1 worker x 2 threads, chunks of 512 tokens  {:>7.2} chunks/s {:>7.0} tokens/s", wide.0, wide.1);
    println!("2 workers x 1 thread, short texts together  {:>7.2} texts/s  {:>7.0} tokens/s", short.0, short.1);
    println!("ratio of 2 x 1 to 1 x 2                     {:>7.2}x", parallel.0 / wide.0);
}

/// Full chunks of a long text, cut by the model's own tokenizer.
fn chunks(embedder: &BuiltInEmbedder) -> Vec<String> {
    let text: String = (0..2_000)
        .map(|n| {
            format!("In year {n} the gauge at kilometre {} read {} cm, and barges carried {} tonnes of ore upstream. ", n * 3, 200 + n % 90, n * 17)
        })
        .collect();
    let tokenizer = embedder.tokenizer().expect("a tokenizer");
    let size = PieceSize { tokens_max: CHUNK_TOKENS - 2, overlap_max: 64 };
    split(&text, &*tokenizer, size).into_iter().take(CHUNKS).map(|piece| text[piece.range].to_owned()).collect()
}

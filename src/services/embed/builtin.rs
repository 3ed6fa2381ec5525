//! The model inside the binary: loaded when first needed, run by threads of its own, let go when idle.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, oneshot};

use super::queue::{Job, Queue, Role, Worker};
use super::session::{DIMENSION, Graph, Session, TOKENS_MAX, Words};
use super::{EmbedError, EmbedKind, Embedder, Embedding, EmbeddingModel};
use crate::base::memory;
use crate::base::tasks::Tasks;
use crate::model::chunker::TokenSpans;

/// Passes that may wait at once, of each kind; more wait in their callers.
const QUEUE_JOBS: usize = 64;
/// Texts of one pass.
const BATCH_TEXTS: usize = 16;
/// Bytes of one pass, counted as the longest text times the number of texts: bounds padding and memory.
const BATCH_BYTES: usize = 1_500;
/// How much kinder ingest is to everything else on the machine (see `nice(1)`).
const BULK_NICENESS: i32 = 5;

/// How the built-in embedder runs.
#[derive(Clone, Copy, Debug)]
pub struct EmbedSettings {
    /// Ingest passes at once. Two of one thread each embed more than one of two (measured).
    pub bulk_workers: usize,
    /// Threads of each pass.
    pub threads_per_worker: usize,
    /// How long the model stays loaded without work.
    pub idle: Duration,
}

impl Default for EmbedSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self { bulk_workers: (cores - 1).clamp(2, 8), threads_per_worker: 1, idle: Duration::from_secs(30) }
    }
}

/// The built-in embedder: all-MiniLM-L6-v2. Cheap to clone.
#[derive(Clone)]
pub struct BuiltInEmbedder {
    inner: Arc<Inner>,
}

struct Inner {
    model: EmbeddingModel,
    settings: EmbedSettings,
    tasks: Tasks,
    places: [Arc<Semaphore>; 2],
    shared: Arc<Shared>,
}

/// What the workers see. They hold the model; this only remembers where it is while one of them does.
#[derive(Default)]
struct Shared {
    queue: Queue,
    graph: Mutex<Weak<Graph>>,
    words: Mutex<Weak<Words>>,
}

impl BuiltInEmbedder {
    /// Costs nothing until the first text.
    #[must_use]
    pub fn new(tasks: Tasks, settings: EmbedSettings) -> Self {
        let model = EmbeddingModel { name: "all-MiniLM-L6-v2", dimension: DIMENSION, tokens_max: TOKENS_MAX, licence: "Apache-2.0" };
        let places = [Arc::new(Semaphore::new(QUEUE_JOBS)), Arc::new(Semaphore::new(QUEUE_JOBS))];
        Self { inner: Arc::new(Inner { model, settings, tasks, places, shared: Arc::default() }) }
    }
}

impl Embedder for BuiltInEmbedder {
    fn model(&self) -> &EmbeddingModel {
        &self.inner.model
    }

    fn embed(&self, texts: Vec<String>, kind: EmbedKind) -> BoxFuture<'static, Result<Vec<Embedding>, EmbedError>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let stop = inner.tasks.token().clone();
            tokio::select! {
                result = inner.embed(texts, kind) => result,
                () = stop.cancelled() => Err(EmbedError::Stopping),
            }
        })
    }

    fn tokenizer(&self) -> Result<Arc<dyn TokenSpans>, EmbedError> {
        Ok(self.inner.shared.words()?)
    }
}

impl Inner {
    async fn embed(&self, texts: Vec<String>, kind: EmbedKind) -> Result<Vec<Embedding>, EmbedError> {
        let mut results: Vec<Option<Embedding>> = vec![None; texts.len()];
        let mut waiting = Vec::new();
        for (places, texts) in batches(texts) {
            waiting.push((places, self.submit(texts, kind).await?));
        }
        for (places, answer) in waiting {
            let embeddings = answer.await.map_err(|_| EmbedError::Stopping)??;
            for (place, embedding) in places.into_iter().zip(embeddings) {
                results[place] = Some(embedding);
            }
        }
        results.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| EmbedError::Failed("a vector is missing".into()))
    }

    async fn submit(&self, texts: Vec<String>, kind: EmbedKind) -> Result<oneshot::Receiver<Result<Vec<Embedding>, EmbedError>>, EmbedError> {
        let places = &self.places[usize::from(kind == EmbedKind::Bulk)];
        let place = Arc::clone(places).acquire_owned().await.map_err(|_| EmbedError::Stopping)?;
        let (answer, receiver) = oneshot::channel();
        if let Some(role) = self.shared.queue.push(Job { texts, answer, _place: place }, kind, self.settings.bulk_workers.max(1)) {
            self.start_worker(role)?;
        }
        Ok(receiver)
    }

    fn start_worker(&self, role: Role) -> Result<(), EmbedError> {
        let (shared, settings) = (Arc::clone(&self.shared), self.settings);
        let name = if role == Role::Queries { "embed-query" } else { "embed-bulk" };
        let started = std::thread::Builder::new().name(name.into()).spawn(move || shared.work(role, settings));
        started.map(drop).map_err(|error| {
            drop(Worker::new(&self.shared.queue, role));
            EmbedError::Load(format!("no thread for it: {error}"))
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl Shared {
    fn work(&self, role: Role, settings: EmbedSettings) {
        if role == Role::Any {
            // Threads started from this one inherit it. Where it is not allowed, ingest is merely less kind.
            let _ = rustix::process::setpriority_process(None, BULK_NICENESS);
        }
        let mut worker = Worker::new(&self.queue, role);
        let mut session = None;
        while let Some(job) = self.queue.next(&mut worker, settings.idle) {
            let run = || match &session {
                Some(loaded) => Session::embed(loaded, &job.texts),
                None => session.insert(self.session(settings.threads_per_worker)?).embed(&job.texts),
            };
            let result = std::panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(EmbedError::Failed("it panicked".into())));
            let _ = job.answer.send(result);
        }
        drop(session);
        // Even while another worker keeps the model, this one's buffers are free now.
        memory::release_heap();
    }

    fn session(&self, threads: usize) -> Result<Session, EmbedError> {
        Ok(Session::new(load_once(&self.graph, Graph::load)?, self.words()?, threads))
    }

    fn words(&self) -> Result<Arc<Words>, EmbedError> {
        load_once(&self.words, Words::load)
    }
}

/// What is loaded already, or loads it; others that need it wait meanwhile.
fn load_once<T>(known: &Mutex<Weak<T>>, load: fn() -> Result<T, EmbedError>) -> Result<Arc<T>, EmbedError> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = known.upgrade() {
        return Ok(loaded);
    }
    let loaded = Arc::new(load()?);
    *known = Arc::downgrade(&loaded);
    Ok(loaded)
}

/// Texts of like length share a pass, with their places in the original order.
fn batches(texts: Vec<String>) -> Vec<(Vec<usize>, Vec<String>)> {
    let mut sorted: Vec<(usize, String)> = texts.into_iter().enumerate().collect();
    sorted.sort_by_key(|(_, text)| text.len());
    let mut batches: Vec<(Vec<usize>, Vec<String>)> = Vec::new();
    for (place, text) in sorted {
        match batches.last_mut() {
            Some((places, texts)) if texts.len() < BATCH_TEXTS && (texts.len() + 1) * text.len() <= BATCH_BYTES => {
                places.push(place);
                texts.push(text);
            }
            _ => batches.push((vec![place], vec![text])),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::chunker::{PieceSize, split};
    use crate::services::embed::cosine;

    fn embedder() -> BuiltInEmbedder {
        BuiltInEmbedder::new(Tasks::default(), EmbedSettings { idle: Duration::from_millis(50), ..EmbedSettings::default() })
    }

    async fn vectors(texts: &[&str]) -> Vec<Embedding> {
        embedder().embed(texts.iter().map(|&text| text.to_owned()).collect(), EmbedKind::Bulk).await.unwrap()
    }

    #[tokio::test]
    async fn vectors_have_unit_length_and_meaning_orders_them() {
        let found = vectors(&[
            "How many people live in the capital of France?",
            "Paris has about 2.1 million inhabitants.",
            "The committee approved the annual budget for road repairs.",
            "",
        ])
        .await;
        for embedding in &found {
            let length = cosine(&embedding.vector, &embedding.vector);
            assert!((length - 1.0).abs() < 1e-5 && embedding.vector.len() == DIMENSION, "{length}");
        }
        let (near, far) = (cosine(&found[0].vector, &found[1].vector), cosine(&found[0].vector, &found[2].vector));
        assert!(near > 0.4 && far < 0.2, "{near} {far}");
        assert_eq!(found[3].tokens, 0);
    }

    #[tokio::test]
    async fn sharing_a_pass_changes_no_vector() {
        let texts = ["Rain.", "The river Rhine is 1,230 kilometres long.", "A bridge crosses it at Basel, another one at Cologne."];
        let together = vectors(&texts).await;
        for (text, shared) in texts.iter().zip(&together) {
            let alone = &vectors(&[text]).await[0];
            assert!(cosine(&alone.vector, &shared.vector) > 0.9999, "{text}");
            assert_eq!(alone.tokens, shared.tokens);
        }
    }

    #[tokio::test]
    async fn a_long_text_is_seen_up_to_the_window() {
        let long = "Turbines need wind. ".repeat(2_000);
        let found = vectors(&[&long]).await;
        assert_eq!(found[0].tokens as usize, TOKENS_MAX);
    }

    #[tokio::test]
    async fn pieces_fit_the_window_they_were_cut_for() {
        let embedder = embedder();
        let text = "Die Größe der Anlage beträgt 12 km². L'hôtel naïf est fermé. 日本語の文章。 x̃y\u{200d}z 🦀🦀. ".repeat(60);
        let tokenizer = embedder.tokenizer().unwrap();
        let pieces = split(&text, &*tokenizer, PieceSize { tokens_max: 100, overlap_max: 20 });
        assert!(pieces.len() > 10);
        let texts: Vec<String> = pieces.iter().map(|piece| text[piece.range.clone()].to_owned()).collect();
        for (embedding, piece) in embedder.embed(texts, EmbedKind::Bulk).await.unwrap().iter().zip(&pieces) {
            assert!(embedding.tokens <= piece.tokens + 2 && embedding.tokens + 2 >= piece.tokens, "{} {}", embedding.tokens, piece.tokens);
        }
    }

    #[tokio::test]
    async fn work_given_up_is_not_done_and_stopping_ends_the_wait() {
        let tasks = Tasks::default();
        let embedder = BuiltInEmbedder::new(tasks.clone(), EmbedSettings::default());
        let long = "Turbines need wind. ".repeat(200);
        let abandoned = embedder.embed(vec![long.clone(); 64], EmbedKind::Bulk);
        assert!(futures_util::FutureExt::now_or_never(abandoned).is_none());
        let waiting = embedder.embed(vec![long; 4], EmbedKind::Bulk);
        tasks.token().cancel();
        assert!(matches!(waiting.await, Err(EmbedError::Stopping)));
    }

    #[test]
    fn texts_of_like_length_share_a_pass() {
        let texts: Vec<String> = [2_000, 10, 700, 20, 600].iter().map(|&length| "x".repeat(length)).collect();
        let places: Vec<Vec<usize>> = batches(texts).into_iter().map(|(places, _)| places).collect();
        assert_eq!(places, [vec![1, 3], vec![4, 2], vec![0]]);
        assert!(batches(Vec::new()).is_empty());
    }
}

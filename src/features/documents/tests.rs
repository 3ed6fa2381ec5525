use std::sync::atomic::Ordering;

use super::*;
use crate::base::clock::{Clock, FakeClock, Timestamp};
use crate::base::random::SystemRandom;
use crate::model::document::DocumentState;
use crate::model::ledger::TxType;
use crate::model::report::SourceRef;
use crate::services::embed::testing::WordCounter;
use crate::services::ledger::{Ledger, LedgerSettings};
use crate::services::recall::{DocumentSource, RecallError, RecallFilter, RecallQuery, RecallSettings, SourceText};
use crate::store::documents::testing::company_and_user;
use crate::store::testing;

struct World {
    documents: Documents,
    embedder: Arc<WordCounter>,
    store: Store,
    recall: Recall,
    ledger: Ledger,
    clock: Arc<FakeClock>,
    company: CompanyId,
    user: UserId,
    _folder: tempfile::TempDir,
}

async fn world(daily_free_tokens: u64) -> World {
    let (store, folder) = testing::store();
    let clock = Arc::new(FakeClock::new(Timestamp::from_millis(1_795_300_000_000)));
    let seams = Seams { clock: clock.clone(), random: Arc::new(SystemRandom) };
    let (company, user) = company_and_user(&store, &seams).await;
    let ledger = Ledger::new(store.clone(), seams.clone(), Tasks::default(), LedgerSettings { daily_free_tokens });
    let embedder = Arc::new(WordCounter::default());
    let recall = Recall::new(store.clone(), embedder.clone(), seams.clone(), Tasks::default(), ledger.clone(), RecallSettings::default());
    let settings = DocumentSettings { upload_bytes_max: 400_000 };
    let documents = Documents::new(store.clone(), seams, Tasks::default(), Nudge::default(), recall.clone(), settings);
    World { documents, embedder, store, recall, ledger, clock, company, user, _folder: folder }
}

impl World {
    async fn upload(&self, name: &str, content: &[u8]) -> Result<Document, DocumentError> {
        self.upload_of(&self.company, &self.user, name, content).await
    }

    async fn upload_of(&self, company: &CompanyId, user: &UserId, name: &str, content: &[u8]) -> Result<Document, DocumentError> {
        let upload = Upload { name: name.into(), media_type: Some("application/octet-stream".into()), content: content.to_vec() };
        self.documents.upload(self.documents.upload_place()?, company, user, Role::Member, upload).await
    }

    async fn state(&self, document: &Document) -> Document {
        self.store.document(document.company.clone(), document.id.clone()).await.unwrap().unwrap()
    }

    /// The documents that a question recalls.
    async fn recalled(&self, text: &str) -> Vec<DocumentId> {
        let filter = RecallFilter::default();
        let query = RecallQuery { company: self.company.clone(), viewer: self.user.clone(), text: text.into(), limit: 8, filter };
        self.recall.search(query).await.unwrap().into_iter().filter_map(|found| found.chunk.body.document_id).collect()
    }

    /// The versions that a question recalls, each with how old it is said to be.
    async fn freshness(&self, text: &str) -> Vec<(DocumentId, &'static str)> {
        let filter = RecallFilter::default();
        let query = RecallQuery { company: self.company.clone(), viewer: self.user.clone(), text: text.into(), limit: 8, filter };
        let found = self.recall.search(query).await.unwrap();
        found.into_iter().map(|found| (found.chunk.body.document_id.unwrap(), found.citation.freshness.as_str())).collect()
    }

    /// The keys and tokens of what embedding cost so far.
    async fn spent(&self) -> Vec<(String, i64)> {
        let rows = self.ledger.statement(&self.user, 1_000).await.unwrap();
        rows.into_iter().filter(|row| row.tx_type == TxType::EmbeddingSpend).map(|row| (row.reference_key, -row.amount)).collect()
    }
}

/// A text of this many words that differ, as one line each of 40.
fn long(words: usize) -> String {
    (0..words).map(|n| if n % 40 == 39 { format!("word{n}.\n") } else { format!("word{n} ") }).collect()
}

#[tokio::test]
async fn an_upload_becomes_ready_is_charged_once_and_replaces_its_earlier_version() {
    let world = world(1000).await;
    let first = world.upload("notes.md", b"# Notes\n\nThe Rhine is **long**.").await.unwrap();
    assert_eq!((first.state, first.version, first.media_type.as_str()), (DocumentState::Stored, 1, "text/markdown"));
    assert_eq!(world.documents.reconcile().await.unwrap(), 1);
    assert_eq!(world.documents.reconcile().await.unwrap(), 0);
    let ready = world.state(&first).await;
    assert_eq!((ready.state, ready.chunks, ready.notice), (DocumentState::Ready, 1, None));
    assert_eq!(world.recalled("Rhine").await, std::slice::from_ref(&first.id));
    assert_eq!(world.ledger.balance(&world.user).await.unwrap().available(), 999);

    let second = world.upload("notes.md", b"# Notes\n\nThe Rhine is longer.").await.unwrap();
    assert_eq!(second.version, 2);
    world.documents.reconcile().await.unwrap();
    assert_eq!(world.recalled("Rhine").await, std::slice::from_ref(&second.id));
    assert_eq!(world.store.documents_to_forget(9).await.unwrap(), [], "the earlier version's chunks are removed");
    assert_eq!(world.documents.list(&world.company, &Part::default()).await.unwrap().len(), 1);
    assert!(world.documents.delete(&world.company, &world.user, Role::Member, &second.id).await.unwrap());
    assert!(world.documents.get(&world.company, &first.id).await.unwrap().is_none());
    assert!(world.recalled("Rhine").await.is_empty());
}

#[tokio::test]
async fn while_a_later_version_waits_the_earlier_one_is_outdated() {
    let world = world(1000).await;
    let first = world.upload("leave.txt", b"Leave is twenty days.").await.unwrap();
    world.documents.reconcile().await.unwrap();
    assert_eq!(world.freshness("leave").await, [(first.id.clone(), "FRESH")]);
    let second = world.upload("leave.txt", b"Leave is thirty days.").await.unwrap();
    assert_eq!(world.freshness("leave").await, [(first.id.clone(), "STALE")], "there is nothing else yet, and it is no longer so");
    world.embedder.failing.store(true, Ordering::Relaxed);
    world.documents.reconcile().await.unwrap();
    assert_eq!(world.state(&second).await.state, DocumentState::Failed);
    assert_eq!(world.freshness("leave").await, [(first.id, "STALE")]);
    world.embedder.failing.store(false, Ordering::Relaxed);
    let third = world.upload("leave.txt", b"Leave is thirty days.").await.unwrap();
    world.documents.reconcile().await.unwrap();
    assert_eq!(world.freshness("leave").await, [(third.id, "FRESH")]);
}

#[tokio::test]
async fn nothing_of_a_deleted_document_is_recalled_whatever_interrupts_its_deletion() {
    let world = world(1000).await;
    let document = world.upload("a.txt", b"The Rhine is long.").await.unwrap();
    world.documents.reconcile().await.unwrap();
    let chunk = {
        let filter = RecallFilter::default();
        let query = RecallQuery { company: world.company.clone(), viewer: world.user.clone(), text: "Rhine".into(), limit: 8, filter };
        world.recall.search(query).await.unwrap()[0].chunk.id
    };
    // The process dies between the row and the chunks.
    world.store.delete_document(world.company.clone(), document.id.clone(), Timestamp::from_millis(9)).await.unwrap();
    assert!(world.recalled("Rhine").await.is_empty());
    assert!(world.recall.chunk(&world.company, &world.user, chunk).await.unwrap().is_none());
    assert_eq!(world.recall.sweep().await.unwrap(), 1, "the next pass removes them");
    assert_eq!(world.recall.sweep().await.unwrap(), 0);

    // Deleted while it is being ingested: its chunks are refused, and that is its end.
    let document = world.upload("b.txt", b"The Elbe is long.").await.unwrap();
    let claimed = world.store.claim_next_document(None, world.clock.now()).await.unwrap().unwrap();
    world.documents.delete(&world.company, &world.user, Role::Member, &document.id).await.unwrap();
    let source = SourceRef { url: None, document_id: Some(document.id.clone()), title: "b".into(), page_number: None };
    let text =
        SourceText { source, text: "The Elbe is long.".into(), rows: Vec::new(), content_hash: "00".into(), collected_at: Timestamp::default() };
    let owner = DocumentSource { company: claimed.company, document: claimed.id, uploaded_by: claimed.uploaded_by };
    let refused = world.recall.ingest_document(owner, vec![text], &|_| {}).await;
    assert!(matches!(refused, Err(RecallError::Ended)), "{refused:?}");
    assert!(world.recalled("Elbe").await.is_empty());
    assert_eq!(world.spent().await.len(), 1, "nothing is charged for what is not kept");
}

#[tokio::test]
async fn a_stop_leaves_a_document_to_the_next_start_and_charges_each_batch_once() {
    let world = world(100_000).await;
    let document = world.upload("long.txt", long(30_000).as_bytes()).await.unwrap();
    world.embedder.broken.store(true, Ordering::Relaxed);
    assert_eq!(world.documents.reconcile().await.unwrap(), 0);
    let stopped = world.state(&document).await;
    assert_eq!((stopped.state, stopped.notice), (DocumentState::Ingesting, None), "it did not fail");
    let charged = world.spent().await;
    assert_eq!(charged.len(), 1, "the first batch is in, and charged");
    world.embedder.broken.store(false, Ordering::Relaxed);
    assert_eq!(world.documents.reconcile().await.unwrap(), 1);
    let ready = world.state(&document).await;
    let spent = world.spent().await;
    assert_eq!(spent.len(), ready.chunks.div_ceil(32) as usize, "a row a batch");
    assert_eq!(spent.last(), charged.first(), "what was charged stands once");
    assert_eq!(world.embedder.texts.load(Ordering::Relaxed), ready.chunks as usize + 32, "only the batch that was under way is read again");
    assert_eq!(world.ledger.balance(&world.user).await.unwrap().reserved, 0);
}

#[tokio::test]
async fn who_waits_for_tokens_holds_up_nobody_and_goes_on_when_there_are_some() {
    let world = world(2_000).await;
    let seams = Seams { clock: world.clock.clone(), random: Arc::new(SystemRandom) };
    let (neighbour, other) = company_and_user(&world.store, &seams).await;
    let large = world.upload("large.txt", long(30_000).as_bytes()).await.unwrap();
    let small = world.upload_of(&neighbour, &other, "small.txt", b"Some text to read.").await.unwrap();
    assert_eq!(world.documents.reconcile().await.unwrap(), 1, "the neighbour's");
    assert_eq!(world.state(&small).await.state, DocumentState::Ready);
    let waiting = world.state(&large).await;
    let notice = waiting.notice.unwrap();
    assert_eq!((waiting.state, notice.code.as_str()), (DocumentState::Stored, "tokens_insufficient"));
    assert!(notice.message.contains("32 can be recalled"), "{}", notice.message);
    assert_eq!(world.documents.reconcile().await.unwrap(), 0);

    let grant = crate::model::ledger::Posting {
        user: world.user.clone(),
        company: None,
        tx_type: TxType::AdminGrant,
        reference_key: "grant".into(),
        reference_id: "grant".into(),
        tokens: 100_000,
        metadata: serde_json::json!({}),
    };
    world.ledger.post(grant).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(600));
    assert_eq!(world.documents.reconcile().await.unwrap(), 1);
    let ready = world.state(&large).await;
    assert_eq!((ready.state, ready.notice), (DocumentState::Ready, None));
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_the_reason() {
    let world = world(1000).await;
    let code = |result: Result<Document, DocumentError>| match result {
        Err(DocumentError::Unreadable { reason, .. }) => reason.code(),
        Err(DocumentError::TooLarge { limit_bytes: 400_000 }) => "too_large",
        other => panic!("{other:?}"),
    };
    assert_eq!(code(world.upload("a.txt", b"").await), "empty");
    assert_eq!(code(world.upload("a.txt", &[0, 1, 2, 3].repeat(50)).await), "binary");
    assert_eq!(code(world.upload("a.pdf", b"%PDF-1.7").await), "binary");
    assert_eq!(code(world.upload("a.yaml", b"a: 1").await), "unsupported_type");
    assert_eq!(code(world.upload("a.html", b"<script>x()</script>").await), "no_text");
    assert_eq!(code(world.upload("a.txt", &b"x".repeat(400_001)).await), "too_large");
    assert!(world.documents.list(&world.company, &Part::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_failure_says_why_and_the_same_file_again_is_tried_again() {
    let world = world(1000).await;
    world.embedder.failing.store(true, Ordering::Relaxed);
    let document = world.upload("a.txt", b"Some text to read.").await.unwrap();
    assert_eq!(world.documents.reconcile().await.unwrap(), 0);
    let failed = world.state(&document).await;
    assert_eq!(failed.state, DocumentState::Failed);
    assert!(failed.notice.unwrap().message.contains("the model is gone"));
    world.embedder.failing.store(false, Ordering::Relaxed);
    let again = world.upload("a.txt", b"Some text to read.").await.unwrap();
    assert_eq!((again.version, world.documents.reconcile().await.unwrap()), (2, 1));
}

#[tokio::test]
async fn four_upload_at_once() {
    let world = world(1000).await;
    let places: Vec<UploadPlace> = (0..4).map(|_| world.documents.upload_place().unwrap()).collect();
    assert!(matches!(world.upload("a.txt", b"Some text.").await, Err(DocumentError::Busy)));
    drop(places);
    world.upload("a.txt", b"Some text.").await.unwrap();
}

#[tokio::test]
async fn a_file_is_sent_in_pieces_and_so_many_at_once() {
    let world = world(500_000).await;
    let content = "The pump is serviced. ".repeat(16_000).into_bytes();
    let document = world.upload("pump.txt", &content).await.unwrap();
    let mut download = world.documents.download(&world.company, &document.id).await.unwrap().unwrap();
    let (mut whole, mut pieces) = (Vec::new(), 0);
    while let Some(piece) = download.next().await.unwrap() {
        whole.extend(piece);
        pieces += 1;
    }
    assert_eq!((whole, pieces), (content, 2));

    let mut held = vec![download];
    while held.len() < DOWNLOADS_AT_ONCE {
        held.push(world.documents.download(&world.company, &document.id).await.unwrap().unwrap());
    }
    assert!(matches!(world.documents.download(&world.company, &document.id).await, Err(DocumentError::DownloadsBusy)));
    held.pop();
    let mut last = world.documents.download(&world.company, &document.id).await.unwrap().unwrap();
    world.documents.delete(&world.company, &world.user, Role::Member, &document.id).await.unwrap();
    assert!(last.next().await.is_err(), "one whose file goes meanwhile is cut off, and not ended");
    assert!(world.documents.download(&world.company, &document.id).await.unwrap().is_none());
}

use std::sync::Mutex;

use super::*;
use crate::model::document::DocumentState;
use crate::services::ledger::LedgerSettings;
use crate::store::documents::testing::company_and_user;
use crate::store::testing;

#[derive(Default)]
struct Scripted {
    fails: Mutex<Option<String>>,
    seen: Mutex<Vec<String>>,
    forgotten: Mutex<Vec<DocumentId>>,
}

impl DocumentIngester for Scripted {
    fn ingest(&self, job: DocumentIngest) -> BoxFuture<'_, Result<Ingested, String>> {
        self.seen.lock().unwrap().push(job.text.canonical_text());
        let failure = self.fails.lock().unwrap().clone();
        Box::pin(async move { failure.map_or(Ok(Ingested { chunks: 2, tokens: 100 }), Err) })
    }

    fn forget(&self, document: DocumentId) -> BoxFuture<'_, Result<(), StoreError>> {
        self.forgotten.lock().unwrap().push(document);
        Box::pin(async { Ok(()) })
    }

    fn model(&self) -> String {
        "scripted".to_owned()
    }
}

struct World {
    documents: Documents,
    ingester: Arc<Scripted>,
    ledger: Ledger,
    company: CompanyId,
    user: UserId,
    _folder: tempfile::TempDir,
}

async fn world(daily_free_tokens: u64) -> World {
    let (store, folder) = testing::store();
    let (seams, tasks) = (Seams::system(), Tasks::default());
    let (company, user) = company_and_user(&store, &seams).await;
    let ledger = Ledger::new(store.clone(), seams.clone(), tasks.clone(), LedgerSettings { daily_free_tokens });
    let ingester = Arc::new(Scripted::default());
    let settings = DocumentSettings { upload_bytes_max: 1000 };
    let documents = Documents::new(store, seams, tasks, Nudge::default(), ledger.clone(), Arc::<Scripted>::clone(&ingester), settings);
    World { documents, ingester, ledger, company, user, _folder: folder }
}

impl World {
    async fn upload(&self, name: &str, content: &[u8]) -> Result<Document, DocumentError> {
        let upload = Upload { name: name.into(), media_type: Some("application/octet-stream".into()), content: content.to_vec() };
        self.documents.upload(&self.company, &self.user, upload).await
    }

    async fn state(&self, document: &Document) -> Document {
        self.documents.get(&self.company, &document.id).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn an_upload_becomes_ready_is_charged_once_and_replaces_its_earlier_version() {
    let world = world(1000).await;
    let first = world.upload("notes.md", b"# Notes\n\nThe Rhine is **long**.").await.unwrap();
    assert_eq!((first.state, first.version, first.media_type.as_str()), (DocumentState::Stored, 1, "text/markdown"));
    assert_eq!(world.documents.reconcile().await.unwrap(), 1);
    assert_eq!(world.documents.reconcile().await.unwrap(), 0);
    let ready = world.state(&first).await;
    assert_eq!((ready.state, ready.chunks, ready.notice), (DocumentState::Ready, 2, None));
    assert_eq!(world.ingester.seen.lock().unwrap().as_slice(), ["Notes\nThe Rhine is **long**."]);
    assert_eq!(world.ledger.balance(&world.user).await.unwrap().available(), 990);

    let second = world.upload("notes.md", b"# Notes\n\nIt is longer.").await.unwrap();
    assert_eq!(second.version, 2);
    world.documents.reconcile().await.unwrap();
    assert_eq!(world.ingester.forgotten.lock().unwrap().as_slice(), std::slice::from_ref(&first.id));
    assert_eq!(world.documents.list(&world.company).await.unwrap().len(), 1);
    assert!(world.documents.delete(&world.company, &second.id).await.unwrap());
    assert!(world.documents.get(&world.company, &first.id).await.unwrap().is_none());
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_the_reason() {
    let world = world(1000).await;
    let code = |result: Result<Document, DocumentError>| match result {
        Err(DocumentError::Unreadable { reason, .. }) => reason.code(),
        Err(DocumentError::TooLarge { limit_bytes: 1000 }) => "too_large",
        other => panic!("{other:?}"),
    };
    assert_eq!(code(world.upload("a.txt", b"").await), "empty");
    assert_eq!(code(world.upload("a.txt", &[0, 1, 2, 3].repeat(50)).await), "binary");
    assert_eq!(code(world.upload("a.pdf", b"%PDF-1.7").await), "binary");
    assert_eq!(code(world.upload("a.yaml", b"a: 1").await), "unsupported_type");
    assert_eq!(code(world.upload("a.html", b"<script>x()</script>").await), "no_text");
    assert_eq!(code(world.upload("a.txt", &b"x".repeat(1001)).await), "too_large");
    assert!(world.documents.list(&world.company).await.unwrap().is_empty());
}

#[tokio::test]
async fn without_tokens_a_document_waits_and_a_failure_says_why() {
    let poor = world(0).await;
    let waiting = poor.upload("a.txt", b"Some text to read.").await.unwrap();
    assert_eq!(poor.documents.reconcile().await.unwrap(), 0);
    let state = poor.state(&waiting).await;
    assert_eq!((state.state, state.notice.unwrap().code.as_str()), (DocumentState::Stored, "tokens_insufficient"));

    let world = world(1000).await;
    *world.ingester.fails.lock().unwrap() = Some("the model is gone".to_owned());
    let document = world.upload("a.txt", b"Some text to read.").await.unwrap();
    assert_eq!(world.documents.reconcile().await.unwrap(), 0);
    let failed = world.state(&document).await;
    assert_eq!(failed.state, DocumentState::Failed);
    assert!(failed.notice.unwrap().message.contains("the model is gone"));
    assert_eq!(world.ledger.balance(&world.user).await.unwrap().available(), 1000);
    // The same file again is tried again, as a new version.
    *world.ingester.fails.lock().unwrap() = None;
    let again = world.upload("a.txt", b"Some text to read.").await.unwrap();
    assert_eq!((again.version, world.documents.reconcile().await.unwrap()), (2, 1));
}

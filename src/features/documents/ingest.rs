//! Making documents recallable: a reconciler that a job calls on a tick or a nudge. Whatever a restart cut off is taken up again.

use std::time::Duration;

use super::Documents;
use crate::base::clock::Timestamp;
use crate::model::document::{Document, DocumentNotice};
use crate::model::ids::CompanyId;
use crate::model::report::SourceRef;
use crate::services::collect::extract;
use crate::services::collect::texts::KeptPage;
use crate::services::embed::EmbedError;
use crate::services::recall::{DocumentSource, IngestSummary, RecallError, SourceText};
use crate::store::StoreError;

/// How long a document waits for tokens before it is tried again: soon enough after a grant, too seldom to be work.
const TOKENS_WAIT: Duration = Duration::from_secs(600);
/// How long a document waits after the store failed under it.
const STORE_WAIT: Duration = Duration::from_secs(60);
/// The time between two looks for texts that nothing needs.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
/// Texts are kept this long after they were last collected, whatever needs them: a run that is told "not modified" reads the text again.
const TEXT_AGE_MIN: Duration = Duration::from_secs(86_400);
/// Texts that one transaction removes: up to 4 MB each, most a hundredth of it.
const PRUNE_BATCH: u32 = 20;

/// What a pass remembers for the next.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// The company that had the last turn.
    last: Option<CompanyId>,
    pruned_at: Option<Timestamp>,
}

/// How a document's turn ended.
enum Turn {
    /// It can be recalled.
    Ready,
    /// It failed, waits, or is no more.
    Over,
    /// The app stops: it stays in its state, and the next start takes it up.
    Stopped,
}

impl Documents {
    /// Makes every waiting document recallable, one after the other, and returns how many are ready now. Companies take turns, and a long document
    /// gives way to others now and then. Removes what is left of deleted and superseded ones. While another call is at it, does nothing.
    ///
    /// # Errors
    /// When the store fails: the rest waits for the next call.
    pub async fn reconcile(&self) -> Result<usize, StoreError> {
        let Ok(mut rounds) = self.rounds.try_lock() else { return Ok(0) };
        let mut ready = 0;
        while !self.tasks.is_stopping() {
            self.recall.sweep().await?;
            let Some(document) = self.store.claim_next_document(rounds.last.take(), self.seams.now()).await? else { break };
            rounds.last = Some(document.company.clone());
            match self.ingest(&document).await {
                Ok(Turn::Ready) => ready += 1,
                Ok(Turn::Over) => {}
                Ok(Turn::Stopped) => return Ok(ready),
                Err(error) => {
                    // Not at the head of the queue: what fails with this one may work with others.
                    self.store.postpone_document(document.id, self.seams.now().plus(STORE_WAIT), None).await?;
                    return Err(error);
                }
            }
        }
        let now = self.seams.now();
        if rounds.pruned_at.is_none_or(|at| at.plus(PRUNE_EVERY) <= now) {
            rounds.pruned_at = Some(now);
            self.prune_texts(now).await?;
        }
        Ok(ready)
    }

    async fn prune_texts(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut pruned = 0;
        while !self.tasks.is_stopping() {
            let removed = self.store.prune_page_texts(now.minus(TEXT_AGE_MIN), PRUNE_BATCH).await?;
            pruned += removed;
            if removed == 0 {
                break;
            }
        }
        if pruned > 0 {
            tracing::info!(texts = pruned, "texts that nothing needs any more were removed");
        }
        Ok(())
    }

    async fn ingest(&self, document: &Document) -> Result<Turn, StoreError> {
        let kept = match &document.text_hash {
            Some(hash) => self.texts.get(&document.company, hash).await?,
            None => None,
        };
        let Some(kept) = kept else {
            self.fail(document, "text_missing", "Its text is not kept any more.", "Delete it, and upload the file again.").await?;
            return Ok(Turn::Over);
        };
        let (source, text) = source_of(document, &kept);
        let result = tokio::select! {
            biased;
            () = self.tasks.stopping() => return Ok(Turn::Stopped),
            result = self.recall.ingest_document(source, vec![text], &|_| {}) => result,
        };
        match result {
            Ok(IngestSummary { left: 0, chunks, tokens, .. }) => {
                let there = self.store.finish_document(document, chunks, self.seams.now()).await?;
                tracing::info!(document = %document.id, chunks, tokens, "a document can be recalled");
                return Ok(if there { Turn::Ready } else { Turn::Over });
            }
            Ok(_) => self.store.postpone_document(document.id.clone(), self.seams.now(), None).await?,
            Err(RecallError::Embed(EmbedError::Stopping)) => return Ok(Turn::Stopped),
            Err(RecallError::Ended) => {}
            Err(RecallError::Store(error)) => return Err(error),
            Err(RecallError::Unpaid { short, progress }) => {
                let part =
                    if progress.done == 0 { String::new() } else { format!(" Of {} parts {} can be recalled.", progress.total, progress.done) };
                let notice = DocumentNotice {
                    code: "tokens_insufficient".to_owned(),
                    message: format!("It waits for tokens: {short}.{part}"),
                    remedy: Some("It goes on by itself with the next daily grant; an administrator can grant tokens now.".to_owned()),
                };
                let until = self.seams.now().plus(TOKENS_WAIT);
                self.store.postpone_document(document.id.clone(), until, Some(notice)).await?;
            }
            Err(error @ (RecallError::Embed(_) | RecallError::Cut(_))) => {
                tracing::warn!(document = %document.id, %error, "a document could not be made recallable");
                let message = format!("It could not be made recallable: {error}.");
                self.fail(document, "ingest_failed", &message, "Upload the file again to try once more.").await?;
            }
        }
        Ok(Turn::Over)
    }

    async fn fail(&self, document: &Document, code: &str, message: &str, remedy: &str) -> Result<(), StoreError> {
        let notice = DocumentNotice { code: code.to_owned(), message: message.to_owned(), remedy: Some(remedy.to_owned()) };
        self.store.fail_document(document.id.clone(), notice).await
    }
}

fn source_of(document: &Document, kept: &KeptPage) -> (DocumentSource, SourceText) {
    let source = SourceRef { url: None, document_id: Some(document.id.clone()), title: document.name.clone(), page_number: None };
    let (rows, text) = extract::rows(&kept.text, &document.name);
    let text = SourceText { source, text, rows, content_hash: kept.content_hash.clone(), collected_at: document.uploaded_at };
    let owner = DocumentSource { company: document.company.clone(), document: document.id.clone(), uploaded_by: document.uploaded_by.clone() };
    (owner, text)
}

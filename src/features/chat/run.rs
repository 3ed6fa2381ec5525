//! The runner: takes waiting runs, makes their answers, and brings each to an end in one transaction.

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Chat;
use super::answer::{Draft, MakeError};
use crate::base::places::{Place, Work};
use crate::model::chat::{Answer, AnswerTokens, ChatFailure, ChatRun};
use crate::model::ids::{ChatRunId, MessageId};
use crate::model::ledger::TxType;
use crate::model::rates;
use crate::services::gateway::ProviderError;
use crate::services::gateway::prompt::{ANSWER_TOKENS, estimate_tokens};
use crate::services::ledger::{LedgerError, Reservation};
use crate::store::StoreError;
use crate::store::chat_runs::ClaimedRun;
use crate::store::runs::Turn;

impl Chat {
    /// Brings the runs into order: what nobody makes any more waits again, and what waits is begun as far as there is room.
    /// Changes nothing when called twice.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn make_answers(&self) -> Result<(), StoreError> {
        let parts = self.parts();
        let alive = self.active().keys().cloned().collect();
        for run in parts.store.requeue_orphaned_chat_runs(alive, parts.seams.now()).await? {
            tracing::warn!(%run, "an answer was interrupted; it is made again, or given up after too many times");
            parts.signals.notify(run.as_str());
        }
        while !parts.tasks.is_stopping() {
            let Some(place) = parts.places.take(Work::Answer) else { break };
            let turn = Turn { after: self.last().clone(), most_of_one: parts.places.most_of_one() };
            let Some(claimed) = parts.store.claim_chat_run(turn, parts.seams.now()).await? else { break };
            *self.last() = Some(claimed.run.company_id.clone());
            let cancel = CancellationToken::new();
            let making = Making::begin(self, claimed.run.id.clone(), cancel.clone(), place);
            parts.signals.notify(claimed.run.id.as_str());
            let chat = self.clone();
            parts.tasks.spawn("chat answer", async move { chat.carry_out(claimed, cancel, making).await });
        }
        Ok(())
    }

    /// Makes one answer to its end. When the process stops meanwhile, the run waits again, as if it had never been begun.
    async fn carry_out(self, claimed: ClaimedRun, cancel: CancellationToken, making: Making) {
        let parts = self.parts();
        let id = claimed.run.id.clone();
        let ended = tokio::select! {
            biased;
            () = parts.tasks.stopping() => parts.store.put_back_chat_run(id.clone(), parts.seams.now()).await,
            ended = self.make_and_end(claimed, cancel) => ended,
        };
        if let Err(error) = ended {
            // It stays marked as running; the next look of the runner finds that nobody makes it.
            tracing::error!(run = %id, %error, "the end of an answer could not be kept");
        }
        drop(making);
    }

    async fn make_and_end(&self, claimed: ClaimedRun, cancel: CancellationToken) -> Result<(), StoreError> {
        let parts = self.parts();
        let run = claimed.run.clone();
        let started = parts.seams.clock.elapsed();
        // Asked to stop between the claim and now: the token was not there yet to be told.
        if parts.store.chat_run_cancel_asked(run.id.clone()).await? {
            cancel.cancel();
        }
        let reservation = match self.reserve(&run, &claimed.question).await {
            Ok(reservation) => reservation,
            Err(error) => return self.give_up(&run, error.into()).await,
        };
        let (limit, mut used) = (self.inner.settings.answer_max, AnswerTokens::default());
        let made = tokio::select! {
            biased;
            made = self.make(claimed, cancel.clone(), &mut used) => made,
            () = cancel.cancelled() => Err(MakeError::Provider(ProviderError::Cancelled)),
            () = sleep_or_never(&*parts.seams.clock, limit) => Err(MakeError::TooLong),
        };
        match made {
            Ok(draft) => self.keep(&run, draft, reservation, started).await,
            Err(MakeError::Provider(ProviderError::Cancelled)) => self.end_cancelled(&run, used, reservation).await,
            Err(error) => {
                // An answer that did not come costs nothing.
                reservation.release().await?;
                self.give_up(&run, error).await
            }
        }
    }

    async fn reserve(&self, run: &ChatRun, question: &str) -> Result<Reservation, LedgerError> {
        let provider = &self.parts().provider;
        let prompt = if provider.quotes() { estimate_tokens(question) } else { u64::from(provider.context_tokens().saturating_sub(ANSWER_TOKENS)) };
        let tokens = rates::generation(prompt, u64::from(ANSWER_TOKENS));
        let reservation = self.parts().ledger.reserve(&run.user_id, &run.company_id, TxType::ChatSpend, run.id.as_str(), tokens).await?;
        Ok(reservation.about(run.conversation_id.as_str()))
    }

    /// Keeps the answer, its price and its last event: all or nothing.
    async fn keep(&self, run: &ChatRun, draft: Draft, reservation: Reservation, started: std::time::Duration) -> Result<(), StoreError> {
        let parts = self.parts();
        let took = parts.seams.clock.elapsed().saturating_sub(started);
        let price = rates::generation(draft.tokens.prompt, draft.tokens.completion);
        let metadata = json!({
            "model": parts.provider.model(),
            "provider": parts.provider.name(),
            "prompt_tokens": draft.tokens.prompt,
            "completion_tokens": draft.tokens.completion,
            "estimated": draft.tokens_estimated,
            "attempt": run.attempt,
        });
        let answer = Answer {
            message_id: MessageId::new(&parts.seams),
            text: draft.text,
            citations: draft.citations,
            model: parts.provider.model().to_owned(),
            quoted: parts.provider.quotes(),
            tokens: draft.tokens,
            duration_millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        };
        tracing::info!(
            run = %run.id, model = answer.model, prompt_tokens = answer.tokens.prompt, completion_tokens = answer.tokens.completion,
            millis = answer.duration_millis, citations = answer.citations.len(), "answered"
        );
        let (store, id, now) = (parts.store.clone(), run.id.clone(), parts.seams.now());
        // Not kept and not failed: the run was over already. As an error it makes the reservation let go.
        let kept = reservation.settle_with(price, metadata, |settlement| async move {
            store.finish_chat_run(id, answer, settlement, now).await.map_err(Some)?.ok_or(None::<StoreError>)
        });
        match kept.await {
            Ok(_) => Ok(()),
            Err(Some(error)) => Err(error),
            Err(None) => {
                tracing::warn!(run = %run.id, "an answer came after its run was over; it was dropped and not charged");
                Ok(())
            }
        }
    }

    /// Ends a stopped answer and charges for what the model had read and written until then, all or nothing.
    async fn end_cancelled(&self, run: &ChatRun, used: AnswerTokens, reservation: Reservation) -> Result<(), StoreError> {
        let parts = self.parts();
        let (store, id, now) = (parts.store.clone(), run.id.clone(), parts.seams.now());
        let price = rates::generation(used.prompt, used.completion);
        if price == 0 {
            store.end_cancelled_chat_run(id, None, now).await?;
            return reservation.release().await;
        }
        let metadata = json!({
            "model": parts.provider.model(),
            "provider": parts.provider.name(),
            "prompt_tokens": used.prompt,
            "completion_tokens": used.completion,
            "estimated": true,
            "attempt": run.attempt,
            "cancelled": true,
        });
        // Not kept and not failed: the run was over already. As an error it makes the reservation let go.
        let kept = reservation.settle_with(price, metadata, |settlement| async move {
            if store.end_cancelled_chat_run(id, Some(settlement), now).await.map_err(Some)? { Ok(()) } else { Err(None) }
        });
        kept.await.or_else(|error: Option<StoreError>| error.map_or(Ok(()), Err))
    }

    async fn give_up(&self, run: &ChatRun, error: MakeError) -> Result<(), StoreError> {
        let parts = self.parts();
        let now = parts.seams.now();
        let failure = error.failure();
        tracing::warn!(run = %run.id, code = failure.code, %error, "no answer");
        parts.store.fail_chat_run(run.id.clone(), failure, now).await?;
        Ok(())
    }
}

/// A run that this process is making: for as long as this lives, and not a moment longer, a panic included.
struct Making {
    chat: Chat,
    id: ChatRunId,
    place: Option<Place>,
}

impl Making {
    fn begin(chat: &Chat, id: ChatRunId, cancel: CancellationToken, place: Place) -> Self {
        chat.active().insert(id.clone(), cancel);
        Self { chat: chat.clone(), id, place: Some(place.begin()) }
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.chat.active().remove(&self.id);
        self.chat.parts().signals.notify(self.id.as_str());
        // Nobody makes it any more: its place wakes whoever waits for one.
        drop(self.place.take());
    }
}

async fn sleep_or_never(clock: &dyn crate::base::clock::Clock, limit: Option<std::time::Duration>) {
    match limit {
        Some(limit) => clock.sleep(limit).await,
        None => std::future::pending().await,
    }
}

impl MakeError {
    /// What the user is told.
    fn failure(&self) -> ChatFailure {
        let (code, remedy) = match self {
            Self::Provider(error) => (error.code(), error.remedy().to_owned()),
            Self::Ledger(LedgerError::Insufficient(_)) => {
                ("insufficient_tokens", "Wait for the next daily grant, or ask an administrator for tokens.".to_owned())
            }
            Self::TooLong => ("answer_timeout", "Ask again; a narrower question is answered sooner.".to_owned()),
            Self::Recall(_) => ("recall_failed", "Ask again; if it stays, give this run's id to whoever looks after the server.".to_owned()),
            Self::Ledger(LedgerError::Store(_)) | Self::Store(_) => {
                ("internal_error", "Ask again; if it stays, give this run's id to whoever looks after the server.".to_owned())
            }
        };
        let message = match self {
            Self::Ledger(LedgerError::Store(_)) | Self::Store(_) | Self::Recall(_) => "Something went wrong on our side.".to_owned(),
            told => sentence(&told.to_string()),
        };
        ChatFailure { code: code.to_owned(), message, remedy }
    }
}

/// An error's words as a sentence.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first: String = letters.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    let end = if words.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

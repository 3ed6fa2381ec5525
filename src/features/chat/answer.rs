//! Makes one answer: recall, prompt, back-end, citations.

use futures_util::StreamExt;
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

use super::Chat;
use super::events::EventWriter;
use crate::model::chat::{AnswerTokens, Message, MessageRole};
use crate::model::chunk::Citation;
use crate::services::gateway::prompt::{self, ANSWER_TOKENS};
use crate::services::gateway::{
    Completion, CompletionRequest, Delta, FinishReason, PromptMessage, Provider, ProviderError, RecalledPassage, Speaker, citations,
};
use crate::services::ledger::LedgerError;
use crate::services::recall::{RecallError, RecallFilter, RecallQuery, Recalled};
use crate::store::StoreError;
use crate::store::chat_runs::ClaimedRun;

/// Passages recalled for an answer.
const PASSAGES: usize = 12;
/// Low: an answer should say what the passages say.
const TEMPERATURE: f32 = 0.2;

/// An answer before it is kept.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) citations: Vec<Citation>,
    pub(super) tokens: AnswerTokens,
    pub(super) tokens_estimated: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum MakeError {
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("recall failed: {0}")]
    Recall(#[from] RecallError),
    #[error("the answer took longer than an answer may take")]
    TooLong,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Chat {
    /// Makes the answer and writes its events as it comes.
    ///
    /// `used` is what it has used so far, also while this goes on: what is dropped half-way has used it all the same.
    pub(super) async fn make(&self, claimed: ClaimedRun, cancel: CancellationToken, used: &mut AnswerTokens) -> Result<Draft, MakeError> {
        let parts = self.parts();
        let ClaimedRun { run, question, earlier } = claimed;
        let asked: Vec<&str> = earlier.iter().filter(|message| message.role == MessageRole::User).map(|message| message.text.as_str()).collect();
        let in_context = prompt::in_context(&question, asked.last().copied());
        let query = RecallQuery {
            company: run.company_id.clone(),
            viewer: run.user_id.clone(),
            text: in_context.clone(),
            limit: PASSAGES,
            filter: RecallFilter::default(),
        };
        let recalled = parts.recall.search(query).await?;
        let passages = recalled.iter().zip(1..).map(|(recalled, n)| passage(recalled, n)).collect();
        let prompt = prompt::build(&question, &turns(&earlier), passages, parts.provider.context_tokens())?;
        let cited: Vec<Citation> = recalled.iter().zip(1..).take(prompt.passages.len()).map(|(recalled, n)| citation(recalled, n)).collect();
        let mut events = EventWriter::new(self, &run.id);
        events.recalled(&cited).await?;
        let request = CompletionRequest {
            company: Some(run.company_id.clone()),
            question: in_context,
            messages: prompt.messages,
            recalled: prompt.passages,
            max_tokens: ANSWER_TOKENS,
            temperature: TEMPERATURE,
            cancel: cancel.clone(),
        };
        used.prompt = prompt_tokens(&*parts.provider, &request);
        let parts_of_it = parts.provider.complete(request).await?;
        let received = receive(parts_of_it, &mut events, &cancel, used).await?;
        Ok(received.into_draft(&*parts.provider, cited))
    }
}

/// What an answer quotes of a passage.
#[derive(Default)]
struct Quoted {
    all: Vec<String>,
    answering: Option<String>,
}

/// What came, before it is put in order.
#[derive(Default)]
struct Received {
    text: String,
    quotes: BTreeMap<usize, Quoted>,
    tokens: AnswerTokens,
    tokens_estimated: bool,
    cut: bool,
}

/// About what a back-end reads of a request: one that quotes, the question.
fn prompt_tokens(provider: &dyn Provider, request: &CompletionRequest) -> u64 {
    if provider.quotes() {
        return prompt::estimate_tokens(&request.question);
    }
    request.messages.iter().map(|message| prompt::estimate_tokens(&message.text)).sum()
}

async fn receive(
    mut completion: Completion,
    events: &mut EventWriter<'_>,
    cancel: &CancellationToken,
    used: &mut AnswerTokens,
) -> Result<Received, MakeError> {
    let mut received = Received::default();
    loop {
        let delta = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(ProviderError::Cancelled.into()),
            delta = completion.next() => delta,
            () = events.due() => {
                events.flush().await?;
                continue;
            }
        };
        match delta.transpose()? {
            Some(Delta::Text(text)) => {
                received.text.push_str(&text);
                used.completion += prompt::estimate_tokens(&text);
                events.text(&text).await?;
            }
            Some(Delta::Cite { n, quote, answers }) => {
                let quoted = received.quotes.entry(n).or_default();
                quoted.answering = quoted.answering.take().or_else(|| answers.then(|| quote.clone()));
                quoted.all.push(quote);
            }
            Some(Delta::Usage { prompt, completion, estimated }) => {
                received.tokens = AnswerTokens { prompt, completion };
                received.tokens_estimated = estimated;
            }
            Some(Delta::Finish(reason)) => received.cut = reason != FinishReason::Stop,
            None => {
                events.flush().await?;
                return Ok(received);
            }
        }
    }
}

impl Received {
    /// Keeps the citations that the answer really makes. A back-end that quotes says what it cites; of others the text is read.
    fn into_draft(self, provider: &dyn Provider, shown: Vec<Citation>) -> Draft {
        let (mut text, numbers) = if provider.quotes() {
            (self.text, self.quotes.keys().copied().collect())
        } else {
            let read = citations::read(&self.text, shown.len());
            (read.text, read.numbers)
        };
        if self.cut {
            text.push_str(" … (the answer reached its longest and was cut here)");
        }
        let number = |citation: &Citation| usize::try_from(citation.n).unwrap_or(usize::MAX);
        let mut cited: Vec<Citation> = shown.into_iter().filter(|citation| numbers.contains(&number(citation))).collect();
        for citation in &mut cited {
            if let Some(quoted) = self.quotes.get(&number(citation)) {
                citation.quote_all(quoted.answering.as_deref(), &quoted.all);
            }
        }
        Draft { text, citations: cited, tokens: self.tokens, tokens_estimated: self.tokens_estimated }
    }
}

fn passage(recalled: &Recalled, n: usize) -> RecalledPassage {
    let body = &recalled.chunk.body;
    let source = match (body.source_urls.first(), body.page_number) {
        (Some(url), _) => url.clone(),
        (None, Some(page)) => format!("document, page {page}"),
        (None, None) => "document".to_owned(),
    };
    RecalledPassage {
        n,
        title: body.title.clone(),
        source,
        content: body.content.clone(),
        quotable: body.quotable(),
        freshness: recalled.freshness.as_str().to_owned(),
        collected_at: body.collected_at.to_string(),
        cosine: recalled.cosine,
    }
}

fn citation(recalled: &Recalled, n: u32) -> Citation {
    Citation { n, ..recalled.citation.clone() }
}

/// Earlier messages as turns of a prompt. Their citation marks pointed at other passages, and would mislead.
fn turns(earlier: &[Message]) -> Vec<PromptMessage> {
    earlier
        .iter()
        .map(|message| match message.role {
            MessageRole::User => PromptMessage { speaker: Speaker::User, text: message.text.clone() },
            MessageRole::Assistant => PromptMessage { speaker: Speaker::Assistant, text: citations::read(&message.text, 0).text },
        })
        .collect()
}

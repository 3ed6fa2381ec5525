//! The back-end for any OpenAI-compatible server: Ollama, vLLM, llama.cpp, a hosted one.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::{HeaderMap, HeaderValue, Method, header};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::prompt::estimate_tokens;
use super::provider::{Completion, CompletionRequest, Delta, FinishReason, Provider, ProviderError};
use super::retry;
use super::sse_decode::{SseDecoder, SseError, SseEvent};
use super::wire::{self, Said};
use crate::base::seams::Seams;
use crate::base::secret::Secret;
use crate::services::egress::{Egress, EgressError, FetchRequest, Purpose};

/// Longest answer in bytes: far more than any `max_tokens` asked for here; beyond it a server is broken.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;
/// How much of an error body is read, in bytes.
const ERROR_BODY_MAX_BYTES: usize = 8 * 1024;

/// Where the model server is and how long it may take.
#[derive(Clone, Debug)]
pub struct ModelServerSettings {
    /// Its address, with or without `/v1` at the end.
    pub url: Url,
    /// The model's name there.
    pub model: String,
    /// The key, if it wants one.
    pub api_key: Option<Secret<String>>,
    /// How much prompt and answer together may take, in tokens.
    pub context_tokens: u32,
    /// Longest wait for the first part of an answer.
    pub first_part_max: Duration,
    /// Longest wait between two parts.
    pub idle_max: Duration,
    /// Longest time for the whole answer, repeated requests included.
    pub total_max: Duration,
}

impl ModelServerSettings {
    /// A server with the usual limits: 8,192 tokens, two minutes to the first part (a model may have to be loaded), 30 s between parts, five minutes in all.
    #[must_use]
    pub fn new(url: Url, model: impl Into<String>, api_key: Option<Secret<String>>) -> Self {
        let seconds = Duration::from_secs;
        Self {
            url,
            model: model.into(),
            api_key,
            context_tokens: 8_192,
            first_part_max: seconds(120),
            idle_max: seconds(30),
            total_max: seconds(300),
        }
    }
}

/// The back-end.
#[derive(Clone)]
pub struct OpenAiCompatible {
    egress: Egress,
    seams: Seams,
    settings: ModelServerSettings,
    endpoint: Url,
    headers: HeaderMap,
}

impl std::fmt::Debug for OpenAiCompatible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenAiCompatible").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl OpenAiCompatible {
    /// The back-end for a server.
    ///
    /// # Errors
    /// When the address is not HTTP, or the key cannot stand in a header.
    pub fn new(egress: Egress, seams: Seams, settings: ModelServerSettings) -> Result<Self, ProviderError> {
        let endpoint = endpoint(&settings.url)?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(key) = &settings.api_key {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose().trim()))
                .map_err(|_| ProviderError::Misconfigured("the key has characters that no key has".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        Ok(Self { egress, seams, settings, endpoint, headers })
    }

    async fn ask(&self, request: CompletionRequest) -> Result<Completion, ProviderError> {
        let body = Bytes::from(wire::request_body(&self.settings.model, &request)?);
        let deadline = self.seams.clock.elapsed() + self.settings.total_max;
        let mut attempt = 1;
        loop {
            let error = match self.attempt(&request, body.clone(), deadline).await {
                Ok(completion) => return Ok(completion),
                Err(error) => self.without_key(error),
            };
            let Some(wait) = retry::wait(&error, attempt, &self.seams) else { return Err(error) };
            if self.seams.clock.elapsed() + wait >= deadline {
                return Err(error);
            }
            tracing::info!(attempt, code = error.code(), wait_millis = wait.as_millis(), "asking the model server again");
            tokio::select! {
                () = request.cancel.cancelled() => return Err(ProviderError::Cancelled),
                () = self.seams.clock.sleep(wait) => {}
            }
            attempt += 1;
        }
    }

    /// One request, until the first part of its answer is there.
    async fn attempt(&self, request: &CompletionRequest, body: Bytes, deadline: Duration) -> Result<Completion, ProviderError> {
        let limits = Limits {
            seams: self.seams.clone(),
            cancel: request.cancel.clone(),
            idle: self.settings.idle_max,
            total: self.settings.total_max,
            deadline,
        };
        let fetch = FetchRequest {
            company: request.company.clone(),
            purpose: Purpose::Model,
            url: self.endpoint.clone(),
            method: Method::POST,
            headers: self.headers.clone(),
            body: Some(body),
            max_bytes: u64::MAX,
            timeout: self.settings.total_max,
            accept_redirects: 0,
        };
        let first_part_max = self.settings.first_part_max;
        let opened = limits.within(first_part_max, "answer", self.egress.open_stream(fetch)).await?.map_err(refusal)?;
        let body = opened.body.map(|part| part.map_err(|error| ProviderError::Disconnected(error.to_string()))).boxed();
        let status = opened.status.as_u16();
        if !(200..300).contains(&status) {
            let words = wire::error_words(&limits.within(first_part_max, "explain its error", error_body(body)).await?);
            return Err(status_error(status, words, &opened.headers, &self.seams));
        }
        let prompt_tokens = request.messages.iter().map(|message| estimate_tokens(&message.text)).sum();
        let mut parts = Parts::new(body, limits, prompt_tokens);
        let first = parts.next(first_part_max, "begin its answer").await.unwrap_or_else(|| Err(ProviderError::Disconnected(String::new())))?;
        let backend = self.clone();
        let rest = futures_util::stream::unfold(Some(parts), move |parts| {
            let backend = backend.clone();
            async move {
                let mut parts = parts?;
                let idle = parts.limits.idle;
                match parts.next(idle, "go on with its answer").await? {
                    Ok(delta) => Some((Ok(delta), Some(parts))),
                    Err(error) => Some((Err(backend.without_key(error)), None)),
                }
            }
        });
        Ok(futures_util::stream::once(std::future::ready(Ok(first))).chain(rest).boxed())
    }

    /// Some servers repeat the key in their errors.
    fn without_key(&self, mut error: ProviderError) -> ProviderError {
        let key = self.settings.api_key.as_ref().map(|key| key.expose().trim()).filter(|key| !key.is_empty());
        if let Some(key) = key {
            match &mut error {
                ProviderError::Unauthorized { message, .. }
                | ProviderError::RateLimited { message, .. }
                | ProviderError::Status { message, .. }
                | ProviderError::Server(message)
                | ProviderError::Malformed(message)
                | ProviderError::Connect(message)
                | ProviderError::Disconnected(message) => *message = message.replace(key, "[redacted]"),
                _ => {}
            }
        }
        error
    }
}

impl Provider for OpenAiCompatible {
    fn name(&self) -> &'static str {
        "openai-compatible"
    }

    fn model(&self) -> &str {
        &self.settings.model
    }

    fn quotes(&self) -> bool {
        false
    }

    fn context_tokens(&self) -> u32 {
        self.settings.context_tokens
    }

    fn complete(&self, request: CompletionRequest) -> BoxFuture<'_, Result<Completion, ProviderError>> {
        Box::pin(self.ask(request))
    }
}

/// `…/v1/chat/completions` of an address with or without `/v1`.
fn endpoint(base: &Url) -> Result<Url, ProviderError> {
    if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
        return Err(ProviderError::Misconfigured(format!("{base} is not an http or https address")));
    }
    let path = base.path().trim_end_matches('/');
    let path = path.strip_suffix("/chat/completions").unwrap_or(path);
    let versioned =
        path.rsplit('/').next().is_some_and(|last| last.len() > 1 && last.starts_with('v') && last[1..].starts_with(|c: char| c.is_ascii_digit()));
    let mut endpoint = base.clone();
    endpoint.set_path(&format!("{path}{}/chat/completions", if versioned { "" } else { "/v1" }));
    Ok(endpoint)
}

fn refusal(error: EgressError) -> ProviderError {
    match error.code() {
        "egress_not_allowed" | "not_allowed" => ProviderError::NotAllowed(error.to_string()),
        "bad_url" => ProviderError::Misconfigured(error.to_string()),
        _ => ProviderError::Connect(error.to_string()),
    }
}

fn status_error(status: u16, message: String, headers: &HeaderMap, seams: &Seams) -> ProviderError {
    match status {
        401 | 403 => ProviderError::Unauthorized { status, message },
        429 => {
            let asked = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            ProviderError::RateLimited { retry_after: asked.and_then(|text| retry::retry_after(text, seams.now())), message }
        }
        _ => ProviderError::Status { status, message },
    }
}

async fn error_body(mut body: BoxStream<'static, Result<Bytes, ProviderError>>) -> Vec<u8> {
    let mut read = Vec::new();
    // An error while reading an error: what was read explains more.
    while let Some(Ok(part)) = body.next().await {
        read.extend_from_slice(&part);
        if read.len() >= ERROR_BODY_MAX_BYTES {
            break;
        }
    }
    read.truncate(ERROR_BODY_MAX_BYTES);
    read
}

struct Limits {
    seams: Seams,
    cancel: CancellationToken,
    idle: Duration,
    total: Duration,
    /// On the clock's `elapsed`.
    deadline: Duration,
}

impl Limits {
    /// What comes within `limit` and before the deadline, unless cancelled.
    async fn within<T>(&self, limit: Duration, what: &'static str, future: impl Future<Output = T>) -> Result<T, ProviderError> {
        let left = self.deadline.saturating_sub(self.seams.clock.elapsed());
        let timer = self.seams.clock.sleep(limit.min(left));
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(ProviderError::Cancelled),
            value = future => Ok(value),
            () = timer => Err(if left < limit {
                ProviderError::Timeout { what: "finish its answer", limit: self.total }
            } else {
                ProviderError::Timeout { what, limit }
            }),
        }
    }
}

/// Reads the body into parts of the answer: texts, then the usage, then the end.
struct Parts {
    body: BoxStream<'static, Result<Bytes, ProviderError>>,
    limits: Limits,
    // Taken when the body is over.
    decoder: Option<SseDecoder>,
    waiting: VecDeque<Delta>,
    finish: Option<FinishReason>,
    usage: Option<Delta>,
    prompt_tokens: u64,
    text_tokens: u64,
    text_bytes: usize,
}

impl Parts {
    fn new(body: BoxStream<'static, Result<Bytes, ProviderError>>, limits: Limits, prompt_tokens: u64) -> Self {
        Self {
            body,
            limits,
            decoder: Some(SseDecoder::default()),
            waiting: VecDeque::new(),
            finish: None,
            usage: None,
            prompt_tokens,
            text_tokens: 0,
            text_bytes: 0,
        }
    }

    async fn next(&mut self, limit: Duration, what: &'static str) -> Option<Result<Delta, ProviderError>> {
        while self.waiting.is_empty() {
            self.decoder.as_ref()?;
            if let Err(error) = self.read_on(limit, what).await {
                self.decoder = None;
                return Some(Err(error));
            }
        }
        self.waiting.pop_front().map(Ok)
    }

    async fn read_on(&mut self, limit: Duration, what: &'static str) -> Result<(), ProviderError> {
        let part = self.limits.within(limit, what, self.body.next()).await?;
        let malformed = |error: SseError| ProviderError::Malformed(error.to_string());
        match part.transpose()? {
            Some(bytes) => {
                let events = self.decoder.as_mut().map_or(Ok(Vec::new()), |decoder| decoder.feed(&bytes)).map_err(malformed)?;
                for event in events {
                    if self.take(&event)? {
                        return self.end(true);
                    }
                }
                Ok(())
            }
            None => {
                let last = self.decoder.take().map_or(Ok(None), SseDecoder::finish).map_err(malformed)?;
                let done = last.map_or(Ok(false), |event| self.take(&event))?;
                self.end(done)
            }
        }
    }

    /// Takes an event; true when it says that nothing more comes.
    fn take(&mut self, event: &SseEvent) -> Result<bool, ProviderError> {
        let parts = match wire::read_event(&event.data)? {
            Said::Done => return Ok(true),
            Said::Parts(parts) => parts,
        };
        for part in parts {
            match part {
                Delta::Text(text) => {
                    self.text_bytes += text.len();
                    if self.text_bytes > ANSWER_MAX_BYTES {
                        return Err(ProviderError::Malformed(format!("an answer of more than {ANSWER_MAX_BYTES} bytes")));
                    }
                    self.text_tokens += estimate_tokens(&text);
                    self.waiting.push_back(Delta::Text(text));
                }
                Delta::Finish(reason) => self.finish = Some(reason),
                usage => self.usage = Some(usage),
            }
        }
        Ok(false)
    }

    fn end(&mut self, done: bool) -> Result<(), ProviderError> {
        self.decoder = None;
        let finish = match (self.finish, done) {
            (Some(reason), _) => reason,
            (None, true) => FinishReason::Stop,
            (None, false) => return Err(ProviderError::Disconnected(String::new())),
        };
        if self.text_bytes == 0 {
            return Err(ProviderError::Malformed("it ended without any text".to_owned()));
        }
        let estimate = Delta::Usage { prompt: self.prompt_tokens, completion: self.text_tokens, estimated: true };
        self.waiting.push_back(self.usage.take().unwrap_or(estimate));
        self.waiting.push_back(Delta::Finish(finish));
        Ok(())
    }
}

#[cfg(test)]
#[path = "openai_tests.rs"]
mod tests;

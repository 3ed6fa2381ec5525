//! The trait that every answering back-end implements, what it is asked and what it gives.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio_util::sync::CancellationToken;

use crate::model::ids::CompanyId;

/// A back-end that answers questions.
pub trait Provider: Send + Sync {
    /// Which back-end this is: `narrator` or `openai-compatible`.
    fn name(&self) -> &'static str;

    /// The model that answers, as shown with the answer.
    fn model(&self) -> &str;

    /// Whether answers are quoted from the passages and not generated. Such a back-end names what it cites by [`Delta::Cite`].
    fn quotes(&self) -> bool;

    /// How much prompt and answer together may take, in tokens.
    fn context_tokens(&self) -> u32;

    /// Answers. Returns once the first part of the answer is there, so that until then another back-end can still be tried.
    fn complete(&self, request: CompletionRequest) -> BoxFuture<'_, Result<Completion, ProviderError>>;
}

/// An answer as it comes. It ends after [`Delta::Finish`], or with one error.
pub type Completion = BoxStream<'static, Result<Delta, ProviderError>>;

/// What a back-end is asked.
#[derive(Clone, Debug)]
pub struct CompletionRequest {
    /// On whose behalf, for the log of outbound requests.
    pub company: Option<CompanyId>,
    /// The question alone, as it was asked.
    pub question: String,
    /// The whole prompt: instructions with the passages, earlier turns, the question. See [`super::prompt::build`].
    pub messages: Vec<PromptMessage>,
    /// The passages of the prompt.
    pub recalled: Vec<RecalledPassage>,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
    /// How freely the model chooses its words: 0 to 2.
    pub temperature: f32,
    /// Stops the answer.
    pub cancel: CancellationToken,
}

/// A turn of the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptMessage {
    /// Who speaks.
    pub speaker: Speaker,
    /// What is said.
    pub text: String,
}

/// Who speaks in a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Speaker {
    /// The role's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// Something recalled that an answer may rest on.
#[derive(Clone, Debug, PartialEq)]
pub struct RecalledPassage {
    /// What it is cited by: `[n]`, from 1.
    pub n: usize,
    /// Title of its source.
    pub title: String,
    /// Where it came from, to be shown: an address, or a file and page.
    pub source: String,
    /// What was indexed.
    pub content: String,
    /// What stands in the source word for word and may be quoted. The same as `content`, or shorter where `content` was put together.
    pub quotable: String,
    /// How old it is for its kind: `FRESH`, `RECENT`, `AGING` or `STALE`.
    pub freshness: String,
    /// When it was collected, RFC 3339.
    pub collected_at: String,
    /// How near it is to the question: -1 to 1.
    pub cosine: f32,
}

impl RecalledPassage {
    /// The first line of a passage that was put together, such as a table row with the names of its columns; `None` where the source itself reads so.
    #[must_use]
    pub fn reading(&self) -> Option<&str> {
        self.content.lines().next().filter(|line| !self.quotable.contains(line))
    }
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// Text to append.
    Text(String),
    /// Passage `n` is cited, by these words of it; once for each stretch that is quoted.
    Cite {
        /// The passage's number.
        n: usize,
        /// An exact part of the passage's `quotable`.
        quote: String,
        /// Of several stretches of a passage, the one that answers; the others name what it speaks of, or go on.
        answers: bool,
    },
    /// What it took, in tokens.
    Usage {
        /// Of the prompt.
        prompt: u64,
        /// Of the answer.
        completion: u64,
        /// Whether this was counted here and not by the model's server.
        estimated: bool,
    },
    /// Nothing more comes.
    Finish(FinishReason),
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// The answer reached its longest.
    Length,
    /// The server's filter stopped it.
    Filtered,
}

/// Why there is no answer, or only half of one.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The settings cannot work.
    #[error("the model server's settings are wrong: {0}")]
    Misconfigured(String),
    /// The egress rules do not allow the model server.
    #[error("{0}")]
    NotAllowed(String),
    /// The model server could not be reached.
    #[error("the model server could not be reached: {0}")]
    Connect(String),
    /// Something did not come in time.
    #[error("the model server did not {what} within {} s", limit.as_secs())]
    Timeout {
        /// What did not come.
        what: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The model server refuses the key.
    #[error("the model server refused the key (status {status}): {message}")]
    Unauthorized {
        /// 401 or 403.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// Too many requests, and waiting did not help.
    #[error("the model server is over its limit (429): {message}")]
    RateLimited {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// The server's words.
        message: String,
    },
    /// The model server answered with an error.
    #[error("the model server answered {status}: {message}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// An error in place of the next part of the answer.
    #[error("the model server reported an error: {0}")]
    Server(String),
    /// The answer is not of the form it should have.
    #[error("the model server's answer cannot be read: {0}")]
    Malformed(String),
    /// The connection ended before the answer did.
    #[error("the connection to the model server ended before the answer did{}", detail(.0))]
    Disconnected(String),
    /// The question leaves no room for an answer.
    #[error("the question takes about {tokens} tokens; the model has room for {limit}")]
    QuestionTooLong {
        /// The question's size.
        tokens: u64,
        /// The room there is.
        limit: u64,
    },
    /// It was stopped.
    #[error("the answer was stopped")]
    Cancelled,
}

fn detail(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

impl ProviderError {
    /// A stable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Misconfigured(_) => "model_misconfigured",
            Self::NotAllowed(_) => "egress_not_allowed",
            Self::Connect(_) => "model_unreachable",
            Self::Timeout { .. } => "model_timeout",
            Self::Unauthorized { .. } => "model_key_refused",
            Self::RateLimited { .. } => "model_rate_limited",
            Self::Status { .. } | Self::Server(_) => "model_error",
            Self::Malformed(_) => "model_answer_malformed",
            Self::Disconnected(_) => "model_disconnected",
            Self::QuestionTooLong { .. } => "question_too_long_for_model",
            Self::Cancelled => "cancelled",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Misconfigured(_) => "Correct ONSITE_MODEL_URL and ONSITE_MODEL_NAME, then restart.",
            Self::NotAllowed(_) => "A system admin can allow the model server under Appliance › Egress.",
            Self::Connect(_) => "Check that the model server runs and that ONSITE_MODEL_URL names it, then ask again.",
            Self::Timeout { .. } => "Ask again; if it happens often, use a faster model or raise the model server's time limits.",
            Self::Unauthorized { .. } => "Check ONSITE_MODEL_API_KEY.",
            Self::RateLimited { .. } => "Wait a little and ask again.",
            Self::Status { status: 404, .. } => "Check ONSITE_MODEL_URL and that the server has the model ONSITE_MODEL_NAME.",
            Self::Status { .. } | Self::Server(_) => "Look at the model server's log, then ask again.",
            Self::Malformed(_) => "Check that ONSITE_MODEL_URL names an OpenAI-compatible server, then ask again.",
            Self::Disconnected(_) => "Ask again; if it happens often, look at the model server's log and at proxies on the way.",
            Self::QuestionTooLong { .. } => "Ask a shorter question, or upload the long text as a document and ask about it.",
            Self::Cancelled => "Ask again when you want an answer.",
        }
    }

    /// Whether asking again soon may help, as long as nothing of the answer has come.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Connect(_) | Self::RateLimited { .. } | Self::Disconnected(_) => true,
            Self::Status { status, .. } => matches!(status, 408 | 500..=599),
            _ => false,
        }
    }
}

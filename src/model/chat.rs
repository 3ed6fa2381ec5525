//! Conversations, their messages, and the runs that make the answers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chunk::Citation;
use super::ids::{ChatRunId, CompanyId, ConversationId, MessageId, UserId};
use crate::base::clock::Timestamp;

/// The longest question, in bytes. Longer texts are documents.
pub const QUESTION_MAX_BYTES: usize = 32 * 1024;
/// Questions of one conversation that may wait or run at once.
pub const WAITING_MAX: u32 = 8;
/// How often the making of one answer is begun, restarts included.
pub const ATTEMPTS_MAX: u32 = 3;
/// The longest title, in characters.
pub const TITLE_MAX_CHARS: usize = 120;
/// The title of a conversation in which nothing was asked yet.
pub const UNTITLED: &str = "New conversation";

/// A conversation. It belongs to its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Conversation {
    /// Its id.
    #[schema(value_type = String)]
    pub id: ConversationId,
    /// The company whose material it asks.
    #[serde(skip)]
    pub company_id: CompanyId,
    /// Whose it is.
    #[serde(skip)]
    pub user_id: UserId,
    /// What it is called.
    pub title: String,
    /// When it began.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
    /// When something was last asked, answered or renamed.
    #[schema(value_type = String)]
    pub updated_at: Timestamp,
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageRole {
    /// The person.
    User,
    /// The appliance.
    Assistant,
}

/// Where an answer's making stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatRunState {
    /// Waits for its turn.
    Queued,
    /// Is being made.
    Running,
    /// The answer is there.
    Succeeded,
    /// There will be none; the run says why.
    Failed,
    /// The user stopped it.
    Cancelled,
}

/// A word that no version of Onsite writes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is unknown")]
pub struct UnknownChatWord(String);

macro_rules! words {
    ($name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        impl $name {
            /// As stored and shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl FromStr for $name {
            type Err = UnknownChatWord;

            fn from_str(text: &str) -> Result<Self, UnknownChatWord> {
                match text { $($text => Ok(Self::$variant),)* other => Err(UnknownChatWord(other.to_owned())) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(MessageRole { User = "user", Assistant = "assistant" });
words!(ChatRunState { Queued = "queued", Running = "running", Succeeded = "succeeded", Failed = "failed", Cancelled = "cancelled" });

impl ChatRunState {
    /// Whether nothing more will happen.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// What an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnswerTokens {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Tokens of the answer.
    pub completion: u64,
}

/// A message as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Its id.
    #[schema(value_type = String)]
    pub id: MessageId,
    /// Who wrote it.
    pub role: MessageRole,
    /// Its text; citations stand in it as `[n]`.
    pub text: String,
    /// What it cites, by `n`.
    pub citations: Vec<Citation>,
    /// The run that makes or made the answer: of a question and of its answer the same.
    #[schema(value_type = Option<String>)]
    pub run_id: Option<ChatRunId>,
    /// The model that answered.
    pub model: Option<String>,
    /// Whether the answer is quoted and not generated.
    pub quoted: bool,
    /// What the answer took.
    pub tokens: Option<AnswerTokens>,
    /// How long the answer took.
    pub seconds: Option<f64>,
    /// Where the run stands.
    pub state: ChatRunState,
    /// When it was written.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatFailure {
    /// A stable name.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// The making of one answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChatRun {
    /// Its id; also that of its stream of events.
    #[schema(value_type = String)]
    pub id: ChatRunId,
    /// The company whose material it asks.
    #[serde(skip)]
    pub company_id: CompanyId,
    /// Where the question was asked.
    #[schema(value_type = String)]
    pub conversation_id: ConversationId,
    /// Who asked, and pays.
    #[serde(skip)]
    pub user_id: UserId,
    /// The question.
    #[schema(value_type = String)]
    pub question_message_id: MessageId,
    /// Where it stands.
    pub state: ChatRunState,
    /// How often it was begun.
    pub attempt: u32,
    /// Whether the user asked to stop it.
    pub cancel_asked: bool,
    /// Why there is no answer.
    pub error: Option<ChatFailure>,
    /// When the question was asked.
    #[schema(value_type = String)]
    pub queued_at: Timestamp,
    /// When it was last begun.
    #[schema(value_type = Option<String>)]
    pub started_at: Option<Timestamp>,
    /// When it was over.
    #[schema(value_type = Option<String>)]
    pub finished_at: Option<Timestamp>,
}

/// A finished answer on its way to the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The id its message will have.
    pub message_id: MessageId,
    /// Its text with `[n]`.
    pub text: String,
    /// What it cites.
    pub citations: Vec<Citation>,
    /// The model.
    pub model: String,
    /// Whether it is quoted and not generated.
    pub quoted: bool,
    /// What it took.
    pub tokens: AnswerTokens,
    /// How long it took, in milliseconds.
    pub duration_millis: u64,
}

/// The title of a conversation after its first question: its first line, cut at a word.
#[must_use]
pub fn title_of(question: &str) -> String {
    let line = question.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or(UNTITLED);
    let line = crate::base::text::collapse_whitespace(line);
    if line.chars().count() <= 80 {
        return line;
    }
    let cut: String = line.chars().take(79).collect();
    let at_word = cut.rfind(' ').filter(|at| *at > 40).map_or(cut.as_str(), |at| &cut[..at]);
    format!("{}…", at_word.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_first_line_cut_at_a_word() {
        assert_eq!(title_of("\n  How many   people\nlive here?"), "How many people");
        assert_eq!(title_of("   "), UNTITLED);
        let long = title_of(&"wonderful ".repeat(20));
        assert!(long.ends_with("wonderful…") && long.chars().count() <= 80, "{long}");
        assert_eq!(title_of(&"é".repeat(200)).chars().count(), 80);
    }

    #[test]
    fn states_read_back() {
        for state in [ChatRunState::Queued, ChatRunState::Running, ChatRunState::Succeeded, ChatRunState::Failed, ChatRunState::Cancelled] {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}

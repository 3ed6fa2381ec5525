//! Conversations, their messages, and asking.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::features::chat::{ChatOwner, SendError, TitleError};
use crate::http::caller::{CompanyMember, CompanyWorker, Ids};
use crate::http::extract::{Listed, PartQuery, ValidJson};
use crate::http::{ApiError, AppState};
use crate::model::chat::{ChatRunState, Conversation, Message, QUESTION_MAX_BYTES};
use crate::model::ids::{ChatRunId, ConversationId, MessageId};

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, begin)).routes(routes!(read, rename, delete)).routes(routes!(messages, send))
}

#[derive(Serialize, ToSchema)]
struct Conversations {
    conversations: Vec<Conversation>,
    /// Where the next part begins (`before`); null when there is none.
    #[schema(value_type = Option<String>)]
    next_before: Option<ConversationId>,
}

#[derive(Serialize, ToSchema)]
struct Messages {
    messages: Vec<Message>,
    /// Where the part with earlier messages ends (`before`); null when there are none.
    #[schema(value_type = Option<String>)]
    next_before: Option<MessageId>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewConversation {
    /// Without one, the first question gives it.
    title: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rename {
    /// 1 to 120 characters.
    title: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The question: at most 32 KiB.
    text: String,
}

/// A question that will be answered.
#[derive(Serialize, ToSchema)]
struct Asked {
    message: Message,
    run: AskedRun,
}

/// The run that makes the answer: follow its events.
#[derive(Serialize, ToSchema)]
struct AskedRun {
    #[schema(value_type = String)]
    id: ChatRunId,
    state: ChatRunState,
}

#[derive(Deserialize)]
struct InPath {
    conversation: ConversationId,
}

pub(super) fn owner(member: &CompanyMember) -> ChatOwner {
    ChatOwner { company: member.company.id.clone(), user: member.user().id.clone() }
}

/// The caller's conversations, the one used last first.
#[utoipa::path(get, path = "/api/companies/{company}/conversations", tag = "chat", operation_id = "list_conversations", params(("company" = String, Path), PartQuery),
    responses((status = 200, body = Conversations)))]
async fn list(State(state): State<AppState>, member: CompanyMember, Listed(part): Listed<ConversationId>) -> Result<Json<Conversations>, ApiError> {
    let conversations = state.chat.list(&owner(&member), &part).await?;
    let next_before = part.next(&conversations, |conversation| conversation.id.clone());
    Ok(Json(Conversations { conversations, next_before }))
}

/// Begins a conversation.
#[utoipa::path(post, path = "/api/companies/{company}/conversations", tag = "chat", operation_id = "create_conversation", params(("company" = String, Path)), request_body = NewConversation,
    responses((status = 201, body = Conversation)))]
async fn begin(
    State(state): State<AppState>,
    CompanyWorker(member): CompanyWorker,
    ValidJson(new): ValidJson<NewConversation>,
) -> Result<(StatusCode, Json<Conversation>), ApiError> {
    let conversation = state.chat.begin(&owner(&member), new.title.as_deref()).await?;
    Ok((StatusCode::CREATED, Json(conversation)))
}

/// One conversation.
#[utoipa::path(get, path = "/api/companies/{company}/conversations/{conversation}", tag = "chat", operation_id = "get_conversation",
    params(("company" = String, Path), ("conversation" = String, Path)), responses((status = 200, body = Conversation)))]
async fn read(State(state): State<AppState>, member: CompanyMember, Ids(path): Ids<InPath>) -> Result<Json<Conversation>, ApiError> {
    state.chat.conversation(&owner(&member), &path.conversation).await?.map(Json).ok_or_else(ApiError::not_found)
}

/// Renames a conversation.
#[utoipa::path(patch, path = "/api/companies/{company}/conversations/{conversation}", tag = "chat", operation_id = "rename_conversation",
    params(("company" = String, Path), ("conversation" = String, Path)), request_body = Rename, responses((status = 200, body = Conversation)))]
async fn rename(
    State(state): State<AppState>,
    CompanyWorker(member): CompanyWorker,
    Ids(path): Ids<InPath>,
    ValidJson(rename): ValidJson<Rename>,
) -> Result<Json<Conversation>, ApiError> {
    state.chat.rename(&owner(&member), &path.conversation, &rename.title).await?.map(Json).ok_or_else(ApiError::not_found)
}

/// Deletes a conversation; what still runs in it is stopped.
#[utoipa::path(delete, path = "/api/companies/{company}/conversations/{conversation}", tag = "chat", operation_id = "delete_conversation",
    params(("company" = String, Path), ("conversation" = String, Path)), responses((status = 204)))]
async fn delete(State(state): State<AppState>, CompanyWorker(member): CompanyWorker, Ids(path): Ids<InPath>) -> Result<StatusCode, ApiError> {
    let deleted = state.chat.delete(&owner(&member), &path.conversation).await?;
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::not_found()) }
}

/// The newest messages of a conversation, or those before one, in order.
#[utoipa::path(get, path = "/api/companies/{company}/conversations/{conversation}/messages", tag = "chat", operation_id = "list_messages",
    params(("company" = String, Path), ("conversation" = String, Path), PartQuery), responses((status = 200, body = Messages)))]
async fn messages(
    State(state): State<AppState>,
    member: CompanyMember,
    Ids(path): Ids<InPath>,
    Listed(part): Listed<MessageId>,
) -> Result<Json<Messages>, ApiError> {
    let mut messages = state.chat.messages(&owner(&member), &path.conversation, &part).await?.ok_or_else(ApiError::not_found)?;
    let next_before = part.next(&messages, |message| message.id.clone());
    messages.reverse();
    Ok(Json(Messages { messages, next_before }))
}

/// Asks. The answer is a run that goes on whoever watches; follow `/chat-runs/{run}/events`.
#[utoipa::path(post, path = "/api/companies/{company}/conversations/{conversation}/messages", tag = "chat", operation_id = "send_message",
    params(("company" = String, Path), ("conversation" = String, Path)), request_body = Question, responses((status = 202, body = Asked)))]
async fn send(
    State(state): State<AppState>,
    CompanyWorker(member): CompanyWorker,
    Ids(path): Ids<InPath>,
    ValidJson(question): ValidJson<Question>,
) -> Result<(StatusCode, Json<Asked>), ApiError> {
    let (message, run) = state.chat.send(&owner(&member), &path.conversation, &question.text).await?;
    Ok((StatusCode::ACCEPTED, Json(Asked { message, run: AskedRun { id: run.id, state: run.state } })))
}

impl From<SendError> for ApiError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Empty => Self::invalid("text", "The question is empty."),
            SendError::TooLong { bytes } => {
                let message = format!("The question has {bytes} bytes; a question has at most {QUESTION_MAX_BYTES}.");
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "question_too_long", message)
                    .field("text")
                    .remedy("Upload the long text as a document and ask about it.")
                    .fact("limit", QUESTION_MAX_BYTES)
            }
            SendError::NoConversation => Self::not_found(),
            SendError::TooManyWaiting => {
                Self::conflict("too_many_waiting", "Too many questions of this conversation wait for their answers already.")
                    .remedy("Wait for an answer, or stop one.")
            }
            SendError::Store(error) => error.into(),
        }
    }
}

impl From<TitleError> for ApiError {
    fn from(error: TitleError) -> Self {
        match error {
            TitleError::Store(error) => error.into(),
            told => Self::invalid("title", format!("{told}.")),
        }
    }
}

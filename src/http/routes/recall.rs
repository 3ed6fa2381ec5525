//! What was collected and uploaded, found for a question; a chunk that a citation names; the text that a quote stands in.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::http::caller::{CompanyMember, Ids};
use crate::http::extract::ValidQuery;
use crate::http::{ApiError, AppState};
use crate::model::chunk::{Chunk, ChunkId, ChunkType, Citation};
use crate::model::freshness::Freshness;
use crate::model::ids::{CompanyId, DocumentId, ReportId, RunId, WidgetId};
use crate::model::kept_text::KeptText;
use crate::services::embed::EmbedError;
use crate::services::recall::{RESULTS_MAX, RecallError, RecallFilter, RecallQuery, Recalled};

/// Results when the question does not say how many.
const RESULTS_DEFAULT: usize = 8;
/// Longest question, bytes.
const QUESTION_BYTES_MAX: usize = 32 << 10;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(recall)).routes(routes!(chunk)).routes(routes!(page))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Question {
    /// The question.
    q: String,
    /// Most results: 1 to 50, 8 unless said.
    k: Option<usize>,
}

#[derive(Serialize, ToSchema)]
struct Results {
    /// The question as it was asked.
    query: String,
    /// Best first.
    results: Vec<ResultView>,
}

#[derive(Serialize, ToSchema)]
struct ResultView {
    #[schema(value_type = String)]
    chunk_id: ChunkId,
    chunk_type: ChunkType,
    text: String,
    /// The cosine with the boost of its origin. The order is that of the fused lists.
    score: f32,
    /// How near it is to the question: -1 to 1.
    cosine: f32,
    freshness: Freshness,
    citation: Citation,
}

impl From<Recalled> for ResultView {
    fn from(recalled: Recalled) -> Self {
        let Recalled { chunk, cosine, score, freshness, citation } = recalled;
        Self { chunk_id: chunk.id, chunk_type: chunk.body.chunk_type, text: chunk.body.content, score, cosine, freshness, citation }
    }
}

/// What the company has collected and uploaded about a question.
#[utoipa::path(get, path = "/api/companies/{company}/recall", tag = "recall", params(("company" = String, Path), Question),
    responses((status = 200, body = Results), (status = 404), (status = 413), (status = 422)))]
async fn recall(member: CompanyMember, State(state): State<AppState>, ValidQuery(question): ValidQuery<Question>) -> Result<Json<Results>, ApiError> {
    let (q, limit) = checked(question)?;
    let query = RecallQuery { viewer: member.user().id.clone(), company: member.company.id, text: q.clone(), limit, filter: RecallFilter::default() };
    let results = state.recall.search(query).await?.into_iter().map(ResultView::from).collect();
    Ok(Json(Results { query: q, results }))
}

/// The question and how many results it may have.
fn checked(Question { q, k }: Question) -> Result<(String, usize), ApiError> {
    if q.trim().is_empty() {
        return Err(ApiError::invalid("q", "The question is empty."));
    }
    if q.len() > QUESTION_BYTES_MAX {
        let message = format!("A question has at most {QUESTION_BYTES_MAX} bytes; this one has {}.", q.len());
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "question_too_long", message).field("q"));
    }
    let limit = k.unwrap_or(RESULTS_DEFAULT);
    if !(1..=RESULTS_MAX).contains(&limit) {
        return Err(ApiError::invalid("k", format!("The number of results must be from 1 to {RESULTS_MAX}.")));
    }
    Ok((q, limit))
}

#[derive(Serialize, ToSchema)]
struct ChunkView {
    #[schema(value_type = String)]
    id: ChunkId,
    chunk_type: ChunkType,
    title: String,
    content: String,
    /// What stands in the source word for word; differs from the content where that was put together (a figure, a table row).
    quotable: String,
    source_urls: Vec<String>,
    #[schema(value_type = Option<String>)]
    document_id: Option<DocumentId>,
    page_number: Option<u32>,
    content_hash: String,
    #[schema(value_type = String)]
    collected_at: Timestamp,
    freshness: Freshness,
    #[schema(value_type = Option<String>)]
    widget_id: Option<WidgetId>,
    #[schema(value_type = Option<String>)]
    report_id: Option<ReportId>,
    #[schema(value_type = Option<String>)]
    run_id: Option<RunId>,
}

impl ChunkView {
    fn of(chunk: Chunk, now: Timestamp) -> Self {
        let (freshness, quotable, body) = (chunk.freshness(now), chunk.body.quotable(), chunk.body);
        Self {
            id: chunk.id,
            chunk_type: body.chunk_type,
            title: body.title,
            content: body.content,
            quotable,
            source_urls: body.source_urls,
            document_id: body.document_id,
            page_number: body.page_number,
            content_hash: body.content_hash,
            collected_at: body.collected_at,
            freshness,
            widget_id: body.widget_id,
            report_id: body.report_id,
            run_id: body.run_id,
        }
    }
}

#[derive(Deserialize)]
struct ChunkPath {
    #[serde(rename = "company")]
    _company: CompanyId,
    chunk: ChunkId,
}

/// The chunk that a citation names.
#[utoipa::path(get, path = "/api/companies/{company}/chunks/{chunk}", tag = "recall", operation_id = "get_chunk",
    params(("company" = String, Path), ("chunk" = String, Path)), responses((status = 200, body = ChunkView), (status = 404)))]
async fn chunk(member: CompanyMember, State(state): State<AppState>, Ids(path): Ids<ChunkPath>) -> Result<Json<ChunkView>, ApiError> {
    let chunk = state.recall.chunk(&member.company.id, &member.user().id, path.chunk).await?.ok_or_else(ApiError::not_found)?;
    Ok(Json(ChunkView::of(chunk, state.seams.now())))
}

#[derive(Serialize, ToSchema)]
struct PageView {
    url: Option<String>,
    #[schema(value_type = Option<String>)]
    document_id: Option<DocumentId>,
    title: String,
    /// The canonical text: every quote of this source is a part of one of its lines.
    text: String,
    #[schema(value_type = String)]
    collected_at: Timestamp,
    content_hash: String,
}

impl From<KeptText> for PageView {
    fn from(kept: KeptText) -> Self {
        let KeptText { content_hash, url, document_id, title, text, collected_at, .. } = kept;
        Self { url, document_id, title, text, collected_at, content_hash }
    }
}

#[derive(Deserialize)]
struct PagePath {
    #[serde(rename = "company")]
    _company: CompanyId,
    content_hash: String,
}

/// The text of a source by its hash, to show a quote in its surroundings: of a document, or of a page that an automation shown to the caller
/// has collected.
#[utoipa::path(get, path = "/api/companies/{company}/pages/{content_hash}", tag = "recall", operation_id = "get_page",
    params(("company" = String, Path), ("content_hash" = String, Path)), responses((status = 200, body = PageView), (status = 404)))]
async fn page(member: CompanyMember, State(state): State<AppState>, Ids(path): Ids<PagePath>) -> Result<Json<PageView>, ApiError> {
    let page = state.recall.page(&member.company.id, &member.user().id, &path.content_hash).await?.ok_or_else(ApiError::not_found)?;
    Ok(Json(page.into()))
}

impl From<RecallError> for ApiError {
    fn from(error: RecallError) -> Self {
        match error {
            RecallError::Embed(EmbedError::Stopping) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "The appliance is stopping.").remedy("Try again in a moment.")
            }
            other => Self::internal(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(query: &str) -> Result<(String, usize), ApiError> {
        use axum::extract::FromRequestParts;
        let (mut parts, ()) = axum::http::Request::get(format!("http://onsite.test/?{query}")).body(()).unwrap().into_parts();
        let ValidQuery(question) = ValidQuery::from_request_parts(&mut parts, &()).await?;
        checked(question)
    }

    #[tokio::test]
    async fn a_question_is_checked_before_it_costs_anything() {
        assert_eq!(ask("q=how+long").await.unwrap(), ("how long".to_owned(), RESULTS_DEFAULT));
        assert_eq!(ask("q=a&k=50").await.unwrap().1, 50);
        for wrong in ["", "q=", "q=%20", "q=a&k=0", "q=a&k=51", "q=a&k=x"] {
            assert!(ask(wrong).await.is_err(), "{wrong}");
        }
        assert!(ask(&format!("q={}", "a".repeat(QUESTION_BYTES_MAX + 1))).await.is_err());
    }
}

//! Company documents: upload, list, look, fetch back, delete.

use std::io;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Multipart, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::features::documents::{DocumentError, Download, Upload};
use crate::http::caller::{CompanyMember, CompanyWorker, Ids, role_too_low};
use crate::http::errors::{ApiError, ErrorEnvelope};
use crate::http::extract::{Form, Listed, PartQuery};
use crate::http::state::AppState;
use crate::model::document::{Document, DocumentNotice};
use crate::model::ids::DocumentId;

/// A sender of too much is heard out to this many times the limit, so that it reads the answer instead of a broken connection.
const DRAIN_FACTOR: u64 = 4;

/// When to try again while others upload.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// The routes of documents.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        // The upload counts its bytes itself.
        .routes(routes!(list, upload))
        .layer(DefaultBodyLimit::disable())
        .routes(routes!(get, delete))
        .routes(routes!(content))
}

/// A document.
#[derive(Debug, Serialize, ToSchema)]
pub struct DocumentView {
    /// Its id.
    #[schema(value_type = String)]
    id: DocumentId,
    /// The file's name.
    name: String,
    /// Its media type.
    media_type: String,
    /// Its size.
    size_bytes: u64,
    /// Counted up from 1 for each name.
    version: u32,
    /// SHA-256 of the file, hexadecimal.
    content_hash: String,
    /// Key of its text at `/pages/{hash}`.
    text_hash: Option<String>,
    /// Pages of a paged document.
    pages: Option<u32>,
    /// `stored`, `ingesting`, `ready` or `failed`.
    state: &'static str,
    /// What is wrong, or to be known.
    error: Option<NoticeView>,
    /// Chunks that can be recalled.
    chunks: u32,
    /// When it was uploaded.
    #[schema(value_type = String)]
    uploaded_at: Timestamp,
    /// Who uploaded it.
    uploaded_by: String,
}

/// What is wrong with a document, or to be known about it.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoticeView {
    /// For programs.
    code: String,
    /// For people.
    message: String,
    /// What to do.
    remedy: Option<String>,
}

/// A company's documents.
#[derive(Debug, Serialize, ToSchema)]
pub struct DocumentList {
    /// The latest version of each, newest first.
    documents: Vec<DocumentView>,
    /// Where the next part begins (`before`); null when there is none.
    #[schema(value_type = Option<String>)]
    next_before: Option<DocumentId>,
    /// The largest file that is taken, bytes.
    upload_bytes_max: u64,
}

/// An upload.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the form for OpenAPI; the handler streams it")]
pub struct UploadForm {
    /// The file.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    file: Vec<u8>,
}

#[derive(Debug, Deserialize)]
struct DocumentPath {
    document: DocumentId,
}

impl From<Document> for DocumentView {
    fn from(document: Document) -> Self {
        let notice = |DocumentNotice { code, message, remedy }| NoticeView { code, message, remedy };
        Self {
            id: document.id,
            name: document.name,
            media_type: document.media_type,
            size_bytes: document.size_bytes,
            version: document.version,
            content_hash: document.content_hash,
            text_hash: document.text_hash,
            pages: None,
            state: document.state.as_str(),
            error: document.notice.map(notice),
            chunks: document.chunks,
            uploaded_at: document.uploaded_at,
            uploaded_by: document.uploaded_by.to_string(),
        }
    }
}

impl From<DocumentError> for ApiError {
    fn from(error: DocumentError) -> Self {
        let message = capital(&error);
        match error {
            DocumentError::Busy => Self::too_many("uploads_busy", message, BUSY_WAIT).remedy("Try again in a moment."),
            DocumentError::DownloadsBusy => Self::too_many("downloads_busy", message, BUSY_WAIT).remedy("Try again in a moment."),
            DocumentError::NoFile => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "file_missing", message).field("file"),
            DocumentError::Name(_) => Self::invalid("file", message),
            DocumentError::TooLarge { limit_bytes } => too_large(message, limit_bytes),
            DocumentError::Unreadable { reason, .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("document_{}", reason.code()), message)
                .field("file")
                .remedy("Upload HTML, Markdown, plain text, CSV or JSON that holds text."),
            DocumentError::NotYours => role_too_low(message),
            DocumentError::Store(source) => source.into(),
            DocumentError::Reader(_) => Self::internal(error),
        }
    }
}

fn too_large(message: String, limit_bytes: u64) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "document_too_large", message)
        .field("file")
        .fact("limit_bytes", limit_bytes)
        .remedy("Split the file, or ask whoever runs the server to raise the limit.")
}

/// An error's text as a sentence.
fn capital(error: &DocumentError) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).chain(std::iter::once('.')).collect()).unwrap_or_default()
}

/// List documents
#[utoipa::path(get, path = "/api/companies/{company}/documents", tag = "documents", operation_id = "list_documents", params(("company" = String, Path), PartQuery),
    responses((status = 200, body = DocumentList), (status = 404, body = ErrorEnvelope)))]
async fn list(State(state): State<AppState>, member: CompanyMember, Listed(part): Listed<DocumentId>) -> Result<Json<DocumentList>, ApiError> {
    let documents = state.documents.list(&member.company.id, &part).await?;
    let next_before = part.next(&documents, |document| document.id.clone());
    let upload_bytes_max = state.documents.upload_bytes_max();
    Ok(Json(DocumentList { documents: documents.into_iter().map(DocumentView::from).collect(), next_before, upload_bytes_max }))
}

/// Upload a document
///
/// The same name again makes the next version. HTML, Markdown, plain text, CSV and JSON are read.
#[utoipa::path(post, path = "/api/companies/{company}/documents", tag = "documents", operation_id = "upload_document", params(("company" = String, Path)),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 201, body = DocumentView), (status = 413, body = ErrorEnvelope), (status = 422, body = ErrorEnvelope),
        (status = 429, description = "Too many uploads at once", body = ErrorEnvelope)))]
async fn upload(
    State(state): State<AppState>,
    CompanyWorker(member): CompanyWorker,
    headers: HeaderMap,
    Form(form): Form,
) -> Result<(StatusCode, Json<DocumentView>), ApiError> {
    let limit = state.documents.upload_bytes_max();
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit.saturating_mul(DRAIN_FACTOR)) {
        return Err(DocumentError::TooLarge { limit_bytes: limit }.into());
    }
    // Only of those who may upload: nobody else can take a place.
    let place = state.documents.upload_place()?;
    let upload = file_of(form, limit).await?;
    let document = state.documents.upload(place, &member.company.id, &member.user().id, member.role, upload).await?;
    Ok((StatusCode::CREATED, Json(document.into())))
}

/// Look at a document
#[utoipa::path(get, path = "/api/companies/{company}/documents/{document}", tag = "documents", operation_id = "get_document",
    params(("company" = String, Path), ("document" = String, Path)),
    responses((status = 200, body = DocumentView), (status = 404, body = ErrorEnvelope)))]
async fn get(State(state): State<AppState>, member: CompanyMember, Ids(path): Ids<DocumentPath>) -> Result<Json<DocumentView>, ApiError> {
    let document = state.documents.get(&member.company.id, &path.document).await?.ok_or_else(ApiError::not_found)?;
    Ok(Json(document.into()))
}

/// Fetch a document's file
#[utoipa::path(get, path = "/api/companies/{company}/documents/{document}/content", tag = "documents", operation_id = "download_document",
    params(("company" = String, Path), ("document" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = ErrorEnvelope),
        (status = 429, description = "`downloads_busy`: too many downloads at once", body = ErrorEnvelope)))]
async fn content(State(state): State<AppState>, member: CompanyMember, Ids(path): Ids<DocumentPath>) -> Result<Response, ApiError> {
    let download = state.documents.download(&member.company.id, &path.document).await?.ok_or_else(ApiError::not_found)?;
    let document = download.document();
    let headers = [
        // Somebody else's HTML must not run on this origin, whatever a browser makes of the type.
        (header::CONTENT_TYPE, document.media_type.clone()),
        (header::CONTENT_LENGTH, document.size_bytes.to_string()),
        (header::CONTENT_DISPOSITION, attachment(&document.name)),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Ok((headers, Body::from_stream(stream::try_unfold(download, next_bytes))).into_response())
}

async fn next_bytes(mut download: Download) -> io::Result<Option<(Bytes, Download)>> {
    match download.next().await {
        Ok(bytes) => Ok(bytes.map(|bytes| (bytes, download))),
        Err(error) => {
            // The status is long sent: the connection ends before its announced length.
            tracing::error!(%error, "a download was cut off");
            Err(io::Error::other("the download was cut off"))
        }
    }
}

/// Delete a document
///
/// All versions of its name go, with their text and what could be recalled of them.
#[utoipa::path(delete, path = "/api/companies/{company}/documents/{document}", tag = "documents", operation_id = "delete_document",
    params(("company" = String, Path), ("document" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorEnvelope)))]
async fn delete(State(state): State<AppState>, CompanyWorker(member): CompanyWorker, Ids(path): Ids<DocumentPath>) -> Result<StatusCode, ApiError> {
    let deleted = state.documents.delete(&member.company.id, &member.user().id, member.role, &path.document).await?;
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::not_found()) }
}

/// The form's file, counted while it comes. What is beyond the limit is read and thrown away, within bounds.
async fn file_of(mut form: Multipart, limit_bytes: u64) -> Result<Upload, ApiError> {
    let broken = |error: axum::extract::multipart::MultipartError| {
        ApiError::new(StatusCode::BAD_REQUEST, "form_unreadable", format!("The form could not be read: {}.", error.body_text()))
    };
    let mut total = 0u64;
    let mut upload: Option<Upload> = None;
    let mut over = false;
    while let Some(mut field) = form.next_field().await.map_err(broken)? {
        let is_file = upload.is_none() && (field.name() == Some("file") || field.file_name().is_some());
        let name = field.file_name().unwrap_or_default().to_owned();
        let media_type = field.content_type().map(str::to_owned);
        let mut content = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            total = total.saturating_add(length(&chunk));
            over |= total > limit_bytes;
            if total > limit_bytes.saturating_mul(DRAIN_FACTOR) {
                return Err(DocumentError::TooLarge { limit_bytes }.into());
            }
            if over {
                content = Vec::new();
            } else if is_file {
                content.extend_from_slice(&chunk);
            }
        }
        if is_file {
            upload = Some(Upload { name, media_type, content });
        }
    }
    if over {
        return Err(DocumentError::TooLarge { limit_bytes }.into());
    }
    upload.ok_or_else(|| DocumentError::NoFile.into())
}

fn length(chunk: &Bytes) -> u64 {
    u64::try_from(chunk.len()).unwrap_or(u64::MAX)
}

/// `attachment` with the name in both forms of RFC 6266.
fn attachment(name: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ') { c } else { '_' }).collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(name, KEPT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::FromRequest;

    #[test]
    fn a_name_cannot_leave_its_header() {
        assert_eq!(attachment("a\"; x=\r\n.html"), "attachment; filename=\"a__ x___.html\"; filename*=UTF-8''a%22%3B%20x%3D%0D%0A.html");
        assert_eq!(attachment("Größe.csv"), "attachment; filename=\"Gr__e.csv\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.csv");
    }

    async fn sent(parts: &[(&str, &str)], limit_bytes: u64) -> Result<Upload, ApiError> {
        let mut body = String::new();
        for (disposition, content) in parts {
            body.push_str(&format!("--b\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: text/csv\r\n\r\n{content}\r\n"));
        }
        body.push_str("--b--\r\n");
        let request = axum::extract::Request::builder()
            .method("POST")
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
            .body(Body::from(body))
            .unwrap();
        file_of(Multipart::from_request(request, &()).await.unwrap(), limit_bytes).await
    }

    #[tokio::test]
    async fn a_forms_file_is_counted_while_it_comes() {
        let file = r#"name="file"; filename="a.csv""#;
        let upload = sent(&[(r#"name="note""#, "x"), (file, "a,b\n1,2")], 100).await.unwrap();
        assert_eq!(
            (upload.name.as_str(), upload.media_type.as_deref(), upload.content.as_slice()),
            ("a.csv", Some("text/csv"), b"a,b\n1,2".as_slice())
        );
        for length in [101, 100_000] {
            let refused = sent(&[(file, &"x".repeat(length))], 100).await.unwrap_err();
            assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
        }
        assert_eq!(sent(&[(r#"name="note""#, "x")], 100).await.unwrap_err().status(), StatusCode::UNPROCESSABLE_ENTITY);
    }

    #[test]
    fn errors_name_the_limit_and_the_reason() {
        let error = ApiError::from(DocumentError::TooLarge { limit_bytes: 50 * 1024 * 1024 });
        assert_eq!(error.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let busy = ApiError::from(DocumentError::Busy).into_response();
        assert_eq!((busy.status(), &busy.headers()[header::RETRY_AFTER]), (StatusCode::TOO_MANY_REQUESTS, &"5".parse().unwrap()));
        assert_eq!(
            capital(&DocumentError::TooLarge { limit_bytes: 52_428_800 }),
            "The file is larger than 52428800 bytes (50 MB), the most that is taken."
        );
    }
}

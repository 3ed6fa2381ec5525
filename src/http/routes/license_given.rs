//! A code as it may come over HTTP: JSON, plain text, a file, or a picture of its QR code.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use crate::base::qr::{self, PICTURE_BYTES_MAX, PictureError};
use crate::base::tasks::Tasks;
use crate::http::ApiError;
use crate::http::extract::{Form, ValidJson};
use crate::model::licence::text::{CODE, REQUEST, REVOCATIONS};

/// The longest body that may hold a code: a photograph and the form around it.
pub(super) const BODY_BYTES_MAX: usize = PICTURE_BYTES_MAX + (64 << 10);

/// Decoding a picture takes up to 160 MB: one at a time.
static PICTURES: Semaphore = Semaphore::const_new(1);

/// A code to enter.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewCode {
    /// The line, or the text of the .onsite file; a revocation list too.
    code: String,
}

/// The bytes of a code from any of the forms it may come in.
pub(super) struct Given(Bytes);

impl Given {
    /// Its text; that of the QR code when it is a picture.
    pub(super) async fn text(self, tasks: &Tasks) -> Result<String, ApiError> {
        if !qr::is_picture(&self.0) {
            // What is not text is no code, which is said where codes are read.
            return Ok(String::from_utf8_lossy(&self.0).into_owned());
        }
        let _turn = PICTURES.acquire().await.map_err(ApiError::internal)?;
        let read = tasks.spawn_blocking(move || qr::read(&self.0)).await.map_err(ApiError::internal)?;
        let texts = read.map_err(unreadable_picture)?;
        let is_ours = |text: &&String| [&CODE, &REVOCATIONS, &REQUEST].iter().any(|carrier| carrier.begins(text));
        // A picture of a letter may hold other codes: an address, a parcel number.
        Ok(texts.iter().find(is_ours).or(texts.first()).cloned().unwrap_or_default())
    }
}

impl<S: Send + Sync> FromRequest<S> for Given {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media_type.as_str() {
            "multipart/form-data" => from_multipart(request, state).await,
            "text/plain" | "application/octet-stream" | "image/png" | "image/jpeg" => {
                Bytes::from_request(request, state).await.map(Self).map_err(|rejection| unreadable(rejection.status()))
            }
            _ => ValidJson::<NewCode>::from_request(request, state).await.map(|ValidJson(new)| Self(new.code.into())),
        }
    }
}

async fn from_multipart<S: Send + Sync>(request: Request, state: &S) -> Result<Given, ApiError> {
    let Form(mut form) = Form::from_request(request, state).await?;
    let field = form.next_field().await.map_err(|error| unreadable(error.status()))?;
    let field = field.ok_or_else(|| ApiError::invalid("code", "The form has no field: send the code, the .onsite file or a picture as one."))?;
    field.bytes().await.map(Given).map_err(|error| unreadable(error.status()))
}

fn unreadable(status: StatusCode) -> ApiError {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::new(status, "body_too_large", "This is much larger than an activation code, or than a picture of one (8 MB).")
            .field("code")
            .remedy("Send the .onsite file itself, or a smaller picture.");
    }
    ApiError::new(StatusCode::BAD_REQUEST, "body_unreadable", "The code could not be read from the request.")
        .remedy("Send JSON with a field `code`, plain text, a picture, or a form with the .onsite file or a picture.")
}

fn unreadable_picture(error: PictureError) -> ApiError {
    let remedy = "Take the picture again, or use the .onsite file or the pasted line: they hold the same code.";
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "picture_unreadable", crate::base::text::sentence(error)).field("code").remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    async fn text_of(content_type: &str, body: impl Into<Body>) -> Result<String, StatusCode> {
        let request = Request::post("/api/license").header(header::CONTENT_TYPE, content_type).body(body.into()).unwrap();
        let given = Given::from_request(request, &()).await.map_err(|error| error.status())?;
        given.text(&Tasks::default()).await.map_err(|error| error.status())
    }

    #[tokio::test]
    async fn a_code_comes_as_json_as_text_as_a_file_or_as_a_picture() {
        assert_eq!(text_of("application/json; charset=utf-8", "{\"code\":\"ONSITE1-A\"}").await.as_deref(), Ok("ONSITE1-A"));
        assert_eq!(text_of("text/plain", "ONSITE1-B").await.as_deref(), Ok("ONSITE1-B"));
        let form = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.onsite\"\r\n\r\nONSITE1-C\r\n--x--\r\n";
        assert_eq!(text_of("multipart/form-data; boundary=x", form).await.as_deref(), Ok("ONSITE1-C"));
        assert_eq!(text_of("multipart/form-data; boundary=x", "--x--\r\n").await, Err(StatusCode::UNPROCESSABLE_ENTITY));
        assert_eq!(text_of("application/json", "{}").await, Err(StatusCode::UNPROCESSABLE_ENTITY));
        let picture = qr::Picture::of("ONSITE1-D").unwrap().png();
        assert_eq!(text_of("image/png", picture).await.as_deref(), Ok("ONSITE1-D"));
        assert_eq!(text_of("image/png", &b"\x89PNG\r\n\x1a\nrubbish"[..]).await, Err(StatusCode::UNPROCESSABLE_ENTITY));
    }
}

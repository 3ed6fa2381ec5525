//! What handlers ask for in their arguments: checked bodies, and callers with the permission they need.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use super::errors::ApiError;

/// A JSON body of type `T`. What does not fit is answered with the field's path and what was expected there.
#[derive(Debug)]
pub struct ValidJson<T>(pub T);

impl<T, S> FromRequest<S> for ValidJson<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The request's body is larger than this route takes.")
                    .remedy("Send less at once; files go to the documents route.")
            }
            _ => ApiError::new(StatusCode::BAD_REQUEST, "body_unreadable", "The request's body could not be read to its end."),
        })?;
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            let syntax = error.inner().is_syntax() || error.inner().is_eof();
            let message = error.into_inner().to_string();
            if syntax {
                ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", format!("The body is not JSON: {message}."))
            } else {
                ApiError::invalid(path, format!("The body does not have the expected form: {message}."))
            }
        })?;
        reader
            .end()
            .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", format!("The body has more than one JSON value: {error}.")))?;
        Ok(Self(value))
    }
}

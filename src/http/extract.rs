//! What handlers ask for in their arguments: checked bodies, and callers with the permission they need.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Multipart, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::errors::ApiError;
use crate::model::part::Part;

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
        if !is_json(request.headers()) {
            let error = ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body is not marked as JSON.");
            return Err(error.remedy("Send JSON with the header Content-Type: application/json."));
        }
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

/// `application/json`, or a kind of its own that is JSON (`application/x+json`). A form of another site cannot send it unasked.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn media_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Which part of a list is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PartQuery {
    /// Where this part begins: `next_before` of the answer before.
    before: Option<String>,
    /// At most so many, up to 500.
    limit: Option<u32>,
}

/// A part of a list, of a query that says more than which.
///
/// # Errors
/// Names `before` when it is no id.
pub fn part<I: FromStr<Err: std::fmt::Display>>(before: Option<String>, limit: Option<u32>) -> Result<Part<I>, ApiError> {
    let before = before.map(|text| text.parse()).transpose().map_err(|error: I::Err| {
        ApiError::invalid("before", format!("That is {error}.")).remedy("Pass next_before of the answer before, or leave it out.")
    })?;
    Ok(Part::new(before, limit))
}

/// The part of a list that the query asks for, by the ids of its items.
#[derive(Debug)]
pub struct Listed<I>(pub Part<I>);

impl<I, S> FromRequestParts<S> for Listed<I>
where
    I: FromStr<Err: std::fmt::Display>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let ValidQuery(PartQuery { before, limit }) = ValidQuery::from_request_parts(parts, state).await?;
        part(before, limit).map(Self)
    }
}

/// The query string as type `T`. What does not fit is answered with the parameter's name.
#[derive(Debug)]
pub struct ValidQuery<T>(pub T);

impl<T, S> FromRequestParts<S> for ValidQuery<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Query::try_from_uri(&parts.uri).map(|Query(query)| Self(query)).map_err(|rejection| {
            let text = rejection.body_text();
            let what = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, what)| what);
            // Either "k: invalid digit" or "missing field `q`".
            let named = what.split_once(": ").map(|(name, _)| name).or_else(|| what.split('`').nth(1)).unwrap_or("query");
            ApiError::invalid(named, format!("The query string does not have the expected form: {what}."))
        })
    }
}

/// A form with files. What is none is answered as such.
#[derive(Debug)]
pub struct Form(pub Multipart);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if media_type(request.headers()) != "multipart/form-data" {
            let error = ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body is not a form.");
            return Err(error.remedy("Send a form with the file (multipart/form-data)."));
        }
        Multipart::from_request(request, state).await.map(Self).map_err(|_| {
            ApiError::new(StatusCode::BAD_REQUEST, "form_unreadable", "The form names no boundary between its parts.")
                .remedy("Let the program that sends the form write its Content-Type.")
        })
    }
}

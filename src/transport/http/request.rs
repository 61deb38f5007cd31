//! From an HTTP request to a GraphQL request.

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::graphql::Request;

/// What an HTTP request asks.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: Request,
    /// `extensions.operationId`: what results are told under, where a stream has many operations.
    pub(super) operation_id: Option<String>,
}

/// Why an HTTP request is no GraphQL request.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadRequest {
    #[error("Content-Type must be application/json")]
    MediaType,
    #[error("Batches are not supported: send one request at a time")]
    Batch,
    #[error("The body is not a GraphQL request: {0}")]
    Body(serde_json::Error),
    #[error("The parameters are not a GraphQL request: {0}")]
    Parameters(String),
}

impl BadRequest {
    /// The status of its answer (GraphQL over HTTP).
    pub(super) fn status(&self) -> StatusCode {
        match self {
            BadRequest::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            BadRequest::Batch | BadRequest::Body(_) | BadRequest::Parameters(_) => {
                StatusCode::BAD_REQUEST
            }
        }
    }
}

impl Asked {
    /// What a POST asks. Only JSON will do: a page of another origin may send forms without being asked
    /// whether it may, but not JSON.
    pub(super) fn of_body(headers: &HeaderMap, body: &Bytes) -> Result<Self, BadRequest> {
        if !is_json(headers) {
            return Err(BadRequest::MediaType);
        }
        // serde would take a list for an object without the names of its keys.
        if body.trim_ascii_start().starts_with(b"[") {
            return Err(BadRequest::Batch);
        }
        let request = serde_json::from_slice(body).map_err(BadRequest::Body)?;
        let Extended { extensions } = serde_json::from_slice(body).map_err(BadRequest::Body)?;
        Ok(Asked {
            request,
            operation_id: extensions.and_then(|extensions| extensions.operation_id),
        })
    }

    /// What a GET asks: the same keys as in a body, `variables` and `extensions` as JSON. Others are passed
    /// over. `None` if it asks nothing.
    pub(super) fn of_parameters(query: &str) -> Result<Option<Self>, BadRequest> {
        let mut keys = Map::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = match &*name {
                "query" | "operationName" | "documentId" => Value::String(value.into_owned()),
                // Clients that have none may send the name alone.
                "variables" | "extensions" if value.is_empty() => Value::Null,
                "variables" | "extensions" => serde_json::from_str(&value).map_err(|error| {
                    BadRequest::Parameters(format!("`{name}` is not JSON: {error}"))
                })?,
                _ => continue,
            };
            if keys.insert(name.clone().into_owned(), value).is_some() {
                let said = format!("`{name}` is said twice");
                return Err(BadRequest::Parameters(said));
            }
        }
        if keys.is_empty() {
            return Ok(None);
        }
        let keys = Value::Object(keys);
        let of = |error: serde_json::Error| BadRequest::Parameters(error.to_string());
        let Extended { extensions } = Extended::deserialize(&keys).map_err(of)?;
        Ok(Some(Asked {
            request: serde_json::from_value(keys).map_err(of)?,
            operation_id: extensions.and_then(|extensions| extensions.operation_id),
        }))
    }
}

#[derive(Deserialize)]
struct Extended {
    extensions: Option<Extensions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extensions {
    operation_id: Option<String>,
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut parts = content_type.split(';');
    let media_type = parts.next().unwrap_or_default().trim();
    let is_utf8 = parts.all(|part| match part.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    media_type.eq_ignore_ascii_case("application/json") && is_utf8
}

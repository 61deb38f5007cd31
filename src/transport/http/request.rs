//! From an HTTP request to a GraphQL request.

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use url::form_urlencoded;

use crate::graphql::{self, Request};

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
    Parameters(graphql::BadRequest),
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

/// What a POST asks. Only JSON will do: a page of another origin may send forms without being asked
/// whether it may, but not JSON.
pub(super) fn of_body(headers: &HeaderMap, body: &Bytes) -> Result<Request, BadRequest> {
    if !is_json(headers) {
        return Err(BadRequest::MediaType);
    }
    // serde would take a list for an object without the names of its keys.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(BadRequest::Batch);
    }
    serde_json::from_slice(body).map_err(BadRequest::Body)
}

/// What a GET asks; `None` if it names no document.
pub(super) fn of_parameters(parameters: &str) -> Result<Option<Request>, BadRequest> {
    if !names_document(parameters) {
        return Ok(None);
    }
    let request = Request::of_query(parameters).map_err(BadRequest::Parameters)?;
    Ok(Some(request))
}

/// Whether something is asked in a URL: `extensions` alone may name a document, too, by its hash.
pub(in crate::transport) fn names_document(parameters: &str) -> bool {
    let names = ["query", "documentId", "extensions"];
    let mut all = form_urlencoded::parse(parameters.as_bytes());
    all.any(|(name, _)| names.contains(&&*name))
}

/// `extensions.operationId` of a body that is a request: what results are told under, where a stream has
/// many operations. `None` for what cannot be one, too.
pub(super) fn operation_id(body: &Bytes) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        extensions: Extensions,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Extensions {
        operation_id: String,
    }
    let Body { extensions } = serde_json::from_slice(body).ok()?;
    Some(extensions.operation_id).filter(|id| !id.is_empty())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_in_the_url_is_a_query() {
        for query in [
            "query={me{id}}",
            "variables={}&query",
            "qu%65ry=x",
            "extensions={}",
            "documentId=sha256:0",
        ] {
            assert!(names_document(query), "{query}");
        }
        for other in ["", "utm_source=query"] {
            assert!(!names_document(other), "{other}");
        }
    }
}

//! Which web pages may speak to this server: the header `Origin`, which browsers send and pages cannot
//! change.
//!
//! CORS alone keeps a page from reading an answer, and does not know of WebSockets. So a page that may not
//! ask is not answered at all.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// The origins whose pages may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// All: there are no cookies that a page could use in somebody's name.
    Any,
    These(Arc<BTreeSet<Origin>>),
}

/// Where a page comes from, as browsers spell it: `https://shop.example`, with a port where that is not the
/// scheme's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(String);

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an origin as browsers send it, such as \"https://shop.example\": a scheme, a host in lower case, a port where it is not the usual one, and nothing behind it"
)]
pub struct BadOrigin;

/// How long browsers may remember what CORS allows.
const MAX_AGE: Duration = Duration::from_secs(86_400);

impl Origins {
    /// Whether a request may be answered: those of pages say where they come from.
    fn allow(&self, headers: &HeaderMap) -> bool {
        match (self, headers.get(header::ORIGIN)) {
            (Origins::Any, _) | (_, None) => true,
            (Origins::These(origins), Some(origin)) => origins
                .iter()
                .any(|one| one.0.as_bytes() == origin.as_bytes()),
        }
    }

    /// What browsers are told about it. Private networks, too: Apollo Sandbox is a public page, and the
    /// server that is tried there mostly this machine.
    pub(super) fn cors(&self) -> CorsLayer {
        let origins = match self {
            Origins::Any => AllowOrigin::any(),
            Origins::These(origins) => {
                let spelled = |origin: &Origin| HeaderValue::from_str(&origin.0).ok();
                AllowOrigin::list(origins.iter().filter_map(spelled))
            }
        };
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers([header::RETRY_AFTER])
            .allow_private_network(true)
            .max_age(MAX_AGE)
    }
}

/// Refuses requests of pages that may not ask.
pub(super) async fn guard(
    State(origins): State<Origins>,
    request: Request,
    next: Next,
) -> Response {
    if origins.allow(request.headers()) {
        next.run(request).await
    } else {
        let words = "Pages of this origin may not ask here: see server.allowed_origins\n";
        (StatusCode::FORBIDDEN, words).into_response()
    }
}

impl FromIterator<Origin> for Origins {
    fn from_iter<T: IntoIterator<Item = Origin>>(origins: T) -> Self {
        Origins::These(Arc::new(origins.into_iter().collect()))
    }
}

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        // What a page without an origin sends: a file, a sandboxed frame.
        if text == "null" {
            return Ok(Origin(text.to_owned()));
        }
        if text.contains('*') {
            return Err(BadOrigin);
        }
        let url = url::Url::parse(text).map_err(|_| BadOrigin)?;
        // Apps have schemes of their own, whose origins the standard calls opaque.
        let spelled = match url.origin() {
            origin @ url::Origin::Tuple(..) => origin.ascii_serialization(),
            url::Origin::Opaque(_) if url.has_host() => text.trim_end_matches('/').to_owned(),
            url::Origin::Opaque(_) => return Err(BadOrigin),
        };
        (spelled == text)
            .then_some(Origin(spelled))
            .ok_or(BadOrigin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_spelled_as_browsers_send_it() {
        for good in [
            "https://shop.example",
            "http://localhost:3000",
            "http://[::1]:8080",
            "https://xn--bcher-kva.example",
            "capacitor://localhost",
            "null",
        ] {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        for bad in [
            "shop.example",
            "https://shop.example/",
            "https://shop.example/path",
            "https://shop.example:443",
            "https://Shop.example",
            "https://*.shop.example",
            "",
            "*",
        ] {
            assert_eq!(bad.parse::<Origin>(), Err(BadOrigin), "{bad}");
        }
    }

    #[test]
    fn who_says_no_origin_is_no_page() {
        let shop: Origin = "https://shop.example".parse().unwrap();
        let origins: Origins = [shop].into_iter().collect();
        let says = |origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            headers
        };
        assert!(origins.allow(&HeaderMap::new()));
        assert!(origins.allow(&says("https://shop.example")));
        assert!(!origins.allow(&says("https://shop.example.evil.example")));
        assert!(!origins.allow(&says("null")));
        assert!(Origins::Any.allow(&says("https://anything.example")));
    }
}

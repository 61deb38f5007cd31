//! What a browser is shown that opens a GraphQL path: GraphiQL, wired to this server.
//!
//! All of it is in the binary, and nothing is loaded from elsewhere, so that it works on a closed
//! network. Its files are below the path that it is opened at: proxies often let that path through,
//! and no other. `playground/` holds its sources, and `playground/build` makes the files of them.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::IpAddr;
use std::sync::OnceLock;

use axum::body::Bytes;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::sync::watch;

use super::http::names_document;
use super::preferences::Preferences;
use crate::topic::PaymentHash;

/// The page. It names its files as those beside it: `"./<name>"`.
const PAGE: &str = include_str!("../../playground/dist/index.html");

/// Its files: the name of each, which has a hash of what is in it, and that, in gzip.
const FILES: &[(&str, &[u8])] = include!("../../playground/dist/assets.rs");

/// What only a demo tells.
const DEMO_FACTS: &str = "demo.json";

/// The licences of what is in the files: the one whose name says nothing of what is in it.
const LICENSES: &str = "licenses.md";

/// Scripts and workers of our own alone; the editor writes styles into the page, and pictures into those. Nobody may
/// put it into a frame and have its buttons clicked: it may hold credentials.
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The page and its files.
pub struct Playground {
    demo: watch::Receiver<Option<DemoFacts>>,
}

/// What the examples need to run at once. Only a demo's are told to whoever asks.
pub struct DemoFacts {
    pub api_key: SecretString,
    pub token: SecretString,
    pub payment_request: String,
    pub payment_hash: PaymentHash,
}

/// The routes of the files of a playground at these paths.
pub(super) fn routes(paths: &BTreeSet<&String>) -> BTreeSet<String> {
    let folder = |path: &&String| format!("{}/playground/{{name}}", path.trim_end_matches('/'));
    paths.iter().map(folder).collect()
}

impl Playground {
    /// With what the demo tells, if there ever is one.
    pub fn new(demo: watch::Receiver<Option<DemoFacts>>) -> Self {
        Playground { demo }
    }

    /// The page, if that is what a request is for: a person's, to look at, and not a program's.
    pub(super) fn page(&self, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        if names_document(uri.query().unwrap_or_default()) || !prefers_html(headers) {
            return None;
        }
        // Relative, because a proxy may have put something before the path.
        let last = uri.path().rsplit('/').next().unwrap_or_default();
        let folder = match last {
            "" => "./playground/".to_owned(),
            last => format!("./{last}/playground/"),
        };
        let page = PAGE.replace("=\"./", &format!("=\"{folder}"));
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            // It names the files of this version, and the next has others.
            (header::CACHE_CONTROL, "no-cache"),
            (header::VARY, "Accept"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
            NO_SNIFFING,
        ];
        Some((headers, page).into_response())
    }

    /// One of its files, if there is one of this name.
    pub(super) fn file(&self, name: &str, headers: &HeaderMap) -> Option<Response> {
        if name == DEMO_FACTS {
            return Some(self.demo_facts(headers));
        }
        let place = FILES.iter().position(|file| file.0 == name)?;
        let (_, compressed) = FILES[place];
        let (body, encoding) = match takes_gzip(headers) {
            true => (Bytes::from_static(compressed), Some("gzip")),
            false => (plain(place), None),
        };
        let mut response = (
            [
                (header::CONTENT_TYPE, content_type(name)),
                (header::CACHE_CONTROL, how_long_fresh(name)),
                (header::VARY, "Accept-Encoding"),
                NO_SNIFFING,
            ],
            body,
        )
            .into_response();
        if let Some(encoding) = encoding {
            let encoding = HeaderValue::from_static(encoding);
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, encoding);
        }
        Some(response)
    }

    /// The demo's credentials, for the examples; `null` without a demo.
    fn demo_facts(&self, headers: &HeaderMap) -> Response {
        // Any origin may ask this server. But these are for its own page, which needs not say where it is from.
        if headers.contains_key(header::ORIGIN) || !is_by_address(headers) {
            return StatusCode::FORBIDDEN.into_response();
        }
        let facts = self.demo.borrow().as_ref().map(|facts| {
            json!({
                "apiKey": facts.api_key.expose_secret(),
                "authorization": format!("Bearer {}", facts.token.expose_secret()),
                "paymentRequest": facts.payment_request,
                "paymentHash": facts.payment_hash.as_str(),
            })
        });
        (
            [
                (header::CONTENT_TYPE, "application/json; charset=utf-8"),
                (header::CACHE_CONTROL, "no-store"),
                NO_SNIFFING,
            ],
            json!(facts).to_string(),
        )
            .into_response()
    }
}

const NO_SNIFFING: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");

/// A file as it is: each is unpacked once, when somebody first asks for it that way.
fn plain(place: usize) -> Bytes {
    static PLAIN: [OnceLock<Bytes>; FILES.len()] = [const { OnceLock::new() }; FILES.len()];
    let unpack = || {
        let (_, compressed) = FILES[place];
        let mut plain = Vec::new();
        let unpacked = GzDecoder::new(compressed).read_to_end(&mut plain);
        unpacked.expect("what is embedded is gzip: a test unpacks all of it");
        plain.into()
    };
    PLAIN[place].get_or_init(unpack).clone()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "md" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "ttf" => "font/ttf",
        _ => "application/octet-stream",
    }
}

fn how_long_fresh(name: &str) -> &'static str {
    match name {
        LICENSES => "no-cache",
        _ => "public, max-age=31536000, immutable",
    }
}

/// Whether this server was asked for by an address, or as this machine: somebody else's page may have a name
/// that leads here, and is then of our own origin.
fn is_by_address(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        let host = authority.host().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<IpAddr>().is_ok()
    })
}

/// Whether HTML is named, as browsers do, and liked better than what GraphQL is answered in. `*/*` names nothing: it
/// is what curl says.
fn prefers_html(headers: &HeaderMap) -> bool {
    let Some(preferences) = Preferences::of(headers, header::ACCEPT) else {
        return false;
    };
    let quality_of = |media| preferences.quality(media).unwrap_or(0);
    let answers = [
        "application/json",
        "application/graphql-response+json",
        "text/event-stream",
        "multipart/mixed",
    ];
    let html = quality_of("text/html");
    html > 0 && answers.into_iter().all(|answer| quality_of(answer) < html)
}

/// Whether a client that says nothing of encodings, or names gzip, can read it: not one that refuses it, and not one
/// that names others alone.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let Some(preferences) = Preferences::of(headers, header::ACCEPT_ENCODING) else {
        return true;
    };
    // The older name means the same.
    let names = ["gzip", "x-gzip"];
    let named = names
        .into_iter()
        .filter_map(|name| preferences.quality(name));
    let quality = named.max().or_else(|| preferences.quality("*"));
    quality.is_some_and(|quality| quality > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(header: HeaderName, value: &str) -> HeaderMap {
        [(header, HeaderValue::from_str(value).unwrap())]
            .into_iter()
            .collect()
    }

    #[test]
    fn browsers_prefer_html_and_programs_do_not() {
        let prefers = |accept| prefers_html(&said(header::ACCEPT, accept));
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8";
        assert!(prefers(chromium));
        assert!(prefers("TEXT/HTML"));
        assert!(prefers("text/html, application/json;q=0.9"));
        assert!(!prefers_html(&HeaderMap::new()));
        for program in [
            "*/*",
            "text/*",
            "",
            "application/json",
            "application/json, text/html",
            "application/graphql-response+json, text/html;q=0.5",
            "text/event-stream",
            "text/html;q=0",
            "text/html;q=much",
            "text/html;q=NaN",
        ] {
            assert!(!prefers(program), "{program}");
        }
    }

    #[test]
    fn gzip_goes_to_those_who_take_it() {
        let takes = |encodings| takes_gzip(&said(header::ACCEPT_ENCODING, encodings));
        assert!(takes_gzip(&HeaderMap::new()));
        for encodings in ["gzip, deflate, br", "x-gzip", "br;q=1.0, GZIP;q=0.2", "*"] {
            assert!(takes(encodings), "{encodings}");
        }
        for encodings in [
            "identity",
            "",
            "br",
            "gzip;q=0",
            "gzip;q=0, *",
            "*;q=0",
            "~~~~",
        ] {
            assert!(!takes(encodings), "{encodings}");
        }
    }

    #[test]
    fn all_files_can_be_unpacked_and_are_of_a_known_type() {
        for (place, (name, compressed)) in FILES.iter().enumerate() {
            assert!(plain(place).len() > compressed.len() / 2, "{name}");
            assert_ne!(content_type(name), "application/octet-stream", "{name}");
        }
    }

    #[test]
    fn the_page_names_files_that_are_there() {
        let names = PAGE.split("=\"./").skip(1);
        let names: Vec<_> = names.filter_map(|rest| rest.split('"').next()).collect();
        assert!(names.len() > 2, "{names:?}");
        for name in names {
            assert!(FILES.iter().any(|file| file.0 == name), "{name}");
        }
    }

    #[test]
    fn the_licences_of_what_is_embedded_are_embedded() {
        let place = FILES.iter().position(|file| file.0 == LICENSES).unwrap();
        let licences = String::from_utf8(plain(place).to_vec()).unwrap();
        for package in ["graphiql", "graphql-ws", "monaco-editor", "react"] {
            assert!(licences.contains(package), "{package}");
        }
    }

    #[test]
    fn each_path_has_its_files_below_it() {
        let paths = ["/graphql", "/rewards/", "/rewards", "/"].map(str::to_owned);
        let routes: Vec<_> = routes(&paths.iter().collect()).into_iter().collect();
        assert_eq!(
            routes,
            [
                "/graphql/playground/{name}",
                "/playground/{name}",
                "/rewards/playground/{name}"
            ]
        );
    }
}

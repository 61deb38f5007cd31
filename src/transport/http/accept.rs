//! What a client takes in answer to its request: the header `Accept` (RFC 9110, section 12.5.1).

use axum::http::{HeaderMap, header};

use crate::transport::protocol::Protocol;

/// The ranges of an `Accept`, as the client listed them.
#[derive(Debug)]
pub(super) struct Accept(Vec<Range>);

/// The media types of a result that is one JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Json {
    /// `application/json`: the status says 200 to every well-formed request, as servers always did.
    Plain,
    /// `application/graphql-response+json`: the status says whether anything was executed.
    GraphqlResponse,
}

#[derive(Debug, PartialEq)]
struct Range {
    /// In lower case: `text/html`, `text/*`, `*/*`.
    media: String,
    /// The value of `subscriptionSpec`, which tells subscriptions over multipart from anything else.
    spec: Option<String>,
    /// 0 to 1000.
    quality: u16,
}

const BEST: u16 = 1000;

impl Accept {
    /// Of a request. One without the header takes anything.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::ACCEPT);
        let lines: Vec<_> = lines.iter().filter_map(|line| line.to_str().ok()).collect();
        match lines[..] {
            [] => Accept(vec![Range::anything()]),
            _ => Accept(
                lines
                    .into_iter()
                    .flat_map(|line| split(line, ','))
                    .filter_map(Range::parse)
                    .collect(),
            ),
        }
    }

    /// How the client takes results that go on coming, if it does: it has to name the media type.
    pub(super) fn stream(&self) -> Option<Protocol> {
        let named = self.0.iter().filter_map(|range| {
            let protocol = match (range.media.as_str(), range.spec.as_deref()) {
                ("text/event-stream", _) => Protocol::Sse,
                ("multipart/mixed", Some("1.0")) => Protocol::Multipart,
                _ => return None,
            };
            (range.quality > 0).then_some((range.quality, protocol))
        });
        // The first of the best.
        let best = named.reduce(|best, next| if next.0 > best.0 { next } else { best });
        best.map(|(_, protocol)| protocol)
    }

    /// How it takes a result that is one JSON object, if it does. Who takes both without a preference, and
    /// names neither, gets what every client understands.
    pub(super) fn json(&self) -> Option<Json> {
        let quality = |json: Json| self.quality(json.media()).filter(|quality| *quality > 0);
        match (quality(Json::Plain), quality(Json::GraphqlResponse)) {
            (None, None) => None,
            (Some(_), None) => Some(Json::Plain),
            (None, Some(_)) => Some(Json::GraphqlResponse),
            (Some(plain), Some(response)) if plain != response => Some(if plain > response {
                Json::Plain
            } else {
                Json::GraphqlResponse
            }),
            (Some(_), Some(_)) => {
                let mut named = self.0.iter().map(|range| range.media.as_str());
                let first = named.find(|media| {
                    [Json::Plain, Json::GraphqlResponse]
                        .map(Json::media)
                        .contains(media)
                });
                Some(match first {
                    Some(media) if media == Json::GraphqlResponse.media() => Json::GraphqlResponse,
                    _ => Json::Plain,
                })
            }
        }
    }

    /// Whether plain text is taken.
    pub(super) fn takes(&self, media: &str) -> bool {
        self.quality(media).is_some_and(|quality| quality > 0)
    }

    /// That of the most specific range that a media type is in.
    fn quality(&self, media: &str) -> Option<u16> {
        let kind = media.split('/').next().unwrap_or_default();
        [media.to_owned(), format!("{kind}/*"), "*/*".to_owned()]
            .iter()
            .find_map(|wanted| self.0.iter().find(|range| range.media == *wanted))
            .map(|range| range.quality)
    }
}

impl Json {
    fn media(self) -> &'static str {
        match self {
            Json::Plain => "application/json",
            Json::GraphqlResponse => "application/graphql-response+json",
        }
    }

    /// For `Content-Type`.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Json::Plain => "application/json; charset=utf-8",
            Json::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
        }
    }
}

impl Range {
    fn anything() -> Self {
        Range {
            media: "*/*".to_owned(),
            spec: None,
            quality: BEST,
        }
    }

    /// `None` for what names no media type.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = split(text, ';');
        let media = parts.next()?.trim().to_ascii_lowercase();
        if !media.contains('/') {
            return None;
        }
        let mut range = Range {
            media,
            spec: None,
            quality: BEST,
        };
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim().trim_matches('"');
            if name.trim().eq_ignore_ascii_case("subscriptionSpec") {
                range.spec = Some(value.to_owned());
            } else if name.trim().eq_ignore_ascii_case("q") {
                let quality = value.parse::<f32>().unwrap_or(1.0).clamp(0.0, 1.0);
                range.quality = (quality * f32::from(BEST)) as u16;
            }
        }
        Some(range)
    }
}

/// The parts between separators that are not inside of quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |character| {
        is_quoted ^= character == '"';
        character == separator && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn accept(line: &'static str) -> Accept {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(line));
        Accept::of(&headers)
    }

    #[test]
    fn subscriptions_over_multipart_are_asked_for_in_any_spelling() {
        for line in [
            "multipart/mixed;subscriptionSpec=1.0",
            "multipart/mixed; subscriptionSpec=\"1.0\"",
            "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json",
            "multipart/mixed;boundary=\"-,\";subscriptionSpec=\"1.0\", application/json;q=0.9",
            "Multipart/Mixed;subscriptionspec=1.0",
        ] {
            assert_eq!(accept(line).stream(), Some(Protocol::Multipart), "{line}");
        }
        for line in [
            "multipart/mixed;deferSpec=20220824, application/json",
            "multipart/mixed",
            "multipart/mixed;subscriptionSpec=2.0",
            "multipart/mixed;subscriptionSpec=1.0;q=0",
            "*/*",
        ] {
            assert_eq!(accept(line).stream(), None, "{line}");
        }
    }

    #[test]
    fn of_two_ways_to_stream_the_better_one_is_taken_then_the_first() {
        let both = "text/event-stream, multipart/mixed;subscriptionSpec=1.0";
        assert_eq!(accept(both).stream(), Some(Protocol::Sse));
        let both = "text/event-stream;q=0.5, multipart/mixed;subscriptionSpec=1.0";
        assert_eq!(accept(both).stream(), Some(Protocol::Multipart));
    }

    #[test]
    fn who_takes_anything_gets_plain_json() {
        assert_eq!(Accept::of(&HeaderMap::new()).json(), Some(Json::Plain));
        assert_eq!(accept("*/*").json(), Some(Json::Plain));
        assert_eq!(accept("application/*").json(), Some(Json::Plain));
        assert_eq!(accept("text/event-stream").json(), None);
        assert_eq!(accept("text/event-stream, */*;q=0").json(), None);
    }

    #[test]
    fn who_names_both_gets_the_better_one_then_the_first() {
        let response = Some(Json::GraphqlResponse);
        assert_eq!(
            accept("application/graphql-response+json, application/json").json(),
            response
        );
        assert_eq!(
            accept("application/json;q=0.9, application/graphql-response+json").json(),
            response
        );
        assert_eq!(
            accept("application/json, application/graphql-response+json").json(),
            Some(Json::Plain)
        );
        assert_eq!(
            accept("application/graphql-response+json;charset=utf-8").json(),
            response
        );
    }
}

//! What a client takes in answer to its request: the header `Accept` (RFC 9110, section 12.5.1).

use axum::http::{HeaderMap, header};

use crate::transport::preferences::Preferences;
use crate::transport::protocol::Protocol;

/// The media types, and ranges of them, of an `Accept`.
#[derive(Debug)]
pub(super) struct Accept<'a>(Preferences<'a>);

/// The media types of a result that is one JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Json {
    /// `application/json`: the status says 200 to every well-formed request, as servers always did.
    Plain,
    /// `application/graphql-response+json`: the status says whether anything was executed.
    GraphqlResponse,
}

impl<'a> Accept<'a> {
    /// Of a request. One without the header takes anything.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let named = Preferences::of(headers, header::ACCEPT);
        Accept(named.unwrap_or_else(|| Preferences::only("*/*")))
    }

    /// How the client takes results that go on coming, if it does: it has to name the media type.
    pub(super) fn stream(&self) -> Option<Protocol> {
        let named = self.0.iter().filter_map(|range| {
            // `subscriptionSpec` tells subscriptions over multipart from anything else.
            let protocol = if range.is("text/event-stream") {
                Protocol::Sse
            } else if range.is("multipart/mixed")
                && range.parameter("subscriptionSpec") == Some("1.0")
            {
                Protocol::Multipart
            } else {
                return None;
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
                let both = [Json::Plain, Json::GraphqlResponse];
                let mut named = self.0.iter().filter_map(|range| {
                    let mut both = both.into_iter();
                    both.find(|json| range.is(json.media()))
                });
                Some(named.next().unwrap_or(Json::Plain))
            }
        }
    }

    /// Whether this media type is taken.
    pub(super) fn takes(&self, media: &str) -> bool {
        self.quality(media).is_some_and(|quality| quality > 0)
    }

    /// That of the most specific range that a media type is in.
    fn quality(&self, media: &str) -> Option<u16> {
        let kind = media.split('/').next().unwrap_or_default();
        [media.to_owned(), format!("{kind}/*"), "*/*".to_owned()]
            .iter()
            .find_map(|range| self.0.quality(range))
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(line: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(line))])
    }

    fn stream(line: &'static str) -> Option<Protocol> {
        Accept::of(&headers(line)).stream()
    }

    fn json(line: &'static str) -> Option<Json> {
        Accept::of(&headers(line)).json()
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
            assert_eq!(stream(line), Some(Protocol::Multipart), "{line}");
        }
        for line in [
            "multipart/mixed;deferSpec=20220824, application/json",
            "multipart/mixed",
            "multipart/mixed;subscriptionSpec=2.0",
            "multipart/mixed;subscriptionSpec=1.0;q=0",
            "*/*",
        ] {
            assert_eq!(stream(line), None, "{line}");
        }
    }

    #[test]
    fn of_two_ways_to_stream_the_better_one_is_taken_then_the_first() {
        let both = "text/event-stream, multipart/mixed;subscriptionSpec=1.0";
        assert_eq!(stream(both), Some(Protocol::Sse));
        let both = "text/event-stream;q=0.5, multipart/mixed;subscriptionSpec=1.0";
        assert_eq!(stream(both), Some(Protocol::Multipart));
    }

    #[test]
    fn who_takes_anything_gets_plain_json() {
        assert_eq!(Accept::of(&HeaderMap::new()).json(), Some(Json::Plain));
        assert_eq!(json("*/*"), Some(Json::Plain));
        assert_eq!(json("application/*"), Some(Json::Plain));
        assert_eq!(json("text/event-stream"), None);
        assert_eq!(json("text/event-stream, */*;q=0"), None);
    }

    #[test]
    fn who_names_both_gets_the_better_one_then_the_first() {
        let response = Some(Json::GraphqlResponse);
        assert_eq!(
            json("application/graphql-response+json, application/json"),
            response
        );
        assert_eq!(
            json("application/json;q=0.9, application/graphql-response+json"),
            response
        );
        assert_eq!(
            json("application/json, application/graphql-response+json"),
            Some(Json::Plain)
        );
        assert_eq!(
            json("application/graphql-response+json;charset=utf-8"),
            response
        );
    }
}

//! Requests: what a client asks, over whatever transport.

use async_graphql::Variables;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What a client asks, over whatever transport.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Parameters")]
pub struct Request {
    pub source: Source,
    pub operation_name: Option<String>,
    pub variables: Variables,
}

/// Which document a request means, as its client says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// By its text.
    Text(String),
    /// By `extensions.persistedQuery`: the SHA-256 of its text (Apollo's automatic persisted queries),
    /// or the id of a trusted document (Apollo's manifests). Where the text comes with the hash, it is
    /// there for those who send the hash alone.
    PersistedQuery { hash: String, text: Option<String> },
    /// By `documentId` ("GraphQL over HTTP", appendix A): `sha256:` and the SHA-256 of its text, or the
    /// id of a trusted document.
    Id { id: String, text: Option<String> },
    /// By a `persistedQuery` of a version that is not 1, whose fields may mean anything.
    OtherVersion,
}

/// What is wrong with a request, before anybody looks at its document.
#[derive(Debug, thiserror::Error)]
pub enum BadRequest {
    #[error("it has neither `query` nor `documentId` nor `extensions.persistedQuery`")]
    NoDocument,
    #[error("`{0}` is there twice")]
    Twice(&'static str),
    #[error("`{name}` is not a JSON object: {cause}")]
    NotAnObject {
        name: &'static str,
        #[source]
        cause: serde_json::Error,
    },
}

impl Request {
    /// The request in the query of a URL, where variables and extensions are JSON. ("GraphQL over HTTP",
    /// section "GET")
    pub fn of_query(query: &str) -> Result<Self, BadRequest> {
        let mut parameters = Parameters::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let parameters = &mut parameters;
            match &*name {
                "query" => once(&mut parameters.query, "query", value.into())?,
                "documentId" => once(&mut parameters.document_id, "documentId", value.into())?,
                "operationName" => {
                    let name = value.into();
                    once(&mut parameters.operation_name, "operationName", name)?;
                }
                "variables" => {
                    let variables = object(&value, "variables")?;
                    once(&mut parameters.variables, "variables", variables)?;
                }
                "extensions" => {
                    let extensions = object(&value, "extensions")?;
                    once(&mut parameters.extensions, "extensions", extensions)?;
                }
                _ => {}
            }
        }
        // Here alone there is no other way to say that it has none.
        parameters.operation_name.take_if(|name| name.is_empty());
        parameters.try_into()
    }
}

impl Source {
    /// What `query`, `extensions` and `documentId` of a request say together. If both of them name a
    /// document, `documentId` does: it says nothing else.
    pub fn of(
        query: Option<String>,
        extensions: Option<&Map<String, Value>>,
        document_id: Option<String>,
    ) -> Result<Self, BadRequest> {
        let persisted = extensions.and_then(|extensions| extensions.get("persistedQuery"));
        // Clients of graphql-ws must send a text with whatever they send: where it is empty, it is none.
        let text = |query: Option<String>| query.filter(|query| !query.is_empty());
        match (document_id, persisted) {
            (Some(id), _) => Ok(Source::Id {
                id,
                text: text(query),
            }),
            (None, None | Some(Value::Null)) => {
                query.map(Source::Text).ok_or(BadRequest::NoDocument)
            }
            (None, Some(persisted)) => {
                if persisted.get("version") != Some(&1.into()) {
                    return Ok(Source::OtherVersion);
                }
                // No text has the hash that is not there: what is said of it is said of others, too.
                let hash = persisted.get("sha256Hash").and_then(Value::as_str);
                Ok(Source::PersistedQuery {
                    hash: hash.unwrap_or_default().to_owned(),
                    text: text(query),
                })
            }
        }
    }

    /// The text, if it is said.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Source::Text(text) => Some(text),
            Source::PersistedQuery { text, .. } | Source::Id { text, .. } => text.as_deref(),
            Source::OtherVersion => None,
        }
    }
}

/// A request as it is written in JSON. What is null is not there; what has another name is not for us.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    query: Option<String>,
    document_id: Option<String>,
    operation_name: Option<String>,
    variables: Option<Variables>,
    extensions: Option<Map<String, Value>>,
}

impl TryFrom<Parameters> for Request {
    type Error = BadRequest;

    fn try_from(parameters: Parameters) -> Result<Self, BadRequest> {
        let Parameters {
            query,
            document_id,
            operation_name,
            variables,
            extensions,
        } = parameters;
        Ok(Request {
            source: Source::of(query, extensions.as_ref(), document_id)?,
            operation_name,
            variables: variables.unwrap_or_default(),
        })
    }
}

/// Which of two is meant, nobody can know.
fn once<T>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), BadRequest> {
    match place.replace(value) {
        Some(_) => Err(BadRequest::Twice(name)),
        None => Ok(()),
    }
}

/// A parameter that is JSON; `null` is as good as an empty object.
fn object<T: DeserializeOwned + Default>(json: &str, name: &'static str) -> Result<T, BadRequest> {
    serde_json::from_str::<Option<T>>(json)
        .map(Option::unwrap_or_default)
        .map_err(|cause| BadRequest::NotAnObject { name, cause })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const HASH: &str = r#"{"persistedQuery":{"version":1,"sha256Hash":"ab"}}"#;

    fn source(json: &str) -> Source {
        let request: Request = serde_json::from_str(json).unwrap();
        request.source
    }

    fn refusal(json: &str) -> String {
        let request: Result<Request, _> = serde_json::from_str(json);
        request.unwrap_err().to_string()
    }

    fn hash(text: Option<&str>) -> Source {
        Source::PersistedQuery {
            hash: "ab".to_owned(),
            text: text.map(str::to_owned),
        }
    }

    fn id(text: Option<&str>) -> Source {
        Source::Id {
            id: "i".to_owned(),
            text: text.map(str::to_owned),
        }
    }

    #[test]
    fn a_document_is_meant_by_its_text_a_hash_or_an_id() {
        let text = |text: &str| Source::Text(text.to_owned());
        assert_eq!(source(r#"{"query":"{a}"}"#), text("{a}"));
        assert_eq!(source(r#"{"query":""}"#), text(""));
        let others = r#"{"query":"{a}","documentId":null,"extensions":{"operationId":"x"},"id":7}"#;
        assert_eq!(source(others), text("{a}"));
        for nothing in ["", r#""query":null,"#, r#""query":"","#] {
            let persisted = format!(r#"{{{nothing}"extensions":{HASH}}}"#);
            assert_eq!(source(&persisted), hash(None));
            let named = format!(r#"{{{nothing}"documentId":"i","extensions":{HASH}}}"#);
            assert_eq!(source(&named), id(None));
        }
        let both = format!(r#"{{"query":"{{a}}","extensions":{HASH}}}"#);
        assert_eq!(source(&both), hash(Some("{a}")));
        assert_eq!(
            source(r#"{"query":"{a}","documentId":"i"}"#),
            id(Some("{a}"))
        );
        for version in ["2", r#""1""#, "1.5", "null"] {
            let other = HASH.replace('1', version);
            let other = format!(r#"{{"extensions":{other}}}"#);
            assert_eq!(source(&other), Source::OtherVersion);
        }
        let list = r#"{"query":"{a}","extensions":{"persistedQuery":[1,"ab"]}}"#;
        assert_eq!(source(list), Source::OtherVersion);
        let without = Source::PersistedQuery {
            hash: String::new(),
            text: None,
        };
        let hashless = r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":7}}}"#;
        assert_eq!(source(hashless), without);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for nothing in [
            "{}",
            r#"{"query":null,"extensions":{"persistedQuery":null}}"#,
        ] {
            let said = refusal(nothing);
            assert!(said.starts_with("it has neither `query` nor"), "{said}");
        }
        for json in [
            r#"{"query":7}"#,
            r#"{"query":"{a}","variables":[]}"#,
            r#"{"query":"{a}","variables":"{}"}"#,
            r#"{"query":"{a}","operationName":7}"#,
            r#"{"query":"{a}","extensions":[]}"#,
            r#"{"query":"{a}","extensions":"{}"}"#,
            r#"{"query":"{a}","query":"{b}"}"#,
            r#"{"documentId":7}"#,
        ] {
            refusal(json);
        }
    }

    #[test]
    fn the_query_of_a_url_says_the_same_in_its_way() {
        let of = |query: &str| Request::of_query(query).map_err(|error| error.to_string());
        let request = of("query=%7Ba%7D&operationName=&variables=%7B%22n%22:1%7D&other=1").unwrap();
        assert_eq!(request.source, Source::Text("{a}".to_owned()));
        assert_eq!(request.operation_name, None);
        assert_eq!(json!(request.variables), json!({"n": 1}));
        let persisted = of(&format!("extensions={HASH}&operationName=A&variables=null")).unwrap();
        assert_eq!(persisted.source, hash(None));
        assert_eq!(persisted.operation_name.as_deref(), Some("A"));
        assert_eq!(of("documentId=i").unwrap().source, id(None));
        for (query, why) in [
            ("", "it has neither"),
            ("query={a}&query={b}", "`query` is there twice"),
            ("query={a}&variables=[]", "`variables` is not a JSON object"),
            ("query={a}&variables=", "`variables` is not a JSON object"),
            (
                "query={a}&extensions=7",
                "`extensions` is not a JSON object",
            ),
        ] {
            let said = of(query).unwrap_err();
            assert!(said.starts_with(why), "{query}: {said}");
        }
    }

    proptest! {
        /// Whatever a request is, a `GET` can say it.
        #[test]
        fn a_request_is_the_same_in_a_body_and_in_a_url(
            query in proptest::option::of(".{0,9}"),
            id in proptest::option::of(".{0,9}"),
            hash in proptest::option::of(".{0,9}"),
            name in proptest::option::of(".{1,9}"),
            variable in ".{0,9}",
        ) {
            let variables = json!({ "v": variable });
            let extensions = hash.map(|hash| json!({"persistedQuery": {"version": 1, "sha256Hash": hash}}));
            let body = json!({
                "query": query, "documentId": id, "operationName": name,
                "variables": variables, "extensions": extensions,
            });
            let mut url = url::form_urlencoded::Serializer::new(String::new());
            url.append_pair("variables", &variables.to_string());
            for (name, value) in [("query", query), ("documentId", id), ("operationName", name)] {
                value.map(|value| url.append_pair(name, &value));
            }
            extensions.map(|extensions| url.append_pair("extensions", &extensions.to_string()));
            let of_body = serde_json::from_value::<Request>(body).map_err(|error| error.to_string());
            let of_query = Request::of_query(&url.finish()).map_err(|error| error.to_string());
            prop_assert_eq!(format!("{of_body:?}"), format!("{of_query:?}"));
        }
    }
}

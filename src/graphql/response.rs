//! Results as they go on the wire.
//!
//! Written here and not by `async-graphql`, for three differences: a request error has no `data`
//! key (GraphQL, section 7.1), `errors` comes before `data` as in the reference implementation, and
//! numbers are printed as JavaScript prints them.

use async_graphql::{PathSegment, Pos, Response, ServerError};
use serde::Serialize;

use super::json;

/// An error of ours, as part of a result or of an `error` message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphqlError {
    pub message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<Location>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Extensions>,
}

/// Where in the document; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Location {
    pub line: usize,
    pub column: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Extensions {
    pub code: String,
}

impl GraphqlError {
    pub fn new(message: impl Into<String>) -> Self {
        GraphqlError {
            message: message.into(),
            locations: Vec::new(),
            path: Vec::new(),
            extensions: None,
        }
    }

    pub fn at(mut self, place: Pos) -> Self {
        self.locations.push(Location {
            line: place.line,
            column: place.column,
        });
        self
    }

    pub fn coded(mut self, code: &str) -> Self {
        self.extensions = Some(Extensions {
            code: code.to_owned(),
        });
        self
    }
}

/// A list of errors as JSON: the payload of an `error` message.
pub fn errors_json(errors: &[GraphqlError]) -> String {
    serde_json::to_string(errors).expect("errors are JSON")
}

/// The result of a request that was not executed: `{"errors":[…]}`.
pub fn refused_json(errors: &[GraphqlError]) -> String {
    format!(r#"{{"errors":{}}}"#, errors_json(errors))
}

/// The result of an execution. Without `data` if nothing was executed.
pub(super) fn result_json(response: &Response, is_executed: bool) -> String {
    let mut told = String::with_capacity(256);
    told.push('{');
    if !response.errors.is_empty() {
        told.push_str(r#""errors":"#);
        write_errors(&mut told, &response.errors);
    }
    if is_executed {
        if told.len() > 1 {
            told.push(',');
        }
        told.push_str(r#""data":"#);
        json::value(&mut told, &response.data);
    }
    told.push('}');
    told
}

/// What validation says, as JSON. So many errors are told, as in the reference implementation.
pub(super) fn invalid_json(errors: &[ServerError]) -> String {
    const ERRORS: usize = 100;
    let mut told = String::new();
    if errors.len() <= ERRORS {
        write_errors(&mut told, errors);
    } else {
        let message = "Too many validation errors, error limit reached. Validation aborted.";
        let mut errors = errors[..ERRORS].to_vec();
        errors.push(ServerError::new(message, None));
        write_errors(&mut told, &errors);
    }
    told
}

fn write_errors(told: &mut String, errors: &[ServerError]) {
    json::list(told, errors, |told, error| {
        told.push_str(r#"{"message":"#);
        json::string(told, &error.message);
        if !error.locations.is_empty() {
            told.push_str(r#","locations":"#);
            json::list(told, &error.locations, |told, place| {
                told.push_str(&format!(
                    r#"{{"line":{},"column":{}}}"#,
                    place.line, place.column
                ));
            });
        }
        if !error.path.is_empty() {
            told.push_str(r#","path":"#);
            json::list(told, &error.path, |told, segment| match segment {
                PathSegment::Field(name) => json::string(told, name),
                PathSegment::Index(index) => json::plain(told, index),
            });
        }
        if let Some(extensions) = &error.extensions {
            told.push_str(r#","extensions":"#);
            told.push_str(&serde_json::to_string(extensions).expect("extensions are JSON"));
        }
        told.push('}');
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::value;

    #[test]
    fn keys_keep_the_order_of_the_selection_and_numbers_are_javascripts() {
        let response = Response::new(
            value!({"b": 1, "a": {"float": 2.0, "big": 4.36e22, "none": null, "list": ["x", true]}}),
        );
        assert_eq!(
            result_json(&response, true),
            r#"{"data":{"b":1,"a":{"float":2,"big":4.36e+22,"none":null,"list":["x",true]}}}"#
        );
    }

    #[test]
    fn errors_come_before_data_and_a_request_error_has_no_data() {
        let error = ServerError::new("no \"such\" field", Some(Pos { line: 2, column: 3 }));
        let response = Response::from_errors(vec![error]);
        assert_eq!(
            result_json(&response, true),
            r#"{"errors":[{"message":"no \"such\" field","locations":[{"line":2,"column":3}]}],"data":null}"#
        );
        assert_eq!(
            result_json(&response, false),
            r#"{"errors":[{"message":"no \"such\" field","locations":[{"line":2,"column":3}]}]}"#
        );
    }

    #[test]
    fn our_errors_are_written_in_the_same_order() {
        let error = GraphqlError::new("no")
            .at(Pos { line: 1, column: 2 })
            .coded("NOT_AUTHENTICATED");
        assert_eq!(
            refused_json(&[error]),
            r#"{"errors":[{"message":"no","locations":[{"line":1,"column":2}],"extensions":{"code":"NOT_AUTHENTICATED"}}]}"#
        );
    }
}

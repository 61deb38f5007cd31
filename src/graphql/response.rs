//! Results as they go on the wire.
//!
//! Written here and not by `async-graphql`, for three differences: a request error has no `data`
//! key (GraphQL, section 7.1), `errors` comes before `data` as in the reference implementation, and
//! numbers are printed as JavaScript prints them.

use async_graphql::{PathSegment, Pos, Response, ServerError, Value};
use serde::Serialize;

use crate::price::js_number;

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
    let mut json = String::with_capacity(256);
    json.push('{');
    if !response.errors.is_empty() {
        json.push_str(r#""errors":"#);
        write_errors(&mut json, &response.errors);
    }
    if is_executed {
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(r#""data":"#);
        write_value(&mut json, &response.data);
    }
    json.push('}');
    json
}

/// What validation says, as JSON. So many errors are told, as in the reference implementation.
pub(super) fn invalid_json(errors: &[ServerError]) -> String {
    const ERRORS: usize = 100;
    let mut json = String::new();
    if errors.len() <= ERRORS {
        write_errors(&mut json, errors);
    } else {
        let message = "Too many validation errors, error limit reached. Validation aborted.";
        let mut errors = errors[..ERRORS].to_vec();
        errors.push(ServerError::new(message, None));
        write_errors(&mut json, &errors);
    }
    json
}

fn write_errors(json: &mut String, errors: &[ServerError]) {
    write_list(json, errors, |json, error| {
        json.push_str(r#"{"message":"#);
        write_string(json, &error.message);
        if !error.locations.is_empty() {
            json.push_str(r#","locations":"#);
            write_list(json, &error.locations, |json, place| {
                json.push_str(&format!(
                    r#"{{"line":{},"column":{}}}"#,
                    place.line, place.column
                ));
            });
        }
        if !error.path.is_empty() {
            json.push_str(r#","path":"#);
            write_list(json, &error.path, |json, segment| match segment {
                PathSegment::Field(name) => write_string(json, name),
                PathSegment::Index(index) => json.push_str(&index.to_string()),
            });
        }
        if let Some(extensions) = &error.extensions {
            json.push_str(r#","extensions":"#);
            json.push_str(&serde_json::to_string(extensions).expect("extensions are JSON"));
        }
        json.push('}');
    });
}

fn write_value(json: &mut String, value: &Value) {
    match value {
        Value::Null | Value::Binary(_) => json.push_str("null"),
        Value::Boolean(value) => json.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(integer), _, _) => json.push_str(&integer.to_string()),
            (_, Some(integer), _) => json.push_str(&integer.to_string()),
            (_, _, number) => json.push_str(&js_number(number.unwrap_or_default())),
        },
        Value::String(text) => write_string(json, text),
        Value::Enum(name) => write_string(json, name),
        Value::List(items) => write_list(json, items, write_value),
        Value::Object(fields) => {
            json.push('{');
            for (at, (name, value)) in fields.iter().enumerate() {
                if at > 0 {
                    json.push(',');
                }
                write_string(json, name);
                json.push(':');
                write_value(json, value);
            }
            json.push('}');
        }
    }
}

fn write_list<T>(json: &mut String, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    json.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        write(json, item);
    }
    json.push(']');
}

fn write_string(json: &mut String, text: &str) {
    json.push_str(&serde_json::to_string(text).expect("a string is JSON"));
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

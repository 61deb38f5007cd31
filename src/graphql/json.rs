//! JSON, written at the end of a text that grows: results look alike whoever writes them.

use std::fmt::{Display, Write};

use async_graphql::resolver_utils::EnumType;
use async_graphql::{ScalarType, Value};

/// A value. Numbers are printed as JavaScript prints them.
pub(super) fn value(json: &mut String, value: &Value) {
    match value {
        Value::Null | Value::Binary(_) => json.push_str("null"),
        Value::Boolean(value) => json.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(integer), _, _) => plain(json, integer),
            (_, Some(integer), _) => plain(json, integer),
            (_, _, number) => {
                json.push_str(ryu_js::Buffer::new().format(number.unwrap_or_default()));
            }
        },
        Value::String(text) => string(json, text),
        Value::Enum(name) => string(json, name),
        Value::List(items) => list(json, items, self::value),
        Value::Object(fields) => {
            json.push('{');
            for (at, (name, value)) in fields.iter().enumerate() {
                if at > 0 {
                    json.push(',');
                }
                string(json, name);
                json.push(':');
                self::value(json, value);
            }
            json.push('}');
        }
    }
}

/// A scalar, as its type tells it.
pub(super) fn scalar(json: &mut String, scalar: &impl ScalarType) {
    value(json, &scalar.to_value());
}

/// A list.
pub(super) fn list<T>(
    json: &mut String,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    json.push('[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        write(json, item);
    }
    json.push(']');
}

/// A text, with the escapes that serde_json makes: what is copied in one piece is as long as can be.
pub(super) fn string(json: &mut String, text: &str) {
    json.push('"');
    let mut rest = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0..0x20 => "",
            _ => continue,
        };
        // All of these are ASCII, so both ends are between characters.
        json.push_str(&text[rest..at]);
        rest = at + 1;
        if escape.is_empty() {
            let _ = write!(json, "\\u{byte:04x}");
        } else {
            json.push_str(escape);
        }
    }
    json.push_str(&text[rest..]);
    json.push('"');
}

/// A text or null.
pub(super) fn optional(json: &mut String, text: Option<&str>) {
    match text {
        Some(text) => string(json, text),
        None => json.push_str("null"),
    }
}

/// An integer, as it prints.
pub(super) fn plain(json: &mut String, integer: impl Display) {
    // Writing to a string does not fail.
    let _ = write!(json, "{integer}");
}

/// The text of an id, which holds nothing that is escaped.
pub(super) fn id(json: &mut String, id: impl Display) {
    let _ = write!(json, "\"{id}\"");
}

/// The word for a value of an enum.
pub(super) fn word<E: EnumType>(json: &mut String, value: E) {
    let item = E::items().iter().find(|item| item.value == value);
    optional(json, item.map(|item| item.name));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_is_written_as_by_serde_json(text in "([\u{0}-\u{7f}]|.){0,40}") {
            let mut json = String::new();
            string(&mut json, &text);
            prop_assert_eq!(json, serde_json::to_string(&text).unwrap());
        }
    }
}

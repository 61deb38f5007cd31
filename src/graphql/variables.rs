//! Values of variables: completed with defaults, or refused in the reference implementation's words.
//!
//! GraphQL, section 6.1.2. Done here because a wrong variable and an invalid document are answered
//! differently: a result with errors that completes, and an `error` message. Custom scalars are
//! checked where they are used.

use std::borrow::Cow;
use std::collections::HashMap;

use async_graphql::parser::types::{
    BaseType, ServiceDocument, Type, TypeKind, TypeSystemDefinition, VariableDefinition,
};
use async_graphql::{Name, Positioned, Value, Variables};

use super::response::GraphqlError;

/// The input types of a schema.
pub(super) struct InputTypes {
    by_name: HashMap<String, InputType>,
    /// What a place of this type is when nothing is said there. Of one type, all places that have a
    /// default have the same one.
    defaults: HashMap<String, Value>,
}

enum InputType {
    Enum(Vec<String>),
    Object(Vec<InputField>),
}

struct InputField {
    name: String,
    ty: Type,
    has_default: bool,
}

/// As many as the reference implementation tells of.
const ERRORS: usize = 50;
const TOO_MANY_ERRORS: &str =
    "Too many errors processing variables, error limit reached. Execution aborted.";

/// Of what a client wrote, so many characters are told back.
const ECHOED: usize = 200;

impl InputTypes {
    /// Reads them from a schema's SDL.
    pub(super) fn of_sdl(sdl: &str) -> Self {
        let document: ServiceDocument =
            async_graphql::parser::parse_schema(sdl).expect("the schema prints SDL");
        let defaults = defaults(&document);
        let types = document.definitions.into_iter().filter_map(|definition| {
            let TypeSystemDefinition::Type(definition) = definition else {
                return None;
            };
            let input = match definition.node.kind {
                TypeKind::Enum(kind) => InputType::Enum(
                    kind.values
                        .into_iter()
                        .map(|value| value.node.value.node.to_string())
                        .collect(),
                ),
                TypeKind::InputObject(kind) => InputType::Object(
                    kind.fields
                        .into_iter()
                        .map(|field| InputField {
                            name: field.node.name.node.to_string(),
                            ty: field.node.ty.node,
                            has_default: field.node.default_value.is_some(),
                        })
                        .collect(),
                ),
                _ => return None,
            };
            Some((definition.node.name.node.to_string(), input))
        });
        InputTypes {
            by_name: types.collect(),
            defaults,
        }
    }

    /// The values of an operation's variables, with defaults; or what is wrong with each.
    pub(super) fn coerce(
        &self,
        definitions: &[Positioned<VariableDefinition>],
        given: &Variables,
    ) -> Result<Variables, Vec<GraphqlError>> {
        let mut values = Variables::default();
        let mut errors = Vec::new();
        for definition in definitions {
            if errors.len() > ERRORS {
                break;
            }
            let name = &definition.node.name.node;
            let ty = &definition.node.var_type.node;
            let wrong = |message: String| GraphqlError::new(message).at(definition.pos);
            let default = definition
                .node
                .default_value
                .as_ref()
                .map(|default| &default.node);
            match (given.get(name), default) {
                (None, Some(default)) => {
                    values.insert(name.clone(), default.clone());
                }
                (None, None) if !ty.nullable => {
                    errors.push(wrong(format!(
                        "Variable \"${name}\" of required type \"{ty}\" was not provided."
                    )));
                }
                // As if nothing stood there (GraphQL, sections 3.10 and 6.4.1).
                (None, None) => {
                    if let Some(default) = self.defaults.get(&ty.to_string()) {
                        values.insert(name.clone(), default.clone());
                    }
                }
                (Some(Value::Null), _) if !ty.nullable => {
                    errors.push(wrong(format!(
                        "Variable \"${name}\" of non-null type \"{ty}\" must not be null."
                    )));
                }
                (Some(value), _) => {
                    let mut found = Vec::new();
                    self.check(ty, value, &mut name.to_string(), &mut found);
                    for (path, invalid, reason) in found {
                        let at = if path == name.as_str() {
                            String::new()
                        } else {
                            format!(" at \"{path}\"")
                        };
                        let invalid = inspect(&invalid);
                        errors.push(wrong(format!(
                            "Variable \"${name}\" got invalid value {invalid}{at}; {reason}"
                        )));
                    }
                    values.insert(name.clone(), value.clone());
                }
            }
        }
        if errors.is_empty() {
            return Ok(values);
        }
        if errors.len() > ERRORS {
            errors.truncate(ERRORS);
            errors.push(GraphqlError::new(TOO_MANY_ERRORS));
        }
        Err(errors)
    }

    /// Whether a value is one of a type that is written as in a document: `PriceInput!`.
    pub(super) fn accept(&self, ty: &str, value: &Value) -> bool {
        let mut wrong = Vec::new();
        let ty = Type::new(ty);
        if let Some(ty) = &ty {
            self.check(ty, value, &mut String::new(), &mut wrong);
        }
        ty.is_some() && wrong.is_empty()
    }

    fn check(
        &self,
        ty: &Type,
        value: &Value,
        path: &mut String,
        found: &mut Vec<(String, Value, String)>,
    ) {
        if let Value::Null = value {
            if !ty.nullable {
                let reason = format!("Expected non-nullable type \"{ty}\" not to be null.");
                found.push((path.clone(), value.clone(), reason));
            }
            return;
        }
        match &ty.base {
            BaseType::List(item) => match value {
                Value::List(items) => {
                    for (at, value) in items.iter().enumerate() {
                        within(path, &format!("[{at}]"), |path| {
                            self.check(item, value, path, found)
                        });
                    }
                }
                // A single value stands for a list of one.
                value => self.check(item, value, path, found),
            },
            BaseType::Named(name) => self.check_named(name, value, path, found),
        }
    }

    fn check_named(
        &self,
        name: &Name,
        value: &Value,
        path: &mut String,
        found: &mut Vec<(String, Value, String)>,
    ) {
        let mut wrong = |reason: String| found.push((path.clone(), value.clone(), reason));
        match (self.by_name.get(name.as_str()), value) {
            (Some(InputType::Enum(values)), Value::String(text)) if !values.contains(text) => {
                let text = shortened(text);
                wrong(format!(
                    "Value \"{text}\" does not exist in \"{name}\" enum."
                ));
            }
            (Some(InputType::Enum(_)), Value::String(_) | Value::Enum(_)) => {}
            (Some(InputType::Enum(_)), other) => {
                wrong(format!(
                    "Enum \"{name}\" cannot represent non-string value: {}.",
                    inspect(other)
                ));
            }
            (Some(InputType::Object(fields)), Value::Object(given)) => {
                for field in fields {
                    match given.get(field.name.as_str()) {
                        Some(value) => {
                            within(path, &format!(".{}", field.name), |path| {
                                self.check(&field.ty, value, path, found)
                            });
                        }
                        None if !field.ty.nullable && !field.has_default => {
                            let reason = format!(
                                "Field \"{}\" of required type \"{}\" was not provided.",
                                field.name, field.ty
                            );
                            found.push((path.clone(), value.clone(), reason));
                        }
                        None => {}
                    }
                }
                for unknown in given
                    .keys()
                    .filter(|key| !fields.iter().any(|field| field.name == key.as_str()))
                {
                    if found.len() > ERRORS {
                        return;
                    }
                    let unknown = shortened(unknown);
                    let reason = format!("Field \"{unknown}\" is not defined by type \"{name}\".");
                    found.push((path.clone(), value.clone(), reason));
                }
            }
            (Some(InputType::Object(_)), _) => {
                wrong(format!("Expected type \"{name}\" to be an object."))
            }
            (None, value) => {
                if let Some(reason) = wrong_builtin(name, value) {
                    wrong(reason);
                }
            }
        }
    }
}

/// The defaults of arguments and of fields of input objects that may be null, by type.
fn defaults(document: &ServiceDocument) -> HashMap<String, Value> {
    let mut defaults = HashMap::new();
    for definition in &document.definitions {
        let TypeSystemDefinition::Type(definition) = definition else {
            continue;
        };
        let places: Vec<_> = match &definition.node.kind {
            TypeKind::InputObject(kind) => kind.fields.iter().collect(),
            TypeKind::Object(kind) => kind
                .fields
                .iter()
                .flat_map(|field| &field.node.arguments)
                .collect(),
            _ => continue,
        };
        for place in places {
            if let Some(default) = &place.node.default_value {
                let ty = place.node.ty.node.to_string();
                let other = defaults.insert(ty, default.node.clone());
                debug_assert!(other.is_none_or(|other| other == default.node));
            }
        }
    }
    defaults
}

/// What the reference implementation says of a value that a built-in scalar cannot represent.
fn wrong_builtin(name: &Name, value: &Value) -> Option<String> {
    let value_text = inspect(value);
    match (name.as_str(), value) {
        ("Boolean", Value::Boolean(_))
        | ("String", Value::String(_))
        | ("ID", Value::String(_)) => None,
        ("ID", Value::Number(number)) if number.is_i64() || number.is_u64() => None,
        ("Int", Value::Number(number))
            if number
                .as_i64()
                .is_some_and(|int| i32::try_from(int).is_ok()) =>
        {
            None
        }
        ("Float", Value::Number(_)) => None,
        ("Boolean", _) => Some(format!(
            "Boolean cannot represent a non boolean value: {value_text}"
        )),
        ("String", _) => Some(format!(
            "String cannot represent a non string value: {value_text}"
        )),
        ("ID", _) => Some(format!("ID cannot represent value: {value_text}")),
        ("Int", _) => Some(format!(
            "Int cannot represent non-integer value: {value_text}"
        )),
        ("Float", _) => Some(format!(
            "Float cannot represent non numeric value: {value_text}"
        )),
        _ => None,
    }
}

fn within(path: &mut String, segment: &str, check: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push_str(segment);
    check(path);
    path.truncate(length);
}

/// A value as the reference implementation shows it: `{ currency: "USD" }`.
fn inspect(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    let text = match value {
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| format!("{name}: {}", inspect(value)));
            format!("{{ {} }}", list(fields.collect()))
        }
        Value::List(items) => format!("[{}]", list(items.iter().map(inspect).collect())),
        value => value.to_string(),
    };
    shortened(&text).into_owned()
}

/// A client's own words are not echoed at length.
fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(ECHOED) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;

    const SDL: &str = r#"
        enum Unit { BTCSAT USDCENT }
        input PriceInput { amount: SatAmount! unit: Unit! currency: DisplayCurrency = "USD" }
        scalar SatAmount
        scalar DisplayCurrency
        type Query { price(input: PriceInput!): Int }
    "#;

    fn coerce(query: &str, variables: serde_json::Value) -> Result<Variables, Vec<String>> {
        let document = parse_query(query).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        InputTypes::of_sdl(SDL)
            .coerce(
                &operation.node.variable_definitions,
                &Variables::from_json(variables),
            )
            .map_err(|errors| errors.into_iter().map(|error| error.message).collect())
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_the_reference_implementation() {
        let query = "query($input: PriceInput!) { price(input: $input) }";
        let said = |variables| coerce(query, variables).unwrap_err().join("\n");
        use serde_json::json;
        insta::assert_snapshot!(said(json!({})), @r#"Variable "$input" of required type "PriceInput!" was not provided."#);
        insta::assert_snapshot!(said(json!({"input": null})), @r#"Variable "$input" of non-null type "PriceInput!" must not be null."#);
        insta::assert_snapshot!(said(json!({"input": 5})), @r#"Variable "$input" got invalid value 5; Expected type "PriceInput" to be an object."#);
        insta::assert_snapshot!(said(json!({"input": {"amount": 1, "unit": "EUR"}})), @r#"Variable "$input" got invalid value "EUR" at "input.unit"; Value "EUR" does not exist in "Unit" enum."#);
        insta::assert_snapshot!(said(json!({"input": {"unit": "BTCSAT", "more": 1}})), @r#"
        Variable "$input" got invalid value { more: 1, unit: "BTCSAT" }; Field "amount" of required type "SatAmount!" was not provided.
        Variable "$input" got invalid value { more: 1, unit: "BTCSAT" }; Field "more" is not defined by type "PriceInput".
        "#);
    }

    #[test]
    fn defaults_fill_what_was_not_given() {
        let values = coerce(
            "query($a: Int = 3, $b: Int, $c: Int = 1) { price }",
            serde_json::json!({"c": 2}),
        )
        .unwrap();
        assert_eq!(values.get("a").unwrap().to_string(), "3");
        assert_eq!(values.get("c").unwrap().to_string(), "2");
        assert!(values.get("b").is_none());
    }

    #[test]
    fn a_variable_that_is_not_given_leaves_its_place_to_the_default_there() {
        let query = "query($currency: DisplayCurrency, $amount: SatAmount) { price }";
        let values = coerce(query, serde_json::json!({})).unwrap();
        assert_eq!(values.get("currency").unwrap().to_string(), "\"USD\"");
        assert!(values.get("amount").is_none());
        let values = coerce(query, serde_json::json!({"currency": null})).unwrap();
        assert_eq!(values.get("currency"), Some(&Value::Null));
    }

    #[test]
    fn custom_scalars_are_left_to_who_uses_them() {
        let query = "query($input: PriceInput!) { price(input: $input) }";
        let input = serde_json::json!({"input": {"amount": "nonsense", "unit": "USDCENT", "currency": null}});
        assert!(coerce(query, input).is_ok());
    }
}

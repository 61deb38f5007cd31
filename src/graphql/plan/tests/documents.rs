//! Documents at random, over all of the schema that subscriptions reach.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::parser::types::{
    BaseType, FieldDefinition, InputValueDefinition, Type, TypeKind, TypeSystemDefinition,
};
use serde_json::{Map, Value, json};

/// What is chosen at random. Where it is at its end it is the first of everything, so that proptest
/// finds simple documents when it shortens it.
pub(super) struct Choices<'a>(std::slice::Iter<'a, u16>);

impl<'a> Choices<'a> {
    pub(super) fn new(numbers: &'a [u16]) -> Self {
        Choices(numbers.iter())
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or_default()) % limit
    }

    pub(super) fn of<'b, T>(&mut self, items: &'b [T]) -> &'b T {
        &items[self.below(items.len())]
    }

    /// Once in so many times.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub(super) fn bits(&mut self) -> u64 {
        (0..4).fold(0, |bits, _| bits << 16 | self.below(1 << 16) as u64)
    }
}

/// The types of a schema that documents are made of.
pub(super) struct Types(BTreeMap<String, TypeKind>);

/// A request that was made up.
#[derive(Debug)]
pub(super) struct Written {
    pub query: String,
    pub variables: Value,
    pub root: String,
}

impl Types {
    pub(super) fn of_sdl(sdl: &str) -> Self {
        let document = async_graphql::parser::parse_schema(sdl).unwrap();
        let types = document
            .definitions
            .into_iter()
            .filter_map(|definition| match definition {
                TypeSystemDefinition::Type(definition) => {
                    let definition = definition.node;
                    Some((definition.name.node.to_string(), definition.kind))
                }
                _ => None,
            });
        Types(types.collect())
    }

    /// The fields of an object or an interface; none for a union.
    pub(super) fn fields(&self, name: &str) -> Vec<&FieldDefinition> {
        match self.0.get(name) {
            Some(TypeKind::Object(object)) => {
                object.fields.iter().map(|field| &field.node).collect()
            }
            Some(TypeKind::Interface(kind)) => {
                kind.fields.iter().map(|field| &field.node).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The objects that something of a type can be; none for a leaf.
    pub(super) fn possible(&self, name: &str) -> BTreeSet<String> {
        match self.0.get(name) {
            Some(TypeKind::Object(_)) => [name.to_owned()].into(),
            Some(TypeKind::Union(union)) => union
                .members
                .iter()
                .map(|member| member.node.to_string())
                .collect(),
            Some(TypeKind::Interface(_)) => {
                let implement = self.0.iter().filter(|(_, kind)| match kind {
                    TypeKind::Object(object) => object.implements.iter().any(|i| i.node == name),
                    _ => false,
                });
                implement.map(|(object, _)| object.clone()).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// What a fragment inside of a type may be on.
    fn conditions(&self, name: &str) -> Vec<&str> {
        let possible = self.possible(name);
        let overlap = |other: &&String| !self.possible(other).is_disjoint(&possible);
        self.0.keys().filter(overlap).map(String::as_str).collect()
    }

    /// A literal of an input type that is right.
    pub(super) fn right(&self, ty: &Type) -> String {
        Writing::new(self, &mut Choices::new(&[])).literal(ty)
    }

    /// A subscription.
    pub(super) fn subscription(&self, choices: &mut Choices<'_>) -> Written {
        let roots = self.fields("Subscription");
        // That one has most below it.
        let root = match choices.once_in(2) {
            false => *roots
                .iter()
                .find(|field| field.name.node == "myUpdates")
                .unwrap(),
            true => *choices.of(&roots),
        };
        let mut writing = Writing::new(self, choices);
        let mut body = writing.field(root, 0);
        match writing.choices.below(12) {
            10 => body = format!("... on Subscription {{ {body} }}"),
            11 => {
                writing
                    .fragments
                    .push(("Root".into(), "Subscription".into(), body));
                body = "...Root".to_owned();
            }
            _ => {}
        }
        let Writing {
            fragments,
            definitions,
            variables,
            ..
        } = writing;
        let head = match definitions.is_empty() {
            true => "subscription Told".to_owned(),
            false => format!("subscription Told({})", definitions.join(", ")),
        };
        let fragments: String = fragments
            .iter()
            .map(|(name, on, body)| format!("\nfragment {name} on {on} {{ {body} }}"))
            .collect();
        Written {
            query: format!("{head} {{ {body} }}{fragments}"),
            variables: Value::Object(variables),
            root: root.name.node.to_string(),
        }
    }
}

/// The name of a type without lists and without whether it may be null.
pub(super) fn named(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => named(item),
    }
}

struct Writing<'a, 'b> {
    types: &'a Types,
    choices: &'a mut Choices<'b>,
    fragments: Vec<(String, String, String)>,
    definitions: Vec<String>,
    variables: Map<String, Value>,
}

const DEPTH: usize = 7;

impl<'a, 'b> Writing<'a, 'b> {
    fn new(types: &'a Types, choices: &'a mut Choices<'b>) -> Self {
        Writing {
            types,
            choices,
            fragments: Vec::new(),
            definitions: Vec::new(),
            variables: Map::new(),
        }
    }

    fn selections(&mut self, on: &str, depth: usize) -> String {
        let fields = self.types.fields(on);
        let mut written = Vec::new();
        for _ in 0..1 + self.choices.below(4) {
            let inner = depth < DEPTH;
            written.push(match self.choices.below(10) {
                0 | 1 => format!("{}__typename{}", self.alias("t"), self.directive()),
                2..=6 if !fields.is_empty() => {
                    let leaves: Vec<_> = fields
                        .iter()
                        .filter(|field| {
                            inner || self.types.possible(named(&field.ty.node)).is_empty()
                        })
                        .collect();
                    match leaves.is_empty() {
                        true => "__typename".to_owned(),
                        false => {
                            let field = *self.choices.of(&leaves);
                            self.field(field, depth + 1)
                        }
                    }
                }
                7 if inner => self.spread(on, depth),
                8 if inner => {
                    let directive = self.directive();
                    format!("...{directive} {{ {} }}", self.selections(on, depth + 1))
                }
                _ if inner => {
                    let conditions = self.types.conditions(on);
                    let condition = *self.choices.of(&conditions);
                    let directive = self.directive();
                    let body = self.selections(condition, depth + 1);
                    format!("... on {condition}{directive} {{ {body} }}")
                }
                _ => "__typename".to_owned(),
            });
        }
        written.join(" ")
    }

    fn spread(&mut self, on: &str, depth: usize) -> String {
        let conditions = self.types.conditions(on);
        let known: Vec<_> = self
            .fragments
            .iter()
            .filter(|(_, condition, _)| conditions.contains(&condition.as_str()))
            .map(|(name, ..)| name.clone())
            .collect();
        let name = match known.is_empty() || self.choices.once_in(2) {
            false => self.choices.of(&known).clone(),
            true => {
                let condition = self.choices.of(&conditions).to_string();
                let body = self.selections(&condition, depth + 1);
                let name = format!("F{}", self.fragments.len());
                self.fragments.push((name.clone(), condition, body));
                name
            }
        };
        format!("...{name}{}", self.directive())
    }

    fn field(&mut self, field: &FieldDefinition, depth: usize) -> String {
        let name = field.name.node.as_str();
        let arguments =
            self.arguments(&field.arguments.iter().map(|a| &a.node).collect::<Vec<_>>());
        // What has the same name in the result must be the same, so the alias tells the arguments.
        let alias = match arguments.as_str() {
            "" => self.alias(name),
            arguments => {
                let told = arguments.bytes().map(u32::from).sum::<u32>();
                format!("{name}_{told}: ")
            }
        };
        let directive = match depth {
            0 => String::new(),
            _ => self.directive(),
        };
        let ty = named(&field.ty.node);
        let below = match self.types.possible(ty).is_empty() {
            true => String::new(),
            false => format!(" {{ {} }}", self.selections(ty, depth)),
        };
        format!("{alias}{name}{arguments}{directive}{below}")
    }

    fn alias(&mut self, name: &str) -> String {
        match self.choices.below(24) {
            18..=21 => format!("x_{name}: "),
            // May be two fields at once: then validation, or the compiler, says no.
            22 => "x: ".to_owned(),
            _ => String::new(),
        }
    }

    fn directive(&mut self) -> String {
        let directive = match self.choices.below(16) {
            12 | 13 => "include",
            14 => "skip",
            _ => return String::new(),
        };
        let wanted = directive == "include";
        let value = match self.choices.once_in(4) {
            true => !wanted,
            false => wanted,
        };
        let value = match self.choices.once_in(2) {
            true => self.variable("Boolean!", json!(value)),
            false => value.to_string(),
        };
        format!(" @{directive}(if: {value})")
    }

    fn variable(&mut self, ty: &str, value: Value) -> String {
        let name = format!("v{}", self.definitions.len());
        self.definitions.push(format!("${name}: {ty}"));
        self.variables.insert(name.clone(), value);
        format!("${name}")
    }

    fn arguments(&mut self, arguments: &[&InputValueDefinition]) -> String {
        let mut written = Vec::new();
        for argument in arguments {
            let value = self.input(&argument.ty.node);
            written.push(format!("{}: {value}", argument.name.node));
        }
        match written.is_empty() {
            true => String::new(),
            false => format!("({})", written.join(", ")),
        }
    }

    /// A value in the document, or in a variable; of an input object also a part of it.
    fn input(&mut self, ty: &Type) -> String {
        let literal = self.literal(ty);
        match self.choices.once_in(3) && !literal.contains('$') {
            true => {
                let value = as_json(&literal);
                self.variable(&ty.to_string(), value)
            }
            false => literal,
        }
    }

    fn literal(&mut self, ty: &Type) -> String {
        let name = named(ty);
        if self.choices.once_in(24) {
            return "null".to_owned();
        }
        match self.types.0.get(name) {
            Some(TypeKind::InputObject(object)) => {
                let mut written = Vec::new();
                for field in &object.fields {
                    let field = &field.node;
                    if !(field.ty.node.nullable && self.choices.once_in(3)) {
                        let value = self.input(&field.ty.node);
                        written.push(format!("{}: {value}", field.name.node));
                    }
                }
                format!("{{ {} }}", written.join(", "))
            }
            Some(TypeKind::Enum(kind)) => {
                let last = kind.values.len() - 1;
                let value = match name {
                    // The one pair of units that has a price.
                    "ExchangeCurrencyUnit" if !self.choices.once_in(8) => 0,
                    _ => self.choices.below(last + 1),
                };
                kind.values[value].node.value.node.to_string()
            }
            _ => self.choices.of(scalar(name)).to_string(),
        }
    }
}

/// Spellings of a scalar: right ones first, then some that are wrong in each way.
fn scalar(name: &str) -> &'static [&'static str] {
    match name {
        "SatAmount" => &["1", "100", "999999", "1000000", "-1", "1.5", r#""7""#],
        "DisplayCurrency" => &[r#""USD""#, r#""eur""#, r#""JPY""#, r#""€€€""#, "7"],
        "LnPaymentRequest" => &[r#""lnbc1x""#, r#""LNBCRT1Y""#, r#""no invoice""#],
        "PaymentHash" => &[
            r#""bfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbf""#,
            r#""ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB""#,
            r#""bf""#,
        ],
        "WalletId" => &[
            r#""00000000-0000-4000-8000-00000000000b""#,
            r#""00000000-0000-4000-8000-00000000000d""#,
            r#""00000000-0000-4000-8000-0000000000ff""#,
            r#""savings""#,
        ],
        other => panic!("no spellings of {other} are known"),
    }
}

/// A literal of the few kinds that are written here, as JSON.
fn as_json(literal: &str) -> Value {
    let document = format!("{{ a(b: {literal}) }}");
    let document = async_graphql::parser::parse_query(document).unwrap();
    let (_, operation) = document.operations.iter().next().unwrap();
    let selection = &operation.node.selection_set.node.items[0].node;
    let async_graphql::parser::types::Selection::Field(field) = selection else {
        panic!("a field was written")
    };
    let value = field.node.get_argument("b").unwrap().node.clone();
    value.into_const().unwrap().into_json().unwrap()
}

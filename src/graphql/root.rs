//! The root of a subscription, laid flat.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;

use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition,
    OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Name, Pos, Positioned, Value, Variables};

use super::response::GraphqlError;

/// A subscription with its fragments at the root laid flat.
pub(super) struct Subscription {
    /// What is executed: this one operation, whose root is one plain field.
    pub document: ExecutableDocument,
    /// The root field, as selected.
    pub root: Field,
    /// Whether the field stands in the document as it is selected here: it was not put together of
    /// several, and carries no directives of fragments around it. What is said of the whole document
    /// by validation is true of such a field.
    pub is_plain: bool,
}

/// Lays the root of a subscription flat and finds its one field.
///
/// GraphQL, section 5.2.3: a subscription has exactly one root field, and it is not introspective.
/// Fragments at the root are laid flat because `async-graphql` delivers nothing for them; what
/// cannot be laid flat (an unknown fragment, a cycle, another type) stays, for validation to report.
pub(super) fn subscription(
    whole: &ExecutableDocument,
    name: Option<&Name>,
    operation: &Positioned<OperationDefinition>,
    variables: &Variables,
) -> Result<Subscription, GraphqlError> {
    let mut flat = Flattening {
        document: whole,
        variables,
        fields: Vec::new(),
        rest: Vec::new(),
        inside: HashSet::new(),
        laid: HashSet::new(),
        is_plain: true,
    };
    flat.lay(&operation.node.selection_set.node, &[]);
    let Flattening {
        fields,
        rest,
        is_plain,
        ..
    } = flat;
    let is_plain = is_plain && rest.is_empty();
    if rest.is_empty() {
        check_root(name, operation.pos, &fields)?;
    }
    let root = fields
        .first()
        .map(|field| field.node.clone())
        .unwrap_or_else(no_field);
    let mut laid = operation.clone();
    let fields = fields
        .into_iter()
        .map(|field| Positioned::new(Selection::Field(field.clone()), field.pos));
    laid.node.selection_set.node.items = fields.chain(rest).collect();
    let document = alone(whole, name, &operation.node, laid);
    Ok(Subscription {
        document,
        root,
        is_plain,
    })
}

/// One field, and not an introspective one.
fn check_root(
    name: Option<&Name>,
    place: Pos,
    fields: &[Positioned<Field>],
) -> Result<(), GraphqlError> {
    let this = name.map_or("Anonymous Subscription".to_owned(), |name| {
        format!("Subscription \"{name}\"")
    });
    match fields {
        [field] if field.node.name.node.starts_with("__") => {
            let message = format!("{this} must not select an introspection top level field.");
            Err(GraphqlError::new(message).at(field.pos))
        }
        [_] => Ok(()),
        fields => {
            let place = fields.get(1).map_or(place, |field| field.pos);
            let message = format!("{this} must select only one top level field.");
            Err(GraphqlError::new(message).at(place))
        }
    }
}

/// The document of one operation that was laid flat, without what else was in it.
///
/// Fragments and variables that only the root or another operation used are dropped, because
/// validation would call them unused. What nothing used is left for it to report.
fn alone(
    whole: &ExecutableDocument,
    name: Option<&Name>,
    before: &OperationDefinition,
    mut laid: Positioned<OperationDefinition>,
) -> ExecutableDocument {
    let used = Used::by(&laid.node, &whole.fragments);
    let used_before = Used::by(before, &whole.fragments);
    let mut used_by_any = HashSet::new();
    for (_, operation) in whole.operations.iter() {
        used_by_any.extend(Used::by(&operation.node, &whole.fragments).fragments);
    }
    laid.node.variable_definitions.retain(|definition| {
        let name = &definition.node.name.node;
        used.variables.contains(name) || !used_before.variables.contains(name)
    });
    let mut fragments = whole.fragments.clone();
    fragments.retain(|name, _| used.fragments.contains(name) || !used_by_any.contains(name));
    let operations = match name {
        Some(name) => DocumentOperations::Multiple([(name.clone(), laid)].into()),
        None => DocumentOperations::Single(laid),
    };
    ExecutableDocument {
        operations,
        fragments,
    }
}

struct Flattening<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    fields: Vec<Positioned<Field>>,
    /// What validation must report.
    rest: Vec<Positioned<Selection>>,
    /// Fragments that are being laid flat, against cycles.
    inside: HashSet<&'a str>,
    /// Fragments that have been: once is enough (GraphQL, section 6.3.2).
    laid: HashSet<&'a str>,
    is_plain: bool,
}

impl<'a> Flattening<'a> {
    /// `carried`: the directives of the fragments around, which hold for what is in them.
    fn lay(&mut self, selections: &'a SelectionSet, carried: &[Positioned<Directive>]) {
        for selection in &selections.items {
            if self.is_skipped(&selection.node) {
                continue;
            }
            match &selection.node {
                Selection::Field(field) => self.add(field, carried),
                Selection::InlineFragment(fragment) => {
                    let on = fragment
                        .node
                        .type_condition
                        .as_ref()
                        .map(|condition| &condition.node.on.node);
                    if on.is_none_or(|on| on == "Subscription") {
                        let carried = [carried, &fragment.node.directives].concat();
                        self.lay(&fragment.node.selection_set.node, &carried);
                    } else {
                        self.rest.push(selection.clone());
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.as_str();
                    match self.document.fragments.get(name) {
                        Some(_) if self.laid.contains(name) => {}
                        Some(fragment)
                            if is_on_root(&fragment.node) && self.inside.insert(name) =>
                        {
                            let carried = [carried, &spread.node.directives].concat();
                            self.lay(&fragment.node.selection_set.node, &carried);
                            self.inside.remove(name);
                            self.laid.insert(name);
                        }
                        _ => self.rest.push(selection.clone()),
                    }
                }
            }
        }
    }

    /// Two selections of one response name are one field with both their selections.
    fn add(&mut self, field: &Positioned<Field>, carried: &[Positioned<Directive>]) {
        let same = self.fields.iter_mut().find(|other| {
            other.node.response_key().node == field.node.response_key().node
                && other.node.name.node == field.node.name.node
        });
        self.is_plain &= same.is_none() && carried.is_empty();
        match same {
            Some(other) if other.node.arguments == field.node.arguments => {
                let more = field.node.selection_set.node.items.iter().cloned();
                other.node.selection_set.node.items.extend(more);
            }
            _ => {
                let mut field = field.clone();
                field.node.directives.extend_from_slice(carried);
                self.fields.push(field);
            }
        }
    }

    fn is_skipped(&self, selection: &Selection) -> bool {
        selection.directives().iter().any(|directive| {
            let wanted = match directive.node.name.node.as_str() {
                "skip" => false,
                "include" => true,
                _ => return false,
            };
            let condition = directive
                .node
                .get_argument("if")
                .map(|condition| condition.node.clone());
            let condition = condition.and_then(|value| {
                value
                    .into_const_with(|name| self.variables.get(&name).cloned().ok_or(()))
                    .ok()
            });
            matches!(condition, Some(Value::Boolean(condition)) if condition != wanted)
        })
    }
}

fn is_on_root(fragment: &FragmentDefinition) -> bool {
    fragment.type_condition.node.on.node == "Subscription"
}

/// Names of the fragments and variables that an operation uses.
#[derive(Default)]
struct Used {
    fragments: HashSet<Name>,
    variables: HashSet<Name>,
}

type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;

impl Used {
    fn by(operation: &OperationDefinition, fragments: &Fragments) -> Self {
        let mut used = Used::default();
        used.note_directives(&operation.directives);
        used.note(&operation.selection_set.node, fragments);
        used
    }

    fn note(&mut self, selections: &SelectionSet, fragments: &Fragments) {
        for selection in &selections.items {
            self.note_directives(selection.node.directives());
            match &selection.node {
                Selection::Field(field) => {
                    for (_, value) in &field.node.arguments {
                        let _ = value.node.clone().into_const_with(self.variable());
                    }
                    self.note(&field.node.selection_set.node, fragments);
                }
                Selection::InlineFragment(fragment) => {
                    self.note(&fragment.node.selection_set.node, fragments);
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if self.fragments.insert(name.clone())
                        && let Some(fragment) = fragments.get(name)
                    {
                        self.note_directives(&fragment.node.directives);
                        self.note(&fragment.node.selection_set.node, fragments);
                    }
                }
            }
        }
    }

    fn note_directives(&mut self, directives: &[Positioned<Directive>]) {
        for directive in directives {
            for (_, value) in &directive.node.arguments {
                let _ = value.node.clone().into_const_with(self.variable());
            }
        }
    }

    /// Notes each variable of a value that is walked through with this.
    fn variable(&mut self) -> impl FnMut(Name) -> Result<Value, Infallible> {
        |name| {
            self.variables.insert(name);
            Ok(Value::Null)
        }
    }
}

fn no_field() -> Field {
    Field {
        alias: None,
        name: Positioned::new(Name::new(""), Pos::default()),
        arguments: Vec::new(),
        directives: Vec::new(),
        selection_set: Positioned::default(),
    }
}

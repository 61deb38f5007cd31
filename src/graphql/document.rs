//! Documents: parsed once, and the operation that a request means.

use std::collections::HashSet;
use std::sync::Arc;

use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition,
    OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Name, Pos, Positioned, Variables};

use super::response::GraphqlError;

/// Parsed documents by their text. Parsing and validating cost about as much as ten results.
pub(super) struct Documents(moka::sync::Cache<Arc<str>, Arc<Parsed>>);

type Parsed = Result<ExecutableDocument, GraphqlError>;

/// What a document is counted as being long: as much text as this many documents of that length is
/// kept, so that long ones cannot fill the memory.
const USUAL_BYTES: u64 = 2048;

impl Documents {
    /// A cache of about this many documents.
    pub(super) fn new(limit: u64) -> Self {
        let cache = moka::sync::Cache::builder()
            .weigher(|text: &Arc<str>, _| u32::try_from(text.len()).unwrap_or(u32::MAX))
            .max_capacity(limit.saturating_mul(USUAL_BYTES));
        Documents(cache.build())
    }

    /// The parsed document, or its syntax error.
    pub(super) fn parse(&self, text: &str) -> Arc<Parsed> {
        if let Some(parsed) = self.0.get(text) {
            return parsed;
        }
        let parsed = Arc::new(async_graphql::parser::parse_query(text).map_err(|error| {
            let place = error
                .positions()
                .next()
                .unwrap_or(Pos { line: 1, column: 1 });
            GraphqlError::new(format!("Syntax Error: {}", one_line(&error.to_string()))).at(place)
        }));
        self.0.insert(text.into(), parsed.clone());
        parsed
    }
}

/// The parser draws where an error is, over several lines; its last one says what.
fn one_line(message: &str) -> String {
    let said = message
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or(message);
    said.trim().trim_start_matches('=').trim().to_owned()
}

/// The operation that a request means; `None` if it cannot be identified.
pub(super) fn operation<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Option<(Option<&'a Name>, &'a Positioned<OperationDefinition>)> {
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some((None, operation)),
        (DocumentOperations::Single(_), Some(_)) => None,
        (DocumentOperations::Multiple(operations), Some(name)) => operations
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(own, operation)| (Some(own), operation)),
        (DocumentOperations::Multiple(operations), None) => {
            let mut operations = operations.iter();
            let (name, operation) = operations.next()?;
            operations
                .next()
                .is_none()
                .then_some((Some(name), operation))
        }
    }
}

/// A subscription with its fragments at the root laid flat.
pub(super) struct Subscription {
    /// What is executed: this one operation, whose root is one plain field.
    pub document: ExecutableDocument,
    /// The root field, as selected.
    pub root: Field,
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
    };
    flat.lay(&operation.node.selection_set.node, &[]);
    let Flattening { fields, rest, .. } = flat;
    let this = name.map_or("Anonymous Subscription".to_owned(), |name| {
        format!("Subscription \"{name}\"")
    });
    if rest.is_empty() {
        let place = fields.get(1).map_or(operation.pos, |field| field.pos);
        if fields.len() != 1 {
            return Err(
                GraphqlError::new(format!("{this} must select only one top level field."))
                    .at(place),
            );
        }
        if fields[0].node.name.node.starts_with("__") {
            let message = format!("{this} must not select an introspection top level field.");
            return Err(GraphqlError::new(message).at(fields[0].pos));
        }
    }
    let root = fields
        .first()
        .map(|field| field.node.clone())
        .unwrap_or_else(no_field);
    let mut operation = operation.clone();
    let fields = fields
        .into_iter()
        .map(|field| Positioned::new(Selection::Field(field.clone()), field.pos));
    operation.node.selection_set.node.items = fields.chain(rest).collect();
    let fragments = whole.fragments.clone();
    let operations = match name {
        Some(name) => DocumentOperations::Multiple([(name.clone(), operation)].into()),
        None => DocumentOperations::Single(operation),
    };
    let mut document = ExecutableDocument {
        operations,
        fragments,
    };
    let used = used_fragments(&document);
    let used_before = used_fragments(whole);
    // Fragments that only the root or another operation used are dropped, because validation would
    // call them unused. One that nothing used is left for it to report.
    document
        .fragments
        .retain(|name, _| used.contains(name) || !used_before.contains(name));
    Ok(Subscription { document, root })
}

struct Flattening<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    fields: Vec<Positioned<Field>>,
    /// What validation must report.
    rest: Vec<Positioned<Selection>>,
    /// Fragments that are being laid flat, against cycles.
    inside: HashSet<&'a str>,
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
                        Some(fragment)
                            if is_on_root(&fragment.node) && self.inside.insert(name) =>
                        {
                            let carried = [carried, &spread.node.directives].concat();
                            self.lay(&fragment.node.selection_set.node, &carried);
                            self.inside.remove(name);
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
            let condition = directive.node.get_argument("if").map(|condition| condition.node.clone());
            let condition =
                condition.and_then(|value| value.into_const_with(|name| self.variables.get(&name).cloned().ok_or(())).ok());
            matches!(condition, Some(async_graphql::Value::Boolean(condition)) if condition != wanted)
        })
    }
}

fn is_on_root(fragment: &FragmentDefinition) -> bool {
    fragment.type_condition.node.on.node == "Subscription"
}

fn used_fragments(document: &ExecutableDocument) -> HashSet<Name> {
    let mut used = HashSet::new();
    for (_, operation) in document.operations.iter() {
        note_used(
            &document.fragments,
            &operation.node.selection_set.node,
            &mut used,
        );
    }
    used
}

fn note_used(
    fragments: &std::collections::HashMap<Name, Positioned<FragmentDefinition>>,
    selections: &SelectionSet,
    used: &mut HashSet<Name>,
) {
    for selection in &selections.items {
        match &selection.node {
            Selection::Field(field) => note_used(fragments, &field.node.selection_set.node, used),
            Selection::InlineFragment(fragment) => {
                note_used(fragments, &fragment.node.selection_set.node, used)
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                if used.insert(name.clone())
                    && let Some(fragment) = fragments.get(name)
                {
                    note_used(fragments, &fragment.node.selection_set.node, used);
                }
            }
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

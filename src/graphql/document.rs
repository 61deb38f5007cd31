//! Documents: parsed once, and the operation that a request means.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;

use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition,
    OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Name, Pos, Positioned, Value, Variables};

use super::response::GraphqlError;

/// Parsed documents by their text. Parsing and validating cost about as much as ten results.
pub(super) struct Documents {
    parsed: moka::sync::Cache<Arc<str>, Arc<Parsed>>,
    /// Selections of an operation, fragments counted as often as they are spread.
    complexity: usize,
}

type Parsed = Result<ExecutableDocument, GraphqlError>;

/// What a document is counted as being long: as much text as this many documents of that length is
/// kept, so that long ones cannot fill the memory.
const USUAL_BYTES: u64 = 2048;

impl Documents {
    /// A cache of about this many documents, of no more than this complexity each.
    pub(super) fn new(limit: u64, complexity: usize) -> Self {
        let cache = moka::sync::Cache::builder()
            .weigher(|text: &Arc<str>, _| u32::try_from(text.len()).unwrap_or(u32::MAX))
            .max_capacity(limit.saturating_mul(USUAL_BYTES));
        Documents {
            parsed: cache.build(),
            complexity,
        }
    }

    /// The parsed document, or its syntax error.
    pub(super) fn parse(&self, text: &str) -> Arc<Parsed> {
        if let Some(parsed) = self.parsed.get(text) {
            return parsed;
        }
        if nesting(text) > NESTING {
            let error = GraphqlError::new("Syntax Error: The document nests too deeply");
            return Arc::new(Err(error));
        }
        let parsed = async_graphql::parser::parse_query(text).map_err(|error| {
            let place = error
                .positions()
                .next()
                .unwrap_or(Pos { line: 1, column: 1 });
            GraphqlError::new(format!("Syntax Error: {}", one_line(&error.to_string()))).at(place)
        });
        let parsed = Arc::new(parsed.and_then(|document| self.bounded(document)));
        self.parsed.insert(text.into(), parsed.clone());
        parsed
    }

    /// What would keep us busy for longer than a client may is refused before anything else looks at
    /// the document: `async-graphql` walks through a fragment as often as it is spread before it
    /// looks at any limit, and thirty that each spread the next one twice take it hours.
    fn bounded(&self, document: ExecutableDocument) -> Parsed {
        let mut extents = Extents {
            document: &document,
            of_fragments: HashMap::new(),
            inside: 0,
        };
        let fragments = document.fragments.keys();
        let deepest = fragments.map(|name| extents.of_fragment(name).spreads);
        if deepest.max().is_some_and(|spreads| spreads > NESTING) {
            return Err(GraphqlError::new("Query is nested too deep."));
        }
        let operations = document.operations.iter();
        let extent = operations
            .map(|(_, operation)| extents.of(&operation.node.selection_set.node))
            .fold(Extent::default(), Extent::or);
        if extent.lists > INTROSPECTION_LISTS {
            Err(GraphqlError::new("Maximum introspection depth exceeded"))
        } else if extent.selections > self.complexity {
            Err(GraphqlError::new("Query is too complex."))
        } else {
            Ok(document)
        }
    }
}

/// How many lists of the schema may stand inside one another: types have fields and interfaces, and
/// those have types. Each more multiplies the answer; no tool needs more. (graphql-js has this rule,
/// in these words.)
const INTROSPECTION_LISTS: usize = 2;

/// How large selections are, where fragments are replaced by what is in them.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    /// All of them; each fragment counts as often as it is spread.
    selections: usize,
    /// Lists of introspection inside one another.
    lists: usize,
    /// Fragments inside one another.
    spreads: usize,
}

impl Extent {
    fn and(self, other: Extent) -> Extent {
        let selections = self.selections.saturating_add(other.selections);
        Extent {
            selections,
            ..self.or(other)
        }
    }

    fn or(self, other: Extent) -> Extent {
        Extent {
            selections: self.selections.max(other.selections),
            lists: self.lists.max(other.lists),
            spreads: self.spreads.max(other.spreads),
        }
    }
}

/// Looks at each fragment once.
struct Extents<'a> {
    document: &'a ExecutableDocument,
    of_fragments: HashMap<&'a str, Extent>,
    /// Fragments that are being looked at.
    inside: usize,
}

impl<'a> Extents<'a> {
    fn of(&mut self, selections: &'a SelectionSet) -> Extent {
        let mut whole = Extent::default();
        for selection in &selections.items {
            whole = whole.and(match &selection.node {
                Selection::Field(field) => {
                    let mut extent = self.of(&field.node.selection_set.node);
                    extent.selections = extent.selections.saturating_add(1);
                    extent.lists += usize::from(is_introspective_list(&field.node.name.node));
                    extent
                }
                Selection::InlineFragment(fragment) => self.of(&fragment.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    self.of_fragment(spread.node.fragment_name.node.as_str())
                }
            });
        }
        whole
    }

    fn of_fragment(&mut self, name: &'a str) -> Extent {
        // Stands for an unknown fragment, and for a cycle: validation reports both.
        let mut extent = Extent {
            selections: 1,
            lists: 0,
            spreads: 1,
        };
        if let Some(known) = self.of_fragments.get(name) {
            return *known;
        }
        if self.inside > NESTING {
            // Whoever asked is too deep already, and gets to know it.
            extent.spreads = NESTING;
            return extent;
        }
        self.of_fragments.insert(name, extent);
        if let Some(fragment) = self.document.fragments.get(name) {
            self.inside += 1;
            let inner = self.of(&fragment.node.selection_set.node);
            self.inside -= 1;
            extent = extent.or(inner);
            extent.spreads = inner.spreads + 1;
        }
        self.of_fragments.insert(name, extent);
        extent
    }
}

fn is_introspective_list(field: &str) -> bool {
    matches!(
        field,
        "fields" | "inputFields" | "interfaces" | "possibleTypes"
    )
}

/// How deep brackets may nest, and fragments. The parser recurses into values without a limit of its
/// own: a list in a list in a list, four hundred times, overflows the stack and takes the process
/// with it.
const NESTING: usize = 64;

/// How deep the brackets of a document nest, leaving out strings and comments (GraphQL, section 2).
/// What is not a document may count for more than it should, and is refused either way.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'{' | b'[' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
                after
            }
            b'}' | b']' | b')' => {
                depth = depth.saturating_sub(1);
                after
            }
            b'#' => after_any(after, &[b"\n", b"\r"], b"\0").unwrap_or_default(),
            b'"' if after.starts_with(b"\"\"") => {
                // Without an end, the parser takes it for an empty string and what follows.
                let block = after_any(&after[2..], &[b"\"\"\""], b"\\\"\"\"");
                block.unwrap_or(&after[1..])
            }
            // A line's end ends it, too: then it was no string, and brackets count again.
            b'"' => after_string(after),
            _ => after,
        };
    }
    deepest
}

/// What comes after the first of `ends`; `escape` is passed over.
fn after_any<'a>(text: &'a [u8], ends: &[&[u8]], escape: &[u8]) -> Option<&'a [u8]> {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with(escape) {
            at += escape.len();
        } else if let Some(end) = ends.iter().find(|end| rest.starts_with(end)) {
            return Some(&rest[end.len()..]);
        } else {
            at += 1;
        }
    }
    None
}

fn after_string(text: &[u8]) -> &[u8] {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' | b'\n' | b'\r' => return &text[at + 1..],
            _ => at += 1,
        }
    }
    &[]
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
        laid: HashSet::new(),
    };
    flat.lay(&operation.node.selection_set.node, &[]);
    let Flattening { fields, rest, .. } = flat;
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
    Ok(Subscription { document, root })
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        assert_eq!(nesting("{ a(x: [[1]]) { b } }"), 4);
        assert_eq!(nesting(r#"{ a(x: "[[[[\"[[[") }"#), 2);
        assert_eq!(
            nesting("{ a(x: \"\"\"[[ \\\"\"\" [[\"\"\") # [[[[\n { b } }"),
            2
        );
        assert_eq!(nesting("]]]} {{"), 2);
    }

    #[test]
    fn what_nests_too_deep_is_refused_before_the_parser_sees_it() {
        let documents = Documents::new(10, 1000);
        let refusal = |text: String| match &*documents.parse(&text) {
            Ok(_) => panic!("{text} is parsed"),
            Err(error) => error.message.clone(),
        };
        for (open, close) in [("[", "]"), ("{a:", "}")] {
            let value = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            let said = refusal(format!("{{ a(x: {value}) }}"));
            assert_eq!(said, "Syntax Error: The document nests too deeply");
        }
        // A block string without an end is an empty string and the beginning of another one.
        let said = refusal(format!(r#"{{ a(x: [""", "{}"#, "[".repeat(100_000)));
        assert_eq!(said, "Syntax Error: The document nests too deeply");
    }

    proptest! {
        /// Whatever the text, if it parses then its nesting was counted right enough to be safe.
        #[test]
        fn no_text_makes_the_count_or_the_parser_panic(text in "[{}\\[\\]()\"#\\\\a:$ \n.@]{0,200}") {
            let _ = Documents::new(10, 1000).parse(&text);
        }
    }
}

//! How large a document is: what would keep us busy for longer than a client may is refused before
//! anything else looks at it.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

use super::response::GraphqlError;

/// Refuses a text that must not be parsed.
pub(super) fn measure_text(text: &str) -> Result<(), GraphqlError> {
    if nesting(text) > NESTING {
        return Err(GraphqlError::new(
            "Syntax Error: The document nests too deeply",
        ));
    }
    Ok(())
}

/// Refuses a document that must not be executed, nor validated: `async-graphql` walks through a
/// fragment as often as it is spread before it looks at any limit, and thirty that each spread the
/// next one twice take it hours.
pub(super) fn measure(
    document: &ExecutableDocument,
    complexity: usize,
) -> Result<(), GraphqlError> {
    let mut extents = Extents {
        document,
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
    } else if extent.selections > complexity {
        Err(GraphqlError::new("Query is too complex."))
    } else {
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

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
}

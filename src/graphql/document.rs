//! Documents: parsed once, and the operation that a request means.

use std::sync::Arc;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition};
use async_graphql::{Name, Pos, Positioned};

use tokio::sync::OnceCell;

use super::extent::{measure, measure_text};
use super::response::GraphqlError;

/// Parsed documents by their text. Parsing and validating cost about as much as ten results.
pub(super) struct Documents {
    parsed: moka::sync::Cache<Arc<str>, Arc<Parsed>>,
    /// Selections of an operation, fragments counted as often as they are spread.
    complexity: usize,
}

/// What is known of a text.
pub(super) struct Parsed {
    /// The document, or its syntax error.
    pub(super) document: Result<ExecutableDocument, GraphqlError>,
    /// What validation says of it as a whole: nothing, or errors in JSON.
    pub(super) invalid: OnceCell<Option<String>>,
    /// How long the text was.
    pub(super) bytes: usize,
}

/// What a document is counted as being long: as much text as this many documents of that length is
/// kept, so that long ones cannot fill the memory.
pub(super) const USUAL_BYTES: u64 = 2048;

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
        if let Err(error) = measure_text(text) {
            return Arc::new(Parsed::new(Err(error), 0));
        }
        let parsed = async_graphql::parser::parse_query(text).map_err(|error| {
            let place = error
                .positions()
                .next()
                .unwrap_or(Pos { line: 1, column: 1 });
            GraphqlError::new(format!("Syntax Error: {}", one_line(&error.to_string()))).at(place)
        });
        let parsed = parsed.and_then(|document| {
            measure(&document, self.complexity)?;
            Ok(document)
        });
        let parsed = Arc::new(Parsed::new(parsed, text.len()));
        self.parsed.insert(text.into(), parsed.clone());
        parsed
    }
}

impl Parsed {
    fn new(document: Result<ExecutableDocument, GraphqlError>, bytes: usize) -> Self {
        Parsed {
            document,
            bytes,
            invalid: OnceCell::new(),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_nests_too_deep_is_refused_before_the_parser_sees_it() {
        let documents = Documents::new(10, 1000);
        let refusal = |text: String| match &documents.parse(&text).document {
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

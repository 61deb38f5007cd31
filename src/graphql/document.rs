//! One document: its text's hash, what it says once it is parsed, and the operation that a request means.

use std::collections::HashMap;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition};
use async_graphql::{Name, Pos, Positioned};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::extent::{measure, measure_text};
use super::response::GraphqlError;

/// The SHA-256 of a text, as it was written.
pub(super) type Hash = [u8; 32];

/// What is known of a text.
pub(super) struct Parsed {
    /// The document, or its syntax error.
    pub(super) document: Result<ExecutableDocument, GraphqlError>,
    /// What validation says of it as a whole: nothing, or errors in JSON.
    pub(super) invalid: OnceCell<Option<String>>,
    /// How long the text was.
    pub(super) bytes: usize,
}

impl Parsed {
    /// What is parsed, unless it is too large to be executed.
    pub(super) fn new(
        document: Result<ExecutableDocument, GraphqlError>,
        complexity: usize,
        bytes: usize,
    ) -> Self {
        let document = document.and_then(|document| {
            measure(&document, complexity)?;
            Ok(document)
        });
        Parsed {
            document,
            bytes,
            invalid: OnceCell::new(),
        }
    }
}

/// The hash of a text.
pub(super) fn hash(text: &str) -> Hash {
    Sha256::digest(text).into()
}

/// A hash as it is spelled: 64 digits, in lower case, as the specification has it and as everybody
/// writes it.
pub(super) fn hash_of_hex(hex: &str) -> Option<Hash> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let mut hash = Hash::default();
    if pairs.len() != hash.len() {
        return None;
    }
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(hash)
}

/// The document that a text says, whatever is in it.
pub(super) fn parse(text: &str) -> Result<ExecutableDocument, GraphqlError> {
    measure_text(text)?;
    async_graphql::parser::parse_query(text).map_err(|error| {
        let place = error
            .positions()
            .next()
            .unwrap_or(Pos { line: 1, column: 1 });
        GraphqlError::new(format!("Syntax Error: {}", one_line(&error.to_string()))).at(place)
    })
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

/// The document with one more operation in it, and the name of that: all of it can be validated, and
/// nothing of it executed, where that operation is none that would be.
pub(super) fn with_operation(
    mut document: ExecutableDocument,
    operation: &ExecutableDocument,
) -> (ExecutableDocument, Name) {
    let mut operations = match document.operations {
        DocumentOperations::Single(operation) => HashMap::from([(Name::new("_"), operation)]),
        DocumentOperations::Multiple(operations) => operations,
    };
    let mut name = "__".to_owned();
    while operations.contains_key(name.as_str()) {
        name.push('_');
    }
    let name = Name::new(name);
    for (_, operation) in operation.operations.iter() {
        operations.insert(name.clone(), operation.clone());
    }
    document.operations = DocumentOperations::Multiple(operations);
    (document, name)
}

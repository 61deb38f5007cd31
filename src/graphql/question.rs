//! Questions: what is known of a request before anybody asks it.

use std::sync::Arc;

use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{Name, Value, Variables};
use sha2::{Digest, Sha256};

use super::document::{self, Hash, Parsed};
use super::documents::USUAL_BYTES;
use super::origins::Origins;
use super::plan::Plan;
use super::response::GraphqlError;
use super::{Refusal, root};

/// A subscription that may run: its document is valid, and its variables fit.
pub(super) struct Question {
    pub parsed: Arc<Parsed>,
    /// Of the operation, if it has one.
    pub name: Option<Name>,
    pub variables: Variables,
    /// The name of its root field.
    pub field: Name,
    pub origins: Origins,
    /// Equal for equal questions alone. It covers the text as it was written, spaces and all: errors
    /// tell places in the client's own text.
    pub fingerprint: Fingerprint,
    /// How it is written; `None` if only the general executor can.
    pub plan: Option<Arc<Plan>>,
}

pub(super) type Fingerprint = [u8; 32];

/// Questions by the requests that ask them, and refusals. Clients ask the same few: whoever asks what
/// was asked before is answered without parsing, validation and compilation.
pub(super) struct Questions(moka::sync::Cache<Fingerprint, Prepared>);

/// What becomes of a request, whoever sends it.
pub(super) type Prepared = Result<Arc<Question>, Refusal>;

/// What a value that a plan writes weighs, beside the text that asked for it.
const VALUE_BYTES: usize = 64;
/// What everything else of a question weighs.
const QUESTION_BYTES: usize = 512;

impl Questions {
    /// A cache of as much as `Documents` keeps of so many documents: large ones cannot fill the memory.
    pub(super) fn new(limit: u64) -> Self {
        let cache = moka::sync::Cache::builder()
            .weigher(|_: &Fingerprint, prepared: &Prepared| {
                let bytes = QUESTION_BYTES
                    + prepared
                        .as_ref()
                        .map_or_else(Refusal::bytes, |question| question.bytes());
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .max_capacity(limit.saturating_mul(USUAL_BYTES));
        Questions(cache.build())
    }

    pub(super) fn get(&self, request: &Fingerprint) -> Option<Prepared> {
        self.0.get(request)
    }

    pub(super) fn keep(&self, request: Fingerprint, prepared: Prepared) {
        self.0.insert(request, prepared);
    }
}

impl Question {
    /// The document that the general executor runs: this operation alone, laid flat.
    pub(super) fn flat(&self) -> Result<ExecutableDocument, GraphqlError> {
        let document = self.parsed.document.as_ref().map_err(Clone::clone)?;
        let (name, operation) = document::operation(document, self.name.as_deref())
            .ok_or_else(|| GraphqlError::new("Unable to identify operation"))?;
        Ok(root::subscription(document, name, operation, &self.variables)?.document)
    }

    fn bytes(&self) -> usize {
        let variables = serde_json::to_string(&self.variables).map_or(0, |json| json.len());
        let values = self.plan.as_ref().map_or(0, |plan| plan.size());
        self.parsed.bytes + variables + values * VALUE_BYTES
    }
}

/// A document by the hash of its text, an operation of it and variables as one number: equal for equal
/// ones alone.
pub(super) fn fingerprint(
    document: &Hash,
    name: Option<&str>,
    variables: &Variables,
) -> Fingerprint {
    let mut hash = Sha256::new();
    hash.update(document);
    if let Some(name) = name {
        feed_text(&mut hash, b'o', name);
    }
    // In the order of their names.
    for (name, value) in variables.iter() {
        feed_text(&mut hash, b'$', name);
        feed(&mut hash, value);
    }
    hash.finalize().into()
}

/// Every value begins with what it is, and with its length where it has one: no two are written alike.
fn feed(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hash.update(b"n"),
        Value::Boolean(true) => hash.update(b"t"),
        Value::Boolean(false) => hash.update(b"f"),
        Value::Number(number) => feed_text(hash, b'#', &number.to_string()),
        Value::String(text) => feed_text(hash, b's', text),
        // No string: a variable of an enum in a literal default is not the same as one in JSON.
        Value::Enum(name) => feed_text(hash, b'e', name),
        Value::Binary(bytes) => {
            feed_length(hash, b'b', bytes.len());
            hash.update(bytes);
        }
        Value::List(items) => {
            feed_length(hash, b'[', items.len());
            items.iter().for_each(|item| feed(hash, item));
        }
        Value::Object(fields) => {
            feed_length(hash, b'{', fields.len());
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            for (name, value) in fields {
                feed_text(hash, b':', name);
                feed(hash, value);
            }
        }
    }
}

fn feed_text(hash: &mut Sha256, kind: u8, text: &str) {
    feed_length(hash, kind, text.len());
    hash.update(text);
}

fn feed_length(hash: &mut Sha256, kind: u8, length: usize) {
    hash.update([kind]);
    hash.update((length as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::value;

    #[test]
    fn requests_cannot_fill_the_memory() {
        let questions = Questions::new(10);
        for number in 0..2000_u64 {
            let mut request = [0; 32];
            request[..8].copy_from_slice(&number.to_le_bytes());
            let refusal = Refusal::Error("x".repeat(100 + number as usize));
            questions.keep(request, Err(refusal));
        }
        questions.0.run_pending_tasks();
        assert!(questions.0.weighted_size() <= 10 * USUAL_BYTES);
        assert!(questions.0.entry_count() <= 10 * USUAL_BYTES / QUESTION_BYTES as u64);
    }

    #[test]
    fn requests_are_one_if_all_of_them_is_equal() {
        let of = |query: &str, name: Option<&str>, variables: Value| {
            let variables = Variables::from_value(variables);
            fingerprint(&document::hash(query), name, &variables)
        };
        let one = of("{a}", None, value!({"a": {"x": 1, "y": ["b"]}}));
        assert_eq!(one, of("{a}", None, value!({"a": {"y": ["b"], "x": 1}})));
        for other in [
            of("{a }", None, value!({"a": {"x": 1, "y": ["b"]}})),
            of("{a}", Some(""), value!({"a": {"x": 1, "y": ["b"]}})),
            of("{a}", None, value!({"a": {"x": 1.0, "y": ["b"]}})),
            of("{a}", None, value!({"a": {"x": 1, "y": "b"}})),
            of("{a}", None, value!({"a": {"x": 1, "y": ["b", null]}})),
            of("{a}", None, value!({"a": {"x": 1}, "y": ["b"]})),
            of("{a}", None, value!({})),
        ] {
            assert_ne!(one, other);
        }
        let text = of("{a}", None, value!({"a": "USD"}));
        let word = Value::Object([(Name::new("a"), Value::Enum(Name::new("USD")))].into());
        assert_ne!(text, of("{a}", None, word));
    }
}

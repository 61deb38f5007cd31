//! Documents: found by what a client says of them, and parsed once.

use std::collections::HashMap;
use std::sync::Arc;

use super::document::{Hash, Parsed, hash, hash_of_hex, parse};
use super::persisted::{PersistedDocuments, Trusted};
use super::request::Source;
use super::response::GraphqlError;

/// Parsed documents by the hashes of their texts. Parsing and validating cost about as much as ten
/// results.
///
/// So what one client has said is found by its hash for all: that is all there is to automatic
/// persisted queries. It tells nobody more than that some text was said before.
pub(super) struct Documents {
    /// What clients have said.
    said: moka::sync::Cache<Hash, Arc<Parsed>>,
    /// What the operator trusts, for as long as we run; and the ids that it has there.
    trusted: HashMap<Hash, Arc<Parsed>>,
    ids: HashMap<String, Hash>,
    only_trusted: bool,
    automatic: bool,
    /// Selections of an operation, fragments counted as often as they are spread.
    complexity: usize,
}

/// Why there is no document for a request. Clients of Apollo act on the first two: they ask again, with
/// the text. The words and codes are those of Apollo's servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoDocument {
    #[error("PersistedQueryNotFound")]
    NotFound,
    #[error("PersistedQueryNotSupported")]
    NotSupported,
    #[error("Unsupported persisted query version")]
    OtherVersion,
    #[error("provided sha does not match query")]
    Mismatch,
    #[error("No document has this id: it is not in the manifest of this server")]
    UnknownId,
    #[error("Only documents of the manifest of this server may be asked for")]
    NotTrusted,
}

/// What a document is counted as being long: as much text as this many documents of that length is
/// kept, so that long ones cannot fill the memory.
pub(super) const USUAL_BYTES: u64 = 2048;
/// What everything else of a document weighs: neither can short ones.
const DOCUMENT_BYTES: usize = 512;

impl Documents {
    /// A cache of about this many documents, of no more than this complexity each.
    pub(super) fn new(limit: u64, complexity: usize, persisted: PersistedDocuments) -> Self {
        let cache = moka::sync::Cache::builder()
            .weigher(|_: &Hash, parsed: &Arc<Parsed>| {
                u32::try_from(DOCUMENT_BYTES + parsed.bytes).unwrap_or(u32::MAX)
            })
            .max_capacity(limit.saturating_mul(USUAL_BYTES));
        let parsed =
            |trusted: Trusted| Parsed::new(Ok(trusted.document), complexity, trusted.bytes);
        let trusted = persisted.manifest.documents.into_iter();
        Documents {
            said: cache.build(),
            trusted: trusted
                .map(|(hash, trusted)| (hash, Arc::new(parsed(trusted))))
                .collect(),
            ids: persisted.manifest.ids,
            only_trusted: persisted.only_manifest,
            automatic: persisted.automatic,
            complexity,
        }
    }

    /// The hash of the document that a request means, if it may be asked for. Whether it is known is
    /// not looked at.
    pub(super) fn identify(&self, source: &Source) -> Result<Hash, NoDocument> {
        match source {
            Source::Text(text) => self.allow(hash(text)),
            Source::OtherVersion => Err(NoDocument::OtherVersion),
            Source::PersistedQuery { hash, text } => {
                let unknown = if self.automatic {
                    NoDocument::NotFound
                } else {
                    NoDocument::NotSupported
                };
                self.named(hash, hash_of_hex(hash), text.as_deref(), unknown)
            }
            Source::Id { id, text } => {
                let hash = id.strip_prefix("sha256:").and_then(hash_of_hex);
                self.named(id, hash, text.as_deref(), NoDocument::UnknownId)
            }
        }
    }

    /// The same by an id, which may be a hash, and a text, which must then be its own.
    fn named(
        &self,
        id: &str,
        id_as_hash: Option<Hash>,
        text: Option<&str>,
        unknown: NoDocument,
    ) -> Result<Hash, NoDocument> {
        let trusted = self.ids.get(id).copied();
        if let Some(text) = text {
            let hash = hash(text);
            return match [trusted, id_as_hash].contains(&Some(hash)) {
                true => self.allow(hash),
                false => Err(NoDocument::Mismatch),
            };
        }
        let in_manifest = |hash: &Hash| self.trusted.contains_key(hash);
        match trusted.or(id_as_hash.filter(in_manifest)) {
            Some(hash) => Ok(hash),
            // To say it would be of no use.
            None if self.only_trusted => Err(NoDocument::UnknownId),
            None => id_as_hash.filter(|_| self.automatic).ok_or(unknown),
        }
    }

    fn allow(&self, hash: Hash) -> Result<Hash, NoDocument> {
        match self.only_trusted && !self.trusted.contains_key(&hash) {
            true => Err(NoDocument::NotTrusted),
            false => Ok(hash),
        }
    }

    /// The parsed document that has this hash, or its syntax error. Without a text, it must have been
    /// said before, and have been one.
    pub(super) fn find(&self, hash: Hash, text: Option<&str>) -> Result<Arc<Parsed>, NoDocument> {
        if let Some(parsed) = self.trusted.get(&hash) {
            return Ok(parsed.clone());
        }
        match (self.said.get(&hash), text) {
            (Some(parsed), Some(_)) => Ok(parsed),
            (Some(parsed), None) if parsed.document.is_ok() => Ok(parsed),
            (_, None) => Err(NoDocument::NotFound),
            (None, Some(text)) => {
                let parsed = Arc::new(Parsed::new(parse(text), self.complexity, text.len()));
                self.said.insert(hash, parsed.clone());
                Ok(parsed)
            }
        }
    }

    /// What the operator trusts, by its ids.
    pub(super) fn trusted(&self) -> impl Iterator<Item = (&str, &Arc<Parsed>)> {
        let known = |(id, hash)| Some((String::as_str(id), self.trusted.get::<Hash>(hash)?));
        self.ids.iter().filter_map(known)
    }
}

impl From<NoDocument> for GraphqlError {
    fn from(why: NoDocument) -> Self {
        let code = match why {
            NoDocument::NotFound => "PERSISTED_QUERY_NOT_FOUND",
            NoDocument::NotSupported => "PERSISTED_QUERY_NOT_SUPPORTED",
            NoDocument::OtherVersion => "BAD_REQUEST",
            NoDocument::Mismatch => "PERSISTED_QUERY_HASH_MISMATCH",
            NoDocument::UnknownId => "PERSISTED_QUERY_NOT_IN_LIST",
            NoDocument::NotTrusted => "QUERY_NOT_IN_SAFELIST",
        };
        GraphqlError::new(why.to_string()).coded(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::DocumentsConfig;
    use proptest::prelude::*;

    #[test]
    fn what_nests_too_deep_is_refused_before_the_parser_sees_it() {
        let refusal = |text: String| match parse(&text) {
            Ok(_) => panic!("{text} is parsed"),
            Err(error) => error.message,
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

    fn documents(manifest: &[(&str, &str)], only_manifest: bool, apq: bool) -> Documents {
        let directory = tempfile::tempdir().unwrap();
        let manifest: HashMap<_, _> = manifest.iter().copied().collect();
        let path = directory.path().join("manifest.json");
        std::fs::write(&path, serde_json::to_string(&manifest).unwrap()).unwrap();
        let config = DocumentsConfig {
            manifest: Some(path),
            only_manifest,
            apq,
        };
        Documents::new(10, 1000, config.open().unwrap())
    }

    /// What is found: how long its text is.
    fn found(documents: &Documents, source: &Source) -> Result<usize, NoDocument> {
        let hash = documents.identify(source)?;
        Ok(documents.find(hash, source.text())?.bytes)
    }

    fn text(text: &str) -> Source {
        Source::Text(text.to_owned())
    }

    fn hashed(hash: &str, text: Option<&str>) -> Source {
        Source::PersistedQuery {
            hash: hash.to_owned(),
            text: text.map(str::to_owned),
        }
    }

    fn id(id: &str, text: Option<&str>) -> Source {
        Source::Id {
            id: id.to_owned(),
            text: text.map(str::to_owned),
        }
    }

    fn hex(text: &str) -> String {
        hash(text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    #[test]
    fn a_hash_that_is_not_known_is_not_found_until_its_text_is_said() {
        let documents = documents(&[], false, true);
        let (short, prefixed) = (hex("{ a }"), format!("sha256:{}", hex("{ a }")));
        for source in [hashed(&short, None), id(&prefixed, None), hashed("x", None)] {
            assert_eq!(found(&documents, &source), Err(NoDocument::NotFound));
        }
        assert_eq!(found(&documents, &hashed(&short, Some("{ a }"))), Ok(5));
        assert_eq!(found(&documents, &hashed(&short, None)), Ok(5));
        assert_eq!(found(&documents, &id(&prefixed, None)), Ok(5));
        let upper = short.to_ascii_uppercase();
        let unspelled = hashed(&upper, None);
        assert_eq!(found(&documents, &unspelled), Err(NoDocument::NotFound));
        let other_version = Source::OtherVersion;
        assert_eq!(
            found(&documents, &other_version),
            Err(NoDocument::OtherVersion)
        );
    }

    #[test]
    fn nobody_can_give_a_text_the_hash_of_another() {
        let documents = documents(&[("known", "{ b }")], false, true);
        let other = hex("{ a }");
        for source in [
            hashed(&other, Some("{ b }")),
            hashed("", Some("{ b }")),
            id(&format!("sha256:{other}"), Some("{ b }")),
            // It is not said to be one.
            id(&hex("{ a }"), Some("{ a }")),
            id("known", Some("{ a }")),
        ] {
            assert_eq!(found(&documents, &source), Err(NoDocument::Mismatch));
        }
        let unknown = hashed(&other, None);
        assert_eq!(found(&documents, &unknown), Err(NoDocument::NotFound));
        assert_eq!(found(&documents, &id("known", Some("{ b }"))), Ok(5));
    }

    #[test]
    fn what_does_not_parse_or_is_too_large_is_not_found_by_its_hash() {
        let documents = documents(&[], false, true);
        for unfit in ["{", &format!("{{ {} }}", "a ".repeat(2000))] {
            let said = documents.find(hash(unfit), Some(unfit)).unwrap();
            assert!(said.document.is_err());
            let by_hash = hashed(&hex(unfit), None);
            assert_eq!(found(&documents, &by_hash), Err(NoDocument::NotFound));
        }
    }

    #[test]
    fn trusted_documents_are_found_by_their_ids_and_hashes_in_every_form() {
        for (only_manifest, apq) in [(false, false), (false, true), (true, false), (true, true)] {
            let documents = documents(&[("one", "{ a }"), ("two", "{ a }")], only_manifest, apq);
            for name in ["one", "two", &hex("{ a }")] {
                assert_eq!(found(&documents, &hashed(name, None)), Ok(5));
                assert_eq!(found(&documents, &hashed(name, Some("{ a }"))), Ok(5));
            }
            assert_eq!(found(&documents, &id("one", None)), Ok(5));
            assert_eq!(
                found(&documents, &id(&format!("sha256:{}", hex("{ a }")), None)),
                Ok(5)
            );
            assert_eq!(found(&documents, &text("{ a }")), Ok(5));
            assert_eq!(
                found(&documents, &id("three", None)),
                Err(NoDocument::UnknownId)
            );
        }
    }

    #[test]
    fn without_automatic_ones_a_hash_is_no_use_and_its_text_is() {
        let documents = documents(&[], false, false);
        assert_eq!(
            found(&documents, &hashed(&hex("{ a }"), Some("{ a }"))),
            Ok(5)
        );
        let unsupported = hashed(&hex("{ a }"), None);
        assert_eq!(
            found(&documents, &unsupported),
            Err(NoDocument::NotSupported)
        );
        let unknown = id(&format!("sha256:{}", hex("{ a }")), None);
        assert_eq!(found(&documents, &unknown), Err(NoDocument::UnknownId));
    }

    #[test]
    fn documents_cannot_fill_the_memory_however_short_they_are() {
        let documents = documents(&[("kept", "{ kept }")], false, true);
        for number in 0..2000 {
            found(&documents, &text(&format!("{{a{number}}}"))).unwrap();
        }
        documents.said.run_pending_tasks();
        assert!(documents.said.weighted_size() <= 10 * USUAL_BYTES);
        assert!(documents.said.entry_count() <= 10 * USUAL_BYTES / DOCUMENT_BYTES as u64);
        assert_eq!(found(&documents, &id("kept", None)), Ok(8));
    }

    proptest! {
        #[test]
        fn what_was_said_is_found_by_its_hash_alone(name in "[a-z]{1,9}", spaces in " {1,9}") {
            let documents = documents(&[], false, true);
            let said = format!("{{{spaces}{name} }}");
            prop_assert!(found(&documents, &text(&said)).is_ok());
            prop_assert_eq!(found(&documents, &hashed(&hex(&said), None)), Ok(said.len()));
            let other = format!("{said} ");
            let other = found(&documents, &hashed(&hex(&other), None));
            prop_assert_eq!(other, Err(NoDocument::NotFound));
        }

        #[test]
        fn where_only_trusted_documents_are_answered_no_words_reach_another(
            words in "\\{ ?[ab] ?\\}|.{0,9}",
            name in "sha256:(a|known)|known|.{0,9}",
        ) {
            let documents = documents(&[("known", "{ a }")], true, true);
            let hash = hex(&words);
            for source in [
                text(&words),
                hashed(&hash, None),
                hashed(&hash, Some(&words)),
                hashed(&name, None),
                id(&name, None),
                id(&name, Some(&words)),
                id(&format!("sha256:{hash}"), Some(&words)),
            ] {
                match found(&documents, &source) {
                    Ok(bytes) => {
                        prop_assert_eq!(bytes, 5);
                        prop_assert!(words == "{ a }" || name == "known", "{:?}", source);
                    }
                    Err(NoDocument::UnknownId | NoDocument::NotTrusted | NoDocument::Mismatch) => {}
                    Err(other) => prop_assert!(false, "{:?}: {}", source, other),
                }
            }
            prop_assert_eq!(documents.said.iter().count(), 0);
        }

        #[test]
        fn a_hash_is_read_as_it_is_spelled_and_nothing_else_is_one(text in ".{0,9}", other in "[0-9a-fA-F]{0,70}") {
            prop_assert_eq!(hash_of_hex(&hex(&text)), Some(hash(&text)));
            let is_one = other.len() == 64 && !other.contains(|c: char| c.is_ascii_uppercase());
            prop_assert_eq!(hash_of_hex(&other).is_some(), is_one);
        }

        /// Whatever the text, if it parses then its nesting was counted right enough to be safe.
        #[test]
        fn no_text_makes_the_count_or_the_parser_panic(text in "[{}\\[\\]()\"#\\\\a:$ \n.@]{0,200}") {
            let _ = Parsed::new(parse(&text), 1000, text.len());
        }
    }
}

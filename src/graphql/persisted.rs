//! Persisted documents: which of them clients may ask for without saying them, and the file of those
//! that the operator trusts.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use async_graphql::parser::types::ExecutableDocument;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::document::{Hash, hash, parse};
use super::response::GraphqlError;

/// `[documents]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentsConfig {
    #[serde(default, deserialize_with = "file")]
    pub manifest: Option<PathBuf>,
    pub only_manifest: bool,
    pub apq: bool,
}

/// What clients may ask for.
pub struct PersistedDocuments {
    pub(super) manifest: Manifest,
    /// Nothing else may be asked.
    pub(super) only_manifest: bool,
    /// What one client has said, all may ask for by its hash.
    pub(super) automatic: bool,
}

/// The documents that the operator trusts, by their ids.
#[derive(Default)]
pub(super) struct Manifest {
    /// Two ids may stand for the same text.
    pub ids: HashMap<String, Hash>,
    pub documents: HashMap<Hash, Trusted>,
}

/// One of them.
pub(super) struct Trusted {
    pub document: ExecutableDocument,
    /// How long its text is.
    pub bytes: usize,
}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct BadManifest {
    path: PathBuf,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error("longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error(
        "expected a JSON object of ids and documents, or a manifest of the format \
         {APOLLO_FORMAT:?}, version 1: {0}"
    )]
    NoManifest(serde_json::Error),
    #[error("the document {0:?} is no text")]
    NoText(String),
    #[error("the id {0:?} stands for two documents")]
    TwoTexts(String),
    #[error("the document {id:?} is not GraphQL: {}{}", error.message, Places(error))]
    NoDocument {
        id: String,
        error: Box<GraphqlError>,
    },
}

/// No app asks so much; and what is no manifest may be of any length.
const MAX_BYTES: u64 = 16 << 20;

/// What Apollo's `generate-persisted-query-manifest` writes.
const APOLLO_FORMAT: &str = "apollo-persisted-query-manifest";

impl DocumentsConfig {
    /// Reads the manifest, if there is one.
    pub fn open(&self) -> Result<PersistedDocuments, BadManifest> {
        let manifest = match &self.manifest {
            Some(path) => Manifest::open(path).map_err(|why| BadManifest {
                path: path.clone(),
                why,
            })?,
            None => Manifest::default(),
        };
        Ok(PersistedDocuments {
            manifest,
            only_manifest: self.only_manifest,
            automatic: self.apq,
        })
    }

    /// What its fields say together that none says alone: the name of the wrong one, and why.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        match self.only_manifest && self.manifest.is_none() {
            true => Err((
                "documents.only_manifest",
                "without documents.manifest nothing could be asked at all",
            )),
            false => Ok(()),
        }
    }
}

impl PersistedDocuments {
    /// Without a manifest: anything may be asked, and by its hash what was asked before.
    pub fn automatic() -> Self {
        PersistedDocuments {
            manifest: Manifest::default(),
            only_manifest: false,
            automatic: true,
        }
    }
}

impl Manifest {
    fn open(path: &Path) -> Result<Self, Why> {
        let mut json = Vec::new();
        let file = std::fs::File::open(path).map_err(Why::Unreadable)?;
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut json)
            .map_err(Why::Unreadable)?;
        if json.len() as u64 > MAX_BYTES {
            return Err(Why::TooLong);
        }
        Manifest::of_json(&json)
    }

    fn of_json(json: &[u8]) -> Result<Self, Why> {
        let mut manifest = Manifest::default();
        let Entries(entries) = serde_json::from_slice(json).map_err(Why::NoManifest)?;
        let is_apollos = entries
            .iter()
            .any(|(name, value)| name == "operations" && value.is_array());
        if is_apollos {
            let apollo: Apollo = serde_json::from_slice(json).map_err(Why::NoManifest)?;
            for operation in apollo.operations {
                manifest.add(operation.id, &operation.body)?;
            }
        } else {
            for (id, value) in entries {
                match value {
                    Value::String(text) => manifest.add(id, &text)?,
                    _ => return Err(Why::NoText(id)),
                }
            }
        }
        Ok(manifest)
    }

    fn add(&mut self, id: String, text: &str) -> Result<(), Why> {
        let hash = hash(text);
        if let Entry::Vacant(place) = self.documents.entry(hash) {
            let document = parse(text).map_err(|error| Why::NoDocument {
                id: id.clone(),
                error: error.into(),
            })?;
            place.insert(Trusted {
                document,
                bytes: text.len(),
            });
        }
        match self.ids.insert(id.clone(), hash) {
            Some(other) if other != hash => Err(Why::TwoTexts(id)),
            _ => Ok(()),
        }
    }
}

/// The entries of an object, those too that have the same name.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// A manifest of Apollo's.
#[derive(Deserialize)]
struct Apollo {
    #[serde(rename = "format", deserialize_with = "format")]
    _format: (),
    #[serde(rename = "version", deserialize_with = "version")]
    _version: (),
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    id: String,
    body: String,
}

fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    match &*String::deserialize(deserializer)? {
        APOLLO_FORMAT => Ok(()),
        other => Err(D::Error::custom(format!("the format is {other:?}"))),
    }
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    match Value::deserialize(deserializer)? {
        version if version == 1 => Ok(()),
        other => Err(D::Error::custom(format!("the version is {other}"))),
    }
}

fn file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    match String::deserialize(deserializer) {
        Ok(path) if !path.is_empty() => Ok(Some(path.into())),
        _ => Err(D::Error::custom("expected a file")),
    }
}

/// Where an error is, behind its message.
struct Places<'a>(&'a GraphqlError);

impl fmt::Display for Places<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .locations
            .iter()
            .try_for_each(|place| write!(f, " ({}:{})", place.line, place.column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn ids(json: &str) -> Vec<String> {
        let manifest = Manifest::of_json(json.as_bytes()).unwrap();
        let mut ids: Vec<_> = manifest.ids.into_keys().collect();
        ids.sort();
        ids
    }

    fn refusal(json: &str) -> String {
        match Manifest::of_json(json.as_bytes()) {
            Ok(_) => panic!("{json} is a manifest"),
            Err(why) => why.to_string(),
        }
    }

    #[test]
    fn a_manifest_is_ids_and_documents_or_one_of_apollos() {
        assert_eq!(ids("{}"), [""; 0]);
        assert_eq!(ids(r#"{"b":"{ a }","a":"{ a }"}"#), ["a", "b"]);
        // An app may well call a document so.
        let named = r#"{"format":"{ a }","version":"{ b }","operations":"{ c }"}"#;
        assert_eq!(ids(named), ["format", "operations", "version"]);
        let operation = r#"{"id":"a","name":"A","type":"query","body":"query A { a }"}"#;
        let apollos = format!(
            r#"{{"format":"apollo-persisted-query-manifest","version":1,"operations":[{operation}]}}"#
        );
        assert_eq!(ids(&apollos), ["a"]);
    }

    #[test]
    fn what_is_wrong_with_a_manifest_is_said_with_the_id() {
        assert_snapshot!(refusal(""), @r#"expected a JSON object of ids and documents, or a manifest of the format "apollo-persisted-query-manifest", version 1: EOF while parsing a value at line 1 column 0"#);
        assert_snapshot!(refusal("[]"), @r#"expected a JSON object of ids and documents, or a manifest of the format "apollo-persisted-query-manifest", version 1: invalid type: sequence, expected an object at line 1 column 0"#);
        assert_snapshot!(refusal(r#"{"a":{"query":"{ a }"}}"#), @r#"the document "a" is no text"#);
        assert_snapshot!(refusal(r#"{"a":"{ a }","b":"{ a"}"#), @r#"the document "b" is not GraphQL: Syntax Error: expected selection_set, selection, directive, or arguments (1:4)"#);
        assert_snapshot!(refusal(r#"{"a":"{ a }","a":"{ b }"}"#), @r#"the id "a" stands for two documents"#);
        assert_snapshot!(refusal(r#"{"format":"relay","version":1,"operations":[]}"#), @r#"expected a JSON object of ids and documents, or a manifest of the format "apollo-persisted-query-manifest", version 1: the format is "relay" at line 1 column 17"#);
        assert_snapshot!(refusal(r#"{"format":"apollo-persisted-query-manifest","version":2,"operations":[]}"#), @r#"expected a JSON object of ids and documents, or a manifest of the format "apollo-persisted-query-manifest", version 1: the version is 2 at line 1 column 55"#);
        assert_snapshot!(refusal(r#"{"operations":[]}"#), @r#"expected a JSON object of ids and documents, or a manifest of the format "apollo-persisted-query-manifest", version 1: missing field `format` at line 1 column 17"#);
    }

    #[test]
    fn a_file_that_is_longer_than_any_manifest_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_BYTES + 1).unwrap();
        let config = DocumentsConfig {
            manifest: Some(file.path().to_owned()),
            only_manifest: true,
            apq: true,
        };
        let said = config.open().err().unwrap().to_string();
        assert!(said.ends_with(": longer than 16777216 bytes"), "{said}");
    }
}

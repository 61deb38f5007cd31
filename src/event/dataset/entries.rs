//! A JSON object as it was written: its keys in their order, its values unread.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON object.
#[derive(Debug)]
pub(super) struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Entries<'a> {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }

    /// Its values by their names; an error if a name comes twice, because then readers differ in what it says.
    pub(super) fn by_name(&self) -> Result<BTreeMap<&str, &'a RawValue>, String> {
        let mut fields = BTreeMap::new();
        for (name, value) in self.iter() {
            if fields.insert(name, value).is_some() {
                return Err(format!("{name} comes twice"));
            }
        }
        Ok(fields)
    }

    /// As JSON without spaces: with these entries in the place of those of the same name or behind all, and without
    /// those of these names.
    pub(super) fn told(&self, added: &[(&str, Cow<'_, str>)], without: &[&str]) -> String {
        let is_added = |name: &str| added.iter().find(|(added, _)| *added == name);
        let own = self.iter().filter(|(name, _)| !without.contains(name));
        let own = own.map(|(name, value)| match is_added(name) {
            Some((_, value)) => (name, Cow::Borrowed(&**value)),
            None => (name, compact(value.get())),
        });
        let is_new = |name: &str| self.iter().all(|(own, _)| own != name);
        let new = added.iter().filter(|(name, _)| is_new(name));
        let new = new.map(|(name, value)| (*name, Cow::Borrowed(&**value)));
        let mut told = String::from("{");
        for (at, (name, value)) in own.chain(new).enumerate() {
            if at > 0 {
                told.push(',');
            }
            told.push_str(&quoted(name));
            told.push(':');
            told.push_str(&value);
        }
        told.push('}');
        told
    }
}

/// A string as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

/// The same JSON without the spaces between its parts.
pub(super) fn compact(json: &str) -> Cow<'_, str> {
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r');
    if !json.contains(is_space) {
        return Cow::Borrowed(json);
    }
    let (mut is_in_string, mut is_escaped) = (false, false);
    let kept = json.chars().filter(|&c| {
        let is_kept = is_in_string || !is_space(c);
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_in_string = !is_in_string,
            _ => {}
        }
        is_kept
    });
    Cow::Owned(kept.collect())
}

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut entries = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    entries.push((name, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

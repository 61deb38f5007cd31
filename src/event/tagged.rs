//! Objects that say which of several kinds they are: `{"type":"lightning", …}`.

use std::fmt;
use std::marker::PhantomData;
use std::vec;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, IntoDeserializer, MapAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::Value;

/// Reads an enum from an object whose `type` is the name of the variant, beside its fields.
///
/// serde's own way (`tag = "type"`) keeps a copy of the whole object before it looks into it. Here
/// that is done with what comes before `type`: with nothing, of known publishers.
pub(super) fn tagged<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_map(Object(PhantomData))
}

const TAG: &str = "type";

struct Object<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with a `{TAG}`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut before = Vec::new();
        while let Some(key) = map.next_key()? {
            match key {
                Key::Tag => {
                    return T::deserialize(Variant {
                        before: before.into_iter(),
                        value: None,
                        rest: map,
                    });
                }
                Key::Other(name) => before.push((name, map.next_value()?)),
            }
        }
        Err(A::Error::missing_field(TAG))
    }
}

enum Key {
    Tag,
    Other(String),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Key, E> {
                Ok(match name {
                    TAG => Key::Tag,
                    name => Key::Other(name.to_owned()),
                })
            }
        }
        deserializer.deserialize_identifier(Name)
    }
}

/// An object at the value of its `type`, as serde reads enums: the variant, and then its fields.
struct Variant<A> {
    before: vec::IntoIter<(String, Value)>,
    /// Of the key that was read last, if that came before the `type`.
    value: Option<Value>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> Deserializer<'de> for Variant<A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for Variant<A> {
    type Error = A::Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(
        mut self,
        seed: S,
    ) -> Result<(S::Value, Self), A::Error> {
        let variant = self.rest.next_value_seed(seed)?;
        Ok((variant, self))
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for Variant<A> {
    type Error = A::Error;

    fn unit_variant(mut self) -> Result<(), A::Error> {
        while self.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        seed.deserialize(MapAccessDeserializer::new(self))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, A::Error> {
        Err(A::Error::invalid_type(Unexpected::Map, &visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_map(self)
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Variant<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        match self.before.next() {
            Some((name, value)) => {
                self.value = Some(value);
                seed.deserialize(name.into_deserializer()).map(Some)
            }
            None => self.rest.next_key_seed(NoTag(seed)),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(value).map_err(A::Error::custom),
            None => self.rest.next_value_seed(seed),
        }
    }
}

/// A key that is not `type`, which was there already.
struct NoTag<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for NoTag<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for NoTag<S> {
    type Value = S::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<S::Value, E> {
        if name == TAG {
            return Err(E::duplicate_field(TAG));
        }
        self.0.deserialize(StrDeserializer::new(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase", rename_all_fields = "camelCase")]
    enum Via {
        Nothing,
        Chain {
            #[serde(default)]
            address: Option<String>,
            vout: i32,
        },
    }

    /// The same by serde.
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(
        tag = "type",
        rename_all = "lowercase",
        rename_all_fields = "camelCase"
    )]
    enum BySerde {
        Nothing,
        Chain {
            #[serde(default)]
            address: Option<String>,
            vout: i32,
        },
    }

    impl From<BySerde> for Via {
        fn from(via: BySerde) -> Self {
            match via {
                BySerde::Nothing => Via::Nothing,
                BySerde::Chain { address, vout } => Via::Chain { address, vout },
            }
        }
    }

    fn read(json: &str) -> Result<Via, String> {
        let mut json = serde_json::Deserializer::from_str(json);
        tagged(&mut json).map_err(|error| error.to_string())
    }

    #[test]
    fn the_type_may_stand_anywhere() {
        for json in [
            r#"{"type":"chain","address":"a","vout":1}"#,
            r#"{"address":"a","type":"chain","vout":1}"#,
            r#"{"address":"a","pubkey":[{}],"vout":1,"type":"chain"}"#,
            r#"{"addr\u0065ss":"\u0061","t\u0079pe":"chain","vout":1,"memo":7}"#,
        ] {
            let address = Some("a".to_owned());
            assert_eq!(read(json), Ok(Via::Chain { address, vout: 1 }), "{json}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_as_serde_says_it() {
        for (json, words) in [
            ("{}", "missing field `type`"),
            (
                r#"{"type":"chain","type":"chain","vout":1}"#,
                "duplicate field `type`",
            ),
            (
                r#"{"type":"ship"}"#,
                "unknown variant `ship`, expected `nothing` or `chain`",
            ),
            (r#"{"type":"chain"}"#, "missing field `vout`"),
            (
                r#"{"vout":"1","type":"chain"}"#,
                r#"invalid type: string "1", expected i32"#,
            ),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.starts_with(words), "{json}: {error}");
        }
    }

    proptest! {
        #[test]
        fn it_reads_what_serde_reads(entries in proptest::collection::vec(
            (
                prop_oneof!["type", "address", "vout", "memo"],
                prop_oneof![
                    r#""(chain|nothing|ship)""#, "[0-9]{1,11}", "null", "-1", "1.5", r#"\{"vout":1\}"#, "true"
                ],
            ),
            0..5,
        )) {
            let entries: Vec<_> = entries
                .iter()
                .map(|(name, value)| format!("{name:?}:{value}"))
                .collect();
            let json = format!("{{{}}}", entries.join(","));
            let by_serde = serde_json::from_str::<BySerde>(&json).map(Via::from);
            prop_assert_eq!(read(&json).ok(), by_serde.ok(), "{}", json);
        }
    }
}

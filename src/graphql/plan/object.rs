//! What is written of one object.

use async_graphql::OutputType;

use super::selection::{Asked, NotPlanned};
use crate::graphql::blink::{InvoiceRequests, LatestPrices};
use crate::graphql::json;

/// An object type that plans can tell.
///
/// Implemented by the type whose resolvers tell the same, beside them.
pub(in crate::graphql) trait Told: OutputType {
    /// What it is told from.
    type Value: 'static;

    /// What is written for a field.
    fn field(asked: &Asked<'_>) -> Result<Write<Self::Value>, NotPlanned>;
}

/// The general executor has to render this event: a field is an error.
#[derive(Debug)]
pub(in crate::graphql) struct Bail;

impl From<async_graphql::Error> for Bail {
    fn from(_: async_graphql::Error) -> Self {
        Bail
    }
}

/// What is not in an event.
pub(in crate::graphql) struct Lookups {
    pub latest: LatestPrices,
    pub requests: InvoiceRequests,
}

/// What is written for a field.
pub(in crate::graphql) enum Write<T> {
    /// The same, whatever the event.
    Always(String),
    /// What this says, and how many values that are about.
    Each(Writer<T>, usize),
}

type Writer<T> = Box<dyn Fn(&T, &Lookups, &mut String) -> Result<(), Bail> + Send + Sync>;

impl<T> Write<T> {
    /// A value that is always there, or null.
    pub(in crate::graphql) fn value(
        write: impl Fn(&T, &mut String) + Send + Sync + 'static,
    ) -> Self {
        Write::fallible(move |told, _, json| {
            write(told, json);
            Ok(())
        })
    }

    /// A text or null.
    pub(in crate::graphql) fn optional(
        pick: impl Fn(&T) -> Option<&str> + Send + Sync + 'static,
    ) -> Self {
        Write::value(move |told, json| json::optional(json, pick(told)))
    }

    /// A value that may be an error.
    pub(in crate::graphql) fn fallible(
        write: impl Fn(&T, &Lookups, &mut String) -> Result<(), Bail> + Send + Sync + 'static,
    ) -> Self {
        Write::Each(Box::new(write), 1)
    }

    /// A value with objects in it that write so many values.
    pub(in crate::graphql) fn nested(
        size: usize,
        write: impl Fn(&T, &Lookups, &mut String) -> Result<(), Bail> + Send + Sync + 'static,
    ) -> Self {
        Write::Each(Box::new(write), 1 + size)
    }

    /// A text that is the same in every event.
    pub(in crate::graphql) fn text(text: &str) -> Self {
        let mut json = String::new();
        json::string(&mut json, text);
        Write::Always(json)
    }
}

/// What is written of an object of one type.
pub(in crate::graphql) struct Object<T: Told> {
    steps: Box<[Step<T::Value>]>,
    end: Box<str>,
    size: usize,
}

struct Step<T> {
    /// What stands before the value: the key, and whatever is always the same before that.
    before: Box<str>,
    write: Writer<T>,
}

impl<T: Told> Object<T> {
    /// What a field of this very type is asked.
    pub(in crate::graphql) fn of(asked: &Asked<'_>) -> Result<Self, NotPlanned> {
        Self::one_of(&T::type_name(), asked)
    }

    /// What is asked of this type by a field of a union or an interface that it is one of.
    pub(in crate::graphql) fn one_of(
        declared: &str,
        asked: &Asked<'_>,
    ) -> Result<Self, NotPlanned> {
        let name = T::type_name();
        let mut steps = Vec::new();
        let mut text = "{".to_owned();
        let mut size = 0;
        for (at, field) in asked.below(declared, &name)?.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            json::string(&mut text, field.key());
            text.push(':');
            if field.name() == "__typename" {
                json::string(&mut text, &name);
                continue;
            }
            match T::field(field)? {
                Write::Always(json) => text.push_str(&json),
                Write::Each(write, values) => {
                    size += values;
                    let before = std::mem::take(&mut text).into();
                    steps.push(Step { before, write });
                }
            }
        }
        text.push('}');
        Ok(Object {
            steps: steps.into(),
            end: text.into(),
            size,
        })
    }

    pub(in crate::graphql) fn write(
        &self,
        told: &T::Value,
        lookups: &Lookups,
        json: &mut String,
    ) -> Result<(), Bail> {
        for step in &self.steps {
            json.push_str(&step.before);
            (step.write)(told, lookups, json)?;
        }
        json.push_str(&self.end);
        Ok(())
    }

    /// The object, or null where there is none.
    pub(in crate::graphql) fn write_optional(
        &self,
        told: Option<&T::Value>,
        lookups: &Lookups,
        json: &mut String,
    ) -> Result<(), Bail> {
        match told {
            Some(told) => self.write(told, lookups, json),
            None => {
                json.push_str("null");
                Ok(())
            }
        }
    }

    /// How many values it writes at most, about.
    pub(in crate::graphql) fn size(&self) -> usize {
        self.size
    }
}

//! Plans: what a subscription selects, compiled once, so that an event becomes JSON at once.
//!
//! The general executor collects fields, looks their names up, and builds a tree for each event. All
//! of that but the values is the same each time. A plan has the texts between the values, and a
//! function for each value: it writes the very bytes that the general executor's result makes
//! (`plan/tests.rs` holds the two equal over documents and events at random).
//!
//! What an object's fields are is said beside its resolvers, in `impl Told`; both call the same
//! functions where something is computed. A field that would be an error is no plan's business: the
//! plan [bails](Bail), and the general executor renders that event, errors and all. What cannot be
//! compiled is not: [`NotPlanned`].

mod object;
mod root;
mod selection;

#[cfg(test)]
mod tests;

pub(in crate::graphql) use self::object::{Bail, Lookups, Object, Told, Write};
pub(in crate::graphql) use self::root::{Reading, Root};
pub(in crate::graphql) use self::selection::{Asked, Document, Interfaces, NotPlanned};

use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::parser::types::Field;

use super::json;
use crate::event::Event;

/// What is written for one question, whoever asked it.
pub(in crate::graphql) struct Plan {
    /// What comes before the value of the root field.
    begin: Box<str>,
    pub(in crate::graphql) root: Root,
    /// How long the last result was: the next one will not be much longer.
    usual_bytes: AtomicUsize,
}

impl Plan {
    /// The plan of a subscription to this field, which is the only one at the root.
    pub(in crate::graphql) fn of(
        document: &Document<'_>,
        field: &Field,
    ) -> Result<Self, NotPlanned> {
        let asked = document.asked(field)?;
        let mut begin = r#"{"data":{"#.to_owned();
        json::string(&mut begin, asked.key());
        begin.push(':');
        Ok(Plan {
            begin: begin.into(),
            root: Root::of(&asked)?,
            usual_bytes: AtomicUsize::new(256),
        })
    }

    /// The result of an event.
    pub(in crate::graphql) fn write(
        &self,
        event: &Event,
        reading: &Reading<'_>,
    ) -> Result<String, Bail> {
        // A little more: the next one may have a longer amount.
        let mut json = String::with_capacity(self.usual_bytes.load(Ordering::Relaxed) + 16);
        json.push_str(&self.begin);
        self.root.write(event, reading, &mut json)?;
        json.push_str("}}");
        self.usual_bytes.store(json.len(), Ordering::Relaxed);
        Ok(json)
    }

    /// How many values it writes at most, about: what it weighs.
    pub(in crate::graphql) fn size(&self) -> usize {
        self.root.size()
    }
}

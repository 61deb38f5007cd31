//! Filters: which events of a topic somebody asks for.
//!
//! An event says what it can be found by: its [`Term`]s, one for each of its dimensions ("to this address").
//! A [`Filter`] names values for some dimensions: any value of a dimension will do, and every dimension that
//! it names must have one. So whoever holds many filters can look up by an event's terms which of them it may
//! pass, in the place of asking them all ([`Filter::index`]).

use std::collections::{BTreeMap, BTreeSet};

/// Something that an event can be found by: a value in one dimension.
///
/// What a dimension is, the topic knows: two topics number theirs independently.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term {
    pub dimension: u8,
    /// In the one spelling that both sides use.
    pub value: Box<str>,
}

/// Which events of a topic are asked for. Equal for equal questions, however they were put.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter(BTreeMap<u8, BTreeSet<Box<str>>>);

impl Term {
    pub fn new(dimension: u8, value: impl Into<Box<str>>) -> Self {
        Term {
            dimension,
            value: value.into(),
        }
    }
}

impl Filter {
    /// What passes everything.
    pub const ALL: &'static Filter = &Filter(BTreeMap::new());

    /// Asks for one of these values in a dimension. No values ask for nothing: the dimension does not matter.
    pub fn one_of(
        mut self,
        dimension: u8,
        values: impl IntoIterator<Item = impl Into<Box<str>>>,
    ) -> Self {
        let values: BTreeSet<_> = values.into_iter().map(Into::into).collect();
        if !values.is_empty() {
            self.0.entry(dimension).or_default().extend(values);
        }
        self
    }

    /// Whether it passes everything.
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an event with these terms passes.
    pub fn passes(&self, terms: &[Term]) -> bool {
        self.0.iter().all(|(dimension, values)| {
            terms
                .iter()
                .any(|term| term.dimension == *dimension && values.contains(&term.value))
        })
    }

    /// The terms one of which every event has that passes: those of the dimension with the fewest values.
    /// None for a filter that passes everything.
    pub fn index(&self) -> impl Iterator<Item = Term> {
        let narrowest = self.0.iter().min_by_key(|(_, values)| values.len());
        narrowest.into_iter().flat_map(|(dimension, values)| {
            let values = values.iter();
            values.map(|value| Term::new(*dimension, value.clone()))
        })
    }

    /// All that it asks for, in order: what tells two filters apart.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &str)> {
        self.0
            .iter()
            .flat_map(|(dimension, values)| values.iter().map(|value| (*dimension, &**value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn terms(of: &[(u8, &str)]) -> Vec<Term> {
        of.iter()
            .map(|(dimension, value)| Term::new(*dimension, *value))
            .collect()
    }

    #[test]
    fn any_value_of_a_dimension_will_do_and_every_dimension_counts() {
        let filter = Filter::default()
            .one_of(0, ["a", "b"])
            .one_of(1, ["x"])
            .one_of(2, [] as [&str; 0]);
        assert!(filter.passes(&terms(&[(0, "b"), (1, "x")])));
        assert!(!filter.passes(&terms(&[(0, "b")])));
        assert!(!filter.passes(&terms(&[(0, "x"), (1, "b")])));
        assert!(Filter::ALL.passes(&[]));
    }

    #[test]
    fn it_is_found_by_its_narrowest_dimension() {
        let filter = Filter::default().one_of(0, ["a", "b"]).one_of(1, ["x"]);
        assert_eq!(filter.index().collect::<Vec<_>>(), terms(&[(1, "x")]));
        assert_eq!(Filter::ALL.index().count(), 0);
    }

    fn some_terms() -> impl Strategy<Value = Vec<(u8, String)>> {
        proptest::collection::vec((0u8..3, "[abc]"), 0..6)
    }

    proptest! {
        #[test]
        fn whatever_passes_has_a_term_of_the_index(asked in some_terms(), event in some_terms()) {
            let filter = asked.iter().fold(Filter::default(), |filter, (dimension, value)| {
                filter.one_of(*dimension, [value.as_str()])
            });
            let event: Vec<_> = event.iter().map(|(dimension, value)| Term::new(*dimension, value.as_str())).collect();
            if filter.passes(&event) {
                prop_assert!(filter.is_all() || filter.index().any(|term| event.contains(&term)));
            }
        }
    }
}

//! How far one connection has come: what of its channel it has, what it lacks, what it has twice.

use std::ops::Range;

/// The place of a connection in the publications of its channel, which are counted from 0.
#[derive(Debug, Default)]
pub(super) struct Place {
    next: u64,
    /// Whether nothing was counted yet: the first delivery says where the connection joined, if that
    /// is not behind `next`.
    is_joining: bool,
    /// What was left out so far. Empty, and without memory, as long as all is well.
    gaps: Vec<Range<u64>>,
}

/// What a delivery was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delivered {
    /// The next one.
    InOrder,
    /// It came, and these before it did not.
    After(Range<u64>),
    /// One that was left out before: too late, but there.
    OutOfOrder,
    /// One that was there before.
    Again,
}

/// Gaps that are remembered for each connection. What is lacking in older ones counts as missing
/// even if it comes, and then as a duplicate: whoever has so many has worse troubles.
const GAPS: usize = 64;

impl Place {
    /// Of a connection that is to hear everything from this one on, and may hear what was before.
    pub(super) fn joining(next: u64) -> Self {
        Place {
            next,
            is_joining: true,
            gaps: Vec::new(),
        }
    }

    /// Of a connection that has the one before this.
    pub(super) fn at(next: u64) -> Self {
        Place {
            next,
            ..Place::default()
        }
    }

    /// Counts a delivery.
    pub(super) fn delivered(&mut self, place: u64) -> Delivered {
        let is_joining = std::mem::take(&mut self.is_joining);
        if place == self.next || (is_joining && place < self.next) {
            self.next = place + 1;
            return Delivered::InOrder;
        }
        if place > self.next {
            let gap = self.next..place;
            if self.gaps.len() == GAPS {
                self.gaps.remove(0);
            }
            self.gaps.push(gap.clone());
            self.next = place + 1;
            return Delivered::After(gap);
        }
        match self.fill(place) {
            true => Delivered::OutOfOrder,
            false => Delivered::Again,
        }
    }

    /// What comes next, if all is well.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    fn fill(&mut self, place: u64) -> bool {
        let Some(at) = self.gaps.iter().position(|gap| gap.contains(&place)) else {
            return false;
        };
        let gap = self.gaps.swap_remove(at);
        let left = [gap.start..place, place + 1..gap.end];
        self.gaps
            .extend(left.into_iter().filter(|rest| !rest.is_empty()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(mut place: Place, deliveries: &[u64]) -> Vec<Delivered> {
        deliveries
            .iter()
            .map(|&number| place.delivered(number))
            .collect()
    }

    #[test]
    fn what_comes_in_order_is_in_order() {
        assert_eq!(all(Place::at(0), &[0, 1, 2]), vec![Delivered::InOrder; 3]);
    }

    #[test]
    fn what_is_left_out_is_missing_until_it_comes() {
        use Delivered::{After, Again, InOrder, OutOfOrder};
        let found = all(Place::at(0), &[3, 1, 1, 0, 2, 2, 4]);
        let expected = [
            After(0..3),
            OutOfOrder,
            Again,
            OutOfOrder,
            OutOfOrder,
            Again,
            InOrder,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn whoever_joins_may_hear_of_what_was_before_and_must_hear_what_is_after() {
        use Delivered::{After, Again, InOrder};
        assert_eq!(all(Place::joining(5), &[3, 4, 5]), vec![InOrder; 3]);
        assert_eq!(all(Place::joining(5), &[5, 4]), vec![InOrder, Again]);
        assert_eq!(all(Place::joining(5), &[7]), vec![After(5..7)]);
    }

    proptest! {
        #[test]
        fn every_delivery_is_counted_once(order in Just((0u64..40).collect::<Vec<_>>()).prop_shuffle(), kept in 1usize..40) {
            let (mut place, mut missing) = (Place::at(0), 0u64);
            for number in &order[..kept] {
                match place.delivered(*number) {
                    Delivered::InOrder => {}
                    Delivered::After(gap) => missing += gap.end - gap.start,
                    Delivered::OutOfOrder => missing -= 1,
                    Delivered::Again => prop_assert!(false, "{number} came once"),
                }
            }
            prop_assert_eq!(missing + kept as u64, place.next());
        }
    }
}

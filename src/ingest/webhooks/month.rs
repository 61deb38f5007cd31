//! What quotas are counted by.

use std::fmt;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A calendar month, in UTC. It prints as `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(Date);

impl Month {
    /// The one that a time is in.
    pub fn of(time: Timestamp) -> Self {
        Month(time.to_zoned(TimeZone::UTC).date().first_of_month())
    }

    /// When the next one begins.
    pub fn end(self) -> Timestamp {
        let next = self.0.checked_add(1.month()).unwrap_or(Date::MAX);
        let start = next.to_zoned(TimeZone::UTC);
        start.map_or(Timestamp::MAX, |start| start.timestamp())
    }

    /// The one that is so many months before.
    pub(super) fn before(self, months: i32) -> Self {
        let earliest = date(0, 1, 1);
        Month(self.0.checked_sub(months.months()).unwrap_or(earliest))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_when_the_next_one_begins_in_utc() {
        for (time, printed, end) in [
            (
                "2026-11-30T23:59:59.999Z",
                "2026-11",
                "2026-12-01T00:00:00Z",
            ),
            ("2026-12-01T00:00:00Z", "2026-12", "2027-01-01T00:00:00Z"),
            ("2028-02-29T12:00:00Z", "2028-02", "2028-03-01T00:00:00Z"),
            (
                "2026-12-01T00:30:00+01:00",
                "2026-11",
                "2026-12-01T00:00:00Z",
            ),
        ] {
            let month = Month::of(time.parse().unwrap());
            assert_eq!(month.to_string(), printed);
            assert_eq!(month.end(), end.parse().unwrap());
        }
        let month = Month::of("2026-02-01T00:00:00Z".parse().unwrap());
        assert_eq!(month.before(13).to_string(), "2025-01");
    }
}

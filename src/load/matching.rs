//! How a delivery is known to be of a certain publication.
//!
//! Each publication has a number, `{seq}`, which the template of its body puts where the answer to the
//! subscription shows it: in a price, in a memo. [`Matching::Text`] says what stands around it in the
//! answer, and with that every delivery is known: which are missing, which came twice, which came late
//! and which are somebody else's.
//!
//! Without such a text all that can be done is to count ([`Matching::Order`]): the so-manieth result of
//! a connection is taken for the so-manieth publication. Then a result that is left out looks as if
//! the last one were missing, one that came twice or late looks like all is well, and the latency
//! behind it is wrong.

use memchr::memmem::Finder;

use super::template::{Template, Values};

/// How deliveries and publications are put together.
#[derive(Clone, Debug)]
pub enum Matching {
    /// The number stands behind the first of these texts, and before the second.
    Text {
        before: Box<Finder<'static>>,
        behind: String,
    },
    /// In the order of their arrival.
    Order,
}

/// A text in which no number of a publication can be found.
#[derive(Debug, thiserror::Error)]
#[error("--match: expected a text with {{seq}} in it once, and something before it")]
pub struct BadMatching;

impl Matching {
    /// The number stands in the answer as in this text, which has `{seq}` in its place.
    pub fn of_text(text: &str, run: &str) -> Result<Self, BadMatching> {
        let values = Values {
            run,
            ..Values::default()
        };
        let around = Template::parse(text).around_seq(&values);
        let (before, behind) = around.ok_or(BadMatching)?;
        if before.is_empty() {
            return Err(BadMatching);
        }
        Ok(Matching::Text {
            before: Box::new(Finder::new(&before).into_owned()),
            behind,
        })
    }

    /// The number that a result tells; `None` if it tells none, or if only the order says it.
    pub fn seq(&self, payload: &str) -> Option<u64> {
        let Matching::Text { before, behind } = self else {
            return None;
        };
        let (mut from, bytes) = (0, payload.as_bytes());
        while let Some(at) = before.find(&bytes[from..]) {
            let begins = from + at + before.needle().len();
            let digits = bytes[begins..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit());
            let ends = begins + digits.count();
            let number = payload
                .get(begins..ends)
                .and_then(|digits| digits.parse().ok());
            if number.is_some() && bytes[ends..].starts_with(behind.as_bytes()) {
                return number;
            }
            from += at + 1;
        }
        None
    }

    /// Whether results tell their numbers.
    pub fn is_exact(&self) -> bool {
        matches!(self, Matching::Text { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(text: &str, payload: &str) -> Option<u64> {
        Matching::of_text(text, "c0ffee00").unwrap().seq(payload)
    }

    #[test]
    fn the_number_is_what_stands_between_the_texts() {
        let price = r#"{"data":{"realtimePrice":{"usdCentPrice":{"base":1},"btcSatPrice":{"base":4017,"offset":12}}}}"#;
        assert_eq!(seq(r#""btcSatPrice":{"base":{seq},"#, price), Some(4017));
        assert_eq!(seq(r#""base":{seq},"#, price), Some(4017));
        assert_eq!(seq(r#""base":{seq}"#, price), Some(1));
        assert_eq!(seq(r#""memo":"{seq}""#, price), None);
        let memo = r#"{"memo":"c0ffee00 12"}"#;
        assert_eq!(seq(r#""memo":"{run} {seq}""#, memo), Some(12));
        assert_eq!(
            seq(r#""memo":"{run} {seq}""#, &memo.replace("c0", "c1")),
            None
        );
        assert_eq!(
            seq(r#""preimage":"{seq}""#, r#"{"preimage":"00000042"}"#),
            Some(42)
        );
    }

    #[test]
    fn numbers_that_are_none_of_ours_are_passed_over() {
        assert_eq!(
            seq("n{seq}.", "n n99999999999999999999999. n1é n7."),
            Some(7)
        );
        assert_eq!(seq("n{seq}", "nnn"), None);
    }

    #[test]
    fn a_text_without_one_number_is_refused() {
        for text in ["", "{seq}", "base", "a{seq}b{seq}", "{{seq}}"] {
            assert!(Matching::of_text(text, "").is_err(), "{text:?}");
        }
    }
}

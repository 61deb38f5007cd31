//! Texts with a few words in braces, which mean something else for each connection and publication.

use jiff::Timestamp;

/// A text in which `{i}`, `{seq}`, `{rand}`, `{now}`, `{time}`, `{run}`, `{key}` and `{account}`
/// stand for something. Bodies are JSON and queries are GraphQL, both full of braces: whatever else
/// stands in braces is left as it is, and `{{seq}}` is how to write `{seq}` itself. A number may be
/// padded with zeros to a width: `{i:64}`.
#[derive(Clone, Debug)]
pub struct Template(Vec<Part>);

/// What can stand in braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The connection, counted from 0.
    I,
    /// The publication, counted from 1.
    Seq,
    /// A random number of 32 bits, another one in each place.
    Rand,
    /// The time, in milliseconds since 1970.
    Now,
    /// The same in RFC 3339.
    Time,
    /// Eight hex digits that are new in each run.
    Run,
    /// The API key of the connection.
    Key,
    /// The account of the connection.
    Account,
}

/// What the words stand for now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Values<'a> {
    pub i: usize,
    pub seq: u64,
    pub run: &'a str,
    pub key: &'a str,
    pub account: &'a str,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Word(Word, usize),
}

/// The longest number that makes sense anywhere: the digits of a 32-byte hash.
const WIDEST: usize = 64;

impl Template {
    /// Whatever is not one of our words is text, so nothing is wrong with any.
    pub fn parse(text: &str) -> Self {
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find('{') {
            literal.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(length) = escaped(rest) {
                literal.push_str(&rest[1..length - 1]);
                rest = &rest[length..];
            } else if let Some((word, width, length)) = word(rest) {
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Word(word, width));
                rest = &rest[length..];
            } else {
                literal.push('{');
                rest = &rest[1..];
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Template(parts)
    }

    /// Whether this word stands in it.
    pub fn uses(&self, word: Word) -> bool {
        let is_it = |part: &Part| matches!(part, Part::Word(used, _) if *used == word);
        self.0.iter().any(is_it)
    }

    /// The text, with each word replaced.
    pub fn render(&self, values: &Values<'_>) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Word(word, width) => text.push_str(&word.means(values, *width)),
            }
        }
        text
    }

    /// The texts before and behind the one place of `{seq}`; `None` if it stands there not once.
    pub fn around_seq(&self, values: &Values<'_>) -> Option<(String, String)> {
        let is_seq = |part: &Part| matches!(part, Part::Word(Word::Seq, _));
        let at = self.0.iter().position(is_seq)?;
        let (before, behind) = (&self.0[..at], &self.0[at + 1..]);
        if behind.iter().any(is_seq) {
            return None;
        }
        let rendered = |parts: &[Part]| Template(parts.to_vec()).render(values);
        Some((rendered(before), rendered(behind)))
    }
}

impl Word {
    fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "i" => Word::I,
            "seq" => Word::Seq,
            "rand" => Word::Rand,
            "now" => Word::Now,
            "time" => Word::Time,
            "run" => Word::Run,
            "key" => Word::Key,
            "account" => Word::Account,
            _ => return None,
        })
    }

    fn is_number(self) -> bool {
        matches!(self, Word::I | Word::Seq | Word::Rand | Word::Now)
    }

    fn means(self, values: &Values<'_>, width: usize) -> String {
        let padded = |number: u64| format!("{number:0width$}");
        match self {
            Word::I => padded(values.i as u64),
            Word::Seq => padded(values.seq),
            // Without randomness it is some number still.
            Word::Rand => padded(u64::from(getrandom::u32().unwrap_or_default())),
            Word::Now => padded(Timestamp::now().as_millisecond().unsigned_abs()),
            Word::Time => Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
                .to_string(),
            Word::Run => values.run.to_owned(),
            Word::Key => values.key.to_owned(),
            Word::Account => values.account.to_owned(),
        }
    }
}

/// The word that this text begins with, braces and all: what it is, how wide, and how long it is here.
fn word(text: &str) -> Option<(Word, usize, usize)> {
    let (inside, _) = text.strip_prefix('{')?.split_once('}')?;
    let (name, width) = match inside.split_once(':') {
        Some((name, width)) => (name, width.parse().ok().filter(|width| *width <= WIDEST)?),
        None => (inside, 0),
    };
    let word = Word::of_name(name)?;
    let fits = width == 0 || word.is_number();
    fits.then_some((word, width, inside.len() + 2))
}

/// How long the word in two pairs of braces is that this text begins with.
fn escaped(text: &str) -> Option<usize> {
    let (_, _, length) = word(text.strip_prefix('{')?)?;
    text[length + 1..].starts_with('}').then_some(length + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VALUES: Values<'_> = Values {
        i: 7,
        seq: 12,
        run: "c0ffee00",
        key: "blink_x",
        account: "a-1",
    };

    fn rendered(text: &str) -> String {
        Template::parse(text).render(&VALUES)
    }

    #[test]
    fn words_in_braces_are_replaced() {
        assert_eq!(
            rendered("{i} {seq} {run} {key} {account}"),
            "7 12 c0ffee00 blink_x a-1"
        );
        assert_eq!(rendered("{i:4}{seq:1}"), "000712");
        rendered("{rand}").parse::<u32>().unwrap();
        assert!(rendered("{now}").parse::<u64>().unwrap() > 1_700_000_000_000);
        rendered("{time}").parse::<Timestamp>().unwrap();
    }

    #[test]
    fn other_braces_are_left_alone() {
        for text in [
            r#"{"a":{"b":{}},"c":[{}]}"#,
            "subscription { price { base } }",
            "{seq",
            "{ seq }",
            "{sequence}",
            "{run:3}",
            "{i:65}",
            "{i:x}",
            "}{}}{{",
        ] {
            assert_eq!(rendered(text), text);
        }
        assert_eq!(rendered(r#"{"a":{"b":{seq}}}"#), r#"{"a":{"b":12}}"#);
    }

    #[test]
    fn a_word_in_two_pairs_of_braces_is_the_word_itself() {
        assert_eq!(rendered("{{seq}} {{i:3}}"), "{seq} {i:3}");
        assert_eq!(rendered("{{price}}"), "{{price}}");
    }

    #[test]
    fn the_number_of_a_publication_stands_between_two_texts() {
        let around = |text| Template::parse(text).around_seq(&VALUES);
        let pair = |before: &str, behind: &str| Some((before.to_owned(), behind.to_owned()));
        assert_eq!(
            around(r#""memo":"{run} {seq}""#),
            pair("\"memo\":\"c0ffee00 ", "\"")
        );
        assert_eq!(around("{seq}"), pair("", ""));
        assert_eq!(around("{seq}{seq}"), None);
        assert_eq!(around("{{seq}}"), None);
    }

    proptest! {
        #[test]
        fn text_without_our_words_comes_out_as_it_went_in(text in "[ {}\"a-hj-mo-qt-z:,]{0,60}") {
            prop_assert_eq!(rendered(&text), text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[{}iseqrunow:0-9é]{0,40}") {
            rendered(&text);
        }
    }
}

//! The parameters of a subscription.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::refusal::{Problems, Reason};
use crate::event::{Asks, Kind, Param, Shape, Stream, market_of};
use crate::filter::Filter;

/// What the parameters ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wanted {
    pub(super) filter: Filter,
    /// Whether the details of records are told, too.
    pub(super) has_details: bool,
}

/// Values that a parameter may have.
const ITEMS: usize = 1000;

/// Reads the parameters of a dataset. What is wrong with them is added to the problems; nobody is told anything by what is
/// read then.
pub(super) fn read(
    stream: &Stream,
    params: &Map<String, Value>,
    problems: &mut Problems,
) -> Wanted {
    for name in params.keys() {
        if !stream.params.iter().any(|param| param.name == name) {
            problems.add(format!("params.{name}"), Reason::Unknown);
        }
    }
    let mut wanted = Wanted::default();
    let mut base = None;
    for (dimension, param) in (0u8..).zip(stream.params) {
        let values = values(param, params.get(param.name), problems);
        match param.asks {
            Asks::Field(_) | Asks::ContractOf(_) => {
                wanted.filter = wanted.filter.one_of(dimension, values);
            }
            Asks::Base => base = values.into_iter().next().map(|base| (dimension, base)),
            Asks::Quote => match (&base, values.first()) {
                (Some((_, base)), Some(quote)) if base == quote => {
                    problems.add(name_of(param), Reason::Duplicate);
                }
                (Some((dimension, base)), Some(quote)) => {
                    let market = market_of(base, quote);
                    wanted.filter = wanted.filter.one_of(*dimension, [market]);
                }
                _ => {}
            },
            Asks::Only => {}
            Asks::Details(_) => wanted.has_details = values == ["true"],
        }
    }
    wanted
}

/// The values of a parameter, in the spelling of terms; none if it does not matter. `null` is as good as nothing.
fn values(param: &Param, given: Option<&Value>, problems: &mut Problems) -> Vec<String> {
    let mut read = |name: Cow<'static, str>, value: &Value| match value_of(value, param.kind) {
        Ok(value) => Some(value),
        Err(Reason::Unsupported) => {
            problems.unsupported(name, words(param.kind).map(Value::from).collect());
            None
        }
        Err(reason) => {
            problems.add(name, reason);
            None
        }
    };
    match (param.shape, given.filter(|given| !given.is_null())) {
        (_, None) if param.is_required => {
            problems.add(name_of(param), Reason::Missing);
            Vec::new()
        }
        (_, None) => param.default.map(str::to_owned).into_iter().collect(),
        (Shape::One, Some(value)) => read(name_of(param), value).into_iter().collect(),
        (Shape::List, Some(Value::Array(items))) if items.len() > ITEMS => {
            problems.add(name_of(param), Reason::TooManyItems);
            Vec::new()
        }
        (Shape::List, Some(Value::Array(items))) => {
            let items = items.iter().enumerate();
            let values = items
                .filter_map(|(at, item)| read(format!("{}[{at}]", name_of(param)).into(), item));
            values.collect()
        }
        (Shape::List, Some(_)) => {
            problems.add(name_of(param), Reason::InvalidType);
            Vec::new()
        }
    }
}

fn value_of(value: &Value, kind: Kind) -> Result<String, Reason> {
    match (kind, value) {
        (Kind::Hex { bytes }, Value::String(text)) => {
            let is_hex =
                text.len() == 2 * bytes && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            match is_hex {
                true => Ok(text.to_ascii_lowercase()),
                false => Err(Reason::InvalidFormat),
            }
        }
        (Kind::Number, Value::Number(number)) => match number.as_u64() {
            Some(number) => Ok(number.to_string()),
            None => Err(Reason::InvalidFormat),
        },
        (Kind::Flag, Value::Bool(flag)) => Ok(flag.to_string()),
        (Kind::Word(_) | Kind::Coded(_), Value::String(text)) => {
            match words(kind).any(|word| word == text) {
                true => Ok(text.clone()),
                false => Err(Reason::Unsupported),
            }
        }
        _ => Err(Reason::InvalidType),
    }
}

/// The words that there are.
fn words(kind: Kind) -> impl Iterator<Item = &'static str> {
    let (words, coded) = match kind {
        Kind::Word(words) => (words, [].as_slice()),
        Kind::Coded(coded) => ([].as_slice(), coded),
        Kind::Hex { .. } | Kind::Number | Kind::Flag => ([].as_slice(), [].as_slice()),
    };
    words
        .iter()
        .copied()
        .chain(coded.iter().map(|(word, _)| *word))
}

fn name_of(param: &Param) -> Cow<'static, str> {
    format!("params.{}", param.name).into()
}

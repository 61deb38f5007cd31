//! Records of datasets of EVM chains.
//!
//! A body is a record, or a record with a word on reorganisations: `{"is_reorg": true, "data": {…}}`. No record
//! has an object in `data` (those of transactions and logs have a string), so a body that has is the second, and
//! has nothing else. Clients are told what was published: its own keys in their order, its numbers as they were
//! written. What is added is said at [`DatasetRecord::data`].

mod catalogue;
mod entries;
#[cfg(test)]
mod tests;

use self::catalogue::KeyKind;
pub use self::catalogue::{Asks, Kind, Param, Shape, Stream};

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use self::entries::{Entries, quoted};
use super::{Cause, from_json};
use crate::filter::Term;
use crate::topic::{Dataset, DatasetId};

/// A record of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetRecord {
    /// Whether it takes the place of one that was told before: the chain was reorganised.
    pub is_reorg: bool,
    /// The record, as JSON without spaces. `_is_reorg` is in it if it is one, and in blocks always;
    /// `_tracing_id` is made if the publisher had none.
    pub data: Box<str>,
    /// The same without the fields that clients are told only if they ask for details; `None` if it has none.
    pub without_details: Option<Box<str>>,
    /// What filters find it by.
    pub terms: Box<[Term]>,
}

/// All of whose records say whether they are of a reorganisation.
const BLOCKS: DatasetId = DatasetId::of_digits(*b"0101");

const IS_REORG: &str = "_is_reorg";
const TRACING_ID: &str = "_tracing_id";
/// Hex digits of a `_tracing_id` that is made here, those of the dataset's id among them: BlockDB's have 36, 40 or 64.
const TRACING_ID_DIGITS: usize = 40;

/// An address, and behind it a block and a transaction.
const CONTRACT_ID_BYTES: usize = 26;

/// The fields of a record.
type Fields<'a> = BTreeMap<&'a str, &'a RawValue>;

impl DatasetRecord {
    pub(super) fn decode(dataset: Dataset, body: &[u8]) -> Result<Self, Cause> {
        let stream = Stream::of_id(dataset.id).ok_or_else(|| {
            let known = Stream::ALL.iter().map(|stream| stream.id.as_str());
            let known: Vec<_> = known.collect();
            wrong(format!(
                "there is no dataset {}; there are {}",
                dataset.id,
                known.join(", ")
            ))
        })?;
        let body: Entries<'_> = from_json(body)?;
        let (said, record) = opened(body)?;
        let fields = record.by_name().map_err(wrong)?;
        check_key(stream, &fields)?;
        let terms = terms(stream, &fields)?;
        let is_reorg = is_reorg(said, &fields)?;
        let mut added = respelled(stream, &fields)?;
        if is_reorg || stream.id == BLOCKS {
            added.push((
                IS_REORG,
                Cow::Borrowed(if is_reorg { "true" } else { "false" }),
            ));
        }
        if given(&fields, TRACING_ID)
            .map(|id| text(TRACING_ID, id))
            .transpose()?
            .is_none_or(|id| id.is_empty())
        {
            let id = tracing_id(dataset, is_reorg, &fields);
            added.push((TRACING_ID, Cow::Owned(quoted(&id))));
        }
        let details = stream.details();
        let has_details = details.iter().any(|name| fields.contains_key(name));
        Ok(DatasetRecord {
            is_reorg,
            data: record.told(&added, &[]).into(),
            without_details: has_details.then(|| record.told(&added, details).into()),
            terms: terms.into(),
        })
    }
}

/// What an envelope says of reorganisations, if the body is one, and the record in it.
fn opened(body: Entries<'_>) -> Result<(Option<bool>, Entries<'_>), Cause> {
    let data = body.iter().find(|(name, _)| *name == "data");
    let Some((_, data)) = data.filter(|(_, value)| value.get().starts_with('{')) else {
        if body.iter().any(|(name, _)| name == "is_reorg") {
            let words =
                "is_reorg: it belongs beside an object `data`, or into the record as `_is_reorg`";
            return Err(wrong(words.to_owned()));
        }
        return Ok((None, body));
    };
    let fields = body.by_name().map_err(wrong)?;
    if let Some(name) = fields
        .keys()
        .find(|name| !["data", "is_reorg"].contains(name))
    {
        return Err(wrong(format!(
            "{name}: beside an object `data` there is nothing but `is_reorg`"
        )));
    }
    let is_reorg =
        given(&fields, "is_reorg").map(|flag| read::<bool>("is_reorg", flag, "true or false"));
    let is_reorg = is_reorg.transpose()?.unwrap_or(false);
    let record =
        from_json(data.get().as_bytes()).map_err(|cause| wrong(format!("data: {cause}")))?;
    Ok((Some(is_reorg), record))
}

/// A record may say it, and so may what is around it; but not different things.
fn is_reorg(said: Option<bool>, fields: &Fields<'_>) -> Result<bool, Cause> {
    let own = given(fields, IS_REORG).map(|flag| read::<bool>(IS_REORG, flag, "true or false"));
    match (said, own.transpose()?) {
        (Some(said), Some(own)) if said != own => Err(wrong(format!(
            "is_reorg is {said}, and {IS_REORG} of the record is {own}"
        ))),
        (said, own) => Ok(said.or(own).unwrap_or(false)),
    }
}

fn check_key(stream: &Stream, fields: &Fields<'_>) -> Result<(), Cause> {
    for (name, kind) in stream.key {
        let value = given(fields, name);
        let value = value.ok_or_else(|| {
            wrong(format!(
                "{name} is missing: it is part of what tells the records of {} apart",
                stream.id
            ))
        })?;
        match kind {
            KeyKind::Number => number(name, value).map(drop)?,
            KeyKind::Text => text(name, value).map(drop)?,
        }
    }
    Ok(())
}

/// What filters find a record by: a term for each parameter whose field it has.
fn terms(stream: &Stream, fields: &Fields<'_>) -> Result<Vec<Term>, Cause> {
    let mut terms = Vec::new();
    for (dimension, param) in (0u8..).zip(stream.params) {
        let value = match param.asks {
            Asks::Field(name) => match given(fields, name) {
                Some(value) => Some(normal(name, value, param.kind)?),
                None => None,
            },
            Asks::ContractOf(name) => match given(fields, name) {
                Some(value) => Some(contract(name, value)?),
                None => None,
            },
            Asks::Base => market(fields, param.kind)?,
            Asks::Quote | Asks::Only | Asks::Details(_) => None,
        };
        terms.extend(value.map(|value| Term::new(dimension, value)));
    }
    Ok(terms)
}

/// The bytes that filters look at, of publishers who do not write hex as clients are told it: without a prefix and in
/// lower case. Clients find a record by what they asked for.
fn respelled(
    stream: &Stream,
    fields: &Fields<'_>,
) -> Result<Vec<(&'static str, Cow<'static, str>)>, Cause> {
    let mut respelled = Vec::new();
    for param in stream.params {
        let names: &[&'static str] = match &param.asks {
            Asks::Field(name) | Asks::ContractOf(name) => &[*name],
            Asks::Base => &["token_in", "token_out"],
            Asks::Quote | Asks::Only | Asks::Details(_) => &[],
        };
        for name in names {
            let bytes = match (param.kind, &param.asks) {
                (_, Asks::ContractOf(_)) => CONTRACT_ID_BYTES,
                (Kind::Hex { bytes }, _) => bytes,
                _ => continue,
            };
            let Some(value) = given(fields, name) else {
                continue;
            };
            let normal = quoted(&hex(name, value, bytes)?);
            if normal != value.get() {
                respelled.push((*name, Cow::Owned(normal)));
            }
        }
    }
    Ok(respelled)
}

/// A value in the one spelling that filters use: hex without prefix in lower case, numbers as their digits, and the
/// words of parameters for the numbers that stand for them.
fn normal(name: &str, value: &RawValue, kind: Kind) -> Result<String, Cause> {
    match kind {
        Kind::Hex { bytes } => hex(name, value, bytes),
        Kind::Number => Ok(number(name, value)?.to_string()),
        Kind::Flag => Ok(read::<bool>(name, value, "true or false")?.to_string()),
        Kind::Word(_) => text(name, value),
        Kind::Coded(words) => {
            let number = number(name, value)?;
            let word = words.iter().find(|(_, code)| *code == number);
            // One that there is no word for cannot be asked for: no word is like it.
            Ok(word.map_or_else(|| number.to_string(), |(word, _)| (*word).to_owned()))
        }
    }
}

/// Bytes in hex, as clients are told them: without a prefix and in lower case, however they were published.
fn hex(name: &str, value: &RawValue, bytes: usize) -> Result<String, Cause> {
    let text = text(name, value)?;
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let digits = digits.unwrap_or(&text);
    let is_hex = digits.len() == 2 * bytes && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_hex {
        true => Ok(digits.to_ascii_lowercase()),
        false => Err(wrong(format!("{name}: expected {bytes} bytes in hex"))),
    }
}

/// The address that the id of a contract begins with.
fn contract(name: &str, value: &RawValue) -> Result<String, Cause> {
    let mut id = hex(name, value, CONTRACT_ID_BYTES)?;
    id.truncate(40);
    Ok(id)
}

/// The market of a record that has both of its tokens.
fn market(fields: &Fields<'_>, kind: Kind) -> Result<Option<String>, Cause> {
    let [one, other] = ["token_in", "token_out"].map(|name| {
        let token = given(fields, name).map(|value| normal(name, value, kind));
        token.transpose()
    });
    Ok(one?.zip(other?).map(|(one, other)| market_of(&one, &other)))
}

/// The one spelling of a market, whichever of its tokens is named first.
pub fn market_of(one: &str, other: &str) -> String {
    format!("{}-{}", one.min(other), one.max(other))
}

/// An id that is the same for the same record of the same dataset, wherever and however often it is told, and another
/// for anything else: clients drop what they have had by it. So it is made of all that the record says, and not of its
/// natural key alone, at which newer records take its place; and of whether it is of a reorganisation. What is said of
/// the record itself (`_created_at`) is left out: that differs when it is told again.
fn tracing_id(dataset: Dataset, is_reorg: bool, fields: &Fields<'_>) -> String {
    let mut hash = Sha256::new();
    let mut feed = |part: &str| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    feed(&dataset.to_string());
    feed(if is_reorg { "reorg" } else { "" });
    for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with('_')) {
        feed(name);
        feed(&entries::compact(value.get()));
    }
    let mut id = dataset.id.to_string();
    for byte in hash.finalize() {
        id.push_str(&format!("{byte:02x}"));
    }
    id.truncate(TRACING_ID_DIGITS);
    id
}

/// The value of a field. `null` is none.
fn given<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a RawValue> {
    let value = fields.get(name).copied();
    value.filter(|value| value.get() != "null")
}

fn number(name: &str, value: &RawValue) -> Result<u64, Cause> {
    read(name, value, "a whole number")
}

fn text(name: &str, value: &RawValue) -> Result<String, Cause> {
    read(name, value, "a string")
}

fn read<'a, T: serde::Deserialize<'a>>(
    name: &str,
    value: &'a RawValue,
    expected: &str,
) -> Result<T, Cause> {
    serde_json::from_str(value.get()).map_err(|_| wrong(format!("{name}: expected {expected}")))
}

fn wrong(what: String) -> Cause {
    Cause::Meaning(what)
}

//! `REWARDS_STATUS_<userId>`: what happens to a user of a reward program.
//!
//! Bodies are spelled as clients are told them. `Data` is checked and then passed on as the text that
//! was published: order of keys, spelling of numbers, escapes.

use std::borrow::Cow;
use std::fmt;

use jiff::civil;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{Cause, from_json};
use crate::topic::UserId;

/// What a user is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusUpdate {
    pub status_type: StatusType,
    /// RFC 3339, as it was published.
    pub timestamp: String,
    pub user: UserId,
    /// As it was published. JSON, but for types that are not known here: theirs may be any text.
    pub data: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusType {
    /// Nothing yet: the subscription runs. Only this server says so.
    Connected,
    /// The level or the points have changed.
    LoyaltyUpdate,
    /// The balance of a virtual currency has changed.
    VcUpdate,
    /// A token for a wheel came or went.
    WheelTokensUpdate,
    /// A task of a challenge is closer to its end.
    ChallengesProgressUpdate,
    /// A challenge or a milestone is done.
    ChallengesCreditUpdate,
    /// A bonus was awarded.
    BonusUpdate,
    /// What a newer publisher says: passed on, and counted.
    Unknown(String),
}

/// What is told for `Data` that is not there.
const NO_DATA: &str = "{}";

impl StatusUpdate {
    /// What a subscription is told first.
    pub fn connected(user: UserId, now: jiff::Timestamp) -> Self {
        StatusUpdate {
            status_type: StatusType::Connected,
            timestamp: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            user,
            data: NO_DATA.to_owned(),
        }
    }

    pub(super) fn decode(user: UserId, body: &[u8]) -> Result<Self, Cause> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Payload<'a> {
            r#type: String,
            timestamp: String,
            /// The channel says it, too.
            #[serde(rename = "UserID", borrow)]
            user_id: Option<&'a RawValue>,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        let payload: Payload = from_json(body)?;
        let status_type = StatusType::parse(payload.r#type);
        match &status_type {
            StatusType::Connected => return wrong("Type is connected, which only the server says"),
            StatusType::Unknown(word) if word.is_empty() => return wrong("Type is empty"),
            _ => {}
        }
        if !is_rfc_3339(&payload.timestamp) {
            let timestamp = shown(&payload.timestamp);
            return wrong(format!("Timestamp is {timestamp:?}, not RFC 3339"));
        }
        if let Some(other) = payload.user_id.filter(|id| !is_of(user, id)) {
            let other = shown(other.get());
            return wrong(format!("UserID is {other}, and the channel's is {user}"));
        }
        let data = match payload.data.map(RawValue::get) {
            None => NO_DATA.to_owned(),
            Some(text) if text.starts_with('"') => read(text)?,
            Some(json) => json.to_owned(),
        };
        if let Some(fields) = status_type.fields() {
            check(&data, fields, user)?;
        }
        Ok(StatusUpdate {
            status_type,
            timestamp: payload.timestamp,
            user,
            data,
        })
    }
}

impl StatusType {
    /// The word for it, on the bus and for clients.
    pub fn as_str(&self) -> &str {
        match self {
            StatusType::Connected => "connected",
            StatusType::LoyaltyUpdate => "loyalty_update",
            StatusType::VcUpdate => "vc_update",
            StatusType::WheelTokensUpdate => "wheel_tokens_update",
            StatusType::ChallengesProgressUpdate => "challenges_progress_update",
            StatusType::ChallengesCreditUpdate => "challenges_credit_update",
            StatusType::BonusUpdate => "bonus_update",
            StatusType::Unknown(word) => word,
        }
    }

    fn parse(word: String) -> Self {
        [
            StatusType::Connected,
            StatusType::LoyaltyUpdate,
            StatusType::VcUpdate,
            StatusType::WheelTokensUpdate,
            StatusType::ChallengesProgressUpdate,
            StatusType::ChallengesCreditUpdate,
            StatusType::BonusUpdate,
        ]
        .into_iter()
        .find(|known| known.as_str() == word)
        .unwrap_or(StatusType::Unknown(word))
    }

    /// What `Data` holds; `None` if that is not known.
    fn fields(&self) -> Option<&'static [Field]> {
        use Field::{Optional, Required};
        use Shape::{Date, Direction, Integer, Number, OwnId, SomeId};
        match self {
            StatusType::LoyaltyUpdate => Some(&[
                Required("user_id", OwnId),
                Required("level", Integer),
                Required("xp", Number),
            ]),
            StatusType::VcUpdate => Some(&[
                Required("user_id", OwnId),
                Required("virtual_currency_id", Integer),
                Required("new_amount", Number),
            ]),
            StatusType::WheelTokensUpdate => Some(&[
                Required("user_id", OwnId),
                Required("wheel_id", Integer),
                Required("transaction_type", Direction),
                Optional("expire_date", Date),
            ]),
            StatusType::ChallengesProgressUpdate => Some(&[
                Required("user_id", OwnId),
                Required("user_task_id", Integer),
                Required("amount", Number),
            ]),
            // A Challenge and a UserBonusV2: their fields are not published.
            StatusType::ChallengesCreditUpdate | StatusType::BonusUpdate => {
                Some(&[Optional("user_id", SomeId)])
            }
            StatusType::Connected | StatusType::Unknown(_) => None,
        }
    }
}

/// A field of `Data`, by its name. All others are let be.
enum Field {
    Required(&'static str, Shape),
    /// May be absent or null.
    Optional(&'static str, Shape),
}

/// What a field holds.
#[derive(Clone, Copy)]
enum Shape {
    /// The id of the channel's user.
    OwnId,
    /// Whatever it is, it is not the id of another user.
    SomeId,
    Integer,
    Number,
    Direction,
    Date,
}

impl Shape {
    /// How a value is not of this shape, as the end of a sentence; `None` if it is.
    fn misses(self, value: &RawValue, user: UserId) -> Option<String> {
        let json = value.get();
        let text = || serde_json::from_str::<String>(json).ok();
        let fits = match self {
            Shape::OwnId => is_of(user, value),
            Shape::SomeId => !is_of_another(user, value),
            Shape::Integer => serde_json::from_str::<i64>(json).is_ok(),
            Shape::Number => serde_json::from_str::<f64>(json).is_ok(),
            Shape::Direction => text().is_some_and(|word| word == "credit" || word == "debit"),
            Shape::Date => text().is_some_and(|date| is_iso_8601(&date)),
        };
        (!fits).then(|| match self {
            Shape::OwnId | Shape::SomeId => format!("and the channel's is {user}"),
            Shape::Integer => "not an integer".to_owned(),
            Shape::Number => "not a number".to_owned(),
            Shape::Direction => r#"neither "credit" nor "debit""#.to_owned(),
            Shape::Date => "not a date in ISO 8601".to_owned(),
        })
    }
}

/// The fields of a JSON object, in order, with the text of each value. A name may come twice.
struct Entries<'a>(SmallVec<[(FieldName<'a>, &'a RawValue); 6]>);

/// Copied only if there are escapes in it.
#[derive(Deserialize)]
struct FieldName<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = SmallVec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Whether `Data` has its fields. Of a field that comes twice, each must be right: parsers differ in
/// which of them they read.
fn check(data: &str, fields: &[Field], user: UserId) -> Result<(), Cause> {
    let Entries(entries) = read(data)?;
    for field in fields {
        let (name, shape, is_required) = match *field {
            Field::Required(name, shape) => (name, shape, true),
            Field::Optional(name, shape) => (name, shape, false),
        };
        let mut is_there = false;
        for (_, value) in entries.iter().filter(|(FieldName(other), _)| other == name) {
            is_there = true;
            if value.get() == "null" && !is_required {
                continue;
            }
            if let Some(how) = shape.misses(value, user) {
                let value = shown(value.get());
                return wrong(format!("Data.{name} is {value}, {how}"));
            }
        }
        if is_required && !is_there {
            return wrong(format!("Data.{name} is missing"));
        }
    }
    Ok(())
}

/// Reads `Data`, or the JSON that is a string in it.
fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Cause> {
    serde_json::from_str(json).map_err(|error| Cause::Meaning(format!("Data: {error}")))
}

/// The id of a user: an integer, or a decimal string.
fn user_id(value: &RawValue) -> Option<UserId> {
    match text_of(value) {
        Some(text) => UserId::parse(&text?),
        None => UserId::parse(value.get()),
    }
}

/// The text that a value is, if it is one; `None` in it for one that is no Unicode.
fn text_of(value: &RawValue) -> Option<Option<String>> {
    let json = value.get();
    json.starts_with('"')
        .then(|| serde_json::from_str(json).ok())
}

fn is_of(user: UserId, value: &RawValue) -> bool {
    user_id(value) == Some(user)
}

/// Whether anybody could read this as the id of another user: `124.0` or `" 124"` too.
fn is_of_another(user: UserId, value: &RawValue) -> bool {
    let number = match text_of(value) {
        Some(text) => text.and_then(|text| text.trim().parse::<f64>().ok()),
        None => serde_json::from_str(value.get()).ok(),
    };
    number.is_some_and(|number: f64| {
        number != f64::from(user.get()) && UserId::of_number(number as i64).is_some()
    })
}

fn wrong<T>(what: impl Into<String>) -> Result<T, Cause> {
    Err(Cause::Meaning(what.into()))
}

/// So much of a value as fits into an error.
fn shown(value: &str) -> String {
    const BYTES: usize = 60;
    match value.floor_char_boundary(BYTES) {
        end if end < value.len() => format!("{}…", &value[..end]),
        _ => value.to_owned(),
    }
}

/// RFC 3339, section 5.6. jiff would take more: all of ISO 8601 that Temporal takes.
fn is_rfc_3339(text: &str) -> bool {
    let Some((date_time, rest)) = text.split_at_checked("2026-01-15T10:30:00".len()) else {
        return false;
    };
    let offset = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            if offset.len() == fraction.len() {
                return false;
            }
            offset
        }
    };
    let is_numeric = (is_like(offset, "+00:00") || is_like(offset, "-00:00"))
        && &offset[1..3] < "24"
        && &offset[4..] < "60";
    (is_numeric || offset.eq_ignore_ascii_case("z"))
        && is_like(date_time, "0000-00-00T00:00:00")
        && date_time.parse::<civil::DateTime>().is_ok()
}

/// A date, with a time or without, with a zone or without.
fn is_iso_8601(text: &str) -> bool {
    is_rfc_3339(text)
        || text.parse::<civil::DateTime>().is_ok()
        || text.parse::<jiff::Timestamp>().is_ok()
}

/// Whether a text has digits where the pattern has zeros, and is the same elsewhere, in either case.
fn is_like(text: &str, pattern: &str) -> bool {
    let is_one = |(byte, like): (u8, u8)| match like {
        b'0' => byte.is_ascii_digit(),
        like => byte.eq_ignore_ascii_case(&like),
    };
    text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    const AT: &str = "2026-01-15T10:31:00Z";

    fn decode(body: &str) -> Result<StatusUpdate, String> {
        let user = UserId::of_number(123).unwrap();
        StatusUpdate::decode(user, body.as_bytes()).map_err(|cause| cause.to_string())
    }

    /// A body of this type, with this as its `Data`.
    fn body(status_type: &str, data: &str) -> String {
        format!(r#"{{"Type":"{status_type}","Timestamp":"{AT}","UserID":123,"Data":{data}}}"#)
    }

    /// What clients are told as `Data`.
    fn data(status_type: &str, data: &str) -> Result<String, String> {
        decode(&body(status_type, data)).map(|update| update.data)
    }

    fn wrong(status_type: &str, data: &str) -> String {
        decode(&body(status_type, data)).unwrap_err()
    }

    /// One of each type, as the contract has it.
    const EACH: [(&str, &str); 6] = [
        ("loyalty_update", r#"{"user_id":123,"level":5,"xp":1250.5}"#),
        (
            "vc_update",
            r#"{"user_id":123,"virtual_currency_id":2,"new_amount":10}"#,
        ),
        (
            "wheel_tokens_update",
            r#"{"user_id":123,"wheel_id":7,"transaction_type":"credit","expire_date":"2026-02-01T00:00:00Z"}"#,
        ),
        (
            "challenges_progress_update",
            r#"{"user_id":123,"user_task_id":9,"amount":0.25}"#,
        ),
        (
            "challenges_credit_update",
            r#"{"id":4,"title":"First steps","tasks":[{"id":9}]}"#,
        ),
        (
            "bonus_update",
            r#"{"id":11,"bonus":{"name":"10 free spins"}}"#,
        ),
    ];

    #[test]
    fn each_type_is_read() {
        for (status_type, json) in EACH {
            let update = decode(&body(status_type, json)).unwrap();
            assert_eq!(update.status_type.as_str(), status_type);
            assert!(!matches!(update.status_type, StatusType::Unknown(_)));
            assert_eq!(update.timestamp, AT);
            assert_eq!(update.user.get(), 123);
            assert_eq!(update.data, json);
        }
    }

    #[test]
    fn data_in_a_string_is_passed_on_as_what_the_string_says() {
        for (status_type, json) in EACH {
            let quoted = serde_json::to_string(json).unwrap();
            assert_eq!(data(status_type, &quoted), Ok(json.to_owned()));
        }
        // Whatever it is, of a type that is not known.
        assert_eq!(data("surprise", r#""not {JSON""#), Ok("not {JSON".into()));
        assert_eq!(data("surprise", r#""""#), Ok(String::new()));
    }

    #[test]
    fn data_is_passed_on_as_it_was_written() {
        for json in [
            r#"{"xp": 1250.50, "user_id" : 123,"level":5}"#,
            r#"{"level":5,"xp":1e3,"user_id":"123"}"#,
            r#"{"level":1,"level":5,"xp":-0.0,"user_id":123}"#,
            r#"{"level":5,"xp":123456789012345678901234567890,"user_id":123,"name":"\u00e9\ud83c\udfb0\/"}"#,
            "{\n  \"user_id\": 123,\t\"level\": 5, \"xp\": 0 }",
        ] {
            assert_eq!(data("loyalty_update", json), Ok(json.to_owned()));
        }
    }

    #[test]
    fn data_that_is_not_there_is_an_empty_object_where_the_type_needs_nothing_in_it() {
        for status_type in ["surprise", "bonus_update", "challenges_credit_update"] {
            assert_eq!(data(status_type, "null"), Ok("{}".into()));
            let without = format!(r#"{{"Type":"{status_type}","Timestamp":"{AT}"}}"#);
            assert_eq!(decode(&without).unwrap().data, "{}");
        }
        assert_snapshot!(wrong("loyalty_update", "null"), @"Data.user_id is missing");
    }

    #[test]
    fn data_of_an_unknown_type_is_anything() {
        for json in ["[1,2]", "7", "true", r#"{"user_id":"me"}"#] {
            let update = decode(&body("surprise", json)).unwrap();
            assert_eq!(update.status_type, StatusType::Unknown("surprise".into()));
            assert_eq!(update.data, json);
        }
    }

    #[test]
    fn what_data_lacks_is_named() {
        assert_snapshot!(wrong("loyalty_update", "{}"), @"Data.user_id is missing");
        assert_snapshot!(wrong("loyalty_update", r#"{"user_id":123}"#), @"Data.level is missing");
        assert_snapshot!(wrong("loyalty_update", r#"{"user_id":123,"level":5}"#), @"Data.xp is missing");
        assert_snapshot!(wrong("vc_update", r#"{"user_id":123}"#), @"Data.virtual_currency_id is missing");
        assert_snapshot!(wrong("vc_update", r#"{"user_id":123,"virtual_currency_id":1}"#), @"Data.new_amount is missing");
        assert_snapshot!(wrong("wheel_tokens_update", r#"{"user_id":123}"#), @"Data.wheel_id is missing");
        assert_snapshot!(wrong("wheel_tokens_update", r#"{"user_id":123,"wheel_id":1}"#), @"Data.transaction_type is missing");
        assert_snapshot!(wrong("challenges_progress_update", r#"{"user_id":123}"#), @"Data.user_task_id is missing");
        assert_snapshot!(wrong("challenges_progress_update", r#"{"user_id":123,"user_task_id":1}"#), @"Data.amount is missing");
    }

    #[test]
    fn what_is_wrong_in_data_is_named() {
        let loyalty = |level: &str, xp: &str| {
            let json = format!(r#"{{"user_id":123,"level":{level},"xp":{xp}}}"#);
            wrong("loyalty_update", &json)
        };
        assert_snapshot!(loyalty(r#""five""#, "1"), @r#"Data.level is "five", not an integer"#);
        assert_snapshot!(loyalty("5.5", "1"), @"Data.level is 5.5, not an integer");
        assert_snapshot!(loyalty("null", "1"), @"Data.level is null, not an integer");
        assert_snapshot!(loyalty("5", r#""1250.5""#), @r#"Data.xp is "1250.5", not a number"#);
        assert_snapshot!(loyalty("5", "1e999"), @"Data.xp is 1e999, not a number");
        assert_snapshot!(loyalty("5", &format!("[{}]", "0,".repeat(50) + "0")), @"Data.xp is [0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0…, not a number");
        // The second one is no better for being the second.
        assert_snapshot!(loyalty(r#"5,"level":"five""#, "1"), @r#"Data.level is "five", not an integer"#);
        let wheel = |more: &str| {
            let json = format!(r#"{{"user_id":123,"wheel_id":7,{more}}}"#);
            wrong("wheel_tokens_update", &json)
        };
        assert_snapshot!(wheel(r#""transaction_type":"gift""#), @r#"Data.transaction_type is "gift", neither "credit" nor "debit""#);
        assert_snapshot!(wheel(r#""transaction_type":1"#), @r#"Data.transaction_type is 1, neither "credit" nor "debit""#);
        assert_snapshot!(wheel(r#""transaction_type":"credit","expire_date":"soon""#), @r#"Data.expire_date is "soon", not a date in ISO 8601"#);
        assert_snapshot!(wheel(r#""transaction_type":"credit","expire_date":1769904000"#), @"Data.expire_date is 1769904000, not a date in ISO 8601");
        assert_snapshot!(wrong("bonus_update", "[]"), @"Data: invalid type: sequence, expected an object at line 1 column 0");
        assert_snapshot!(wrong("bonus_update", "7"), @"Data: invalid type: integer `7`, expected an object at line 1 column 1");
        assert_snapshot!(wrong("challenges_credit_update", r#""won""#), @"Data: expected value at line 1 column 1");
        assert_snapshot!(wrong("challenges_credit_update", r#""{} {}""#), @"Data: trailing characters at line 1 column 4");
        assert_snapshot!(wrong("loyalty_update", r#""\ud800""#), @"Data: unexpected end of hex escape at line 1 column 8");
    }

    #[test]
    fn a_wheel_token_may_expire_on_any_date_or_never() {
        for date in [
            "null",
            r#""2026-02-01""#,
            r#""2026-02-01T00:00:00""#,
            r#""2026-02-01T00:00:00.123+02:00""#,
            r#""20260201T000000Z""#,
            r#""9999-12-31T23:59:59Z""#,
        ] {
            let json = format!(
                r#"{{"user_id":123,"wheel_id":7,"transaction_type":"debit","expire_date":{date}}}"#
            );
            assert_eq!(data("wheel_tokens_update", &json), Ok(json.clone()));
        }
    }

    #[test]
    fn the_event_of_another_user_is_malformed() {
        let of = |user_id: &str| {
            decode(&format!(
                r#"{{"Type":"surprise","Timestamp":"{AT}","UserID":{user_id}}}"#
            ))
        };
        for same in ["123", r#""123""#, "null"] {
            assert!(of(same).is_ok(), "{same}");
        }
        assert_snapshot!(of("124").unwrap_err(), @"UserID is 124, and the channel's is 123");
        assert_snapshot!(of(r#""124""#).unwrap_err(), @r#"UserID is "124", and the channel's is 123"#);
        assert_snapshot!(of("123.0").unwrap_err(), @"UserID is 123.0, and the channel's is 123");
        assert_snapshot!(of(r#""me""#).unwrap_err(), @r#"UserID is "me", and the channel's is 123"#);
        assert_snapshot!(of(r#"123,"UserID":124"#).unwrap_err(), @"duplicate field `UserID` at line 1 column 75");

        let level = r#""level":5,"xp":1"#;
        assert!(data("loyalty_update", &format!(r#"{{"user_id":"123",{level}}}"#)).is_ok());
        for (status_type, rest) in [("loyalty_update", level), ("bonus_update", r#""id":1"#)] {
            for user_id in ["124", r#""124""#, r#"123,"user_id":124"#] {
                let json = format!(r#"{{"user_id":{user_id},{rest}}}"#);
                let quoted = serde_json::to_string(&json).unwrap();
                for json in [json, quoted] {
                    let error = wrong(status_type, &json);
                    assert!(error.ends_with("and the channel's is 123"), "{error}");
                }
            }
        }
        assert_snapshot!(wrong("loyalty_update", &format!(r#"{{"user_id":null,{level}}}"#)), @"Data.user_id is null, and the channel's is 123");
        // What a Challenge and a UserBonusV2 hold is not known: it may be another kind of id.
        for user_id in ["null", r#""bonus-7""#, "{}", "0", "-1", "123.0"] {
            assert!(data("bonus_update", &format!(r#"{{"user_id":{user_id}}}"#)).is_ok());
        }
        for user_id in ["124.0", "1.24e2", r#"" 124""#, r#"null,"user\u005fid":124"#] {
            assert!(data("bonus_update", &format!(r#"{{"user_id":{user_id}}}"#)).is_err());
        }
    }

    #[test]
    fn that_it_is_connected_is_the_servers_to_say() {
        assert_snapshot!(wrong("connected", "{}"), @"Type is connected, which only the server says");
        assert_snapshot!(wrong("", "{}"), @"Type is empty");
        let user = UserId::of_number(123).unwrap();
        let now = "2026-01-15T10:30:00.987654Z".parse().unwrap();
        let connected = StatusUpdate::connected(user, now);
        assert_eq!(connected.status_type.as_str(), "connected");
        assert_eq!(connected.timestamp, "2026-01-15T10:30:00Z");
        assert_eq!((connected.user, &*connected.data), (user, "{}"));
    }

    #[test]
    fn a_body_without_type_or_timestamp_is_malformed() {
        assert_snapshot!(decode("{}").unwrap_err(), @"missing field `Type` at line 1 column 2");
        assert_snapshot!(decode(r#"{"Type":"bonus_update"}"#).unwrap_err(), @"missing field `Timestamp` at line 1 column 23");
        assert_snapshot!(decode(r#"{"Type":7}"#).unwrap_err(), @"Type: invalid type: integer `7`, expected a string at line 1 column 9");
        assert_snapshot!(decode(r#"{"type":"bonus_update","timestamp":"2026-01-15T10:31:00Z"}"#).unwrap_err(), @"missing field `Type` at line 1 column 58");
        assert_snapshot!(decode("[]").unwrap_err(), @"a list, not an object");
    }

    #[test]
    fn a_newer_publisher_harms_no_one() {
        let body = r#"{"Version":2,"Type":"vc_update","Timestamp":"2026-01-15T10:31:00Z","Data":{"user_id":123,"virtual_currency_id":2,"new_amount":10,"old_amount":null}}"#;
        assert!(decode(body).is_ok());
    }

    #[test]
    fn a_timestamp_is_rfc_3339_and_passed_on_as_it_was_written() {
        let of = |timestamp: &str| {
            let body = format!(r#"{{"Type":"surprise","Timestamp":"{timestamp}"}}"#);
            decode(&body).map(|update| update.timestamp)
        };
        for timestamp in [
            "2026-01-15T10:31:00Z",
            "2026-01-15t10:31:00z",
            "2026-01-15T10:31:00.5+02:00",
            "2026-01-15T10:31:00.123456789123-23:59",
            "2026-01-15T10:31:00-00:00",
            "2024-02-29T23:59:60Z",
        ] {
            assert_eq!(of(timestamp), Ok(timestamp.to_owned()));
        }
        for timestamp in [
            "",
            "now",
            "1768473060",
            "2026-01-15",
            "2026-01-15T10:31Z",
            "2026-01-15T10:31:00",
            "2026-01-15 10:31:00Z",
            "20260115T103100Z",
            "2026-01-15T10:31:00.Z",
            "2026-01-15T10:31:00,5Z",
            "2026-01-15T10:31:00+02",
            "2026-01-15T10:31:00+0200",
            "2026-01-15T10:31:00+24:00",
            "2026-01-15T10:31:00+02:60",
            "2026-01-15T10:31:00Z[UTC]",
            "2026-02-29T10:31:00Z",
            "2026-01-15T24:00:00Z",
            "2026-01-15T10:31:0é",
        ] {
            let why = format!("Timestamp is {timestamp:?}, not RFC 3339");
            assert_eq!(of(timestamp), Err(why));
        }
    }

    proptest! {
        #[test]
        fn the_text_of_data_arrives_unchanged(json in any_object()) {
            for status_type in ["bonus_update", "challenges_credit_update", "surprise"] {
                prop_assert_eq!(data(status_type, &json), Ok(json.clone()));
                let quoted = serde_json::to_string(&json).unwrap();
                prop_assert_eq!(data(status_type, &quoted), Ok(json.clone()));
            }
        }

        #[test]
        fn whatever_the_fields_of_data_hold_nothing_panics(
            which in 0..EACH.len(),
            user_id in any_json(),
            value in any_json(),
            timestamp in "[-0-9T:.Z+é ]{0,30}",
        ) {
            let (status_type, _) = EACH[which];
            let json = format!(
                r#"{{"user_id":{user_id},"level":{value},"wheel_id":{value},"transaction_type":"debit","expire_date":{value}}}"#
            );
            let _ = data(status_type, &json);
            let _ = decode(&format!(r#"{{"Type":"x","Timestamp":"{timestamp}","UserID":{user_id}}}"#));
        }
    }

    /// JSON as people and libraries write it: with spaces, exponents and escapes.
    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,5})?([eE][-+]?[0-9]{1,2})?",
            r#""([ a-zé🎰]|\\u[0-9a-c][0-9a-fA-F]{3}|\\[nt/"])*""#,
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4)
                    .prop_map(|items| format!("[ {}]", items.join(" ,"))),
                object_of(inner),
            ]
        })
    }

    fn any_object() -> impl Strategy<Value = String> {
        object_of(any_json())
    }

    fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
        let entry = ("[a-z]{0,3}", value).prop_map(|(name, value)| format!(r#""{name}": {value}"#));
        proptest::collection::vec(entry, 0..5)
            .prop_map(|entries| format!("{{{}}}", entries.join(",\n")))
    }
}

//! A connection as operators see it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::connection_id::ConnectionId;
use crate::auth::Identity;
use crate::topic::{AccountId, UserId};

/// One connection of the fleet, at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// What our log lines call it.
    pub id: Uuid,
    /// What its client calls it; a UUID if that has no name for it.
    pub connection_id: ConnectionId,
    pub who: Who,
    pub protocol: Box<str>,
    /// The client's, as far as the proxies in front are trusted.
    pub address: IpAddr,
    pub since: Timestamp,
    pub figures: Figures,
    /// The node that has it.
    pub node: Arc<str>,
}

/// Whose a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Who {
    pub account: Option<AccountId>,
    pub user: Option<UserId>,
    /// The id of the API key that opened it.
    pub key: Option<Uuid>,
}

/// What changes while a connection lives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    pub subscriptions: usize,
    /// Of the last ping that was answered.
    pub round_trip: Option<Duration>,
    /// What waits to be sent.
    pub bytes_queued: usize,
}

/// Whose `connection_id`s must differ: the rewards user, or the account of who is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    User(UserId),
    Account(AccountId),
}

/// The names and forms of it in JSON.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Words<'a> {
    id: Uuid,
    connection_id: Cow<'a, str>,
    account: Option<String>,
    user: Option<i64>,
    key: Option<Uuid>,
    protocol: Cow<'a, str>,
    address: IpAddr,
    since: Timestamp,
    subscriptions: usize,
    round_trip_ms: Option<f64>,
    bytes_queued: usize,
    node: Cow<'a, str>,
}

impl Who {
    /// The holder of this identity, by this key.
    pub fn of(identity: &Identity, key: Option<Uuid>) -> Self {
        Who {
            account: identity.account(),
            user: identity.user(),
            key,
        }
    }
}

impl Owner {
    /// `None` for nobody in particular.
    pub(super) fn of(account: Option<AccountId>, user: Option<UserId>) -> Option<Self> {
        user.map(Owner::User).or(account.map(Owner::Account))
    }
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Words::deserialize(deserializer)?;
        let account = match &words.account {
            Some(account) => Some(AccountId::parse(account).ok_or(D::Error::custom("account"))?),
            None => None,
        };
        let user = match words.user {
            Some(user) => Some(UserId::of_number(user).ok_or(D::Error::custom("user"))?),
            None => None,
        };
        let round_trip = words.round_trip_ms.map(|time| {
            Duration::try_from_secs_f64(time / MILLISECONDS_PER_SECOND).unwrap_or_default()
        });
        Ok(Listed {
            id: words.id,
            connection_id: ConnectionId::parse(&words.connection_id).map_err(D::Error::custom)?,
            who: Who {
                account,
                user,
                key: words.key,
            },
            protocol: words.protocol.into(),
            address: words.address,
            since: words.since,
            figures: Figures {
                subscriptions: words.subscriptions,
                round_trip,
                bytes_queued: words.bytes_queued,
            },
            node: words.node.into(),
        })
    }
}

const MILLISECONDS_PER_SECOND: f64 = 1000.0;

/// As one object of JSON: what the API answers, and what nodes tell each other.
impl Serialize for Listed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Listed { who, figures, .. } = self;
        let milliseconds = |time: Duration| time.as_secs_f64() * MILLISECONDS_PER_SECOND;
        Words {
            id: self.id,
            connection_id: self.connection_id.as_str().into(),
            account: who.account.map(|account| account.to_string()),
            user: who.user.map(|user| user.get().into()),
            key: who.key,
            protocol: (&*self.protocol).into(),
            address: self.address,
            since: self.since,
            subscriptions: figures.subscriptions,
            round_trip_ms: figures.round_trip.map(milliseconds),
            bytes_queued: figures.bytes_queued,
            node: (&*self.node).into(),
        }
        .serialize(serializer)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::User(user) => write!(f, "user:{user}"),
            Owner::Account(account) => write!(f, "account:{account}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    #[test]
    fn what_is_told_as_json_is_read_back() {
        let account = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";
        let listed = Listed {
            id: Uuid::from_u128(1),
            connection_id: ConnectionId::parse("phone \"1\"").unwrap(),
            who: Who {
                account: AccountId::parse(account),
                user: UserId::of_number(42),
                key: None,
            },
            protocol: "graphql-transport-ws".into(),
            address: [192, 0, 2, 1].into(),
            since: Timestamp::from_second(1_700_000_000).unwrap(),
            figures: Figures {
                subscriptions: 2,
                round_trip: Some(Duration::from_micros(1_500)),
                bytes_queued: 0,
            },
            node: "a:4000".into(),
        };
        let json = serde_json::to_string(&listed).unwrap();
        assert_snapshot!(json, @r#"{"id":"00000000-0000-0000-0000-000000000001","connectionId":"phone \"1\"","account":"0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51","user":42,"key":null,"protocol":"graphql-transport-ws","address":"192.0.2.1","since":"2023-11-14T22:13:20Z","subscriptions":2,"roundTripMs":1.5,"bytesQueued":0,"node":"a:4000"}"#);
        assert_eq!(serde_json::from_str::<Listed>(&json).unwrap(), listed);
        let broken = json.replace(account, "alice");
        assert!(serde_json::from_str::<Listed>(&broken).is_err());
    }
}

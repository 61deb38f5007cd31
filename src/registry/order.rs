//! What one node asks all others to do: the stream `tidings:orders`.
//!
//! | field | `replace` | `close` |
//! |---|---|---|
//! | `order` | `replace` | `close` |
//! | `name` | whose place is taken | |
//! | `id` | by this connection | |
//! | `turn` | and when | |
//! | `from` | | the node that has closed its own already |
//! | `tally` | | where each node says how many it has closed: `tidings:closed:<tally>` |
//! | `account`, `user`, `key`, `connection` | | which, as far as it is said |
//! | `code`, `reason` | | what they are told |

use std::collections::HashMap;

use redis::{Cmd, cmd};
use uuid::Uuid;

use super::connection_id::ConnectionId;
use super::filter::Filter;
use super::goodbye::{GoodbyeCode, GoodbyeReason};
use super::listed::Owner;
use super::members::{Name, Turn};
use crate::topic::{AccountId, UserId};

/// Something that all nodes are asked to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Order {
    /// To close who had this name before. Written by `claim.lua` alone.
    Replace { name: Name, id: Uuid, turn: Turn },
    /// To close all that the filter picks.
    Close {
        from: Option<Uuid>,
        tally: Uuid,
        filter: Filter,
        code: GoodbyeCode,
        reason: Option<GoodbyeReason>,
    },
}

/// The stream.
pub(super) const ORDERS: &str = "tidings:orders";

/// Orders that are kept for nodes that are cut off for a moment: as many replacements come in a
/// minute when a large node is gone and all of its clients come to others.
pub(super) const KEPT: usize = 10_000;

/// How long they are kept after the last one, in milliseconds.
pub(super) const KEPT_MS: u64 = 3_600_000;

impl Order {
    /// The command that gives an order to close; `None` for one to replace.
    pub(super) fn words(&self) -> Option<Cmd> {
        let Order::Close {
            from,
            tally,
            filter,
            code,
            reason,
        } = self
        else {
            return None;
        };
        let mut words = cmd("XADD");
        words.arg(ORDERS).arg("MAXLEN").arg("~").arg(KEPT).arg("*");
        words
            .arg("order")
            .arg("close")
            .arg("code")
            .arg(code.number())
            .arg("tally")
            .arg(tally.to_string());
        if let Some(from) = from {
            words.arg("from").arg(from.to_string());
        }
        if let Some(reason) = reason {
            words.arg("reason").arg(reason.as_str());
        }
        for (name, value) in filter.parameters() {
            words.arg(name).arg(value);
        }
        Some(words)
    }

    /// Reads the fields of an entry; `None` if it is no order of ours.
    pub(super) fn read(fields: &HashMap<String, String>) -> Option<Self> {
        let field = |name: &str| fields.get(name).map(String::as_str);
        match field("order")? {
            "replace" => Some(Order::Replace {
                name: Name::read(field("name")?)?,
                id: Uuid::try_parse(field("id")?).ok()?,
                turn: field("turn")?.parse().ok()?,
            }),
            "close" => {
                let mut filter = Filter::default();
                for name in Filter::NAMES {
                    if let Some(value) = field(name) {
                        filter.read(name, value).ok()?;
                    }
                }
                // What a newer tidings filters by is not here: without it everybody would be meant.
                let is_known = |name: &String| {
                    KNOWN.contains(&name.as_str()) || Filter::NAMES.contains(&name.as_str())
                };
                if filter.is_empty() || !fields.keys().all(is_known) {
                    return None;
                }
                Some(Order::Close {
                    from: field("from").and_then(|from| Uuid::try_parse(from).ok()),
                    tally: Uuid::try_parse(field("tally")?).ok()?,
                    filter,
                    code: GoodbyeCode::parse(field("code")?)?,
                    reason: field("reason").and_then(GoodbyeReason::parse),
                })
            }
            _ => None,
        }
    }
}

const KNOWN: [&str; 5] = ["order", "from", "tally", "code", "reason"];

impl Name {
    /// As a field of `tidings:counts:<node>`.
    pub(super) fn field(&self) -> String {
        format!("name:{}:{}", self.owner, self.connection_id)
    }

    fn read(field: &str) -> Option<Self> {
        let (owner, rest) = field.strip_prefix("name:")?.split_once(':')?;
        let (owner_id, connection_id) = rest.split_once(':')?;
        let owner = match owner {
            "user" => Owner::User(UserId::parse(owner_id)?),
            "account" => Owner::Account(AccountId::parse(owner_id)?),
            _ => return None,
        };
        let connection_id = ConnectionId::parse(connection_id).ok()?;
        Some(Name {
            owner,
            connection_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(words: &Cmd) -> HashMap<String, String> {
        let words: Vec<String> = words
            .args_iter()
            .filter_map(|word| match word {
                redis::Arg::Simple(word) => Some(String::from_utf8(word.to_vec()).unwrap()),
                _ => None,
            })
            .collect();
        let after = words.iter().position(|word| word == "*").unwrap() + 1;
        let pairs = words[after..].chunks(2);
        pairs
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect()
    }

    fn close(name: &str, value: &str) -> Order {
        let mut filter = Filter::default();
        assert_eq!(filter.read(name, value), Ok(true));
        Order::Close {
            from: Some(Uuid::from_u128(7)),
            tally: Uuid::from_u128(8),
            filter,
            code: GoodbyeCode::ServiceRestart,
            reason: GoodbyeReason::parse("moving: on"),
        }
    }

    #[test]
    fn an_order_to_close_is_read_as_it_was_given() {
        for order in [close("user", "42"), close("connection", "a:b 用户")] {
            assert_eq!(Order::read(&fields(&order.words().unwrap())), Some(order));
        }
    }

    #[test]
    fn an_order_that_picks_by_something_unknown_picks_nobody() {
        let mut fields = fields(&close("user", "42").words().unwrap());
        fields.insert("country".to_owned(), "CH".to_owned());
        assert_eq!(Order::read(&fields), None);
        fields.remove("country");
        assert!(Order::read(&fields).is_some());
        fields.remove("user");
        assert_eq!(Order::read(&fields), None);
    }

    #[test]
    fn a_name_is_read_back_whatever_its_client_has_called_it() {
        let account = AccountId::parse("0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51").unwrap();
        let user = UserId::of_number(42).unwrap();
        for owner in [Owner::Account(account), Owner::User(user)] {
            for connection_id in ["phone", "a:b::", "name:user:1:x", " "] {
                let connection_id = ConnectionId::parse(connection_id).unwrap();
                let name = Name {
                    owner,
                    connection_id,
                };
                assert_eq!(Name::read(&name.field()), Some(name));
            }
        }
    }
}

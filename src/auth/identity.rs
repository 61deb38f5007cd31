//! Who asks, and what they may hear.

use std::fmt;

use crate::topic::{AccountId, Topic};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Nobody in particular. Also who runs whatever is shared by everybody.
    Anonymous,
    /// A Blink account.
    Account { account: AccountId, scopes: Scopes },
}

/// What a credential may be used for. Blink's three, and ours for producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Queries, and `myUpdates`.
    Read,
    /// Creating invoices and addresses; nothing here needs it.
    Receive,
    /// Sending; nothing here needs it.
    Write,
    /// `POST /v1/events/<channel>`.
    Publish,
}

/// A set of scopes. Empty means unrestricted (but for [`Scope::Publish`], which is always asked for
/// by name), as session tokens have it at Blink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scopes(u8);

impl Scope {
    /// All scopes, in the order in which they are listed.
    pub const ALL: [Scope; 4] = [Scope::Read, Scope::Receive, Scope::Write, Scope::Publish];

    /// The word for it in tokens, in the key store and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Receive => "receive",
            Scope::Write => "write",
            Scope::Publish => "publish",
        }
    }

    /// Reads the word, in either case.
    pub fn parse(text: &str) -> Option<Self> {
        Scope::ALL
            .into_iter()
            .find(|scope| scope.as_str().eq_ignore_ascii_case(text))
    }
}

impl Scopes {
    /// Whether queries and `myUpdates` are allowed.
    pub fn may_read(self) -> bool {
        self.0 == 0 || self.contains(Scope::Read)
    }

    /// Whether publishing is allowed: never by an empty set.
    pub fn may_publish(self) -> bool {
        self.contains(Scope::Publish)
    }

    fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// The scopes in it.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .into_iter()
            .filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Scopes(
            scopes
                .into_iter()
                .fold(0, |set, scope| set | (1 << scope as u8)),
        )
    }
}

impl fmt::Display for Scopes {
    /// Space separated, as in tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(Scope::as_str).collect();
        f.write_str(&words.join(" "))
    }
}

impl Identity {
    /// Whether this identity may hear a topic: the whole policy.
    pub fn may_read(&self, topic: &Topic) -> bool {
        match (self, topic) {
            (_, Topic::Price(_) | Topic::Invoice(_)) => true,
            (Identity::Account { .. }, Topic::UserPrice(_)) => true,
            (Identity::Anonymous, Topic::UserPrice(_)) => false,
            (Identity::Account { account: own, .. }, Topic::Account(id)) => own == id,
            (Identity::Anonymous, Topic::Account(_)) => false,
        }
    }

    /// The account of the asker, if it has one.
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Identity::Anonymous => None,
            Identity::Account { account, .. } => Some(*account),
        }
    }

    /// The kind of this identity, for labels of metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Identity::Anonymous => "anonymous",
            Identity::Account { .. } => "account",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::{Currency, PaymentHash};

    fn account(id: u128, scopes: &[Scope]) -> Identity {
        Identity::Account {
            account: uuid::Uuid::from_u128(id).into(),
            scopes: scopes.iter().copied().collect(),
        }
    }

    #[test]
    fn an_account_hears_itself_and_no_other() {
        let topic = Topic::Account(uuid::Uuid::from_u128(1).into());
        assert!(account(1, &[]).may_read(&topic));
        assert!(!account(2, &[]).may_read(&topic));
        assert!(!Identity::Anonymous.may_read(&topic));
    }

    #[test]
    fn prices_and_invoices_are_public() {
        let hash = PaymentHash::parse(&"0".repeat(64)).unwrap();
        assert!(Identity::Anonymous.may_read(&Topic::Price(Currency::USD)));
        assert!(Identity::Anonymous.may_read(&Topic::Invoice(hash)));
    }

    #[test]
    fn an_empty_list_of_scopes_is_unrestricted_but_does_not_publish() {
        assert!(Scopes::default().may_read());
        assert!(!Scopes::default().may_publish());
        let receive: Scopes = [Scope::Receive].into_iter().collect();
        assert!(!receive.may_read());
        assert_eq!(
            [Scope::Write, Scope::Read]
                .into_iter()
                .collect::<Scopes>()
                .to_string(),
            "read write"
        );
    }
}

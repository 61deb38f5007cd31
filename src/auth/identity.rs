//! Who asks, and what they may hear.

use std::fmt;

use super::bots::BotOwners;
use super::reason::Reason;
use crate::topic::{AccountId, Topic, UserId};

/// Who asks: a Blink account, a user of a reward program, both in one, or nobody in particular.
///
/// Nobody is also who runs whatever is shared by everybody.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    account: Option<AccountId>,
    user: Option<UserId>,
    scopes: Scopes,
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
    /// Seeing everybody's connections, and closing them.
    Admin,
    /// Hearing the webhooks of the account, and nothing else of it. A page has such a key in its URLs.
    Webhooks,
}

/// A set of scopes. Empty means unrestricted, as session tokens have it at Blink; but for
/// [`Scope::Publish`] and [`Scope::Admin`], which are always asked for by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scopes(u8);

/// In a set: there are scopes that say nothing here. They keep it from being an empty one.
const OTHERS: u8 = 1 << 7;
/// In a set: subscriptions are allowed, whatever else is not.
const HEARS: u8 = 1 << 6;

impl Scope {
    /// All scopes, in the order in which they are listed.
    pub const ALL: [Scope; 6] = [
        Scope::Read,
        Scope::Receive,
        Scope::Write,
        Scope::Publish,
        Scope::Admin,
        Scope::Webhooks,
    ];

    /// The word for it in tokens, in the key store and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Receive => "receive",
            Scope::Write => "write",
            Scope::Publish => "publish",
            Scope::Admin => "admin",
            Scope::Webhooks => "webhooks",
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
    /// The scopes of a token: words separated by spaces. Only those in `grantable` are granted; all
    /// others say nothing here, but a token that has some is not unrestricted.
    pub fn of_token(words: &str, grantable: &[Scope]) -> Self {
        let words = words.split_whitespace().map(|word| {
            let scope = Scope::parse(word).filter(|scope| grantable.contains(scope));
            scope.map_or(OTHERS, |scope| 1 << scope as u8)
        });
        Scopes(words.fold(0, |set, word| set | word))
    }

    /// The same, but that subscriptions are allowed; and nothing else is that was not. What is for
    /// webhooks alone stays so: it is made to be seen by more than its owner.
    pub(super) fn that_hear(self) -> Self {
        match self.are_for_webhooks() {
            true => self,
            false => Scopes(self.0 | HEARS),
        }
    }

    /// Whether webhooks are all that it is for.
    pub fn are_for_webhooks(self) -> bool {
        self == Scopes::from_iter([Scope::Webhooks])
    }

    /// Whether the webhooks of one's account may be heard.
    pub fn may_hear_webhooks(self) -> bool {
        self.may_hear() || self.contains(Scope::Webhooks)
    }

    /// Whether the settings of one's account may be changed.
    pub fn may_write(self) -> bool {
        self.is_unrestricted() || self.contains(Scope::Write)
    }

    /// Whether nothing but publishing and administration is kept from whoever has it.
    pub fn is_unrestricted(self) -> bool {
        self.0 == 0
    }

    /// Whether `myUpdates` and `StatusUpdate` are allowed.
    pub fn may_hear(self) -> bool {
        self.may_read() || self.0 & HEARS != 0
    }

    /// Whether queries are allowed.
    pub fn may_read(self) -> bool {
        self.is_unrestricted() || self.contains(Scope::Read)
    }

    /// Whether publishing is allowed: never by an empty set.
    pub fn may_publish(self) -> bool {
        self.contains(Scope::Publish)
    }

    /// Whether seeing and closing connections is allowed: never by an empty set.
    pub fn may_administer(self) -> bool {
        self.contains(Scope::Admin)
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
    /// Nobody in particular.
    pub const ANONYMOUS: Identity = Identity {
        account: None,
        user: None,
        scopes: Scopes(0),
    };

    /// Whoever is named; nobody if nobody is, who has no scopes either.
    pub fn of(account: Option<AccountId>, user: Option<UserId>, scopes: Scopes) -> Self {
        match (account, user) {
            (None, None) => Identity::ANONYMOUS,
            _ => Identity {
                account,
                user,
                scopes,
            },
        }
    }

    /// The account of this identity alone: what is only the account's is the same for all who have
    /// it, whatever else they have.
    pub fn as_account(&self) -> Self {
        Identity::of(self.account, None, self.scopes)
    }

    /// The account of this identity as one that hears webhooks and nothing else: these are the same for
    /// all who may hear them, whatever else each of them may.
    pub fn as_hearer_of_webhooks(&self) -> Self {
        Identity::of(self.account, None, Scopes::from_iter([Scope::Webhooks]))
    }

    /// The user of this identity alone.
    pub fn as_user(&self) -> Self {
        Identity::of(None, self.user, self.scopes)
    }

    /// Whether this identity may hear a topic: the whole policy.
    ///
    /// What a chain says is public: that the APIs which tell it want to know who asks is about who may use
    /// them, and how much.
    pub fn may_read(&self, topic: &Topic, bots: &BotOwners) -> bool {
        // Whether a scope is asked for is said by the APIs, in words of their own, where it is not said here.
        let is_for_more = !self.scopes.are_for_webhooks();
        match topic {
            Topic::Price(_) | Topic::Invoice(_) => true,
            Topic::Dataset(_) | Topic::MintPrice(_) | Topic::Wallet(_) => true,
            Topic::UserPrice(_) => self.account.is_some() && is_for_more,
            Topic::Account(id) => self.account == Some(*id) && is_for_more,
            Topic::Webhook(id) => self.account == Some(*id) && self.scopes.may_hear_webhooks(),
            Topic::Rewards(id) => self.user == Some(*id) && is_for_more,
            Topic::Bot(id) => {
                self.account.is_some() && self.account == bots.owner(id) && is_for_more
            }
        }
    }

    /// What it may be used for.
    pub fn scopes(&self) -> Scopes {
        self.scopes
    }

    /// The account of the asker, if it has one.
    pub fn account(&self) -> Option<AccountId> {
        self.account
    }

    /// The rewards user that the asker is, if it is one.
    pub fn user(&self) -> Option<UserId> {
        self.user
    }

    /// Whether a newer credential of this other identity may take the place of the present one: it
    /// must be of the same account and user, and must not take away what subscriptions live by.
    pub(super) fn may_become(&self, newer: &Identity) -> Result<(), Reason> {
        if !self.is_same_as(newer) {
            Err(Reason::OtherIdentity)
        } else if self.scopes.may_hear() && !newer.scopes.may_hear() {
            Err(Reason::AllowsLess)
        } else {
            Ok(())
        }
    }

    /// Whether it is the same account and user, whatever each may do.
    pub fn is_same_as(&self, other: &Identity) -> bool {
        (self.account, self.user) == (other.account, other.user)
    }

    /// The kind of this identity, for labels of metrics.
    pub fn kind(&self) -> &'static str {
        match (self.account, self.user) {
            (None, None) => "anonymous",
            (Some(_), None) => "account",
            (None, Some(_)) => "user",
            (Some(_), Some(_)) => "account_and_user",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::{BotId, Currency, PaymentHash};

    fn account(id: u128, scopes: &[Scope]) -> Identity {
        let scopes = scopes.iter().copied().collect();
        Identity::of(Some(uuid::Uuid::from_u128(id).into()), None, scopes)
    }

    fn none() -> BotOwners {
        BotOwners::default()
    }

    #[test]
    fn a_bot_is_heard_by_its_owner_alone() {
        let bot = |id| BotId::parse(id).unwrap();
        let bots = BotOwners::default();
        bots.replace([(bot("bot_1"), uuid::Uuid::from_u128(1).into())]);
        let topic = Topic::Bot(bot("bot_1"));
        assert!(account(1, &[]).may_read(&topic, &bots));
        assert!(!account(2, &[]).may_read(&topic, &bots));
        assert!(!account(1, &[]).may_read(&Topic::Bot(bot("bot_2")), &bots));
        // Nobody is not the owner of a bot that nobody owns.
        assert!(!Identity::ANONYMOUS.may_read(&Topic::Bot(bot("bot_2")), &bots));
    }

    #[test]
    fn webhooks_are_heard_by_their_owner_alone() {
        let topic = Topic::Webhook(uuid::Uuid::from_u128(1).into());
        assert!(account(1, &[]).may_read(&topic, &none()));
        assert!(!account(2, &[]).may_read(&topic, &none()));
        assert!(!Identity::ANONYMOUS.may_read(&topic, &none()));
    }

    #[test]
    fn who_is_let_in_for_webhooks_hears_nothing_else_of_the_account() {
        let bots = BotOwners::default();
        let bot = BotId::parse("bot_1").unwrap();
        let id = uuid::Uuid::from_u128(1).into();
        bots.replace([(bot.clone(), id)]);
        let token = account(1, &[Scope::Webhooks]);
        assert!(token.may_read(&Topic::Webhook(id), &bots));
        for topic in [
            Topic::Account(id),
            Topic::UserPrice(Currency::USD),
            Topic::Bot(bot),
        ] {
            assert!(!token.may_read(&topic, &bots), "{topic}");
            let more = account(1, &[Scope::Webhooks, Scope::Read]);
            assert!(more.may_read(&topic, &bots), "{topic}");
        }
        assert!(!token.scopes().may_hear() && !token.scopes().may_read());
        assert!(!token.scopes().that_hear().may_hear());
        for (scopes, may) in [
            (&[][..], true),
            (&[Scope::Read][..], true),
            (&[Scope::Write][..], false),
        ] {
            let other = account(1, scopes);
            assert_eq!(
                other.may_read(&Topic::Webhook(id), &bots),
                may,
                "{scopes:?}"
            );
        }
    }

    #[test]
    fn an_account_hears_itself_and_no_other() {
        let topic = Topic::Account(uuid::Uuid::from_u128(1).into());
        assert!(account(1, &[]).may_read(&topic, &none()));
        assert!(!account(2, &[]).may_read(&topic, &none()));
        assert!(!Identity::ANONYMOUS.may_read(&topic, &none()));
    }

    #[test]
    fn a_user_hears_itself_and_no_other_and_no_account() {
        let user = |id| Identity::of(None, UserId::of_number(id), Scopes::default());
        let topic = Topic::Rewards(UserId::of_number(42).unwrap());
        assert!(user(42).may_read(&topic, &none()));
        assert!(!user(43).may_read(&topic, &none()));
        assert!(!account(42, &[]).may_read(&topic, &none()));
        assert!(!Identity::ANONYMOUS.may_read(&topic, &none()));
        assert!(!user(42).may_read(&Topic::UserPrice(Currency::USD), &none()));
    }

    #[test]
    fn only_the_same_user_who_may_hear_as_much_takes_the_place_of_another() {
        let user = |id, scopes: &[Scope]| {
            Identity::of(
                None,
                UserId::of_number(id),
                scopes.iter().copied().collect(),
            )
        };
        let (read, receive) = ([Scope::Read], [Scope::Receive]);
        for (present, newer, result) in [
            (user(42, &[]), user(42, &[]), Ok(())),
            (user(42, &[]), user(42, &read), Ok(())),
            (user(42, &receive), user(42, &receive), Ok(())),
            (user(42, &receive), user(42, &[]), Ok(())),
            (user(42, &[]), user(43, &[]), Err(Reason::OtherIdentity)),
            (user(42, &[]), account(42, &[]), Err(Reason::OtherIdentity)),
            (
                Identity::ANONYMOUS,
                user(42, &[]),
                Err(Reason::OtherIdentity),
            ),
            (user(42, &[]), user(42, &receive), Err(Reason::AllowsLess)),
            (user(42, &read), user(42, &receive), Err(Reason::AllowsLess)),
        ] {
            assert_eq!(present.may_become(&newer), result, "{present:?} {newer:?}");
        }
    }

    #[test]
    fn words_of_a_token_that_say_nothing_here_do_not_make_it_unrestricted() {
        let grantable = [Scope::Read, Scope::Receive, Scope::Write];
        assert!(Scopes::of_token(" ", &grantable).is_unrestricted());
        assert!(Scopes::of_token("openid READ", &grantable).may_read());
        for words in ["openid", "admin", "receive"] {
            let scopes = Scopes::of_token(words, &grantable);
            assert!(!scopes.may_read(), "{words}");
            assert!(!scopes.may_administer(), "{words}");
        }
        assert!(Scopes::of_token("admin", &Scope::ALL).may_administer());
    }

    #[test]
    fn prices_and_invoices_are_public() {
        let hash = PaymentHash::parse(&"0".repeat(64)).unwrap();
        assert!(Identity::ANONYMOUS.may_read(&Topic::Price(Currency::USD), &none()));
        assert!(Identity::ANONYMOUS.may_read(&Topic::Invoice(hash), &none()));
    }

    #[test]
    fn an_empty_list_of_scopes_is_unrestricted_but_does_not_publish() {
        assert!(Scopes::default().may_read());
        assert!(!Scopes::default().may_publish());
        assert!(!Scopes::default().may_administer());
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

//! The connections of this node, and how many there are of whom.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use uuid::Uuid;

use super::connection_id::ConnectionId;
use super::filter::Filter;
use super::goodbye::Goodbye;
use super::listed::{Owner, Who};
use super::member::Member;
use super::{RegistryLimits, TooMany};
use crate::topic::UserId;

/// The connections of this node. Whoever changes it holds a lock; nothing here waits.
///
/// A connection that was told to go is none of them any more, whatever its task still has to do: it
/// takes nobody's place.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// A table of pointers: what is known of a connection lies where the connection keeps it, too.
    by_id: HashSet<ById>,
    names: HashMap<Named, Held>,
    users: HashMap<UserId, u32>,
    keys: HashMap<Uuid, u32>,
    /// Names that the fleet was not told of, or may have forgotten.
    late: HashSet<Name>,
    changes: Changes,
}

/// A member, found by its id.
#[derive(Debug)]
struct ById(Arc<Member>);

/// A member that has a name, found by that.
#[derive(Debug)]
struct Named(Arc<Member>);

/// What a connection is known by in all of the fleet: one at a time has it. Nobody in particular has
/// none, nor has a client that has never said or heard what its connection is called: it cannot come
/// back under it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) owner: Owner,
    pub(super) connection_id: ConnectionId,
}

/// Whatever a name can be read off: [`Named`] is found by a [`Name`] without one of its own.
trait Called {
    fn called(&self) -> (Owner, &ConnectionId);
}

/// How somebody on this node has a name.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// Its place in the order of all who ever took a name; `None` until the fleet has given it one.
    turn: Option<Turn>,
    /// The newest on another node that has taken this name.
    rival: Turn,
}

/// The later somebody took a name, the higher: microseconds since 1970 by the clock of Redis, and
/// never the same twice.
pub(super) type Turn = u64;

/// Something that is told to the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fact {
    Connection(Uuid),
    User(UserId),
    Key(Uuid),
    Name(Name),
}

/// What a fact has come to.
#[derive(Debug)]
pub(super) enum Truth {
    /// There is no such connection, nobody of the user, nobody with the name.
    Nothing,
    /// Somebody has just taken the name, and tells the fleet so itself.
    UnderWay,
    Connection(Arc<Member>),
    Count(usize),
    Held {
        turn: Turn,
        key: Option<Uuid>,
    },
}

/// Whom a newcomer took the place of, on this node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Replaced {
    pub(super) of_the_same_user: bool,
    pub(super) of_the_same_key: bool,
}

/// One who has a name that the fleet is to be told of.
#[derive(Clone, Debug)]
pub(super) struct Late {
    pub(super) name: Name,
    pub(super) id: Uuid,
    pub(super) key: Option<Uuid>,
    /// Its place: what the fleet gave it before, or when it came by our clock.
    pub(super) turn: Turn,
}

/// What the fleet has not been told yet. `Off` without a fleet.
#[derive(Debug, Default)]
enum Changes {
    #[default]
    Off,
    Some {
        facts: HashSet<Fact>,
        /// How many may be remembered one by one.
        room: usize,
    },
    /// Too many to remember each: what the fleet knows is thrown away.
    All,
}

/// Facts that may always be remembered one by one, at some 50 bytes each: as many change while Redis is
/// away for a while.
const CHANGES: usize = 100_000;

impl Members {
    /// The same, but remembering what changes, for whoever tells it to a fleet.
    pub(super) fn of_a_fleet() -> Self {
        Members {
            changes: Changes::Some {
                facts: HashSet::new(),
                room: CHANGES,
            },
            ..Members::default()
        }
    }

    /// Lets a newcomer in, in the place of the one with the same name.
    pub(super) fn enter(
        &mut self,
        member: &Arc<Member>,
        limits: &RegistryLimits,
    ) -> Result<Replaced, TooMany> {
        let (who, name) = (member.who(), Name::of(member));
        let holder = name.as_ref().and_then(|name| self.holder(name));
        let held = holder.map(|holder| holder.who());
        let replaced = Replaced {
            of_the_same_user: held.is_some_and(|held| held.user == who.user),
            of_the_same_key: held.is_some_and(|held| held.key == who.key),
        };
        let is_full = |count: usize, limit: usize, is_replaced: bool| {
            count.saturating_sub(usize::from(is_replaced)) >= limit
        };
        let of_user = who.user.map_or(0, |user| self.of_user(user));
        if who.user.is_some() && is_full(of_user, limits.per_user, replaced.of_the_same_user) {
            return Err(TooMany::User);
        }
        let of_key = who.key.map_or(0, |key| self.of_key(key));
        if who.key.is_some() && is_full(of_key, limits.per_key, replaced.of_the_same_key) {
            return Err(TooMany::Key);
        }
        if let Some(old) = holder.map(|holder| holder.id) {
            self.send_away(old, Goodbye::Replaced);
        }
        self.by_id.insert(ById(member.clone()));
        self.changes.add(|| Fact::Connection(member.id));
        self.count_in(&who);
        if name.is_some() {
            // Whoever had it is forgotten by now, so that the table holds the newcomer.
            self.names.insert(Named(member.clone()), Held::default());
        }
        Ok(replaced)
    }

    /// Forgets a connection; one that is forgotten already is no error.
    pub(super) fn leave(&mut self, id: Uuid) -> Option<Arc<Member>> {
        let ById(member) = self.by_id.take(&id)?;
        if is_roomy(self.by_id.len(), self.by_id.capacity()) {
            self.by_id.shrink_to(self.by_id.len() * 2);
        }
        self.changes.add(|| Fact::Connection(id));
        self.count_out(&member.who());
        if let Some(name) = Name::of(&member)
            && self.holder(&name).is_some_and(|holder| holder.id == id)
        {
            self.names.remove(&name as &dyn Called);
            give_back(&mut self.names);
            self.late.remove(&name);
            self.changes.add(|| Fact::Name(name));
        }
        Some(member)
    }

    /// Forgets a connection, and tells it to go.
    pub(super) fn send_away(&mut self, id: Uuid, goodbye: Goodbye) {
        if let Some(member) = self.leave(id) {
            member.send_away(goodbye);
        }
    }

    /// Tells all that the filter picks to go, and how many they were.
    pub(super) fn send_away_all(&mut self, filter: &Filter, goodbye: &Goodbye) -> usize {
        let picked: Vec<_> = self
            .iter()
            .filter(|member| filter.picks(member.id, member.given_id(), &member.who()))
            .map(|member| member.id)
            .collect();
        for id in &picked {
            self.send_away(*id, goodbye.clone());
        }
        picked.len()
    }

    /// Whose a connection is from now on. The account and the user stay: only the key may change.
    pub(super) fn set_key(&mut self, id: Uuid, key: Option<Uuid>) {
        let Some(ById(member)) = self.by_id.get(&id) else {
            return;
        };
        let member = member.clone();
        let before = member.who();
        member.set_key(key);
        let now = member.who();
        if before == now {
            return;
        }
        self.count_out(&before);
        self.count_in(&now);
        self.changes.add(|| Fact::Connection(id));
        if let Some(name) = Name::of(&member) {
            self.changes.add(|| Fact::Name(name));
        }
    }

    /// Notes the place that the fleet has given to one who took a name.
    pub(super) fn take_turn(&mut self, name: &Name, id: Uuid, turn: Turn) {
        let Some((holder, held)) = self.held(name) else {
            // It has left meanwhile, and the fleet believes that it has come.
            return self.changes.add(|| Fact::Name(name.clone()));
        };
        // Two of one node may have been given their places in the other order: the name's is the
        // higher one, whoever of them has it.
        let highest = held.turn.unwrap_or_default().max(turn);
        if holder == id || held.turn.is_some() {
            held.turn = Some(highest);
        }
        let is_older = highest < held.rival;
        if holder != id || highest != turn {
            self.changes.add(|| Fact::Name(name.clone()));
        }
        if is_older && holder == id {
            self.send_away(id, Goodbye::Replaced);
        }
    }

    /// Another node's connection has taken a name: ours goes, unless it took it later.
    pub(super) fn give_way(&mut self, name: &Name, id: Uuid, turn: Turn) {
        let Some((holder, held)) = self.held(name) else {
            return;
        };
        if holder == id {
            return;
        }
        held.rival = held.rival.max(turn);
        let is_older = held.turn.is_some_and(|own| own < turn);
        if is_older {
            self.send_away(holder, Goodbye::Replaced);
        }
    }

    /// Who has a name on this node.
    fn holder(&self, name: &Name) -> Option<&Arc<Member>> {
        let held = self.names.get_key_value(name as &dyn Called);
        held.map(|(Named(member), _)| member)
    }

    /// The id of who has a name on this node, and how.
    fn held(&mut self, name: &Name) -> Option<(Uuid, &mut Held)> {
        let holder = self.holder(name)?.id;
        let held = self.names.get_mut(name as &dyn Called)?;
        Some((holder, held))
    }

    /// How many there are of a user.
    pub(super) fn of_user(&self, user: UserId) -> usize {
        count_of(&self.users, &user)
    }

    /// How many there are with a key.
    pub(super) fn of_key(&self, key: Uuid) -> usize {
        count_of(&self.keys, &key)
    }

    /// Each of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.by_id.iter().map(|ById(member)| member)
    }

    /// Says that the fleet could not be told that a name was taken.
    pub(super) fn tell_later(&mut self, name: Name) {
        if self.holder(&name).is_some() {
            self.late.insert(name);
        }
    }

    /// Takes up to `count` names that the fleet is to be told of yet.
    pub(super) fn take_late(&mut self, count: usize) -> Vec<Late> {
        let names: Vec<_> = self.late.iter().take(count).cloned().collect();
        let late = names.into_iter().filter_map(|name| {
            self.late.remove(&name);
            let (Named(member), held) = self.names.get_key_value(&name as &dyn Called)?;
            Some(Late {
                id: member.id,
                key: member.who().key,
                turn: held.turn.unwrap_or_else(|| member.since_microseconds()),
                name,
            })
        });
        late.collect()
    }

    /// What a fact has come to now.
    pub(super) fn truth(&self, fact: &Fact) -> Truth {
        let count = |count| match count {
            0 => Truth::Nothing,
            count => Truth::Count(count),
        };
        match fact {
            Fact::Connection(id) => match self.by_id.get(id) {
                Some(ById(member)) => Truth::Connection(member.clone()),
                None => Truth::Nothing,
            },
            Fact::User(user) => count(self.of_user(*user)),
            Fact::Key(key) => count(self.of_key(*key)),
            Fact::Name(name) => match self.names.get_key_value(name as &dyn Called) {
                Some((_, Held { turn: None, .. })) => Truth::UnderWay,
                Some((
                    Named(member),
                    Held {
                        turn: Some(turn), ..
                    },
                )) => Truth::Held {
                    turn: *turn,
                    key: member.who().key,
                },
                None => Truth::Nothing,
            },
        }
    }

    /// Says that a fact may not be what the fleet was told.
    pub(super) fn doubt(&mut self, fact: Fact) {
        self.changes.add(|| fact);
    }

    /// Says that the fleet has forgotten everything, or may have. Names are claimed again: somebody
    /// else may have taken one meanwhile.
    ///
    /// What it was not told yet stays to be told: it may remember those who have left.
    pub(super) fn doubt_all(&mut self) {
        if let Changes::Some { facts, .. } = std::mem::take(&mut self.changes) {
            self.take_all();
            facts.into_iter().for_each(|fact| self.doubt(fact));
        } else {
            self.start_over();
        }
        let names = self
            .names
            .keys()
            .filter_map(|Named(member)| Name::of(member));
        self.late.extend(names);
    }

    /// Says that what the fleet knows is to be thrown away and told anew.
    pub(super) fn start_over(&mut self) {
        self.changes = Changes::All;
    }

    /// Says that no count may be what the fleet was told.
    pub(super) fn doubt_counts(&mut self) {
        let users = self.users.keys().copied().map(Fact::User);
        let keys = self.keys.keys().copied().map(Fact::Key);
        // Not one by one: however many there are, what the fleet knows is not thrown away for them.
        if let Changes::Some { facts, room } = &mut self.changes {
            facts.extend(users.chain(keys));
            *room = (*room).max(facts.len() * 2);
        }
    }

    /// How many connections, and how many users, keys and names the fleet is to know of; `None`
    /// while it is yet to be told of some.
    pub(super) fn told(&self) -> Option<(usize, usize)> {
        let counted = self.users.len() + self.keys.len() + self.names.len();
        match &self.changes {
            Changes::Some { facts, .. } if facts.is_empty() && self.late.is_empty() => {
                Some((self.by_id.len(), counted))
            }
            _ => None,
        }
    }

    /// Takes up to `count` facts that have changed; `None` when all have.
    pub(super) fn take_changes(&mut self, count: usize) -> Option<Vec<Fact>> {
        match &mut self.changes {
            Changes::Off => Some(Vec::new()),
            Changes::All => None,
            Changes::Some { facts, .. } => {
                let some: Vec<_> = facts.iter().take(count).cloned().collect();
                for fact in &some {
                    facts.remove(fact);
                }
                // What it had room for in a storm is not kept for ever.
                if facts.is_empty() {
                    facts.shrink_to(count);
                }
                Some(some)
            }
        }
    }

    /// All that there is to tell, from now on each by itself.
    pub(super) fn take_all(&mut self) {
        let connections = self.iter().map(|member| Fact::Connection(member.id));
        let users = self.users.keys().copied().map(Fact::User);
        let keys = self.keys.keys().copied().map(Fact::Key);
        let names = self.names.keys();
        let names = names.filter_map(|Named(member)| Name::of(member).map(Fact::Name));
        let facts: HashSet<_> = connections.chain(users).chain(keys).chain(names).collect();
        let room = CHANGES.max(facts.len() * 2);
        self.changes = Changes::Some { facts, room };
    }

    fn count_in(&mut self, who: &Who) {
        if let Some(user) = who.user {
            *self.users.entry(user).or_default() += 1;
            self.changes.add(|| Fact::User(user));
        }
        if let Some(key) = who.key {
            *self.keys.entry(key).or_default() += 1;
            self.changes.add(|| Fact::Key(key));
        }
    }

    fn count_out(&mut self, who: &Who) {
        if let Some(user) = who.user {
            count_down(&mut self.users, user);
            self.changes.add(|| Fact::User(user));
        }
        if let Some(key) = who.key {
            count_down(&mut self.keys, key);
            self.changes.add(|| Fact::Key(key));
        }
    }
}

impl Changes {
    fn add(&mut self, fact: impl FnOnce() -> Fact) {
        match self {
            Changes::Off | Changes::All => {}
            Changes::Some { facts, room } if facts.len() >= *room => *self = Changes::All,
            Changes::Some { facts, .. } => {
                facts.insert(fact());
            }
        }
    }
}

impl Name {
    /// The name of a connection, if it has one.
    pub(super) fn of(member: &Member) -> Option<Self> {
        let (owner, connection_id) = member.called()?;
        Some(Name {
            owner,
            connection_id: connection_id.clone(),
        })
    }
}

impl Called for Name {
    fn called(&self) -> (Owner, &ConnectionId) {
        (self.owner, &self.connection_id)
    }
}

impl Called for Named {
    fn called(&self) -> (Owner, &ConnectionId) {
        let called = self.0.called();
        called.expect("only who has a name is put among the names")
    }
}

impl Hash for dyn Called + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.called().hash(state);
    }
}

impl PartialEq for dyn Called + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.called() == other.called()
    }
}

impl Eq for dyn Called + '_ {}

impl<'a> Borrow<dyn Called + 'a> for Named {
    fn borrow(&self) -> &(dyn Called + 'a) {
        self
    }
}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.called().hash(state);
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.called() == other.called()
    }
}

impl Eq for Named {}

impl Borrow<Uuid> for ById {
    fn borrow(&self) -> &Uuid {
        &self.0.id
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

fn count_of<K: Hash + Eq>(counts: &HashMap<K, u32>, key: &K) -> usize {
    counts.get(key).copied().unwrap_or_default() as usize
}

fn count_down<K: Hash + Eq>(counts: &mut HashMap<K, u32>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
            give_back(counts);
        }
    }
}

/// Gives back the memory of those who have left.
fn give_back<K: Hash + Eq, V>(table: &mut HashMap<K, V>) {
    if is_roomy(table.len(), table.capacity()) {
        table.shrink_to(table.len() * 2);
    }
}

/// Whether a table has room for many more than are in it: rarely enough that who leaves does not wait.
fn is_roomy(len: usize, capacity: usize) -> bool {
    capacity > 1024 && len < capacity / 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Framing, Outbox, OutboxLimits, OutboxRules};

    const LIMITS: RegistryLimits = RegistryLimits {
        per_user: 2,
        per_key: 2,
    };

    const PHONE: &str = "phone";

    fn who() -> Who {
        Who {
            account: None,
            user: UserId::of_number(42),
            key: None,
        }
    }

    fn phone() -> Arc<Member> {
        phone_of(who())
    }
    fn phone_of(who: Who) -> Arc<Member> {
        let rules = Arc::new(OutboxRules {
            limits: OutboxLimits {
                frames: 1,
                bytes: 1,
                conflate_above: 1,
            },
            metrics: Arc::default(),
        });
        let outbox = Outbox::new(rules, Framing::Bare, None);
        let connection_id = ConnectionId::parse(PHONE).unwrap();
        let address = [127, 0, 0, 1].into();
        Arc::new(Member::new(
            Uuid::new_v4(),
            Some(connection_id),
            who,
            "p",
            address,
            outbox,
        ))
    }

    fn enter(members: &mut Members) -> (Arc<Member>, Name) {
        let member = phone();
        members.enter(&member, &LIMITS).unwrap();
        let name = Name::of(&member).unwrap();
        (member, name)
    }

    fn stays(member: &Member) -> bool {
        member.goodbye().is_none()
    }

    #[test]
    fn however_many_counts_are_doubted_what_was_told_is_not_thrown_away() {
        let mut members = Members::of_a_fleet();
        for number in 1..=60_000_u32 {
            let who = Who {
                account: None,
                user: UserId::of_number(number.into()),
                key: Some(Uuid::from_u128(number.into())),
            };
            members.enter(&phone_of(who), &LIMITS).unwrap();
            members.take_changes(10).expect("each was told at once");
        }
        members.doubt_counts();
        members.doubt(Fact::User(UserId::of_number(1).unwrap()));
        assert_eq!(members.take_changes(usize::MAX).unwrap().len(), 120_000);
    }

    #[test]
    fn where_everything_is_doubted_who_has_left_is_not_forgotten_before_that_is_told() {
        let mut members = Members::of_a_fleet();
        let (gone, _) = enter(&mut members);
        members.take_changes(usize::MAX);
        members.leave(gone.id);
        let (here, _) = enter(&mut members);
        members.doubt_all();
        let facts = members.take_changes(usize::MAX).unwrap();
        for id in [gone.id, here.id] {
            assert!(facts.contains(&Fact::Connection(id)));
        }
        // What is to be thrown away as a whole is still to be thrown away.
        members.start_over();
        members.doubt_all();
        assert!(members.take_changes(usize::MAX).is_none());
    }

    #[test]
    fn who_took_a_name_before_somebody_else_gives_it_up() {
        let mut members = Members::of_a_fleet();
        let (member, name) = enter(&mut members);
        members.take_turn(&name, member.id, 5);
        members.give_way(&name, Uuid::new_v4(), 4);
        members.give_way(&name, member.id, 5);
        assert!(stays(&member), "it came later");
        members.give_way(&name, Uuid::new_v4(), 6);
        assert!(!stays(&member));
        assert_eq!(members.iter().count(), 0);
    }

    #[test]
    fn an_order_that_arrives_before_the_answer_is_judged_when_that_has_come() {
        for (turn, expected) in [(5, false), (7, true)] {
            let mut members = Members::of_a_fleet();
            let (member, name) = enter(&mut members);
            members.give_way(&name, Uuid::new_v4(), 6);
            assert!(stays(&member), "nobody can know yet");
            members.take_turn(&name, member.id, turn);
            assert_eq!(stays(&member), expected, "{turn}");
        }
    }

    #[test]
    fn a_name_has_the_highest_turn_that_it_was_given_on_this_node() {
        let mut members = Members::of_a_fleet();
        let (older, name) = enter(&mut members);
        let (newer, _) = enter(&mut members);
        assert!(!stays(&older));
        // The fleet was asked in the other order.
        members.take_turn(&name, newer.id, 5);
        members.take_turn(&name, older.id, 7);
        members.give_way(&name, Uuid::new_v4(), 6);
        assert!(stays(&newer));
    }

    #[test]
    fn who_cannot_come_back_under_a_name_takes_nobodys_place() {
        let mut members = Members::of_a_fleet();
        let nameless = || {
            let outbox = phone().outbox().clone();
            let address = [127, 0, 0, 1].into();
            Arc::new(Member::new(
                Uuid::new_v4(),
                None,
                who(),
                "p",
                address,
                outbox,
            ))
        };
        let (first, second) = (nameless(), nameless());
        for member in [&first, &second] {
            members.enter(member, &LIMITS).unwrap();
            assert!(Name::of(member).is_none());
        }
        assert!(stays(&first) && stays(&second));
        assert!(members.names.is_empty());
        assert_eq!(members.of_user(who().user.unwrap()), 2, "they are counted");
        assert_eq!(
            members.enter(&nameless(), &LIMITS).unwrap_err(),
            TooMany::User
        );
        members.leave(first.id);
        assert_eq!(members.iter().count(), 1);
    }

    #[test]
    fn the_room_of_many_is_given_back_when_most_have_left() {
        let mut members = Members::default();
        let all: Vec<_> = (1..=10_000)
            .map(|number| {
                let who = Who {
                    user: UserId::of_number(number),
                    ..Who::default()
                };
                let member = phone_of(who);
                members.enter(&member, &LIMITS).unwrap();
                member
            })
            .collect();
        let room = |members: &Members| {
            let Members { by_id, names, .. } = members;
            by_id.capacity() + names.capacity() + members.users.capacity()
        };
        assert!(room(&members) >= 30_000);
        for member in &all[100..] {
            members.leave(member.id);
        }
        assert!(room(&members) < 6_000, "{}", room(&members));
        assert_eq!(members.iter().count(), 100);
        assert!(all[..100].iter().all(|member| stays(member)));
    }

    #[test]
    fn of_more_changes_than_can_be_remembered_all_are_told() {
        let mut members = Members::of_a_fleet();
        let (member, _) = enter(&mut members);
        for _ in 0..=CHANGES {
            members.doubt(Fact::Connection(Uuid::new_v4()));
        }
        assert!(members.take_changes(1).is_none());
        members.take_all();
        let facts = members.take_changes(10).unwrap();
        assert!(facts.contains(&Fact::Connection(member.id)));
        // Its user and its name.
        assert_eq!(facts.len(), 3);
        assert!(members.take_changes(10).unwrap().is_empty());
    }

    #[test]
    fn what_came_and_went_leaves_nothing_behind() {
        let mut members = Members::default();
        for _ in 0..100 {
            let (member, _) = enter(&mut members);
            members.leave(member.id);
            assert!(members.leave(member.id).is_none(), "it has left");
        }
        assert!(members.by_id.is_empty() && members.names.is_empty());
        assert!(members.users.is_empty() && members.keys.is_empty());
    }
}

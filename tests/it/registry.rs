//! Who is connected to which node: registries that share a Redis, as nodes of a fleet do.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use tidings::auth::{Identity, Scopes};
use tidings::hub::{Framing, Outbox, OutboxLimits, OutboxRules};
use tidings::registry::{
    ConnectionId, Filter, Goodbye, GoodbyeCode, GoodbyeReason, Newcomer, Registered, Registry,
    RegistryConfig, RegistryLimits, TooMany,
};
use tidings::topic::{AccountId, UserId};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::redis_server::{PATIENT, RedisServer, config, until};

const LIMITS: RegistryLimits = RegistryLimits {
    per_user: 3,
    per_key: 3,
};

/// A node of a fleet, as far as the registry goes.
struct Node {
    registry: Arc<Registry>,
    stop: CancellationToken,
    runs: JoinHandle<()>,
}

impl Node {
    fn start(redis: &RedisServer, name: &str) -> Self {
        let lease = RegistryConfig {
            lease: Duration::from_secs(2),
        };
        let redis_config = config(PATIENT);
        let link = redis.link();
        let registry = Registry::in_fleet(LIMITS, name.into(), &lease, &redis_config, link);
        let stop = CancellationToken::new();
        let runs = tokio::spawn(registry.clone().run(stop.clone()));
        Node {
            registry,
            stop,
            runs,
        }
    }

    fn alone() -> Arc<Registry> {
        Registry::alone(LIMITS, "alone".into())
    }

    /// Ends it as a crash does: nobody is told.
    fn kill(&self) {
        self.runs.abort();
    }

    /// Ends it as an operator does.
    async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.runs).await.expect("it stops");
    }

    async fn lists(&self, filter: &Filter) -> Vec<String> {
        let seen = self.registry.list(filter, 10_000).await;
        let connections = seen.listing.connections.iter();
        let mut names: Vec<_> = connections
            .map(|listed| format!("{}@{}", listed.connection_id, listed.node))
            .collect();
        names.sort();
        names
    }

    async fn until_lists(&self, filter: &Filter, expected: &[&str]) {
        let what = format!("{expected:?} are listed");
        until(&what, async || self.lists(filter).await == expected).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.runs.abort();
    }
}

fn user(id: i64) -> Identity {
    Identity::of(None, UserId::of_number(id), Scopes::default())
}

fn account(id: u128) -> Identity {
    let id = AccountId::from(Uuid::from_u128(id));
    Identity::of(Some(id), None, Scopes::default())
}

fn newcomer(identity: Identity, key: Option<Uuid>, name: &str) -> Newcomer {
    let rules = OutboxRules {
        limits: OutboxLimits {
            frames: 1,
            bytes: 1,
            conflate_above: 1,
        },
        metrics: Arc::default(),
    };
    Newcomer {
        id: Uuid::new_v4(),
        connection_id: ConnectionId::parse(name).ok(),
        identity,
        key,
        protocol: "graphql-transport-ws",
        address: [192, 0, 2, 1].into(),
        outbox: Outbox::new(Arc::new(rules), Framing::Bare, None),
    }
}

async fn join(registry: &Arc<Registry>, identity: Identity, name: &str) -> Registered {
    let joined = registry.register(newcomer(identity, None, name)).await;
    joined.expect("there is room")
}

async fn refused(registry: &Arc<Registry>, newcomer: Newcomer) -> TooMany {
    registry.register(newcomer).await.expect_err("it is full")
}

fn filter(name: &str, value: &str) -> Filter {
    let mut filter = Filter::default();
    assert_eq!(filter.read(name, value), Ok(true));
    filter
}

fn everybody() -> Filter {
    Filter::default()
}

async fn goodbye(registered: &Registered) -> Goodbye {
    until("it is told to go", async || registered.goodbye().is_some()).await;
    registered.goodbye().unwrap()
}

fn stays(registered: &Registered) -> bool {
    registered.goodbye().is_none()
}

/// Whether a connection was rung for since this was asked last.
fn is_rung(outbox: &Outbox) -> bool {
    let rung = poll_fn(|context| outbox.poll_rung(context));
    rung.now_or_never().is_some()
}

/// Waits until orders that were given before have been carried out on this node.
async fn fence(from: &Node, node: &Node) {
    let name = Uuid::new_v4().to_string();
    let fence = join(&node.registry, account(u128::MAX), &name).await;
    let filter = filter("connection", &name);
    from.registry
        .close(&filter, GoodbyeCode::default(), None)
        .await;
    goodbye(&fence).await;
}

#[tokio::test]
async fn a_second_connection_of_the_same_name_and_owner_replaces_the_first() {
    let registry = Node::alone();
    let first = join(&registry, user(1), "phone").await;
    let other_user = join(&registry, user(2), "phone").await;
    let other_name = join(&registry, user(1), "tablet").await;
    let second = join(&registry, user(1), "phone").await;
    assert_eq!(goodbye(&first).await, Goodbye::Replaced);
    drop(first);
    assert!(stays(&second) && stays(&other_user) && stays(&other_name));
    let listed = registry.list(&everybody(), 10).await.listing;
    assert_eq!(listed.connections.len(), 3);
}

#[tokio::test]
async fn nobody_throws_nobody_out() {
    let registry = Node::alone();
    let first = join(&registry, Identity::ANONYMOUS, "phone").await;
    let second = join(&registry, Identity::ANONYMOUS, "phone").await;
    assert!(stays(&first) && stays(&second));
}

#[tokio::test]
async fn an_operator_closes_what_fits_all_that_is_said() {
    let registry = Node::alone();
    let key = Uuid::new_v4();
    let with_key = registry.register(newcomer(account(1), Some(key), "a"));
    let with_key = with_key.await.unwrap();
    let without = join(&registry, account(1), "b").await;
    let mut which = filter("account", &Uuid::from_u128(1).to_string());
    which.key = Some(key);
    let reason = GoodbyeReason::parse("moving");
    let code = GoodbyeCode::ServiceRestart;
    let closed = registry.close(&which, code, reason.clone()).await;
    assert_eq!(closed.tally.count, 1);
    assert_eq!(goodbye(&with_key).await, Goodbye::Closed { code, reason });
    assert!(stays(&without));
}

#[tokio::test]
async fn who_is_told_to_go_is_rung_and_nobody_else() {
    let registry = Node::alone();
    let (first, second, other) = (
        newcomer(account(1), None, "phone"),
        newcomer(account(1), None, "phone"),
        newcomer(account(1), None, "tab"),
    );
    let outboxes = [&first, &second, &other].map(|newcomer| newcomer.outbox.clone());
    let mut all = Vec::new();
    for newcomer in [first, other, second] {
        all.push(registry.register(newcomer).await.unwrap());
    }
    assert_eq!(
        outboxes.map(|outbox| is_rung(&outbox)),
        [true, false, false]
    );
    assert_eq!(all[0].goodbye(), Some(Goodbye::Replaced));
}

#[tokio::test]
async fn whoever_has_a_key_is_rung_when_keys_have_ended_and_all_are_in_the_end() {
    let registry = Node::alone();
    let by_key = newcomer(account(1), Some(Uuid::new_v4()), "");
    let others = [
        newcomer(account(1), None, ""),
        newcomer(Identity::ANONYMOUS, None, ""),
    ];
    let outboxes = [&by_key, &others[0], &others[1]].map(|newcomer| newcomer.outbox.clone());
    let mut all = Vec::new();
    for newcomer in [by_key].into_iter().chain(others) {
        all.push(registry.register(newcomer).await.unwrap());
    }
    registry.ring_key_holders();
    let rung = || outboxes.each_ref().map(|outbox| is_rung(outbox));
    assert_eq!(rung(), [true, false, false]);
    registry.ring_all();
    assert_eq!(rung(), [true, true, true]);
    drop(all);
    registry.ring_all();
    assert_eq!(rung(), [false, false, false], "they have left");
}

#[tokio::test]
async fn a_refresh_moves_a_connection_to_its_new_key() {
    let registry = Node::alone();
    let (old, new) = (Uuid::new_v4(), Uuid::new_v4());
    let registered = registry.register(newcomer(account(1), Some(old), "a"));
    let registered = registered.await.unwrap();
    registered.set_credential(&account(1), Some(new));
    let of = async |key: Uuid| {
        let filter = filter("key", &key.to_string());
        registry.list(&filter, 10).await.listing.connections.len()
    };
    assert_eq!((of(old).await, of(new).await), (0, 1));
}

#[tokio::test]
async fn each_node_lists_the_connections_of_all() {
    let redis = RedisServer::start().await;
    let (a, b) = (Node::start(&redis, "a"), Node::start(&redis, "b"));
    let one = join(&a.registry, user(1), "one").await;
    let _two = join(&b.registry, Identity::ANONYMOUS, "two").await;
    for node in [&a, &b] {
        node.until_lists(&everybody(), &["one@a", "two@b"]).await;
        node.until_lists(&filter("user", "1"), &["one@a"]).await;
        node.until_lists(&filter("connection", "two"), &["two@b"])
            .await;
    }
    one.set_subscriptions(7);
    one.set_round_trip(Duration::from_millis(40));
    until("its figures are known elsewhere", async || {
        let seen = b.registry.list(&filter("user", "1"), 1).await;
        let figures = seen.listing.connections[0].figures;
        figures.subscriptions == 7 && figures.round_trip == Some(Duration::from_millis(40))
    })
    .await;
    let seen = a.registry.list(&everybody(), 1).await;
    assert_eq!(
        (seen.listing.connections.len(), seen.listing.more),
        (1, true)
    );
    drop(one);
    b.until_lists(&everybody(), &["two@b"]).await;
}

#[tokio::test]
async fn closing_reaches_other_nodes_within_a_second() {
    let redis = RedisServer::start().await;
    let (a, b) = (Node::start(&redis, "a"), Node::start(&redis, "b"));
    let key = Uuid::new_v4();
    let both = Identity::of(account(1).account(), user(1).user(), Scopes::default());
    for filter in [
        filter("user", "1"),
        filter("account", &Uuid::from_u128(1).to_string()),
        filter("key", &key.to_string()),
        filter("connection", "phone"),
    ] {
        let there = b
            .registry
            .register(newcomer(both.clone(), Some(key), "phone"));
        let there = there.await.unwrap();
        let other = join(&b.registry, user(2), "other").await;
        a.until_lists(&filter, &["phone@b"]).await;
        let asked = Instant::now();
        let code = GoodbyeCode::GoingAway;
        let closed = a.registry.close(&filter, code, None).await;
        assert_eq!(closed.tally.count, 1);
        let reason = None;
        assert_eq!(goodbye(&there).await, Goodbye::Closed { code, reason });
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(1), "{filter:?} took {took:?}");
        assert!(stays(&other));
    }
}

#[tokio::test]
async fn a_node_that_does_not_say_what_it_closed_is_told_apart_from_one_that_closed_nothing() {
    let redis = RedisServer::start().await;
    let (a, b) = (Node::start(&redis, "a"), Node::start(&redis, "b"));
    let there = join(&b.registry, user(1), "phone").await;
    a.until_lists(&everybody(), &["phone@b"]).await;
    // Alive, as far as anybody knows, and deaf.
    let deaf = Uuid::new_v4().to_string();
    let mut lease = redis::cmd("SET");
    let lease = lease.arg(format!("tidings:node:{deaf}")).arg("deaf");
    let _: String = redis.run(lease.arg("PX").arg(60_000)).await;
    let _: i64 = redis
        .run(redis::cmd("SADD").arg("tidings:nodes").arg(deaf))
        .await;
    let filter = filter("user", "1");
    let closed = a
        .registry
        .close(&filter, GoodbyeCode::Forbidden, None)
        .await;
    assert_eq!((closed.tally.count, closed.tally.silent), (1, 1));
    let (code, reason) = (GoodbyeCode::Forbidden, None);
    assert_eq!(goodbye(&there).await, Goodbye::Closed { code, reason });
}

#[tokio::test]
async fn orders_are_not_kept_for_ever() {
    let redis = RedisServer::start().await;
    let one = Node::start(&redis, "one");
    let closed = one
        .registry
        .close(&filter("user", "42"), GoodbyeCode::Forbidden, None)
        .await;
    assert!(closed.others.is_ok());
    let left: i64 = redis.run(redis::cmd("TTL").arg("tidings:orders")).await;
    assert!((1..=3_600).contains(&left), "{left}");
}

#[tokio::test]
async fn a_node_that_dies_is_forgotten_with_its_connections_and_one_that_stops_at_once() {
    let redis = RedisServer::start().await;
    let (a, b, c) = (
        Node::start(&redis, "a"),
        Node::start(&redis, "b"),
        Node::start(&redis, "c"),
    );
    let _a = join(&a.registry, user(1), "one").await;
    let _b = join(&b.registry, user(2), "two").await;
    let _c = join(&c.registry, user(3), "three").await;
    a.until_lists(&everybody(), &["one@a", "three@c", "two@b"])
        .await;
    b.kill();
    a.until_lists(&everybody(), &["one@a", "three@c"]).await;
    c.stop().await;
    assert_eq!(a.lists(&everybody()).await, ["one@a"]);
    until("nothing of them is left", async || {
        let nodes: Vec<String> = redis.run(redis::cmd("SMEMBERS").arg("tidings:nodes")).await;
        nodes.len() == 1
    })
    .await;
}

#[tokio::test]
async fn a_client_that_comes_back_to_another_node_replaces_itself() {
    let redis = RedisServer::start().await;
    let (a, b) = (Node::start(&redis, "a"), Node::start(&redis, "b"));
    let mut newest = join(&a.registry, user(1), "phone").await;
    let by_account = join(&a.registry, account(1), "phone").await;
    let _anonymous = join(&a.registry, Identity::ANONYMOUS, "phone").await;
    for registry in [
        &b.registry,
        &a.registry,
        &b.registry,
        &b.registry,
        &a.registry,
    ] {
        let newer = join(registry, user(1), "phone").await;
        assert_eq!(goodbye(&newest).await, Goodbye::Replaced);
        newest = newer;
    }
    assert!(stays(&newest) && stays(&by_account));
    b.until_lists(&filter("user", "1"), &["phone@a"]).await;
}

#[tokio::test]
async fn of_many_who_come_at_once_under_one_name_one_stays() {
    let redis = RedisServer::start().await;
    let (a, b, c) = (
        Node::start(&redis, "a"),
        Node::start(&redis, "b"),
        Node::start(&redis, "c"),
    );
    for round in 0..8 {
        let name = format!("phone {round}");
        let user = user(round + 1);
        let all = [&a, &b, &c].map(|node| join(&node.registry, user.clone(), &name));
        let all = join_all(all).await;
        until("one is left", async || {
            all.iter().filter(|one| stays(one)).count() == 1
        })
        .await;
        fence(&a, &b).await;
        fence(&a, &c).await;
        fence(&b, &a).await;
        let left = all.iter().filter(|one| stays(one)).count();
        assert_eq!(left, 1, "round {round}");
    }
}

#[tokio::test]
async fn limits_are_those_of_the_fleet_and_what_is_given_up_is_free_again() {
    let redis = RedisServer::start().await;
    let (a, b) = (Node::start(&redis, "a"), Node::start(&redis, "b"));
    let key = Uuid::new_v4();
    let by_key = |name: &str| newcomer(account(7), Some(key), name);
    let mut users = vec![
        join(&a.registry, user(1), "1").await,
        join(&b.registry, user(1), "2").await,
        join(&a.registry, user(1), "3").await,
    ];
    let _keys = [
        a.registry.register(by_key("1")).await.unwrap(),
        b.registry.register(by_key("2")).await.unwrap(),
        b.registry.register(by_key("3")).await.unwrap(),
    ];
    for node in [&a, &b] {
        let user = newcomer(user(1), None, "4");
        assert_eq!(refused(&node.registry, user).await, TooMany::User);
        assert_eq!(refused(&node.registry, by_key("4")).await, TooMany::Key);
    }
    // Who takes the place of one that is counted is not one more, on its node and on the other.
    for registry in [&b.registry, &a.registry, &a.registry] {
        let again = join(registry, user(1), "3").await;
        assert_eq!(goodbye(&users[2]).await, Goodbye::Replaced);
        users[2] = again;
        assert!(registry.register(by_key("3")).await.is_ok());
    }
    drop(users.pop());
    until("there is room again", async || {
        let user = newcomer(user(1), None, "4");
        b.registry.register(user).await.is_ok()
    })
    .await;
    join(&a.registry, user(2), "another").await;
}

#[tokio::test]
async fn who_has_no_name_for_its_connection_is_counted_and_listed_by_its_id() {
    let redis = RedisServer::start().await;
    let (a, b) = (Node::start(&redis, "a"), Node::start(&redis, "b"));
    let key = Uuid::new_v4();
    let nameless = || newcomer(account(7), Some(key), "");
    let mut all = Vec::new();
    for registry in [&a.registry, &b.registry, &b.registry] {
        all.push(registry.register(nameless()).await.unwrap());
    }
    for node in [&a, &b] {
        assert_eq!(refused(&node.registry, nameless()).await, TooMany::Key);
    }
    assert!(all.iter().all(stays));
    assert!(all.iter().all(|one| one.connection_id().is_none()));

    let of_key = filter("key", &key.to_string());
    until("all are listed", async || {
        a.lists(&of_key).await.len() == 3 && b.lists(&of_key).await.len() == 3
    })
    .await;
    let listed = b.registry.list(&of_key, 10).await.listing.connections;
    for one in &listed {
        assert_eq!(one.connection_id.as_str(), one.id.to_string());
        let found = filter("connection", &one.id.simple().to_string());
        assert_eq!(
            a.registry.list(&found, 10).await.listing.connections.len(),
            1
        );
    }

    drop(all.pop());
    until("there is room again", async || {
        a.registry.register(nameless()).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn the_places_of_a_node_that_died_are_free_again() {
    let redis = RedisServer::start().await;
    let (a, b) = (Node::start(&redis, "a"), Node::start(&redis, "b"));
    let _theirs = join_all(["1", "2", "3"].map(|name| join(&b.registry, user(1), name))).await;
    let fourth = || newcomer(user(1), None, "4");
    assert_eq!(refused(&a.registry, fourth()).await, TooMany::User);
    b.kill();
    until("there is room", async || {
        a.registry.register(fourth()).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn after_redis_has_lost_everything_all_is_there_again() {
    let mut redis = RedisServer::start().await;
    let (a, b) = (Node::start(&redis, "a"), Node::start(&redis, "b"));
    let _ours = join_all(["1", "2"].map(|name| join(&a.registry, user(1), name))).await;
    let theirs = join(&b.registry, user(1), "3").await;
    a.until_lists(&everybody(), &["1@a", "2@a", "3@b"]).await;
    redis.kill();
    redis.restart().await;
    for node in [&a, &b] {
        node.until_lists(&everybody(), &["1@a", "2@a", "3@b"]).await;
    }
    until("all are counted", async || {
        let fourth = newcomer(user(1), None, "4");
        b.registry.register(fourth).await.err() == Some(TooMany::User)
    })
    .await;
    // Names are known, too, and orders arrive. The fourth may be counted for a moment after it was refused.
    let _again = loop {
        let again = newcomer(user(1), None, "3");
        if let Ok(again) = a.registry.register(again).await {
            break again;
        }
    };
    assert_eq!(goodbye(&theirs).await, Goodbye::Replaced);
}

#[tokio::test]
async fn while_redis_is_away_everybody_is_let_in_and_the_newest_of_a_name_stays_afterwards() {
    let mut redis = RedisServer::start().await;
    let (a, b) = (Node::start(&redis, "a"), Node::start(&redis, "b"));
    let oldest = join(&a.registry, user(1), "phone").await;
    a.until_lists(&everybody(), &["phone@a"]).await;
    b.until_lists(&everybody(), &["phone@a"]).await;
    redis.kill();
    let older = join(&b.registry, user(1), "phone").await;
    let newest = join(&a.registry, user(1), "phone").await;
    assert_eq!(goodbye(&oldest).await, Goodbye::Replaced);
    let _more = join_all(["2", "3"].map(|name| join(&a.registry, user(1), name))).await;
    let fourth = newcomer(user(1), None, "4");
    assert_eq!(refused(&a.registry, fourth).await, TooMany::User);
    let seen = a.registry.list(&everybody(), 10).await;
    assert!(seen.others.is_err());
    assert_eq!(seen.listing.connections.len(), 3);
    assert!(stays(&older) && stays(&newest));
    redis.restart().await;
    assert_eq!(goodbye(&older).await, Goodbye::Replaced);
    b.until_lists(&everybody(), &["2@a", "3@a", "phone@a"])
        .await;
    assert!(stays(&newest));
}

/// What Redis is told of how many there are of whom, all nodes together.
async fn counted(redis: &RedisServer) -> usize {
    let keys: Vec<String> = redis.run(redis::cmd("KEYS").arg("tidings:counts:*")).await;
    let mut fields = 0;
    for key in keys {
        fields += redis.run::<usize>(redis::cmd("HLEN").arg(key)).await;
    }
    fields
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_come_and_go_all_are_counted_in_and_out() {
    let redis = RedisServer::start().await;
    let nodes = [Node::start(&redis, "a"), Node::start(&redis, "b")];
    let tasks = (0..8).map(|task| {
        let registry = nodes[task % 2].registry.clone();
        tokio::spawn(async move {
            let mut here = Vec::new();
            for _ in 0..150 {
                let dice = Uuid::new_v4().as_u128();
                let who = user(i64::try_from(dice % 5).unwrap() + 1);
                let name = (dice >> 8) % 6;
                let key = Some(Uuid::from_u128((dice >> 16) % 3));
                let newcomer = newcomer(who, key, &name.to_string());
                here.extend(registry.register(newcomer).await.ok());
                if dice >> 32 & 1 == 0 && !here.is_empty() {
                    let which = (dice >> 40) as usize % here.len();
                    here.swap_remove(which);
                }
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    let all: Vec<String> = Vec::new();
    for node in &nodes {
        until("nobody is listed", async || {
            node.lists(&everybody()).await == all
        })
        .await;
    }
    until("nobody is counted", async || counted(&redis).await == 0).await;
    // So there is room for as many as there may be, and for no more.
    let _three =
        join_all(["1", "2", "3"].map(|name| join(&nodes[0].registry, user(1), name))).await;
    let fourth = newcomer(user(1), None, "4");
    assert_eq!(refused(&nodes[1].registry, fourth).await, TooMany::User);
}

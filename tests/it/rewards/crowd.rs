//! Hundreds of users come, go, come back and bring newer tokens while things happen to them: each
//! hears its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};

use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use serde_json::{Value, json};
use tidings::auth::mint::{Claims, SigningKey, mint};
use tidings::auth::{ApiKey, ClaimNames, KeyPrefix, KeyRecord, Scope};
use tidings::store::Store;
use tidings::topic::{AccountId, UserId};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::client::Client;
use crate::redis_server::RedisServer;
use crate::scoping::Random;
use crate::tidings::{ISSUER, ISSUER_SECRET, Tidings};

/// Nobody is slow here, so nothing may be left out.
const ROOMY: [(&str, &str); 3] = [
    ISSUER,
    ("TIDINGS_LIMITS__OUTBOX_FRAMES", "100000"),
    ("TIDINGS_LIMITS__OUTBOX_BYTES", "100000000"),
];

/// Two questions, so that a user's subscriptions share renderings and do not.
const QUESTIONS: [&str; 2] = [
    "subscription { StatusUpdate { Type UserID Data } }",
    "subscription Mine { mine: StatusUpdate { Data Timestamp UserID Type } }",
];

#[tokio::test]
async fn of_hundreds_of_users_each_hears_its_own_once_and_in_order() {
    let server = Tidings::start_with(&ROOMY).await;
    let crowd = Crowd::new(200, 1500, vec![server.address()]);
    let keys = crowd.make_keys(&server.store()).await;
    server.until_known(keys.last().unwrap()).await;
    let publish = async |channel: &str, body: &str| server.publish(channel, body).await;
    crowd.gather(&keys, publish).await;
    server.until_metric("tidings_subscriptions", 0.0).await;
    assert_eq!(server.metric("tidings_operations").await, 0.0);
}

#[tokio::test]
async fn on_two_nodes_each_user_hears_its_own_once_and_in_order() {
    let redis = RedisServer::start().await;
    // Channels are released and watched anew all the time.
    let settings = [&ROOMY[..], &[("TIDINGS_HUB__LINGER", "0s")]].concat();
    let (first, second) = futures_util::join!(
        Tidings::start_on(&redis, &settings),
        Tidings::start_on(&redis, &settings)
    );
    let crowd = Crowd::new(40, 500, vec![first.address(), second.address()]);
    let keys = crowd.make_keys(&Store::redis(redis.link())).await;
    for server in [&first, &second] {
        server.until_known(keys.last().unwrap()).await;
    }
    let publish = async |channel: &str, body: &str| {
        let mut publish = redis::cmd("PUBLISH");
        let _: usize = redis.run(publish.arg(channel).arg(body)).await;
    };
    crowd.gather(&keys, publish).await;
    for server in [&first, &second] {
        server.until_metric("tidings_subscriptions", 0.0).await;
    }
}

/// Users with two devices each, and what happens to them.
struct Crowd {
    nodes: Vec<SocketAddr>,
    /// All have the same one, which says nothing of who the user is.
    account: AccountId,
    events: u64,
    /// The numbers of the events of each user, in order. An event is noted before it is published.
    published: Vec<Mutex<Vec<u64>>>,
    /// How many events have been published.
    progress: watch::Sender<u64>,
}

/// What a subscription has heard.
#[derive(Default)]
struct Heard {
    /// How many events of its user were noted when it was told that it is connected.
    from: Option<usize>,
    /// The place of the last event that it was told.
    last: Option<usize>,
}

/// A device that is connected.
struct Device<'a> {
    crowd: &'a Crowd,
    user: usize,
    client: Client,
    /// By id. What arrives for others is of subscriptions that were given up.
    subscriptions: HashMap<String, Heard>,
    given: usize,
}

impl Crowd {
    fn new(users: usize, events: u64, nodes: Vec<SocketAddr>) -> Self {
        Crowd {
            nodes,
            account: Uuid::new_v4().into(),
            events,
            published: (0..users).map(|_| Mutex::default()).collect(),
            progress: watch::Sender::new(0),
        }
    }

    fn users(&self) -> usize {
        self.published.len()
    }

    fn published(&self, user: usize) -> MutexGuard<'_, Vec<u64>> {
        self.published[user].lock().unwrap()
    }

    /// A key for each user.
    async fn make_keys(&self, store: &Store) -> Vec<String> {
        use secrecy::ExposeSecret;
        let prefix = KeyPrefix::parse("blink").unwrap();
        let mut keys = Vec::new();
        for user in 0..self.users() {
            let key = ApiKey::generate().unwrap();
            let record = KeyRecord {
                id: Uuid::new_v4(),
                name: None,
                account: self.account,
                user: UserId::of_number(number_of(user)),
                scopes: [Scope::Read].into_iter().collect(),
                digest: key.digest(),
                created_at: Timestamp::now(),
                expires_at: None,
                revoked_at: None,
            };
            store.add_key(&record).await.unwrap();
            keys.push(key.reveal(&prefix).expose_secret().to_owned());
        }
        keys
    }

    /// A newer token of a user.
    fn token(&self, user: usize) -> String {
        use secrecy::ExposeSecret;
        let claims = Claims {
            account: Some(self.account),
            user: UserId::of_number(number_of(user)),
            scopes: Vec::new(),
            issuer: None,
            audience: None,
            expires_at: Timestamp::now() + jiff::SignedDuration::from_hours(1),
            names: ClaimNames {
                account: "sub".to_owned(),
                user: "user_id".to_owned(),
                scope: "scope".to_owned(),
            },
        };
        let key = SigningKey::of_secret(&ISSUER_SECRET.into()).unwrap();
        mint(&claims, &key).unwrap().expose_secret().to_owned()
    }

    /// Lets things happen, and two devices of each user come and go meanwhile.
    async fn gather(&self, keys: &[String], publish: impl AsyncFn(&str, &str)) {
        let devices = 2 * self.users();
        let lives: FuturesUnordered<_> = (0..devices)
            .map(|device| self.live(device % self.users(), device, &keys[device % self.users()]))
            .collect();
        let lived = lives.fold((0, 0), async |(lives, heard), (more, told)| {
            (lives + more, heard + told)
        });
        let ((lives, heard), ()) = futures_util::join!(lived, self.happen(publish));
        assert!(lives > devices, "nobody came back: {lives}");
        assert!(
            heard > self.events as usize,
            "hardly anybody was there: {heard}"
        );
    }

    async fn happen(&self, publish: impl AsyncFn(&str, &str)) {
        let mut random = Random(0x5eed);
        for number in 1..=self.events {
            let user = random.below(self.users());
            self.published(user).push(number);
            let id = number_of(user);
            let data = match random.below(3) {
                0 => format!(r#"{{"user_id":{id},"number":{number}}}"#),
                1 => format!(r#"{{"number":{number}}}"#),
                _ => format!(r#""{{\"number\":{number}}}""#),
            };
            let body = format!(
                r#"{{"Type":"bonus_update","Timestamp":"2026-01-15T10:31:00Z","UserID":{id},"Data":{data}}}"#
            );
            publish(&format!("REWARDS_STATUS_{id}"), &body).await;
            self.progress.send_replace(number);
        }
    }

    /// One device: connections one after another until nothing happens any more. How many, and how
    /// many events they were told.
    async fn live(&self, user: usize, device: usize, key: &str) -> (usize, usize) {
        let mut random = Random(0xfeed + 0x9e37 * device as u64);
        let (mut lives, mut told) = (0, 0);
        loop {
            lives += 1;
            let node = self.nodes[random.below(self.nodes.len())];
            let mut here = Device::connect(self, user, node, key).await;
            for _ in 0..=random.below(2) {
                for _ in 0..=random.below(2) {
                    here.subscribe(QUESTIONS[random.below(2)]).await;
                }
                // Sometimes its own, and sometimes another's by mistake, which changes nothing.
                let whose = match random.below(4) {
                    0 => Some(user),
                    1 => Some((user + 1) % self.users()),
                    _ => None,
                };
                if let Some(whose) = whose {
                    told += here.refresh(whose).await;
                }
                let until = *self.progress.borrow() + random.below(self.events as usize) as u64;
                told += here.hear_until(until).await;
                if random.below(2) == 0 || self.is_over() {
                    told += here.catch_up().await;
                }
                here.unsubscribe().await;
            }
            if self.is_over() {
                return (lives, told);
            }
        }
    }

    fn is_over(&self) -> bool {
        *self.progress.borrow() == self.events
    }
}

impl<'a> Device<'a> {
    async fn connect(crowd: &'a Crowd, user: usize, node: SocketAddr, key: &str) -> Self {
        let mut client = Client::connect(node, Some("graphql-transport-ws")).await;
        client.init(&super::init(key)).await;
        Device {
            crowd,
            user,
            client,
            subscriptions: HashMap::new(),
            given: 0,
        }
    }

    async fn subscribe(&mut self, question: &str) {
        self.given += 1;
        let id = self.given.to_string();
        self.client.subscribe(&id, question).await;
        self.subscriptions.insert(id, Heard::default());
    }

    /// Gives all subscriptions up, whatever is under way.
    async fn unsubscribe(&mut self) {
        for (id, _) in self.subscriptions.drain() {
            self.client.complete(&id).await;
        }
    }

    /// Brings a newer token of a user, which counts if it is this one's. How many events were told
    /// until it was answered.
    async fn refresh(&mut self, whose: usize) -> usize {
        let token = self.crowd.token(whose);
        let authorization = json!({ "Authorization": format!("Bearer {token}") });
        let ping = json!({ "type": "ping", "payload": authorization });
        self.client.send(&ping.to_string()).await;
        let mut told = 0;
        loop {
            let message = self.client.message().await;
            if let Some(Message::Text(text)) = &message
                && text.starts_with(r#"{"type":"pong""#)
            {
                let counts = text.contains(r#""authenticated":true"#);
                assert_eq!(counts, whose == self.user, "{text}");
                return told;
            }
            told += self.on_message(message);
        }
    }

    /// Hears what is told until so much has happened. How many events that were.
    async fn hear_until(&mut self, number: u64) -> usize {
        let mut progress = self.crowd.progress.subscribe();
        let number = number.min(self.crowd.events);
        let mut told = 0;
        loop {
            tokio::select! {
                _ = progress.wait_for(|happened| *happened >= number) => return told,
                message = self.client.message() => told += self.on_message(message),
            }
        }
    }

    /// Hears all that has happened up to now since each subscription was connected.
    async fn catch_up(&mut self) -> usize {
        let happened = self.crowd.published(self.user).len();
        let is_there = |heard: &Heard| {
            heard.from.is_some_and(|from| {
                from >= happened || heard.last.is_some_and(|last| last + 1 >= happened)
            })
        };
        let mut told = 0;
        while !self.subscriptions.values().all(is_there) {
            let message = self.client.message().await;
            told += self.on_message(message);
        }
        told
    }

    /// Takes a message: whatever it tells is the user's own, and the next in order. 1 for an event.
    fn on_message(&mut self, message: Option<Message>) -> usize {
        let text = match message {
            Some(Message::Text(text)) => text,
            Some(Message::Ping(_) | Message::Pong(_)) => return 0,
            other => panic!("{other:?} where an event was expected"),
        };
        let message: Value = serde_json::from_str(&text).unwrap();
        let data = message["payload"]["data"].as_object();
        let update = data.and_then(|data| data.values().next());
        let update = update.unwrap_or_else(|| panic!("{text}"));
        assert_eq!(update["UserID"], number_of(self.user), "another's: {text}");
        let published = self.crowd.published(self.user);
        let heard = self.subscriptions.get_mut(message["id"].as_str().unwrap());
        if update["Type"] == "connected" {
            if let Some(heard) = heard {
                assert_eq!(heard.from, None, "twice: {text}");
                heard.from = Some(published.len());
            }
            return 0;
        }
        let data: Value = serde_json::from_str(update["Data"].as_str().unwrap()).unwrap();
        let number = data["number"].as_u64().unwrap();
        let place = published.binary_search(&number);
        let place = place.unwrap_or_else(|_| panic!("another's: {text}"));
        if let Some(heard) = heard {
            let from = heard
                .from
                .unwrap_or_else(|| panic!("not connected: {text}"));
            match heard.last {
                None => assert!(place <= from, "from {from} on, and first {place}: {text}"),
                Some(last) => assert_eq!(place, last + 1, "after {last}: {text}"),
            }
            heard.last = Some(place);
        }
        1
    }
}

/// The id of a user.
fn number_of(user: usize) -> i64 {
    user as i64 + 1
}

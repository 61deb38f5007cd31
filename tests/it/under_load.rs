//! What holds however much is told, however fast, and to whoever reads slowly: events come in bursts
//! through Redis, with nothing between them.

use std::cell::Cell;
use std::collections::HashMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::bodies::{
    BY_REQUEST, DOLLARS, Invoice, MY_UPDATES, REALTIME_PRICE, ln_receipt, memo_in, price, price_in,
    price_with, user_price,
};
use crate::client::Client;
use crate::redis_server::RedisServer;
use crate::scoping::Random;
use crate::streams::response::Response;
use crate::tidings::Tidings;

const USD: &str = "PRICE_UPDATE_USD";
const USER_USD: &str = "USER_PRICE_UPDATE_USD";
const TOO_SLOW: &str = r#"tidings_closes_total{reason="too_slow"}"#;

/// Nobody is slow here, so nothing may be left out.
const ROOMY: [(&str, &str); 4] = [
    ("TIDINGS_LIMITS__CONFLATE_ABOVE", "100000"),
    ("TIDINGS_LIMITS__OUTBOX_FRAMES", "100000"),
    ("TIDINGS_LIMITS__OUTBOX_BYTES", "100000000"),
    ("TIDINGS_LIMITS__WRITE_TIMEOUT", "60s"),
];

/// A client that does not read is kept for longer than any test takes.
const PATIENT: [(&str, &str); 2] = [
    ("TIDINGS_LIMITS__WRITE_TIMEOUT", "60s"),
    ("TIDINGS_LIMITS__PONG_TIMEOUT", "60s"),
];

/// Publishes as back ends do.
struct Producer(redis::aio::MultiplexedConnection);

impl Producer {
    async fn on(redis: &RedisServer) -> Self {
        let client = redis::Client::open(redis.url()).expect("a good URL");
        let connection = client.get_multiplexed_async_connection().await;
        Producer(connection.expect("redis answers"))
    }

    /// Publishes all of them in one write.
    async fn burst(&mut self, events: impl IntoIterator<Item = (String, String)>) {
        let mut burst = redis::pipe();
        for (channel, body) in events {
            burst.publish(channel, body).ignore();
        }
        let published = burst.query_async::<()>(&mut self.0).await;
        published.expect("redis takes it");
    }

    /// Publishes the prices with these numbers in one write.
    async fn prices(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let told = numbers
            .into_iter()
            .map(|number| (USD.into(), price(number)));
        self.burst(told).await;
    }
}

/// A server on Redis, and who publishes there.
struct Stage {
    server: Tidings,
    producer: Producer,
    _redis: RedisServer,
}

impl Stage {
    async fn with(settings: &[(&str, &str)]) -> Self {
        let redis = RedisServer::start().await;
        Stage {
            server: Tidings::start_on(&redis, settings).await,
            producer: Producer::on(&redis).await,
            _redis: redis,
        }
    }
}

fn account_id(account: usize) -> String {
    format!("00000000-0000-4000-8000-{account:012x}")
}

fn payment(account: usize, memo: &str) -> (String, String) {
    let channel = format!("ACCOUNT_UPDATE_{}", account_id(account));
    (channel, ln_receipt(memo))
}

/// The number of a price in the payload of [`MY_UPDATES`].
fn user_price_in(payload: &Value) -> u64 {
    payload["data"]["myUpdates"]["update"]["btcSatPrice"]["base"]
        .as_u64()
        .unwrap_or_else(|| panic!("no price in {payload}"))
}

/// The next result, of whichever subscription.
async fn next(client: &mut Client) -> (String, Value) {
    let mut message = client.json().await;
    assert_eq!(message["type"], "next", "{message}");
    let id = message["id"].as_str().expect("an id").to_owned();
    (id, message["payload"].take())
}

const ACCOUNTS: usize = 24;
const LAST: &str = "that was all";

#[tokio::test]
async fn of_many_accounts_with_everything_at_once_nobody_hears_what_is_another_s() {
    const BURSTS: u64 = 30;
    const BURST: u64 = 60;
    let Stage {
        server,
        mut producer,
        _redis,
    } = Stage::with(&ROOMY).await;
    let keys: Vec<String> = (0..ACCOUNTS)
        .map(|account| server.new_key(&account_id(account), &["read"], &[]))
        .collect();
    server.until_known(&keys[ACCOUNTS - 1]).await;
    let invoices: Vec<Invoice> = (0..ACCOUNTS).map(|_| Invoice::new()).collect();

    // Two connections an account, with everything that may be asked for.
    let mut clients = Vec::new();
    for account in (0..ACCOUNTS).chain(0..ACCOUNTS) {
        let mut client = server.with_key(&keys[account]).await;
        client.subscribe("mine", MY_UPDATES).await;
        client.subscribe("mine again", MY_UPDATES).await;
        client.subscribe("price", DOLLARS).await;
        client
            .subscribe("invoice", &invoices[account].by_request())
            .await;
        clients.push((account, client));
    }
    server
        .until_metric("tidings_subscriptions", 8.0 * ACCOUNTS as f64)
        .await;

    let mut random = Random(0x5eed);
    let mut paid: Vec<Vec<String>> = vec![Vec::new(); ACCOUNTS];
    let done = Cell::new(false);
    let publish = async {
        for burst in 0..BURSTS {
            let events: Vec<_> = (0..BURST)
                .map(|at| {
                    let number = burst * BURST + at + 1;
                    match random.below(10) {
                        0 => (USD.to_owned(), price(number)),
                        1 => (USER_USD.to_owned(), user_price(number)),
                        _ => {
                            let account = random.below(ACCOUNTS);
                            let memo = format!("{} paid {number}", account_id(account));
                            paid[account].push(memo.clone());
                            payment(account, &memo)
                        }
                    }
                })
                .collect();
            producer.burst(events).await;
            if let Some(invoice) = invoices.get(burst as usize) {
                producer.burst([(invoice.channel(), invoice.paid())]).await;
            }
        }
        let last = BURSTS * BURST + 1;
        let all = (0..ACCOUNTS).map(|account| payment(account, LAST));
        producer.burst(all.chain([(USD.into(), price(last))])).await;
        paid
    };
    let hear = join_all(clients.iter_mut().map(async |(account, client)| {
        let last = BURSTS * BURST + 1;
        hear_all(client, &invoices[*account], last).await
    }));
    let hear = async {
        let heard = hear.await;
        done.set(true);
        heard
    };
    let pass_by = join_all((0..4).map(async |passer_by: usize| {
        let mut random = Random(0xbad + passer_by as u64);
        while !done.get() {
            let account = random.below(ACCOUNTS);
            pass_by(&server, account, &keys[account], random.below(4)).await;
        }
    }));
    let (paid, heard, _) = futures_util::join!(publish, hear, pass_by);

    for ((account, _), heard) in clients.iter().zip(heard) {
        assert_eq!(heard.memos["mine"], paid[*account], "account {account}");
        assert_eq!(heard.memos["mine again"], paid[*account], "{account}");
    }
    assert_eq!(server.metric("tidings_conflated_total").await, 0.0);
}

/// What a client of an account hears, by its subscriptions.
#[derive(Default)]
struct Heard {
    memos: HashMap<String, Vec<String>>,
    lasts: usize,
    price: u64,
    user_prices: HashMap<String, u64>,
    invoice: Vec<Value>,
    completed: usize,
}

/// Hears all, up to the last of everything.
async fn hear_all(client: &mut Client, invoice: &Invoice, last_price: u64) -> Heard {
    let mut heard = Heard::default();
    while heard.lasts < 2 || heard.price != last_price || heard.completed < 1 {
        let message = client.json().await;
        let id = message["id"].as_str().expect("an id").to_owned();
        let payload = &message["payload"];
        match (id.as_str(), message["type"].as_str()) {
            ("invoice", Some("complete")) => heard.completed += 1,
            ("invoice", Some("next")) => heard.invoice.push(payload.clone()),
            ("price", Some("next")) => forward(&mut heard.price, price_in(payload)),
            ("mine" | "mine again", Some("next")) => match memo_in(payload) {
                Some(LAST) => heard.lasts += 1,
                Some(memo) => heard.memos.entry(id).or_default().push(memo.to_owned()),
                None => {
                    let before = heard.user_prices.entry(id).or_default();
                    forward(before, user_price_in(payload));
                }
            },
            _ => panic!("{message}"),
        }
    }
    // Its own invoice, by its hash and its preimage.
    let states = heard.invoice.iter();
    let told: Vec<_> = states
        .map(|state| {
            let invoice = &state["data"][BY_REQUEST];
            ["status", "paymentHash", "paymentPreimage"].map(|field| invoice[field].clone())
        })
        .collect();
    let hash = &invoice.hash;
    assert_eq!(
        told.last(),
        Some(&[json!("PAID"), json!(hash), json!(invoice.preimage)])
    );
    assert!(told.iter().all(|[_, of, _]| of == hash), "{told:?}");
    heard
}

/// Comes in the middle of it, stays for a few events, and leaves without a word.
async fn pass_by(server: &Tidings, account: usize, key: &str, stay: usize) {
    let mut client = server.with_key(key).await;
    client.subscribe("mine", MY_UPDATES).await;
    client.subscribe("price", DOLLARS).await;
    let mut texts = client.fence().await;
    for _ in 0..stay {
        texts.extend(client.fence().await);
    }
    let own = account_id(account);
    for text in texts {
        let message: Value = serde_json::from_str(&text).expect("messages are JSON");
        let memo = memo_in(&message["payload"]);
        assert!(
            memo.is_none_or(|memo| memo == LAST || memo.starts_with(&own)),
            "{own} hears {text}"
        );
    }
}

/// Numbers of prices rise.
fn forward(before: &mut u64, number: u64) {
    assert!(number > *before, "{number} after {before}");
    *before = number;
}

#[tokio::test]
async fn one_connection_with_many_subscriptions_hears_each_payment_of_a_burst_once_and_in_order() {
    const PAYMENTS: usize = 500;
    const ASKED: usize = 30;
    const QUESTIONS: usize = 6;
    let Stage {
        server,
        mut producer,
        _redis,
    } = Stage::with(&ROOMY).await;
    let key = server.key(&account_id(1), &["read"]).await;
    let mut client = server.with_key(&key).await;
    for asked in 0..ASKED {
        // Some ask the same, and some do not.
        let alias = format!("memo{}: memo", asked % QUESTIONS);
        let question = format!(
            "subscription {{ myUpdates {{ update {{ ... on LnUpdate {{ transaction {{ memo {alias} }} }} \
             ... on RealtimePrice {{ btcSatPrice {{ base }} }} }} }} }}"
        );
        client.subscribe(&asked.to_string(), &question).await;
    }
    client.subscribe("price", DOLLARS).await;
    server
        .until_metric("tidings_subscriptions", ASKED as f64 + 1.0)
        .await;

    let memo = |number: usize| format!("payment {number}");
    let mut events = Vec::new();
    for number in 0..PAYMENTS {
        events.push(payment(1, &memo(number)));
        if number % 10 == 9 {
            let number = number as u64 + 1;
            events.push((USD.into(), price(number)));
            events.push((USER_USD.into(), user_price(number)));
        }
    }
    producer.burst(events).await;

    let mut heard = vec![0; ASKED];
    let mut prices = vec![0; ASKED + 1];
    let last_price = PAYMENTS as u64;
    while heard.iter().any(|&heard| heard < PAYMENTS) || prices.iter().any(|&it| it < last_price) {
        let (id, payload) = next(&mut client).await;
        let Ok(asked) = id.parse::<usize>() else {
            forward(&mut prices[ASKED], price_in(&payload));
            continue;
        };
        match memo_in(&payload) {
            Some(told) => {
                assert_eq!(told, memo(heard[asked]), "subscription {id}");
                heard[asked] += 1;
            }
            None => forward(&mut prices[asked], user_price_in(&payload)),
        }
    }
    assert_eq!(client.fence().await, [""; 0], "and nothing twice");
    assert_eq!(server.metric("tidings_conflated_total").await, 0.0);
}

/// Asks for [`MY_UPDATES`] by a response that goes on.
async fn listens(server: &Tidings, accept: &str, key: &str) -> Response {
    let headers = [
        ("Accept", accept),
        ("Content-Type", "application/json"),
        ("X-API-KEY", key),
    ];
    let body = json!({ "query": MY_UPDATES }).to_string();
    let response = Response::of(server.address(), "POST", "/graphql", &headers, &body).await;
    assert_eq!(response.status, 200);
    response
}

/// The ways to listen over HTTP, and what a result ends with.
const OVER_HTTP: [(&str, &str); 2] = [
    ("text/event-stream", "\n\n"),
    ("multipart/mixed;subscriptionSpec=1.0", "\r\n--graphql"),
];

/// The memos of payments in what such a response has brought.
fn memos_of(told: &str) -> impl Iterator<Item = &str> {
    let memos = told.split("\"memo\":\"").skip(1);
    memos.filter_map(|rest| rest.split('"').next())
}

#[tokio::test]
async fn over_http_each_payment_of_a_burst_is_heard_once_and_in_order() {
    const BURSTS: usize = 20;
    const BURST: usize = 50;
    let Stage {
        server,
        mut producer,
        _redis,
    } = Stage::with(&ROOMY).await;
    let key = server.key(&account_id(1), &["read"]).await;
    let mut listeners = Vec::new();
    for (accept, end) in [OVER_HTTP, OVER_HTTP].concat() {
        listeners.push((listens(&server, accept, &key).await, end));
    }
    server.until_metric("tidings_subscriptions", 4.0).await;

    let memo = |number: usize| format!("payment {number}");
    let publish = async {
        for burst in 0..BURSTS {
            let payments = (0..BURST).flat_map(|at| {
                let number = burst * BURST + at;
                let price = (USER_USD.to_owned(), user_price(number as u64 + 1));
                [payment(1, &memo(number)), price]
            });
            producer.burst(payments).await;
        }
        producer.burst([payment(1, LAST)]).await;
    };
    let hear = join_all(listeners.iter_mut().map(async |(response, end)| {
        let mut told = response.until(LAST).await;
        told.push_str(&response.until(end).await);
        told
    }));
    let ((), told) = futures_util::join!(publish, hear);
    let all = (0..BURSTS * BURST).map(memo).chain([LAST.to_owned()]);
    let expected: Vec<String> = all.collect();
    for told in told {
        assert_eq!(memos_of(&told).collect::<Vec<_>>(), expected);
    }
    assert_eq!(server.metric("tidings_conflated_total").await, 0.0);
}

#[tokio::test]
async fn over_http_who_reads_nothing_is_let_go_and_hears_payments_without_a_gap_up_to_there() {
    let settings = [("TIDINGS_LIMITS__OUTBOX_FRAMES", "40")];
    let Stage {
        server,
        mut producer,
        _redis,
    } = Stage::with(&[&settings[..], &PATIENT].concat()).await;
    let key = server.key(&account_id(1), &["read"]).await;
    for (closed, (accept, _)) in OVER_HTTP.into_iter().enumerate() {
        let mut slow = listens(&server, accept, &key).await;
        let mut quick = server.with_key(&key).await;
        quick.subscribe("mine", MY_UPDATES).await;
        server.until_metric("tidings_subscriptions", 2.0).await;
        // In step with one who reads: only what the slow one does not take pends.
        let long = "x".repeat(20_000);
        let mut number = 0;
        while server.metric(TOO_SLOW).await <= closed as f64 {
            for _ in 0..10 {
                number += 1;
                producer
                    .burst([payment(1, &format!("payment {number} {long}"))])
                    .await;
                quick.payload("mine").await;
            }
        }
        // It is cut off: it does not look as if all was told.
        let told = slow.until_cut_off().await;
        let heard: Vec<_> = memos_of(&told).collect();
        for (at, memo) in heard.iter().enumerate() {
            let expected = format!("payment {} {long}", at + 1);
            assert!(*memo == expected, "{} at {at}", &memo[..20]);
        }
        assert!(heard.len() < number, "the client was not slow");
        drop(quick);
        server.until_metric("tidings_subscriptions", 0.0).await;
    }
}

/// A price of some kilobytes for whoever asks by [`long_question`]: sockets are full after a few
/// hundred of them.
fn long_price(number: u64) -> (String, String) {
    let currency = json!({ "code": "USD", "symbol": "$", "name": "x".repeat(1000), "flag": "", "fractionDigits": 2 });
    let body = price_with(number, &json!({ "currency": currency }));
    (USD.into(), body.to_string())
}

fn long_question() -> String {
    let names: String = (0..12)
        .map(|n| format!("n{n}: denominatorCurrencyDetails {{ name }} "))
        .collect();
    format!(
        r#"subscription {{ realtimePrice(input: {{ currency: "USD" }}) {{ realtimePrice {{ btcSatPrice {{ base }} {names} }} }} }}"#
    )
}

/// Enough of them to fill a socket whose other end does not read, whatever the kernel grants.
const LONG_PRICES: u64 = 1500;
const PAYMENTS: usize = 200;

/// What is heard by a client that has read nothing while long prices were told, and then payments
/// among more of them; and how it was closed, if it was.
async fn heard_after_a_pause(frames: &str) -> (Vec<u64>, Vec<String>, Option<u16>) {
    let settings = [
        ("TIDINGS_LIMITS__OUTBOX_FRAMES", frames),
        ("TIDINGS_LIMITS__OUTBOX_BYTES", "100000000"),
    ];
    let Stage {
        server,
        mut producer,
        _redis,
    } = Stage::with(&[&settings[..], &PATIENT].concat()).await;
    let key = server.key(&account_id(1), &["read"]).await;
    let mut slow = Client::narrow(server.address()).await;
    slow.init(&format!(r#"{{"X-API-KEY":"{key}"}}"#)).await;
    slow.subscribe("price", &long_question()).await;
    slow.subscribe("mine", MY_UPDATES).await;
    let mut quick = server.with_key(&key).await;
    quick.subscribe("price", DOLLARS).await;
    quick.subscribe("mine", MY_UPDATES).await;
    server.until_metric("tidings_subscriptions", 4.0).await;

    // All in step with one who reads, who is thus never behind: what the slow one hears is decided by
    // its own pace alone, and it does not begin to read before all has been told.
    let paused = LONG_PRICES - PAYMENTS as u64;
    for begin in (1..=paused).step_by(50) {
        let end = (begin + 49).min(paused);
        producer.burst((begin..=end).map(long_price)).await;
        while price_in(&quick.payload("price").await) < end {}
    }
    for begin in (0..PAYMENTS).step_by(10) {
        let both = (begin..begin + 10).flat_map(|at| {
            let price = long_price(paused + 1 + at as u64);
            [payment(1, &format!("payment {at}")), price]
        });
        producer.burst(both).await;
        let (mut price, mut payments) = (0, 0);
        while price < paused + begin as u64 + 10 || payments < 10 {
            match next(&mut quick).await {
                (id, payload) if id == "price" => price = price_in(&payload),
                _ => payments += 1,
            }
        }
    }

    let (mut prices, mut memos) = (Vec::new(), Vec::new());
    while prices.last() != Some(&LONG_PRICES) || memos.len() < PAYMENTS {
        let message: Value = match slow.event().await {
            Ok(text) => serde_json::from_str(&text).expect("messages are JSON"),
            Err((code, _)) => return (prices, memos, Some(code)),
        };
        match memo_in(&message["payload"]) {
            Some(memo) => memos.push(memo.to_owned()),
            None => prices.push(price_in(&message["payload"])),
        }
    }
    let conflated = server.metric("tidings_conflated_total").await;
    assert!(conflated >= (LONG_PRICES - prices.len() as u64) as f64);
    // It has caught up, and is as good as new.
    producer.burst([long_price(LONG_PRICES + 1)]).await;
    assert_eq!(price_in(&slow.payload("price").await), LONG_PRICES + 1);
    (prices, memos, None)
}

#[tokio::test]
async fn who_stops_reading_and_reads_again_hears_the_last_price_and_each_payment() {
    let (prices, memos, closed) = heard_after_a_pause("100000").await;
    assert_eq!(closed, None);
    assert!(prices.is_sorted_by(|a, b| a < b), "{prices:?}");
    assert!(
        prices.len() < LONG_PRICES as usize,
        "the client was not slow"
    );
    assert_eq!(prices.last(), Some(&LONG_PRICES));
    let expected: Vec<String> = (0..PAYMENTS).map(|at| format!("payment {at}")).collect();
    assert_eq!(memos, expected);
}

#[tokio::test]
async fn who_stops_reading_for_too_long_is_closed_with_1013_and_hears_payments_without_a_gap() {
    let (prices, memos, closed) = heard_after_a_pause("40").await;
    assert_eq!(closed, Some(1013));
    assert!(prices.is_sorted_by(|a, b| a < b), "{prices:?}");
    assert!(memos.len() < PAYMENTS, "the client was not slow");
    let expected: Vec<String> = (0..memos.len()).map(|at| format!("payment {at}")).collect();
    assert_eq!(memos, expected, "up to the close");
}

/// Clients that will never read what they have asked for.
async fn who_never_read(server: &Tidings, count: usize) -> Vec<Client> {
    join_all((0..count).map(async |_| {
        let mut client = Client::narrow(server.address()).await;
        client.init("{}").await;
        client.subscribe("1", &long_question()).await;
        client
    }))
    .await
}

/// Clients that read.
async fn who_read(server: &Tidings, count: usize) -> Vec<Client> {
    join_all((0..count).map(async |_| {
        let mut client = server.anonymous().await;
        client.subscribe("1", DOLLARS).await;
        client
    }))
    .await
}

/// Tells so many long prices, and insists that each of these hears each.
async fn all_hear(producer: &mut Producer, clients: &mut [Client], prices: u64) {
    for begin in (1..=prices).step_by(8) {
        let numbers = begin..(begin + 8).min(prices + 1);
        producer.burst(numbers.clone().map(long_price)).await;
        for number in numbers {
            for client in clients.iter_mut() {
                assert_eq!(price_in(&client.payload("1").await), number);
            }
        }
    }
}

#[tokio::test]
async fn while_some_read_nothing_each_price_reaches_all_the_others() {
    let Stage {
        server,
        mut producer,
        _redis,
    } = Stage::with(&PATIENT).await;
    let mut slow = who_never_read(&server, 4).await;
    let mut quick = who_read(&server, 12).await;
    server.until_metric("tidings_subscriptions", 16.0).await;
    // Waiting for a slow one would take until its write timeout: longer than a test has patience.
    all_hear(&mut producer, &mut quick, LONG_PRICES).await;
    assert_eq!(server.metric("tidings_closes_total").await, 0.0);
    assert!(server.metric("tidings_conflated_total").await > 0.0);
    for client in &mut slow {
        let mut heard = 0;
        while heard < LONG_PRICES {
            forward(&mut heard, price_in(&client.payload("1").await));
        }
    }
}

#[tokio::test]
async fn who_reads_nothing_is_let_go_as_too_slow_and_nobody_else_is() {
    const SLOW: usize = 6;
    let settings = [("TIDINGS_LIMITS__WRITE_TIMEOUT", "300ms")];
    let Stage {
        server,
        mut producer,
        _redis,
    } = Stage::with(&settings).await;
    let slow = who_never_read(&server, SLOW).await;
    let mut quick = who_read(&server, 6).await;
    server.until_metric("tidings_subscriptions", 12.0).await;
    all_hear(&mut producer, &mut quick, LONG_PRICES).await;
    server.until_metric(TOO_SLOW, SLOW as f64).await;
    server.until_metric("tidings_subscriptions", 6.0).await;
    assert_eq!(server.metric("tidings_closes_total").await, SLOW as f64);
    for mut client in slow {
        // If it had read on it would know why. The server does not wait for that.
        let (texts, (code, _)) = client.closed_after_all().await;
        assert!([1013, 1006].contains(&code), "{code}");
        let mut heard = 0;
        for text in texts {
            let message: Value = serde_json::from_str(&text).expect("whole messages");
            forward(&mut heard, price_in(&message["payload"]));
        }
    }
    producer.burst([long_price(LONG_PRICES + 1)]).await;
    for client in &mut quick {
        assert_eq!(price_in(&client.payload("1").await), LONG_PRICES + 1);
    }
}

#[tokio::test]
async fn who_comes_and_goes_in_a_hurry_hears_the_present_then_each_price_and_then_nothing() {
    const HURRIED: usize = 24;
    let Stage {
        server,
        mut producer,
        _redis,
    } = Stage::with(&ROOMY).await;
    let mut observer = server.anonymous().await;
    observer.subscribe("1", DOLLARS).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    producer.prices([1]).await;
    assert_eq!(price_in(&observer.payload("1").await), 1);

    let left = Cell::new(HURRIED);
    let publish = async {
        let mut number = 1;
        while left.get() > 0 {
            producer.prices(number + 1..=number + 8).await;
            // In step with the one who stays, or they would come faster than anybody can read.
            for _ in 0..8 {
                number += 1;
                assert_eq!(price_in(&observer.payload("1").await), number);
            }
        }
        number
    };
    let hurry = join_all((0..HURRIED).map(async |client: usize| {
        let hurried = Hurried::come_and_go(&server, Random(0x5eed + client as u64)).await;
        left.set(left.get() - 1);
        hurried
    }));
    let (last, hurried) = futures_util::join!(publish, hurry);

    server.until_metric("tidings_subscriptions", 1.0).await;
    server.until_metric("tidings_operations", 1.0).await;
    producer.prices([last + 1]).await;
    assert_eq!(price_in(&observer.payload("1").await), last + 1);
    for mut hurried in hurried {
        assert_eq!(hurried.client.fence().await, [""; 0], "all was completed");
        // Without any further price, the present one is told.
        hurried.client.subscribe("a", DOLLARS).await;
        assert_eq!(price_in(&hurried.client.payload("a").await), last + 1);
        assert_eq!(hurried.client.fence().await, [""; 0], "once");
    }
}

/// A client that subscribes and completes again and again.
struct Hurried {
    client: Client,
    /// The number that each running subscription has heard last; before its first, the number that
    /// the client knew when it asked, and that it does not want to be told again.
    running: HashMap<String, Last>,
    newest: u64,
}

#[derive(Clone, Copy, Debug)]
enum Last {
    AskedAt(u64),
    Heard(u64),
}

impl Hurried {
    async fn come_and_go(server: &Tidings, mut random: Random) -> Self {
        const ROUNDS: usize = 150;
        let mut hurried = Hurried {
            client: server.anonymous().await,
            running: HashMap::new(),
            newest: 0,
        };
        for _ in 0..ROUNDS {
            // Each is free again after the fence that follows its end.
            let id = ["a", "b", "c"][random.below(3)];
            if hurried.running.contains_key(id) {
                hurried.leave(id).await;
            } else {
                hurried.join(id, random.below(2) == 0).await;
            }
            for _ in 0..random.below(5) {
                if hurried.running.is_empty() {
                    break;
                }
                let text = hurried.client.text().await;
                hurried.hear(&text);
            }
        }
        for id in ["a", "b", "c"] {
            hurried.leave(id).await;
        }
        hurried
    }

    async fn join(&mut self, id: &str, by_variables: bool) {
        let asked = Last::AskedAt(self.newest);
        self.running.insert(id.to_owned(), asked);
        if by_variables {
            let variables = r#"{"input":{"currency":"USD"}}"#;
            let client = &mut self.client;
            client.subscribe_with(id, REALTIME_PRICE, variables).await;
        } else {
            self.client.subscribe(id, DOLLARS).await;
        }
    }

    /// Completes, and hears nothing more of it from the fence on.
    async fn leave(&mut self, id: &str) {
        self.client.complete(id).await;
        for text in self.client.fence().await {
            self.hear(&text);
        }
        self.running.remove(id);
    }

    fn hear(&mut self, text: &str) {
        let message: Value = serde_json::from_str(text).expect("messages are JSON");
        assert_eq!(message["type"], "next", "{text}");
        let id = message["id"].as_str().expect("an id");
        let number = price_in(&message["payload"]);
        let last = self.running.get_mut(id);
        let last = last.unwrap_or_else(|| panic!("{text} after its end"));
        match *last {
            Last::AskedAt(known) => assert!(number >= known, "{number} is older than {known}"),
            Last::Heard(before) => assert_eq!(number, before + 1, "{text}"),
        }
        *last = Last::Heard(number);
        self.newest = self.newest.max(number);
    }
}

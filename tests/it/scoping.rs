//! What is one account's is heard by that account alone.

use futures_util::future::join_all;
use serde_json::json;

use crate::bodies::{
    DOLLARS, MY_UPDATES, intraledger_receipt, ln_receipt, memo_in, on_chain_receipt, price,
    price_in, user_price,
};
use crate::client::Client;
use crate::tidings::Tidings;

/// Nobody is slow here, so nothing may be left out.
const ROOMY: [(&str, &str); 3] = [
    ("TIDINGS_LIMITS__CONFLATE_ABOVE", "100000"),
    ("TIDINGS_LIMITS__OUTBOX_FRAMES", "100000"),
    ("TIDINGS_LIMITS__OUTBOX_BYTES", "100000000"),
];

#[tokio::test]
async fn of_two_accounts_each_hears_its_own_in_order_and_nothing_else() {
    nothing_crosses(2, 2000).await;
}

#[tokio::test]
async fn of_twenty_accounts_each_hears_its_own_in_order_and_nothing_else() {
    nothing_crosses(20, 2000).await;
}

/// What was published, by the account that it was for.
struct Published {
    payments: Vec<Vec<String>>,
    /// To all accounts.
    prices: Vec<u64>,
}

async fn nothing_crosses(accounts: usize, events: usize) {
    let server = Tidings::start_with(&ROOMY).await;
    // Three connections an account: twice the same key, and one of other scopes.
    let mut clients = Vec::new();
    for account in 0..accounts {
        let keys = [&["read"][..], &["read", "write"]]
            .map(|scopes| server.new_key(&account_id(account), scopes, &[]));
        server.until_known(&keys[1]).await;
        for key in [&keys[0], &keys[0], &keys[1]] {
            let mut client = server.with_key(key).await;
            client.subscribe("mine", MY_UPDATES).await;
            clients.push((account, client));
        }
    }
    let mut stranger = server.anonymous().await;
    stranger.subscribe("mine", MY_UPDATES).await;
    let payload = stranger.payload("mine").await;
    assert_eq!(
        payload["errors"][0]["extensions"]["code"],
        "NOT_AUTHENTICATED"
    );
    stranger.completed("mine").await;
    stranger.subscribe("prices", DOLLARS).await;
    let subscriptions = accounts as f64 * 3.0 + 1.0;
    server
        .until_metric("tidings_subscriptions", subscriptions)
        .await;
    let operations = accounts as f64 * 2.0 + 1.0;
    assert_eq!(server.metric("tidings_operations").await, operations);

    let hear_all = join_all(clients.iter_mut().map(|(_, client)| hear(client)));
    let hear_prices = async {
        let mut heard = vec![0];
        while *heard.last().unwrap() != events as u64 + 1 {
            heard.push(price_in(&stranger.payload("prices").await));
        }
        heard
    };
    let (published, heard, strangers) =
        futures_util::join!(publish(&server, accounts, events), hear_all, hear_prices);
    for ((account, _), (payments, prices)) in clients.iter().zip(heard) {
        assert_eq!(payments, published.payments[*account], "account {account}");
        assert_eq!(prices, published.prices, "account {account}");
    }
    assert!(strangers.is_sorted_by(|a, b| a < b));
    assert_eq!(server.metric("tidings_conflated_total").await, 0.0);
}

fn account_id(account: usize) -> String {
    format!("00000000-0000-4000-8000-{account:012x}")
}

async fn publish(server: &Tidings, accounts: usize, events: usize) -> Published {
    let mut published = Published {
        payments: vec![Vec::new(); accounts],
        prices: Vec::new(),
    };
    let mut random = Random(0x5eed);
    for number in 1..=events as u64 {
        match random.below(10) {
            0 => {
                server
                    .publish("USER_PRICE_UPDATE_USD", &user_price(number))
                    .await;
                published.prices.push(number);
            }
            1 => server.publish("PRICE_UPDATE_USD", &price(number)).await,
            _ => {
                let account = random.below(accounts);
                let memo = format!("{number} for {account}");
                let body = match random.below(4) {
                    0 => ln_receipt(&memo),
                    1 => intraledger_receipt(&memo),
                    2 => on_chain_receipt(&memo, true),
                    _ => on_chain_receipt(&memo, false),
                };
                server.publish(&channel(account), &body).await;
                published.payments[account].push(memo);
            }
        }
    }
    for account in 0..accounts {
        server
            .publish(&channel(account), &ln_receipt("that was all"))
            .await;
    }
    server
        .publish("PRICE_UPDATE_USD", &price(events as u64 + 1))
        .await;
    published
}

fn channel(account: usize) -> String {
    format!("ACCOUNT_UPDATE_{}", account_id(account))
}

/// The memos and the prices that a client hears, until it is told that that was all.
async fn hear(client: &mut Client) -> (Vec<String>, Vec<u64>) {
    let (mut memos, mut prices) = (Vec::new(), Vec::new());
    loop {
        let payload = client.payload("mine").await;
        match memo_in(&payload) {
            Some("that was all") => return (memos, prices),
            Some(memo) => memos.push(memo.to_owned()),
            None => {
                let base = &payload["data"]["myUpdates"]["update"]["btcSatPrice"]["base"];
                prices.push(base.as_u64().unwrap());
            }
        }
    }
}

/// Numbers that are random and the same in each run (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// From 0 up to this, which is not reached.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

const ACCOUNT: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";

#[tokio::test]
async fn a_key_without_the_scope_read_hears_no_account() {
    let server = Tidings::start().await;
    let keys = [
        server.key(ACCOUNT, &["receive"]).await,
        server.key(ACCOUNT, &["receive", "write", "publish"]).await,
    ];
    for key in keys {
        let mut client = server.with_key(&key).await;
        client.subscribe("1", MY_UPDATES).await;
        let payload = client.payload("1").await;
        assert_eq!(payload["errors"][0]["extensions"]["code"], "NOT_AUTHORIZED");
        assert_eq!(payload["errors"][0]["path"], json!(["myUpdates"]));
        assert_eq!(payload.get("data"), None);
        client.completed("1").await;
        // What is public it hears.
        client.subscribe("1", DOLLARS).await;
        server.until_metric("tidings_subscriptions", 1.0).await;
        server.publish("PRICE_UPDATE_USD", &price(1)).await;
        assert_eq!(price_in(&client.payload("1").await), 1);
        drop(client);
        server.until_metric("tidings_subscriptions", 0.0).await;
    }
}

#[tokio::test]
async fn where_scopes_are_not_enforced_a_key_without_read_hears_its_account() {
    let server = Tidings::start_with(&[("TIDINGS_AUTH__ENFORCE_SCOPES", "false")]).await;
    let key = server.key(ACCOUNT, &["receive"]).await;
    let mut client = server.with_key(&key).await;
    client.subscribe("1", MY_UPDATES).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    let channel = format!("ACCOUNT_UPDATE_{ACCOUNT}");
    server.publish(&channel, &ln_receipt("tea")).await;
    assert_eq!(memo_in(&client.payload("1").await), Some("tea"));
    // But it does not publish.
    let (status, _) = server
        .post("/v1/events/PRICE_UPDATE_USD", &key, &price(1))
        .await;
    assert_eq!(status, 403);
}

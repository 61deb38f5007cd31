//! What an event costs before anybody is told of it: `cargo bench --bench decoding`.

use std::collections::HashMap;
use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use redis::ValueCodec;
use tidings::bus::{Replies, Reply};
use tidings::event::Event;
use tidings::topic::Topic;
use tokio_util::codec::Decoder;
use uuid::Uuid;

const ACCOUNT: &str = "ACCOUNT_UPDATE_21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f";
const INVOICE: &str =
    "LN_PAYMENT_STATUS_bf6b7ad5b5c93fbf5ab3fc8ba4c5a1e1d8e0b7d2a1c3e4f5061728394a5b6c7d";

const PRICE: &str = r#"{"timestamp":"2024-01-15T10:30:00.000Z","currency":{"code":"USD","symbol":"$","name":"US Dollar","flag":"🇺🇸","fractionDigits":2,"countryCodes":["US"]},"displayCurrency":"USD","pricePerSat":0.000436441484375,"pricePerUsdCent":0.01}"#;
const TRANSACTION: &str = r#"{"createdAt":"2023-11-21T01:49:38.375Z","id":"655cd1926445716f60b89418","walletId":"21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f","initiationVia":{"type":"lightning","paymentHash":"bf6b7ad5b5c93fbf5ab3fc8ba4c5a1e1d8e0b7d2a1c3e4f5061728394a5b6c7d","pubkey":"d75a"},"settlementVia":{"type":"lightning"},"memo":null,"settlementAmount":2707,"settlementFee":0,"settlementCurrency":"BTC","settlementDisplayAmount":"1.00","settlementDisplayFee":"0.00","settlementDisplayPrice":{"base":"36941263391","offset":"12","displayCurrency":"USD","walletCurrency":"BTC"},"status":"success"}"#;
const PAID: &str = r#"{"paymentHash":"bf6b7ad5b5c93fbf5ab3fc8ba4c5a1e1d8e0b7d2a1c3e4f5061728394a5b6c7d","paymentPreimage":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","status":"Paid"}"#;
const REWARD: &str = r#"{"Type":"vc_update","Timestamp":"2026-01-15T10:31:00Z","UserID":123,"Data":{"user_id":123,"virtual_currency_id":2,"new_amount":10.5}}"#;

/// A name for each kind of event, its channel and its body.
fn events() -> Vec<(&'static str, &'static str, String)> {
    let intra_ledger = format!(
        r#"{{"intraLedger":{{"walletId":"w","txNotificationType":"intra_ledger_receipt","amount":"2707","displayCurrencyPerSat":0.0004,"transaction":{TRANSACTION}}}}}"#
    );
    let on_chain = format!(
        r#"{{"transaction":{{"walletId":"w","txNotificationType":"onchain_receipt","amount":50000,"txHash":"t","transaction":{TRANSACTION}}}}}"#
    );
    let user_price = format!(r#"{{"realtimePrice":{PRICE}}}"#);
    vec![
        ("price", "PRICE_UPDATE_USD", PRICE.to_owned()),
        ("user_price", "USER_PRICE_UPDATE_USD", user_price),
        ("account_lightning", ACCOUNT, lightning()),
        ("account_intra_ledger", ACCOUNT, intra_ledger),
        ("account_on_chain", ACCOUNT, on_chain),
        ("invoice", INVOICE, PAID.to_owned()),
        ("rewards", "REWARDS_STATUS_123", REWARD.to_owned()),
    ]
}

fn lightning() -> String {
    format!(
        r#"{{"invoice":{{"walletId":"w","paymentHash":"h","status":"Paid","transaction":{TRANSACTION}}}}}"#
    )
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, channel, body) in events() {
        let topic = Topic::of_channel(channel).expect("a channel of ours");
        group.bench_function(name, |bencher| {
            bencher
                .iter(|| Event::decode(&topic, black_box(body.as_bytes())).expect("well formed"));
        });
    }
    group.finish();
}

fn topics(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topic");
    for (name, channel, _) in events() {
        if name != "account_intra_ledger" && name != "account_on_chain" {
            group.bench_function(format!("of_channel/{name}"), |bencher| {
                bencher.iter(|| Topic::of_channel(black_box(channel)));
            });
        }
    }
    let accounts: HashMap<Topic, usize> = (0..10_000)
        .map(|number| (Topic::Account(Uuid::new_v4().into()), number))
        .collect();
    let some: Vec<_> = accounts.keys().step_by(7).cloned().collect();
    let mut next = some.iter().cycle();
    group.bench_function("look_up_one_of_10000", |bencher| {
        bencher.iter(|| accounts.get(next.next().expect("it goes on for ever")));
    });
    group.finish();
}

/// What Redis sends for some events of accounts, in one piece.
fn pushed(messages: u64) -> Vec<u8> {
    let (channel, body) = (ACCOUNT, lightning());
    let message = format!(
        "*3\r\n$7\r\nmessage\r\n${}\r\n{channel}\r\n${}\r\n{body}\r\n",
        channel.len(),
        body.len()
    );
    message.repeat(messages as usize).into_bytes()
}

fn resp(criterion: &mut Criterion) {
    const MESSAGES: u64 = 64;
    let pushed = pushed(MESSAGES);
    let mut group = criterion.benchmark_group("resp");
    group.throughput(Throughput::Elements(MESSAGES));
    group.bench_function("64_messages", |bencher| {
        let mut replies = Replies::default();
        bencher.iter(|| {
            replies.room().extend_from_slice(&pushed);
            let mut bytes = 0;
            while let Some(reply) = replies.next_reply().expect("RESP2") {
                let Reply::Array(texts) = reply else {
                    panic!("a message is an array");
                };
                bytes += texts.take(2).expect("a body").len();
            }
            bytes
        });
    });
    group.bench_function("64_messages_by_the_redis_crate", |bencher| {
        let mut codec = ValueCodec::default();
        let mut arrived = BytesMut::new();
        bencher.iter(|| {
            arrived.extend_from_slice(&pushed);
            let mut values = 0;
            while let Some(value) = codec.decode(&mut arrived).expect("RESP2") {
                values += 1;
                drop(black_box(value));
            }
            values
        });
    });
    group.finish();
}

criterion_group!(benches, decode, topics, resp);
criterion_main!(benches);

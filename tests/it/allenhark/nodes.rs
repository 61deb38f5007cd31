//! Several nodes on one Redis.

use super::{
    ACCOUNT, BOT, ENABLED, MINT, NO_SUCH_BOT, OTHER, SUBSCRIBE_BOT, SUBSCRIBE_PRICE,
    SUBSCRIBE_WALLET, SUBSCRIBED_BOT, SUBSCRIBED_PRICE, SUBSCRIBED_WALLET, WALLET, ask, fence,
    let_in, own, price, told_of_price, told_of_trade, told_of_transaction, traded, transaction,
    until_owned,
};
use crate::redis_server::RedisServer;
use crate::tidings::Tidings;

async fn two(redis: &RedisServer) -> [Tidings; 2] {
    let start = || Tidings::start_on(redis, &[ENABLED]);
    let (first, second) = futures_util::join!(start(), start());
    [first, second]
}

/// As `redis-cli PUBLISH` does.
async fn publish(redis: &RedisServer, channel: &str, body: &str) {
    let mut publish = redis::cmd("PUBLISH");
    let _: usize = redis.run(publish.arg(channel).arg(body)).await;
}

#[tokio::test]
async fn every_node_tells_those_who_asked_and_no_others() {
    let redis = RedisServer::start().await;
    let servers = two(&redis).await;
    let key = servers[0].key(ACCOUNT, &["read"]).await;
    let others_key = servers[0].key(OTHER, &["read"]).await;
    own(&servers[0], &key, ACCOUNT, BOT).await;
    let (mut clients, mut strangers) = (Vec::new(), Vec::new());
    for server in &servers {
        server.until_known(&others_key).await;
        until_owned(server, &key, BOT).await;
        let mut client = let_in(server, &key).await;
        ask(&mut client, SUBSCRIBE_BOT, SUBSCRIBED_BOT).await;
        ask(&mut client, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
        ask(&mut client, SUBSCRIBE_WALLET, SUBSCRIBED_WALLET).await;
        clients.push(client);
        let mut stranger = let_in(server, &others_key).await;
        ask(&mut stranger, SUBSCRIBE_BOT, NO_SUCH_BOT).await;
        strangers.push(stranger);
    }
    publish(&redis, "BOT_bot_abc123", &traded(1)).await;
    publish(&redis, &format!("MINT_PRICE_{MINT}"), &price("1.0")).await;
    publish(
        &redis,
        &format!("WALLET_TX_{WALLET}"),
        &transaction("failed", 7),
    )
    .await;
    for client in &mut clients {
        let mut told = [
            client.text().await,
            client.text().await,
            client.text().await,
        ];
        told.sort();
        let mut expected = [
            told_of_trade(1),
            told_of_price("1.0"),
            told_of_transaction("failed", 7),
        ];
        expected.sort();
        assert_eq!(told, expected);
    }
    for stranger in &mut strangers {
        fence(stranger).await;
    }
}

#[tokio::test]
async fn a_bot_that_is_removed_is_lost_on_every_node() {
    let redis = RedisServer::start().await;
    let servers = two(&redis).await;
    let key = servers[0].key(ACCOUNT, &["read"]).await;
    own(&servers[0], &key, ACCOUNT, BOT).await;
    let mut clients = Vec::new();
    for server in &servers {
        server.until_known(&key).await;
        until_owned(server, &key, BOT).await;
        let mut client = let_in(server, &key).await;
        ask(&mut client, SUBSCRIBE_BOT, SUBSCRIBED_BOT).await;
        clients.push(client);
    }
    servers[1].run(&["bots", "remove", BOT]);
    for client in &mut clients {
        assert_eq!(client.text().await, NO_SUCH_BOT);
    }
}

/// What nobody keeps cannot be told again: who listens to it is closed with a code that says so, and comes
/// back. Who listens to prices alone is told the last one.
#[tokio::test]
async fn after_the_bus_was_away_nobody_is_silently_stale() {
    let redis = RedisServer::start().await;
    let server = Tidings::start_on(&redis, &[ENABLED]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut of_wallet = let_in(&server, &key).await;
    ask(&mut of_wallet, SUBSCRIBE_WALLET, SUBSCRIBED_WALLET).await;
    let mut of_mint = let_in(&server, &key).await;
    ask(&mut of_mint, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
    let channel = format!("MINT_PRICE_{MINT}");
    publish(&redis, &channel, &price("1.0")).await;
    assert_eq!(of_mint.text().await, told_of_price("1.0"));
    let mut kill = redis::cmd("CLIENT");
    let killed: i64 = redis.run(kill.arg("KILL").arg("TYPE").arg("pubsub")).await;
    assert_eq!(killed, 1);
    assert_eq!(of_wallet.closed().await.0, 1013);
    assert_eq!(of_mint.text().await, told_of_price("1.0"));
    publish(&redis, &channel, &price("2.0")).await;
    assert_eq!(of_mint.text().await, told_of_price("2.0"));
}

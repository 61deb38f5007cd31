//! The store that all servers of one Redis share.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidings::auth::{ApiKey, KeyRecord, Scope};
use tidings::redis_link::RedisLink;
use tidings::store::Store;
use uuid::Uuid;

/// A Redis of one test's own, which ends with it.
pub(crate) struct RedisForStore {
    child: Child,
    pub(crate) url: String,
}

pub(crate) async fn redis_for_store() -> RedisForStore {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed");
    let redis = RedisForStore {
        child,
        url: format!("redis://127.0.0.1:{port}"),
    };
    let answers = async {
        let link = redis.link();
        while link.run::<String>(&redis::cmd("PING")).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), answers).await;
    in_time.expect("Redis answers");
    redis
}

impl RedisForStore {
    fn link(&self) -> Arc<RedisLink> {
        Arc::new(RedisLink::new(&self.url.parse().unwrap()).unwrap())
    }
}

impl Drop for RedisForStore {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn all_servers_of_one_redis_share_keys_and_accounts() {
    let redis = redis_for_store().await;
    let (one, other) = (Store::redis(redis.link()), Store::redis(redis.link()));
    let key = KeyRecord {
        id: Uuid::new_v4(),
        name: None,
        account: Uuid::new_v4().into(),
        scopes: [Scope::Publish].into_iter().collect(),
        digest: ApiKey::generate().unwrap().digest(),
        created_at: Timestamp::now(),
        expires_at: None,
        revoked_at: None,
    };
    let empty = other.version().await.unwrap();
    one.add_key(&key).await.unwrap();
    let added = other.version().await.unwrap();
    assert_ne!(added, empty);
    assert_eq!(other.keys().await.unwrap(), [key.clone()]);

    one.revoke_key(key.id, Timestamp::now()).await.unwrap();
    let revoked = other.version().await.unwrap();
    assert_ne!(revoked, added);
    assert!(other.keys().await.unwrap()[0].revoked_at.is_some());

    // More than fit into one write.
    let accounts: Vec<_> = (1..=1001).map(account).collect();
    one.put_accounts(&accounts).await.unwrap();
    assert_ne!(other.version().await.unwrap(), revoked);
    assert_eq!(other.accounts().await.unwrap(), accounts);
}

fn account(number: u128) -> tidings::accounts::Account {
    let id = Uuid::from_u128(number);
    let json = format!(
        r#"[{{"id":"{id}","displayCurrency":"USD","level":"ONE","defaultWalletId":"{id}","wallets":[{{"id":"{id}","walletCurrency":"BTC"}}]}}]"#
    );
    tidings::accounts::read("-", &json).unwrap().remove(0)
}

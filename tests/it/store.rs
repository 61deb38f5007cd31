//! The store that all servers of one Redis share.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidings::auth::{
    ApiKey, AuthConfig, AuthError, Authenticator, Away, Credentials, KeyPrefix, KeyRecord,
    OnBadCredentials, Scope, Tokens,
};
use tidings::store::{Mirrored, Store, refresh};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::redis_server::RedisServer;

#[tokio::test]
async fn all_servers_of_one_redis_share_keys_and_accounts() {
    let redis = RedisServer::start().await;
    let (one, other) = (Store::redis(redis.link()), Store::redis(redis.link()));
    let key = record();
    let empty = other.version().await.unwrap();
    one.add_key(&key).await.unwrap();
    let added = other.version().await.unwrap();
    assert_ne!(added, empty);
    assert_eq!(other.keys().await.unwrap(), std::slice::from_ref(&key));

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

#[tokio::test]
async fn who_has_a_key_gets_in_while_redis_is_away_but_not_before_it_was_there() {
    let mut redis = RedisServer::absent(&[]);
    let mirrored = Mirrored::default();
    let ring = mirrored.ring.clone();
    let store = Store::redis(redis.link());
    let cancel = CancellationToken::new();
    let _refresher = cancel.clone().drop_guard();
    tokio::spawn(refresh(store.clone(), mirrored, cancel));
    let key = ApiKey::generate().unwrap();
    let prefix = KeyPrefix::parse("blink").unwrap();
    let credentials = || Credentials {
        api_key: Some(key.reveal(&prefix)),
        authorization: None,
    };
    let config = |timeout| AuthConfig {
        key_prefix: prefix.clone(),
        on_bad_credentials: OnBadCredentials::Reject,
        enforce_scopes: true,
        timeout: Duration::from_millis(timeout),
    };

    let impatient = Authenticator::new(config(1), ring.clone(), Tokens::default(), Arc::default());
    let refused = impatient.authenticate(&credentials(), None).await.err();
    assert_eq!(refused, Some(AuthError::Unavailable(Away::Keys)));

    redis.restart().await;
    let record = KeyRecord {
        digest: key.digest(),
        ..record()
    };
    while store.add_key(&record).await.is_err() {}
    let patient = Authenticator::new(config(60_000), ring, Tokens::default(), Arc::default());
    // The first load may have been a moment before the key was added.
    let session = loop {
        if let Ok(session) = patient.authenticate(&credentials(), None).await {
            break session;
        }
        tokio::task::yield_now().await;
    };

    redis.kill();
    while store.version().await.is_ok() {}
    assert!(patient.authenticate(&credentials(), None).await.is_ok());
    let end = session.credential.end(Timestamp::now());
    assert_eq!(end, None, "it goes on");
}

fn record() -> KeyRecord {
    KeyRecord {
        id: Uuid::new_v4(),
        name: None,
        account: Uuid::new_v4().into(),
        user: None,
        scopes: [Scope::Publish].into_iter().collect(),
        digest: ApiKey::generate().unwrap().digest(),
        created_at: Timestamp::now(),
        expires_at: None,
        revoked_at: None,
    }
}

fn account(number: u128) -> tidings::accounts::Account {
    let id = Uuid::from_u128(number);
    let json = format!(
        r#"[{{"id":"{id}","displayCurrency":"USD","level":"ONE","defaultWalletId":"{id}","wallets":[{{"id":"{id}","walletCurrency":"BTC"}}]}}]"#
    );
    tidings::accounts::read("-", &json).unwrap().remove(0)
}

//! Keys that an issuer publishes: who fetches them when, and what counts meanwhile.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tidings::auth::{AuthError, Away, Reason, Tokens};
use tidings::config::Settings;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::tidings::PATIENCE;
use crate::token_issuer::{Answer, TokenIssuer, key_path, keys, token};

/// Tokens of one issuer, kept fresh as long as this lives.
struct Kept {
    tokens: Tokens,
    _stop: DropGuard,
}

/// Keys are old soon, and whoever is away is asked again soon.
const IMPATIENT: [(&str, &str); 4] = [
    ("TIDINGS_JWT__JWKS_FRESH_MIN", "20ms"),
    ("TIDINGS_JWT__JWKS_FRESH_MAX", "20ms"),
    ("TIDINGS_JWT__JWKS_RETRY_MIN", "5ms"),
    ("TIDINGS_JWT__JWKS_RETRY_MAX", "20ms"),
];

const FRESH: Result<(), AuthError> = Ok(());
const AWAY: Result<(), AuthError> = Err(AuthError::Unavailable(Away::Issuer));
const UNKNOWN: Result<(), AuthError> = Err(AuthError::Forbidden(Reason::UnknownSigningKey));

impl Kept {
    fn new(issuer: &TokenIssuer, settings: &[(&str, &str)]) -> Self {
        Self::of(&[issuer], settings)
    }

    /// Of several issuers, none of which says who it is.
    fn of(issuers: &[&TokenIssuer], settings: &[(&str, &str)]) -> Self {
        let tables = issuers
            .iter()
            .map(|issuer| format!("{{ jwks_url = '{}' }}", issuer.url()));
        let issuers = format!("[{}]", tables.collect::<Vec<_>>().join(", "));
        let all = [&[("TIDINGS_JWT__ISSUERS", issuers.as_str())], settings].concat();
        let env = all
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings = Settings::load(None, env, Vec::new()).unwrap();
        let tokens = Tokens::new(&settings.jwt).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(tokens.clone().keep_fresh(stop.clone()));
        Kept {
            tokens,
            _stop: stop.drop_guard(),
        }
    }

    async fn check(&self, token: &str) -> Result<(), AuthError> {
        self.tokens.check(token).await.map(|_| ())
    }

    async fn until(&self, what: &str, token: &str, answer: Result<(), AuthError>) {
        let deadline = Instant::now() + PATIENCE;
        while self.check(token).await != answer {
            assert!(Instant::now() < deadline, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn by(file: &str, kid: &str) -> String {
    token(file, Some(kid), json!({ "user_id": 42 }))
}

#[tokio::test]
async fn a_hundred_who_come_at_once_cost_one_fetch() {
    let issuer = TokenIssuer::start().await;
    issuer.publish(&[("one", "rsa.pem")]);
    issuer.hold();
    let kept = Kept::new(&issuer, &[("TIDINGS_JWT__JWKS_TIMEOUT", "30s")]);
    let good = by("rsa.pem", "one");
    let asking = join_all((0..100).map(|_| kept.check(&good)));
    let answering = async {
        issuer.until_asked(1).await;
        issuer.let_go();
    };
    let (answers, ()) = tokio::join!(asking, answering);
    assert!(answers.iter().all(|answer| *answer == FRESH), "{answers:?}");
    assert_eq!(issuer.asked(), 1);

    // And so do a hundred with a key that is new.
    issuer.publish(&[("one", "rsa.pem"), ("two", "p256.pem")]);
    issuer.hold();
    let new = by("p256.pem", "two");
    let asking = join_all((0..100).map(|_| kept.check(&new)));
    let answering = async {
        issuer.until_asked(2).await;
        // Those whose key is known wait for nobody.
        assert_eq!(kept.check(&good).await, FRESH);
        issuer.let_go();
    };
    let (answers, ()) = tokio::join!(asking, answering);
    assert!(answers.iter().all(|answer| *answer == FRESH), "{answers:?}");
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn who_gives_up_waiting_stops_nothing() {
    let issuer = TokenIssuer::start().await;
    issuer.publish(&[("one", "rsa.pem")]);
    issuer.hold();
    let kept = Kept::new(&issuer, &[("TIDINGS_JWT__JWKS_TIMEOUT", "30s")]);
    let good = by("rsa.pem", "one");
    let given_up = tokio::time::timeout(Duration::from_millis(10), kept.check(&good)).await;
    assert!(given_up.is_err());
    issuer.let_go();
    assert_eq!(kept.check(&good).await, FRESH);
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn an_unknown_kid_costs_one_fetch_an_interval() {
    let issuer = TokenIssuer::start().await;
    issuer.publish(&[("one", "rsa.pem")]);
    let kept = Kept::new(&issuer, &[("TIDINGS_JWT__JWKS_INTERVAL", "1h")]);
    assert_eq!(kept.check(&by("rsa.pem", "one")).await, FRESH);
    for attempt in 0..50 {
        assert_eq!(
            kept.check(&by("rsa.pem", &format!("unknown {attempt}")))
                .await,
            UNKNOWN
        );
    }
    assert_eq!(issuer.asked(), 2);

    let eager = Kept::new(&issuer, &[("TIDINGS_JWT__JWKS_INTERVAL", "1us")]);
    assert_eq!(eager.check(&by("rsa.pem", "one")).await, FRESH);
    for _ in 0..3 {
        assert_eq!(eager.check(&by("rsa.pem", "unknown")).await, UNKNOWN);
    }
    assert_eq!(issuer.asked(), 6);
    // Nobody is asked for the sake of a token that cannot be good.
    let forged = by("rsa-2.pem", "one");
    let wrong = Err(AuthError::Forbidden(Reason::WrongSignature));
    assert_eq!(eager.check(&forged).await, wrong);
    assert_eq!(issuer.asked(), 6);
}

#[tokio::test]
async fn keys_are_changed_without_a_restart() {
    let issuer = TokenIssuer::start().await;
    issuer.publish(&[("old", "rsa.pem")]);
    let kept = Kept::new(
        &issuer,
        &[
            ("TIDINGS_JWT__JWKS_FRESH_MIN", "20ms"),
            ("TIDINGS_JWT__JWKS_FRESH_MAX", "20ms"),
            ("TIDINGS_JWT__JWKS_INTERVAL", "1ms"),
        ],
    );
    let (old, new) = (by("rsa.pem", "old"), by("rsa-2.pem", "new"));
    assert_eq!(kept.check(&old).await, FRESH);
    assert_eq!(kept.check(&new).await, UNKNOWN);
    issuer.publish(&[("old", "rsa.pem"), ("new", "rsa-2.pem")]);
    kept.until("the new key is known", &new, FRESH).await;
    assert_eq!(kept.check(&old).await, FRESH);
    issuer.publish(&[("new", "rsa-2.pem")]);
    kept.until("the old key is gone", &old, UNKNOWN).await;
    assert_eq!(kept.check(&new).await, FRESH);
}

#[tokio::test]
async fn without_kids_a_new_key_is_found_just_so() {
    let issuer = TokenIssuer::start().await;
    issuer.publish(&[("old", "rsa.pem")]);
    let kept = Kept::new(&issuer, &[]);
    let by = |file: &str| token(file, None, json!({ "user_id": 42 }));
    assert_eq!(kept.check(&by("rsa.pem")).await, FRESH);
    issuer.publish(&[("new", "rsa-2.pem")]);
    assert_eq!(kept.check(&by("rsa-2.pem")).await, FRESH);
}

#[tokio::test]
async fn while_the_issuer_is_away_its_keys_count_and_unknown_ones_come_back_later() {
    let issuer = TokenIssuer::start().await;
    issuer.publish(&[("one", "rsa.pem")]);
    let kept = Kept::new(&issuer, &IMPATIENT);
    let (good, unknown) = (by("rsa.pem", "one"), by("rsa.pem", "unknown"));
    assert_eq!(kept.check(&good).await, FRESH);
    kept.until("an unknown key is none", &unknown, UNKNOWN)
        .await;
    issuer.go_away();
    kept.until("the issuer is away", &unknown, AWAY).await;
    issuer.until_asked(issuer.asked() + 3).await;
    assert_eq!(kept.check(&good).await, FRESH);
    issuer.publish(&[("one", "rsa.pem")]);
    kept.until("the issuer is back", &unknown, UNKNOWN).await;
}

#[tokio::test]
async fn a_token_that_no_key_could_make_good_is_refused_while_the_issuer_is_away() {
    let issuer = TokenIssuer::start().await;
    issuer.go_away();
    let kept = Kept::new(&issuer, &[("TIDINGS_JWT__JWKS_RETRY_MIN", "5ms")]);
    let claims = |claims| token("rsa.pem", Some("one"), claims);
    let good = claims(json!({ "user_id": 42 }));
    kept.until("the issuer is away", &good, AWAY).await;
    for (bad, reason) in [
        (
            json!({ "user_id": 42, "exp": 1_000_000_000 }),
            Reason::ExpiredToken,
        ),
        (json!({ "user_id": 0 }), Reason::WrongClaim("user_id")),
    ] {
        let refused = kept.check(&claims(bad)).await;
        assert_eq!(refused, Err(AuthError::Forbidden(reason)));
    }
}

#[tokio::test]
async fn an_issuer_that_is_slow_keeps_nobody_of_another_waiting() {
    let (quick, slow) = (TokenIssuer::start().await, TokenIssuer::start().await);
    quick.publish(&[("old", "rsa.pem")]);
    slow.publish(&[("theirs", "p256.pem")]);
    let kept = Kept::of(&[&slow, &quick], &[("TIDINGS_JWT__JWKS_TIMEOUT", "30s")]);
    assert_eq!(kept.check(&by("rsa.pem", "old")).await, FRESH);
    assert_eq!(kept.check(&by("p256.pem", "theirs")).await, FRESH);
    slow.hold();
    quick.publish(&[("new", "rsa-2.pem")]);
    assert_eq!(kept.check(&by("rsa-2.pem", "new")).await, FRESH);
    slow.let_go();
}

#[tokio::test]
async fn keys_of_an_issuer_that_stays_away_count_for_a_while() {
    let issuer = TokenIssuer::start().await;
    issuer.publish(&[("one", "rsa.pem")]);
    let stale_soon = ("TIDINGS_JWT__JWKS_STALE_FOR", "200ms");
    let kept = Kept::new(&issuer, &[&IMPATIENT[..], &[stale_soon]].concat());
    let good = by("rsa.pem", "one");
    assert_eq!(kept.check(&good).await, FRESH);
    issuer.go_away();
    kept.until("its keys are too old", &good, AWAY).await;
    issuer.publish(&[("one", "rsa.pem")]);
    kept.until("the issuer is back", &good, FRESH).await;
}

#[tokio::test]
async fn keys_are_fetched_again_before_the_issuer_says_that_they_are_old() {
    let issuer = TokenIssuer::start().await;
    issuer.say(Answer {
        headers: "Cache-Control: public, max-age=1\r\n".to_owned(),
        ..keys(&[("one", "rsa.pem")])
    });
    let kept = Kept::new(&issuer, &[("TIDINGS_JWT__JWKS_FRESH_MIN", "1ms")]);
    issuer.until_asked(1).await;
    let first = Instant::now();
    issuer.until_asked(2).await;
    let passed = first.elapsed();
    assert!(passed > Duration::from_millis(700), "after {passed:?}");
    assert!(
        passed < Duration::from_secs(60),
        "after {passed:?}: the bounds say 15 minutes"
    );
    assert_eq!(kept.check(&by("rsa.pem", "one")).await, FRESH);
}

#[tokio::test]
async fn an_answer_that_is_none_is_as_good_as_none() {
    let issuer = TokenIssuer::start().await;
    let kept = Kept::new(
        &issuer,
        &[
            ("TIDINGS_JWT__JWKS_BYTES", "1500"),
            ("TIDINGS_JWT__JWKS_RETRY_MIN", "5ms"),
            ("TIDINGS_JWT__JWKS_RETRY_MAX", "10ms"),
            ("TIDINGS_JWT__JWKS_TIMEOUT", "200ms"),
            ("TIDINGS_JWT__JWKS_FRESH_MIN", "5ms"),
            ("TIDINGS_JWT__JWKS_FRESH_MAX", "5ms"),
            ("TIDINGS_JWT__JWKS_STALE_FOR", "5ms"),
        ],
    );
    let good = by("rsa.pem", "one");
    let with = || keys(&[("one", "rsa.pem")]);
    let elsewhere = format!("Location: {}\r\n", issuer.url());
    let long = with().body + &" ".repeat(1500);
    for bad in [
        Answer {
            status: "404 Not Found",
            ..with()
        },
        Answer {
            status: "302 Found",
            headers: elsewhere,
            ..with()
        },
        Answer {
            status: "204 No Content",
            ..with()
        },
        Answer {
            body: long,
            ..with()
        },
        Answer {
            body: "<html>".to_owned(),
            ..with()
        },
        Answer {
            body: String::new(),
            ..with()
        },
        Answer {
            headers: "Content-Length: 5\r\n".to_owned(),
            ..with()
        },
    ] {
        issuer.say(with());
        kept.until("the issuer is there", &good, FRESH).await;
        issuer.say(bad);
        kept.until("the issuer is away", &good, AWAY).await;
    }
    issuer.say(with());
    kept.until("the issuer is there", &good, FRESH).await;
    issuer.hold();
    kept.until("the issuer lets us wait", &good, AWAY).await;
    issuer.let_go();
    kept.until("the issuer is there", &good, FRESH).await;
}

#[tokio::test]
async fn an_issuer_without_keys_has_none() {
    let issuer = TokenIssuer::start().await;
    // That of an HMAC would be everybody's.
    issuer.publish(&[("one", "")]);
    let kept = Kept::new(&issuer, &[]);
    assert_eq!(kept.check(&by("", "one")).await, UNKNOWN);
}

#[tokio::test]
async fn the_certificate_of_an_issuer_is_checked() {
    let issuer = TokenIssuer::start_tls().await;
    issuer.publish(&[("one", "rsa.pem")]);
    let good = by("rsa.pem", "one");
    let ca_file = key_path("ca.crt.pem");
    let trusting = Kept::new(
        &issuer,
        &[("TIDINGS_JWT__CA_FILE", ca_file.to_str().unwrap())],
    );
    assert_eq!(trusting.check(&good).await, FRESH);
    let wary = Kept::new(&issuer, &[]);
    assert_eq!(wary.check(&good).await, AWAY);
}

//! What the claims of a token must be, and whom they name.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::config::ClaimNames;
use super::trail::Trail;
use crate::auth::identity::{Identity, Scope, Scopes};
use crate::auth::reason::Reason;
use crate::topic::{AccountId, UserId};

/// What one issuer's claims must be.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) audience: Vec<String>,
    pub(super) names: ClaimNames,
    pub(super) grantable: Vec<Scope>,
    pub(super) leeway: Duration,
}

/// Whom good claims name, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claimed {
    pub(super) identity: Identity,
    pub(super) expires_at: Timestamp,
}

type Claims = Map<String, Value>;

impl Rules {
    /// Reads the claims of a token whose signature is good.
    pub(super) fn read(
        &self,
        claims: &Claims,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Result<Claimed, Reason> {
        let expires_at = self.check_times(claims, now, trail)?;
        self.check_audience(claims, trail)?;
        let account = self.account(claims, trail);
        let user = self.user(claims, trail)?;
        let scopes = self.scopes(claims, trail)?;
        if account.is_none() && user.is_none() {
            return Err(Reason::NamesNobody);
        }
        Ok(Claimed {
            identity: Identity::of(account, user, scopes),
            expires_at,
        })
    }

    fn check_times(
        &self,
        claims: &Claims,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Result<Timestamp, Reason> {
        let expires_at = time(claims, "exp")?.ok_or(Reason::MissingClaim("exp"))?;
        trail.note("exp", || {
            format!("{}, {}", utc(expires_at), from_now(expires_at, now))
        });
        if now >= later(expires_at, self.leeway) {
            return Err(Reason::ExpiredToken);
        }
        for name in ["nbf", "iat"] {
            if let Some(time) = time(claims, name)? {
                trail.note(name, || format!("{}, {}", utc(time), from_now(time, now)));
                if time > later(now, self.leeway) {
                    return Err(Reason::NotYetValid);
                }
            }
        }
        Ok(expires_at)
    }

    fn check_audience(&self, claims: &Claims, trail: &mut Trail) -> Result<(), Reason> {
        if self.audience.is_empty() {
            trail.note("aud", || {
                "not looked at: none is configured for this issuer".to_owned()
            });
            return Ok(());
        }
        let named = words(claims, "aud", "aud")?.unwrap_or_default();
        if named.is_empty() {
            return Err(Reason::MissingClaim("aud"));
        }
        trail.note("aud", || {
            format!("{named:?}, of which one must be in {:?}", self.audience)
        });
        match named
            .iter()
            .any(|one| self.audience.iter().any(|own| own == one))
        {
            true => Ok(()),
            false => Err(Reason::WrongAudience),
        }
    }

    /// What is no UUID names no account: at other issuers `sub` is something else.
    fn account(&self, claims: &Claims, trail: &mut Trail) -> Option<AccountId> {
        let value = claims.get(&self.names.account)?;
        let account = value.as_str().and_then(AccountId::parse);
        trail.note("account", || match account {
            Some(account) => format!("{account} ({})", self.names.account),
            None => format!("none: {} is no UUID with hyphens", self.names.account),
        });
        account
    }

    fn user(&self, claims: &Claims, trail: &mut Trail) -> Result<Option<UserId>, Reason> {
        let user = match claims.get(&self.names.user) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number.as_i64().and_then(UserId::of_number),
            Some(Value::String(text)) => UserId::parse(text),
            Some(_) => None,
        };
        trail.note("user", || match user {
            Some(user) => format!("{user} ({})", self.names.user),
            None => format!("{} is no number from 1 to 2147483646", self.names.user),
        });
        user.map(Some).ok_or(Reason::WrongClaim("user_id"))
    }

    fn scopes(&self, claims: &Claims, trail: &mut Trail) -> Result<Scopes, Reason> {
        let words = words(claims, &self.names.scope, "scope")?
            .unwrap_or_default()
            .join(" ");
        let scopes = Scopes::of_token(&words, &self.grantable);
        trail.note("scopes", || {
            match (scopes.is_unrestricted(), scopes.iter().next()) {
                (true, _) => format!("unrestricted: {} is empty", self.names.scope),
                (false, Some(_)) => format!("{scopes}, of {words:?}"),
                (false, None) => format!("none that this issuer may grant, of {words:?}"),
            }
        });
        Ok(scopes)
    }
}

/// Seconds since 1970, whole or not (RFC 7519, section 2).
fn time(claims: &Claims, name: &'static str) -> Result<Option<Timestamp>, Reason> {
    let number = match claims.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(_) => return Err(Reason::WrongClaim(name)),
    };
    let time = match (number.as_i64(), number.as_f64()) {
        (Some(seconds), _) => Timestamp::from_second(seconds).ok(),
        // Whole milliseconds, so that no number is too large to be one.
        (None, Some(seconds)) => Timestamp::from_millisecond((seconds * 1000.0) as i64).ok(),
        (None, None) => None,
    };
    time.map(Some).ok_or(Reason::WrongClaim(name))
}

/// One text, or a list of texts.
fn words(
    claims: &Claims,
    name: &str,
    canonical: &'static str,
) -> Result<Option<Vec<String>>, Reason> {
    let list = match claims.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => Some(vec![text.clone()]),
        Some(Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect()
        }
        Some(_) => None,
    };
    list.map(Some).ok_or(Reason::WrongClaim(canonical))
}

/// So much later, or at the end of time.
pub(super) fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// For people.
pub(super) fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// For people: "in 59m 59s", "2h 3s ago".
fn from_now(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().abs_diff(time.as_second());
    let span = humantime::format_duration(Duration::from_secs(seconds));
    match time > now {
        true => format!("in {span}"),
        false => format!("{span} ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;
    const ACCOUNT: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";

    fn rules(audience: &[&str]) -> Rules {
        Rules {
            audience: audience.iter().map(|&one| one.to_owned()).collect(),
            names: ClaimNames {
                account: "sub".to_owned(),
                user: "user_id".to_owned(),
                scope: "scope".to_owned(),
            },
            grantable: vec![Scope::Read, Scope::Receive, Scope::Write],
            leeway: Duration::from_secs(10),
        }
    }

    fn read_by(rules: &Rules, claims: Value) -> Result<Claimed, Reason> {
        let now = Timestamp::from_second(NOW).unwrap();
        let claims = claims.as_object().unwrap();
        let silent = rules.read(claims, now, &mut Trail::silent());
        assert_eq!(rules.read(claims, now, &mut Trail::told()), silent);
        silent
    }

    /// What comes of good claims with these in their place; null is none.
    fn with(claims: Value) -> Result<Claimed, Reason> {
        let mut all = json!({ "exp": NOW + 60, "user_id": 42 });
        let all_claims = all.as_object_mut().unwrap();
        all_claims.extend(claims.as_object().unwrap().clone());
        read_by(&rules(&[]), all)
    }

    fn identity(claims: Value) -> Result<Identity, Reason> {
        with(claims).map(|claimed| claimed.identity)
    }

    #[test]
    fn a_token_is_good_until_it_has_expired_and_the_leeway_is_over() {
        for exp in [
            json!(NOW + 1),
            json!(NOW),
            json!(NOW - 9),
            json!(NOW as f64 - 9.5),
        ] {
            assert!(with(json!({ "exp": exp })).is_ok(), "{exp}");
        }
        for exp in [json!(NOW - 10), json!(NOW - 1000), json!(0), json!(-1)] {
            assert_eq!(
                with(json!({ "exp": exp })),
                Err(Reason::ExpiredToken),
                "{exp}"
            );
        }
    }

    #[test]
    fn a_token_that_does_not_expire_is_refused() {
        assert_eq!(
            read_by(&rules(&[]), json!({ "user_id": 1 })),
            Err(Reason::MissingClaim("exp"))
        );
        assert_eq!(
            with(json!({ "exp": null })),
            Err(Reason::MissingClaim("exp"))
        );
        let text = (NOW + 60).to_string();
        for exp in [
            json!(text),
            json!(true),
            json!([NOW]),
            json!(1e300),
            json!(u64::MAX),
        ] {
            assert_eq!(
                with(json!({ "exp": exp })),
                Err(Reason::WrongClaim("exp")),
                "{exp}"
            );
        }
    }

    #[test]
    fn a_token_of_the_future_is_not_valid_yet() {
        for name in ["nbf", "iat"] {
            assert!(with(json!({ name: NOW + 10 })).is_ok());
            assert!(with(json!({ name: null })).is_ok());
            assert_eq!(with(json!({ name: NOW + 11 })), Err(Reason::NotYetValid));
            assert_eq!(with(json!({ name: "soon" })), Err(Reason::WrongClaim(name)));
        }
    }

    #[test]
    fn where_an_audience_is_configured_a_token_names_it() {
        let with = |aud: Value| {
            let claims = json!({ "exp": NOW + 60, "user_id": 42, "aud": aud });
            read_by(&rules(&["tidings", "tidings-2"]), claims).map(|_| ())
        };
        assert_eq!(with(json!("tidings")), Ok(()));
        assert_eq!(with(json!(["other", "tidings-2"])), Ok(()));
        for other in [json!("other"), json!(["other"]), json!("tiding"), json!("")] {
            assert_eq!(with(other), Err(Reason::WrongAudience));
        }
        for none in [json!(null), json!([])] {
            assert_eq!(with(none), Err(Reason::MissingClaim("aud")));
        }
        for wrong in [json!(7), json!(["tidings", 7]), json!({ "tidings": 1 })] {
            assert_eq!(with(wrong), Err(Reason::WrongClaim("aud")));
        }
        let none = json!({ "exp": NOW + 60, "user_id": 42 });
        assert_eq!(
            read_by(&rules(&["tidings"]), none),
            Err(Reason::MissingClaim("aud"))
        );
    }

    #[test]
    fn a_user_is_a_whole_number_in_range_or_its_digits() {
        for (good, id) in [
            (json!(1), 1),
            (json!(2147483646), 2147483646),
            (json!("42"), 42),
        ] {
            let user = identity(json!({ "user_id": good })).unwrap().user();
            assert_eq!(user.map(UserId::get), Some(id));
        }
        for bad in [
            json!(0),
            json!(-1),
            json!(2147483647),
            json!(u64::MAX),
            json!(1.5),
            json!(42.0),
            json!("0"),
            json!("-1"),
            json!("+1"),
            json!(" 1"),
            json!("2147483647"),
            json!("1.5"),
            json!("abc"),
            json!(""),
            json!(true),
            json!([1]),
            json!({}),
        ] {
            let refused = identity(json!({ "user_id": bad, "sub": ACCOUNT }));
            assert_eq!(refused, Err(Reason::WrongClaim("user_id")), "{bad}");
        }
    }

    #[test]
    fn an_account_is_a_uuid_and_another_subject_is_none() {
        let both = identity(json!({ "sub": ACCOUNT })).unwrap();
        assert_eq!(
            (both.account(), both.user().map(UserId::get)),
            (AccountId::parse(ACCOUNT), Some(42))
        );
        let account = identity(json!({ "sub": ACCOUNT, "user_id": null })).unwrap();
        assert_eq!(
            (account.account(), account.user()),
            (AccountId::parse(ACCOUNT), None)
        );
        for other in [
            json!("alice"),
            json!(42),
            json!(""),
            json!(ACCOUNT.replace('-', "")),
            json!(null),
        ] {
            assert_eq!(identity(json!({ "sub": other })).unwrap().account(), None);
            let nobody = identity(json!({ "sub": other, "user_id": null }));
            assert_eq!(nobody, Err(Reason::NamesNobody), "{other}");
        }
    }

    #[test]
    fn claims_may_have_other_names() {
        let mut rules = rules(&[]);
        rules.names = ClaimNames {
            account: "https://blink.example/account".to_owned(),
            user: "sub".to_owned(),
            scope: "scp".to_owned(),
        };
        let claims = json!({
            "exp": NOW + 60,
            "https://blink.example/account": ACCOUNT,
            "sub": "42",
            "scp": ["read"],
            "user_id": "not looked at",
        });
        let identity = read_by(&rules, claims).unwrap().identity;
        assert_eq!(identity.account(), AccountId::parse(ACCOUNT));
        assert_eq!(identity.user().map(UserId::get), Some(42));
        assert_eq!(identity.scopes().to_string(), "read");
    }

    #[test]
    fn scopes_are_words_and_only_those_count_that_the_issuer_may_grant() {
        for none in [json!(""), json!(" "), json!([]), json!(null)] {
            assert!(
                identity(json!({ "scope": none }))
                    .unwrap()
                    .scopes()
                    .is_unrestricted()
            );
        }
        for (scope, granted) in [
            (json!("read write"), "read write"),
            (json!(["READ", "receive"]), "read receive"),
            (json!("read admin publish openid"), "read"),
            (json!("openid"), ""),
        ] {
            let scopes = identity(json!({ "scope": scope })).unwrap().scopes();
            assert_eq!(scopes.to_string(), granted);
            assert!(!scopes.is_unrestricted() && !scopes.may_administer() && !scopes.may_publish());
        }
        for wrong in [json!(7), json!([7]), json!({})] {
            assert_eq!(
                identity(json!({ "scope": wrong })),
                Err(Reason::WrongClaim("scope"))
            );
        }
    }

    proptest! {
        #[test]
        fn no_number_makes_it_panic(number in any::<f64>(), whole in any::<i64>()) {
            for name in ["exp", "nbf", "iat", "user_id"] {
                let _ = (with(json!({ name: number })), with(json!({ name: whole })));
            }
        }
    }
}

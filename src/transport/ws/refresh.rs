//! Newer credentials in the middle of a conversation.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};

use super::graphql_transport_ws::Refreshed;
use crate::auth::{AuthError, Authenticator, Reason, Session};

/// The check of newer credentials, if one is under way: one at a time.
#[derive(Default)]
pub(super) struct Refresh(Option<BoxFuture<'static, Result<Session, AuthError>>>);

impl Refresh {
    /// Begins to check a token; or says that another one is being checked.
    pub(super) fn begin(
        &mut self,
        authenticator: Authenticator,
        authorization: SecretString,
    ) -> Result<(), Refreshed> {
        if self.0.is_some() {
            let reason = "Another token is being checked";
            return Err(Refreshed::Not { reason });
        }
        let check = async move { authenticator.by_token(authorization.expose_secret()).await };
        self.0 = Some(check.boxed());
        Ok(())
    }

    /// The result of the check; never if there is none. Cancel-safe.
    pub(super) async fn checked(&mut self) -> Result<Session, AuthError> {
        let Some(check) = &mut self.0 else {
            return std::future::pending().await;
        };
        let result = check.await;
        self.0 = None;
        result
    }

    /// What to say to the client, and the session that takes the place of the present one, if any
    /// does.
    ///
    /// It must be of the same account and user, and must not take away what subscriptions live by:
    /// the present one holds until it ends, whatever comes.
    pub(super) fn decide(
        &self,
        result: Result<Session, AuthError>,
        present: &Session,
    ) -> (Refreshed, Option<Session>) {
        let refuse = |reason| (Refreshed::Not { reason }, None);
        let newer = match result {
            Ok(newer) => newer,
            Err(AuthError::Forbidden(Reason::ExpiredToken)) => return refuse("Token expired"),
            Err(AuthError::Forbidden(_)) => return refuse("Forbidden"),
            Err(AuthError::Unavailable(_)) => {
                return refuse("Credentials cannot be checked now, try again later");
            }
        };
        if !newer.identity.is_who(&present.identity) {
            return refuse("Token of another account or user");
        }
        let hears = |session: &Session| session.identity.scopes().may_hear();
        if hears(present) && !hears(&newer) {
            return refuse("Token without the scope `read`, which the present one has");
        }
        let expires_at = newer.credential.expires_at();
        (Refreshed::Authenticated { expires_at }, Some(newer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Away, Credential, Identity, Scope, Scopes};
    use crate::topic::UserId;
    use jiff::Timestamp;

    fn session(user: i64, scopes: &[Scope]) -> Session {
        let scopes = scopes.iter().copied().collect::<Scopes>();
        Session {
            identity: Identity::of(None, UserId::of_number(user), scopes),
            credential: Credential::Token {
                expires_at: Timestamp::UNIX_EPOCH,
                closes_at: Timestamp::UNIX_EPOCH,
            },
        }
    }

    fn decided(result: Result<Session, AuthError>, present: &Session) -> String {
        let (refreshed, newer) = Refresh::default().decide(result, present);
        let taken = if newer.is_some() { "taken" } else { "left" };
        match refreshed {
            Refreshed::Authenticated { .. } => taken.to_owned(),
            Refreshed::Not { reason } => format!("{taken}: {reason}"),
        }
    }

    #[test]
    fn only_a_token_of_the_same_user_that_allows_as_much_takes_the_place_of_the_present_one() {
        let (any, read, receive) = (&[][..], &[Scope::Read][..], &[Scope::Receive][..]);
        let table = [
            (Ok(session(42, any)), any, "taken"),
            (Ok(session(42, read)), any, "taken"),
            (Ok(session(42, receive)), receive, "taken"),
            (
                Ok(session(43, any)),
                any,
                "left: Token of another account or user",
            ),
            (
                Ok(Session::anonymous()),
                any,
                "left: Token of another account or user",
            ),
            (
                Ok(session(42, receive)),
                any,
                "left: Token without the scope `read`, which the present one has",
            ),
            (
                Err(AuthError::Forbidden(Reason::ExpiredToken)),
                any,
                "left: Token expired",
            ),
            (
                Err(AuthError::Forbidden(Reason::WrongSignature)),
                any,
                "left: Forbidden",
            ),
            (
                Err(AuthError::Unavailable(Away::Issuer)),
                any,
                "left: Credentials cannot be checked now, try again later",
            ),
        ];
        for (result, present, expected) in table {
            assert_eq!(decided(result, &session(42, present)), expected);
        }
    }

    #[test]
    fn checked_waits_where_nothing_is_checked() {
        assert!(Refresh::default().checked().now_or_never().is_none());
    }
}

//! Newer credentials in the middle of a conversation.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};

use super::graphql_transport_ws::Refreshed;
use crate::auth::{AuthError, Authenticator, Identity, Reason, Session};

/// The check of newer credentials, if one is under way: one at a time, so that the present ones are
/// the same when it ends.
#[derive(Default)]
pub(super) struct Refresh(Option<BoxFuture<'static, Result<Session, AuthError>>>);

impl Refresh {
    /// Begins to check a token; or says that another one is being checked.
    pub(super) fn begin(
        &mut self,
        authenticator: Authenticator,
        present: Identity,
        authorization: SecretString,
    ) -> Result<(), Refreshed> {
        if self.0.is_some() {
            let reason = "Another token is being checked";
            return Err(Refreshed::Not { reason });
        }
        let check = async move {
            let authorization = authorization.expose_secret();
            authenticator.renew(&present, authorization).await
        };
        self.0 = Some(check.boxed());
        Ok(())
    }

    /// The session that takes the place of the present one, or what to say if none does; never if
    /// nothing is checked. Cancel-safe.
    pub(super) async fn checked(&mut self) -> Result<Session, Refreshed> {
        let Some(check) = &mut self.0 else {
            return std::future::pending().await;
        };
        let result = check.await;
        self.0 = None;
        result.map_err(|error| Refreshed::Not {
            reason: words(&error),
        })
    }
}

/// A client is told what it can mend; why a token is bad is for operators.
fn words(error: &AuthError) -> &'static str {
    match error {
        AuthError::Forbidden(Reason::ExpiredToken) => "Token expired",
        AuthError::Forbidden(Reason::OtherIdentity) => "Token of another account or user",
        AuthError::Forbidden(Reason::AllowsLess) => {
            "Token without the scope `read`, which the present one has"
        }
        AuthError::Forbidden(_) => "Forbidden",
        AuthError::Unavailable(_) => "Credentials cannot be checked now, try again later",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_where_nothing_is_checked() {
        assert!(Refresh::default().checked().now_or_never().is_none());
    }
}

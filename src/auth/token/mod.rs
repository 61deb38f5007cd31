//! JSON Web Tokens: who issues them, and what they say.

use jiff::Timestamp;

use super::identity::Identity;
use super::reason::{AuthError, Reason};

/// The issuers whose tokens count. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tokens {}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub identity: Identity,
    /// The claim `exp`.
    pub expires_at: Timestamp,
    /// When what it opened is closed.
    pub closes_at: Timestamp,
}

impl Tokens {
    /// Who the bearer of this token is.
    pub async fn check(&self, _token: &str) -> Result<Accepted, AuthError> {
        Err(AuthError::Forbidden(Reason::UnknownIssuer))
    }
}

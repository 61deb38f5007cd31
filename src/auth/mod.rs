//! Who asks: credentials in, [`Identity`] out.

mod identity;

pub use self::identity::{Identity, Scope, Scopes};

use std::time::Duration;

use serde::Deserialize;

/// `[auth]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    pub key_prefix: String,
    pub on_bad_credentials: OnBadCredentials,
    pub enforce_scopes: bool,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

/// What becomes of whoever brings a credential that is wrong, revoked or expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBadCredentials {
    /// It is told so, and let go.
    Reject,
    /// It is nobody, as at Blink.
    Anonymous,
}

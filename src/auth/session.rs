//! Who somebody is, for how long, and what ends it.

use jiff::Timestamp;
use uuid::Uuid;

use super::identity::Identity;
use super::key_ring::{Lease, LeaseEnd};

/// Who somebody is, and by what.
#[derive(Clone, Debug)]
pub struct Session {
    pub identity: Identity,
    pub credential: Credential,
}

/// What somebody is known by.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Nothing was brought, or nothing that counts.
    None,
    Key {
        /// For log lines and lists: never the key itself.
        id: Uuid,
        lease: Lease,
        /// `None` for a key that lasts until it is revoked.
        expires_at: Option<Timestamp>,
    },
    Token {
        /// The claim `exp`.
        expires_at: Timestamp,
        /// When what the token opened is closed: after `exp` and the leeway, and a little later for
        /// some than for others.
        closes_at: Timestamp,
    },
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    KeyRevoked,
    KeyExpired,
    TokenExpired,
}

impl Session {
    /// Of nobody.
    pub fn anonymous() -> Self {
        Session {
            identity: Identity::ANONYMOUS,
            credential: Credential::None,
        }
    }
}

impl Credential {
    /// The id of the key.
    pub fn key_id(&self) -> Option<Uuid> {
        match self {
            Credential::Key { id, .. } => Some(*id),
            Credential::None | Credential::Token { .. } => None,
        }
    }

    /// Until when it is good, as far as is known now.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Credential::None => None,
            Credential::Key { expires_at, .. } => *expires_at,
            Credential::Token { expires_at, .. } => Some(*expires_at),
        }
    }

    /// When what it opened is to be closed, if nothing ends it before.
    pub fn closes_at(&self) -> Option<Timestamp> {
        match self {
            Credential::None => None,
            Credential::Key { expires_at, .. } => *expires_at,
            Credential::Token { closes_at, .. } => Some(*closes_at),
        }
    }

    /// Why what it opened is to be closed, if it is. To be asked when it [closes], and when leases
    /// [have ended].
    ///
    /// [closes]: Credential::closes_at
    /// [have ended]: super::KeyRing::ends
    pub fn end(&self, now: Timestamp) -> Option<SessionEnd> {
        let is_over = |end: Timestamp| end <= now;
        match self {
            Credential::None => None,
            Credential::Key {
                lease, expires_at, ..
            } => match lease.end() {
                Some(end) => Some(end.into()),
                None => expires_at
                    .is_some_and(is_over)
                    .then_some(SessionEnd::KeyExpired),
            },
            Credential::Token { closes_at, .. } => {
                is_over(*closes_at).then_some(SessionEnd::TokenExpired)
            }
        }
    }
}

impl From<LeaseEnd> for SessionEnd {
    fn from(end: LeaseEnd) -> Self {
        match end {
            LeaseEnd::Revoked => SessionEnd::KeyRevoked,
            LeaseEnd::Expired => SessionEnd::KeyExpired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{ApiKey, KeyRecord, KeyRing};
    use jiff::SignedDuration;

    fn token(closes_in: SignedDuration) -> Credential {
        let now = Timestamp::now();
        Credential::Token {
            expires_at: now,
            closes_at: now + closes_in,
        }
    }

    #[test]
    fn nobody_never_ends() {
        assert_eq!(Credential::None.closes_at(), None);
        assert_eq!(Credential::None.end(Timestamp::MAX), None);
    }

    #[test]
    fn a_token_ends_when_it_closes_and_not_when_it_expires() {
        let token = token(SignedDuration::from_secs(60));
        let closes_at = token.closes_at().unwrap();
        assert_eq!(token.end(token.expires_at().unwrap()), None);
        assert_eq!(token.end(closes_at - SignedDuration::from_nanos(1)), None);
        assert_eq!(token.end(closes_at), Some(SessionEnd::TokenExpired));
    }

    #[test]
    fn a_key_ends_at_its_time_even_before_the_ring_has_noticed() {
        let key = ApiKey::generate().unwrap();
        let (now, end) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(60).unwrap());
        let record = |revoked_at| KeyRecord {
            id: Uuid::from_u128(1),
            name: None,
            account: Uuid::from_u128(2).into(),
            user: None,
            scopes: Default::default(),
            digest: key.digest(),
            created_at: now,
            expires_at: Some(end),
            revoked_at,
        };
        let ring = KeyRing::new();
        ring.replace([record(None)], now);
        let (found, lease) = ring.find(&key, now).unwrap();
        let credential = Credential::Key {
            id: found.id,
            lease,
            expires_at: found.expires_at,
        };
        assert_eq!(credential.closes_at(), Some(end));
        assert_eq!(credential.end(now), None);
        assert_eq!(credential.end(end), Some(SessionEnd::KeyExpired));
        ring.replace([record(Some(now))], now);
        assert_eq!(credential.end(now), Some(SessionEnd::KeyRevoked));
    }
}

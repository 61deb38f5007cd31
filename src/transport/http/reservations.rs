//! Event streams that carry many operations: who has reserved one, and how its other requests find it.
//!
//! A stream is of one node, and so is its token: where there are several, a client's requests have to
//! come to the same one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::mpsc;
use uuid::Uuid;

use super::stream::Order;
use crate::auth::Identity;

/// The streams that are reserved or open, by their tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct Reservations(Arc<Mutex<HashMap<Token, Reserved>>>);

/// Says which stream a request is about. It is random, and good for as long as the stream is: whoever has
/// it may read the stream once, and nobody who has it alone may do anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Token(Uuid);

/// A stream that is reserved or open.
#[derive(Clone, Debug)]
pub(super) struct Reserved {
    /// Who reserved it.
    pub(super) identity: Identity,
    pub(super) orders: mpsc::Sender<Order>,
}

/// A reservation: while this lives, its token is good.
#[derive(Debug)]
pub(super) struct Reservation {
    reservations: Reservations,
    pub(super) token: Token,
}

impl Reservations {
    /// Makes a stream known under a new token.
    pub(super) fn reserve(&self, reserved: Reserved) -> Reservation {
        let token = Token(Uuid::new_v4());
        self.streams().insert(token, reserved);
        Reservation {
            reservations: self.clone(),
            token,
        }
    }

    pub(super) fn find(&self, token: Token) -> Option<Reserved> {
        self.streams().get(&token).cloned()
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<Token, Reserved>> {
        self.0
            .lock()
            .expect("nothing panics while it holds the streams")
    }
}

impl Token {
    /// `None` for what cannot be one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Token)
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.reservations.streams().remove(&self.token);
    }
}

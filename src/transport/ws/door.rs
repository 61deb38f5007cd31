//! From an upgrade to the life of a connection.

use std::future::Future;
use std::sync::Arc;

use axum::response::Response;

use super::connection::{Connection, Conversation, Opened, live};
use super::socket::Line;
use super::upgrade::{Gone, Upgrade, Upgraded};
use crate::transport::endpoint::Client;
use crate::transport::entrance::Place;
use crate::transport::protocol::Protocol;
use crate::transport::server::Server;

/// How a client is let in, whatever its connection is over.
pub(super) trait Door: Send + 'static {
    type Conversation<L: Line>: Conversation<L>;

    /// Lets the client in, or gives the reason why not.
    fn open<L: Line>(
        self,
        connection: Connection<L>,
    ) -> impl Future<Output = Opened<L, Self::Conversation<L>>> + Send;
}

/// Where a connection lives.
pub(super) struct Premises {
    pub(super) server: Arc<Server>,
    pub(super) client: Client,
    pub(super) place: Place,
    pub(super) protocol: Protocol,
    /// The longest message that the client may send.
    pub(super) message_bytes: usize,
}

/// Answers an upgrade request, with this subprotocol if there is one, and lets the connection live in its
/// place.
pub(super) fn accept(
    upgrade: Upgrade,
    subprotocol: Option<&'static str>,
    premises: Premises,
    door: impl Door,
) -> Response {
    let (response, upgraded) = upgrade.accept(subprotocol);
    let Premises {
        server,
        client,
        place,
        protocol,
        message_bytes,
    } = premises;
    tokio::spawn(live(async move {
        match upgraded.await {
            Ok(Upgraded::Tcp(stream, read)) => {
                let connection =
                    Connection::over_tcp(stream, &read, server, client, protocol, message_bytes);
                // What was read is not kept: it is a part of a buffer for requests.
                drop(read);
                Some(door.open(connection.at(place)).await)
            }
            Ok(Upgraded::Other(pipe)) => {
                let connection = Connection::over(pipe, server, client, protocol, message_bytes);
                let opening = async { Some(door.open(connection.at(place)).await) };
                tokio::spawn(live(opening));
                None
            }
            // Before it was answered: it was no connection.
            Err(Gone) => None,
        }
    }));
    response
}

//! WebSockets: the upgrade, and what is spoken afterwards.

pub(super) mod allenhark;
pub(super) mod blockdb;
mod connection;
mod door;
pub mod graphql_transport_ws;
pub mod graphql_ws;
mod handshake;
mod heartbeat;
mod message;
mod open;
mod pace;
pub(super) mod plain;
mod refresh;
mod socket;
mod upgrade;
pub(super) mod websocks;

pub use self::connection::Connection;
pub use self::upgrade::Upgrade;

use std::sync::Arc;

use axum::response::Response;

use self::connection::Opened;
use self::door::{Door, Premises};
use self::open::Open;
use self::socket::Line;
use super::endpoint::Client;
use super::entrance::Place;
use super::introduction::Introduction;
use super::protocol::Protocol;
use super::server::Server;

/// Answers an upgrade request, and lets the connection live in its place. What the headers of the request
/// say of the client holds where its `connection_init` is silent.
///
/// A client that offers no subprotocol that is spoken here is accepted and closed with 4406, as
/// graphql-ws does: a browser cannot see why an upgrade was refused.
pub(super) fn accept(
    server: Arc<Server>,
    upgrade: Upgrade,
    client: Client,
    place: Place,
    said: Introduction,
) -> Response {
    // The newer one first: some clients offer both, and speak the one that is chosen.
    let offered = [Protocol::GraphqlTransportWs, Protocol::GraphqlWs]
        .into_iter()
        .find(|protocol| upgrade.offers(protocol.name()));
    let premises = Premises {
        message_bytes: server.limits.message_bytes,
        server,
        client,
        place,
        protocol: offered.unwrap_or(Protocol::GraphqlTransportWs),
    };
    let door = GraphqlDoor {
        is_acceptable: offered.is_some(),
        // Few say anything in headers, and there is room for all in what is moved around.
        said: (!said.is_empty()).then(|| Box::new(said)),
    };
    door::accept(upgrade, offered.map(Protocol::name), premises, door)
}

/// The door of GraphQL's clients, who say who they are in `connection_init`.
struct GraphqlDoor {
    is_acceptable: bool,
    said: Option<Box<Introduction>>,
}

impl Door for GraphqlDoor {
    type Conversation<L: Line> = Open<L>;

    async fn open<L: Line>(self, connection: Connection<L>) -> Opened<L, Open<L>> {
        match self.is_acceptable {
            true => connection.open(self.said).await,
            false => connection.refuse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::connection::live;
    use super::socket::Direct;
    use super::*;

    fn future_size<A, B, F: Future>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// What one connection that waits costs, beside its outbox and what the registry and the hub know
    /// of it. There may be a million of them.
    #[test]
    fn the_task_of_a_connection_is_small() {
        let task = size_of_val(&live::<Direct, Open<Direct>>(async { None }));
        let open = size_of::<Open<Direct>>();
        let opening = future_size(Connection::<Direct>::open);
        assert!(
            opening <= 2560,
            "{opening} bytes, which are moved when a client comes"
        );
        assert!(open <= 384, "{open} bytes");
        assert!(task <= 320, "{task} bytes");
    }
}

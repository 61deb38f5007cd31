//! WebSockets: the upgrade, and what is spoken afterwards.

mod connection;
pub mod graphql_transport_ws;
pub mod graphql_ws;
mod handshake;
mod heartbeat;
mod message;
mod open;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the plain-JSON APIs that it is for come next")
)]
mod pace;
mod refresh;
mod socket;
mod upgrade;

pub use self::connection::Connection;
pub use self::upgrade::Upgrade;

use std::sync::Arc;

use axum::response::Response;

use self::connection::{Opened, live};
use self::socket::Line;
use self::upgrade::{Gone, Upgraded};
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
    let (response, upgraded) = upgrade.accept(offered.map(Protocol::name));
    let protocol = offered.unwrap_or(Protocol::GraphqlTransportWs);
    let is_acceptable = offered.is_some();
    // Few say anything in headers, and there is room for all in what is moved around.
    let said = (!said.is_empty()).then(|| Box::new(said));
    tokio::spawn(live(async move {
        match upgraded.await {
            Ok(Upgraded::Tcp(stream, read)) => {
                let connection = Connection::over_tcp(stream, &read, server, client, protocol);
                // What was read is not kept: it is a part of a buffer for requests.
                drop(read);
                open(connection.at(place), is_acceptable, said).await
            }
            Ok(Upgraded::Other(pipe)) => {
                let connection = Connection::over(pipe, server, client, protocol);
                tokio::spawn(live(open(connection.at(place), is_acceptable, said)));
                None
            }
            // Before it was answered: it was no connection.
            Err(Gone) => None,
        }
    }));
    response
}

async fn open<L: Line>(
    connection: Connection<L>,
    is_acceptable: bool,
    said: Option<Box<Introduction>>,
) -> Option<Opened<L>> {
    Some(if is_acceptable {
        connection.open(said).await
    } else {
        connection.refuse()
    })
}

#[cfg(test)]
mod tests {
    use super::open::Open;
    use super::socket::Direct;
    use super::*;

    fn future_size<A, B, F: Future>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// What one connection that waits costs, beside its outbox and what the registry and the hub know
    /// of it. There may be a million of them.
    #[test]
    fn the_task_of_a_connection_is_small() {
        let task = size_of_val(&live::<Direct>(async { None }));
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

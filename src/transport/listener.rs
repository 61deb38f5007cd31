//! The accept loop.
//!
//! Ours over hyper, because `axum::serve` has no limit on how long a request's headers may take, and
//! its graceful shutdown neither waits for WebSockets nor closes them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::address::Peer;
use super::stalling::Stalling;
use crate::drain::Drain;

/// How long to wait when a connection cannot be accepted: most likely there are too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Sockets that may be between accepting and upgrading beyond `limits.connections`: queries, probes,
/// and upgrades that are refused.
const SPARE_SOCKETS: usize = 1024;

/// Connections that may wait to be accepted: all clients come back at once when a server is started anew,
/// and whom the kernel turns away tries again only after a second. The kernel takes less if
/// `net.core.somaxconn` says so.
const BACKLOG: u32 = 4096;

/// Listens at an address. Connections end whose other side acknowledges nothing for so long.
///
/// # Errors
///
/// The address is not ours, or taken.
pub fn bind(address: SocketAddr, unacknowledged: Duration) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of the server before this one may still be closing.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    // Small messages should not wait for one another.
    socket.set_nodelay(true)?;
    // A client that vanishes without a word takes whatever is sent to it, as far as we can see: the kernel
    // would try again for a quarter of an hour before it says otherwise.
    #[cfg(target_os = "linux")]
    SockRef::from(&socket).set_tcp_user_timeout(Some(unacknowledged))?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// How much of an answer may wait for a client, and how long the head of a request may be: a client that
/// does not read must not fill the memory, and what waits here does not count in its outbox.
const BUFFER_BYTES: usize = 64 * 1024;

/// What holds for the sockets that are not upgraded.
#[derive(Clone, Copy, Debug)]
pub struct SocketLimits {
    /// So many may be open. Upgraded ones have a limit of their own.
    pub open: usize,
    /// For the head of a request.
    pub header_timeout: Duration,
    /// For a client that takes nothing of its answer.
    pub write_timeout: Duration,
}

/// Serves HTTP/1.1, with upgrades, until the drain begins.
///
/// So many sockets may be open that are not upgraded yet; whoever comes on top is dropped. Those
/// that are upgraded have a limit of their own.
pub async fn serve(listener: TcpListener, router: Router, limits: SocketLimits, drain: Drain) {
    let sockets = limits
        .open
        .saturating_add(SPARE_SOCKETS)
        .min(Semaphore::MAX_PERMITS);
    let sockets = Arc::new(Semaphore::new(sockets));
    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.begun.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let Ok(permit) = sockets.clone().try_acquire_owned() else {
            continue;
        };
        // Linux has it from the socket that listens.
        #[cfg(not(target_os = "linux"))]
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let stream = Stalling::new(stream, limits.write_timeout);
        let peer = Peer {
            address: address.ip(),
            fate: stream.fate(),
        };
        let service = service_fn(move |request| answer(router.clone(), request, peer.clone()));
        let begun = drain.begun.clone();
        drain.open.spawn(async move {
            let _permit = permit;
            let connection = http1::Builder::new()
                .preserve_header_case(true)
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header_timeout)
                .max_buf_size(BUFFER_BYTES)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            let mut connection = std::pin::pin!(connection);
            let served = tokio::select! {
                served = connection.as_mut() => served,
                () = begun.cancelled() => {
                    // Ends after the request that is under way, if any.
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, "an HTTP connection ended");
            }
        });
    }
}

/// Answers with the names of headers spelled as the client spelled them.
///
/// They mean the same in any case, but Python's gql 4 finds no `sec-websocket-protocol`, only
/// `Sec-WebSocket-Protocol`, and goes on in another protocol. hyper keeps the spelling of a request
/// in an extension of it, and looks for that in the response.
async fn answer(
    router: Router,
    mut request: Request<Incoming>,
    peer: Peer,
) -> Result<Response, Infallible> {
    let mut spelling = request.extensions().clone();
    spelling.remove::<OnUpgrade>();
    request.extensions_mut().insert(peer);
    let mut response = router.oneshot(request).await?;
    response.extensions_mut().extend(spelling);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_is_accepted_sends_small_messages_at_once_and_misses_a_client_that_has_vanished() {
        let unacknowledged = Duration::from_secs(24);
        let listener = bind("127.0.0.1:0".parse().unwrap(), unacknowledged).unwrap();
        let address = listener.local_addr().unwrap();
        let connecting = tokio::net::TcpStream::connect(address);
        let (client, accepted) = tokio::join!(connecting, listener.accept());
        let (accepted, _) = accepted.unwrap();
        assert!(accepted.nodelay().unwrap());
        let timeout = SockRef::from(&accepted).tcp_user_timeout().unwrap();
        assert_eq!(timeout, Some(unacknowledged));
        assert!(!client.unwrap().nodelay().unwrap(), "nobody asked for it");
    }
}

//! A socket as connections see it: messages in, messages out, and what can go wrong.

use std::error::Error as _;

use axum::extract::ws::{Message, WebSocket};
use futures_util::{Sink, SinkExt, Stream, TryStreamExt};

use super::close::Close;

/// A stream and sink of messages. The real one is axum's; tests of timing use one in memory.
pub trait Socket:
    Stream<Item = Result<Message, SocketError>> + Sink<Message, Error = SocketError> + Unpin + Send
{
}

impl<S> Socket for S where
    S: Stream<Item = Result<Message, SocketError>>
        + Sink<Message, Error = SocketError>
        + Unpin
        + Send
{
}

/// What went wrong with a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketError {
    /// A message over the limit.
    TooBig,
    NotUtf8,
    /// Not WebSocket.
    Protocol,
    /// The other side has gone.
    Gone,
}

/// A WebSocket of axum as a [`Socket`].
pub(super) fn of_axum(socket: WebSocket) -> impl Socket {
    socket
        .sink_map_err(|error| SocketError::of(&error))
        .map_err(|error| SocketError::of(&error))
}

impl SocketError {
    fn of(error: &axum::Error) -> Self {
        use tungstenite::Error;
        match error
            .source()
            .and_then(|cause| cause.downcast_ref::<Error>())
        {
            Some(Error::Capacity(_)) => SocketError::TooBig,
            Some(Error::Utf8(_)) => SocketError::NotUtf8,
            Some(Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => SocketError::Gone,
            Some(Error::Protocol(_)) => SocketError::Protocol,
            _ => SocketError::Gone,
        }
    }
}

impl From<SocketError> for Close {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::TooBig => Close::MessageTooBig,
            SocketError::NotUtf8 => Close::NotUtf8,
            SocketError::Protocol => Close::ProtocolError,
            SocketError::Gone => Close::Gone,
        }
    }
}

//! A WebSocket as connections see it: messages in, bytes out, and what can go wrong.

use std::cell::RefCell;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use crate::hub::Outbox;
use crate::transport::close::Close;
use crate::websocket::{self, Message, Reader, Role};

/// The bytes under a socket.
pub trait Line: Send + Unpin + 'static {
    /// Reads what is there; nothing at the end.
    fn poll_read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>>;

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;
}

/// TCP that is written to by whoever has something to say to this client: see [`Outbox`]. Its task
/// reads, and writes what the socket did not take.
pub struct Direct(Arc<Outbox>);

/// Anything that can be read and written: TLS, or a pipe in memory.
pub struct Piped<S>(pub S);

/// A WebSocket on a line.
pub(super) struct Socket<L> {
    line: L,
    reader: Reader,
    /// What was read behind a message, and how much of it was taken since. Clients mostly send one
    /// message at a time.
    rest: Option<Box<(Vec<u8>, usize)>>,
}

/// What went wrong with a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SocketError {
    /// What came is no message that may come.
    Bad(websocket::Error),
    /// The other side has gone.
    Gone,
}

/// Read at a time. One buffer for all connections of a thread: what is read is taken on the spot.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

impl Direct {
    /// The line of an outbox that has a stream.
    pub(super) fn of(outbox: Arc<Outbox>) -> Self {
        Direct(outbox)
    }
}

impl Line for Direct {
    fn poll_read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(stream) = self.0.stream() else {
            return Poll::Ready(Ok(0));
        };
        loop {
            ready!(stream.poll_read_ready(context))?;
            // A read that leaves room has read all there is, so the next waits without asking once more: tokio
            // waits where it is told that this would block. (Its own `poll_read`, which knows, wants `&mut`.)
            let mut read = None;
            let tried = stream.try_io(Interest::READABLE, || {
                let bytes = (&*SockRef::from(stream)).read(into)?;
                read = Some(bytes);
                let is_all = 0 < bytes && bytes < into.len();
                if is_all {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(())
                }
            });
            match (read, tried) {
                (Some(read), _) => return Poll::Ready(Ok(read)),
                (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                (None, tried) => return Poll::Ready(tried.map(|()| 0)),
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(stream) = self.0.stream() else {
            return Poll::Ready(Ok(0));
        };
        loop {
            ready!(stream.poll_write_ready(context))?;
            match stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Line for Piped<S> {
    fn poll_read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        ready!(Pin::new(&mut self.0).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }
}

impl<L: Line> Socket<L> {
    /// The server's end. What was read already, behind the upgrade, is read first.
    pub(super) fn new(line: L, read: &[u8], message_bytes: usize) -> Self {
        let rest = (!read.is_empty()).then(|| Box::new((read.to_vec(), 0)));
        Socket {
            line,
            reader: Reader::new(Role::Server, message_bytes),
            rest,
        }
    }

    /// The next message, as `take` understands it. What pends in the outbox is written meanwhile.
    pub(super) fn poll_next<T>(
        &mut self,
        context: &mut Context<'_>,
        outbox: &Outbox,
        take: impl FnOnce(Message<'_>) -> T,
    ) -> Poll<Result<T, SocketError>> {
        // It goes on when the socket can be written to.
        let _ = self.poll_flush(context, outbox)?;
        if let Some(mut rest) = self.rest.take() {
            let (bytes, taken) = &mut *rest;
            let mut input = &mut bytes[*taken..];
            if let Some(message) = self.reader.next(&mut input)? {
                let left = input.len();
                let heard = take(message);
                rest.1 = rest.0.len() - left;
                self.rest = (left > 0).then_some(rest);
                return Poll::Ready(Ok(heard));
            }
        }
        READ.with_borrow_mut(|buffer| {
            loop {
                let read = ready!(self.line.poll_read(context, buffer))?;
                if read == 0 {
                    return Poll::Ready(Err(SocketError::Gone));
                }
                let mut input = &mut buffer[..read];
                if let Some(message) = self.reader.next(&mut input)? {
                    if !input.is_empty() {
                        self.rest = Some(Box::new((input.to_vec(), 0)));
                    }
                    return Poll::Ready(Ok(take(message)));
                }
            }
        })
    }

    /// Writes what pends in the outbox. Ready when nothing does.
    pub(super) fn poll_flush(
        &mut self,
        context: &mut Context<'_>,
        outbox: &Outbox,
    ) -> Poll<Result<(), SocketError>> {
        let write = |context: &mut Context<'_>, bytes: &[u8]| self.line.poll_write(context, bytes);
        Poll::Ready(Ok(ready!(outbox.poll_flush(context, write))?))
    }

    /// Throws away what comes; ready when nothing can come any more.
    pub(super) fn poll_drained(&mut self, context: &mut Context<'_>) -> Poll<()> {
        READ.with_borrow_mut(|buffer| {
            loop {
                match ready!(self.line.poll_read(context, buffer)) {
                    Ok(read) if read > 0 => {}
                    Ok(_) | Err(_) => return Poll::Ready(()),
                }
            }
        })
    }
}

impl From<io::Error> for SocketError {
    fn from(_: io::Error) -> Self {
        SocketError::Gone
    }
}

impl From<websocket::Error> for SocketError {
    fn from(error: websocket::Error) -> Self {
        SocketError::Bad(error)
    }
}

impl From<SocketError> for Close {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Bad(websocket::Error::TooBig) => Close::MessageTooBig,
            SocketError::Bad(websocket::Error::NotUtf8) => Close::NotUtf8,
            SocketError::Bad(websocket::Error::Protocol(_)) => Close::ProtocolError,
            SocketError::Gone => Close::Gone,
        }
    }
}

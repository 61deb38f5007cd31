//! A socket that does not wait for ever to be written to.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::close::Close;

/// A socket that ends when nothing of what is written to it was taken for too long: a client that does not
/// read an answer would keep it, and its place, for as long as it likes. hyper has no limit for that.
#[derive(Debug)]
pub(super) struct Stalling {
    stream: TcpStream,
    patience: Duration,
    /// Where something waits to be taken.
    stalled: Option<Pin<Box<Sleep>>>,
    fate: Fate,
}

/// Why a socket ends, where it is not its client that ends it: for whoever says something on it, and sees no
/// more of it than the body of a response.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate(Arc<Sealed>);

#[derive(Debug, Default)]
struct Sealed {
    close: OnceLock<Close>,
    /// Whoever waits for the client to take something.
    writer: AtomicWaker,
}

impl Fate {
    /// Why it has ended, when it has.
    pub(super) fn close(&self) -> Close {
        self.0.close.get().cloned().unwrap_or(Close::Gone)
    }

    /// Ends the socket, if it did not end before, in the middle of whatever is written: a response that
    /// ended otherwise would look complete.
    pub(super) fn cut_off(&self, close: Close) {
        self.seal(close);
        self.0.writer.wake();
    }

    /// The first reason is the reason.
    fn seal(&self, close: Close) {
        let _ = self.0.close.set(close);
    }

    /// Whether it is to end; has whoever asks asked again when it is.
    fn is_sealed(&self, context: &mut Context<'_>) -> bool {
        self.0.writer.register(context.waker());
        self.0.close.get().is_some()
    }
}

impl Stalling {
    pub(super) fn new(stream: TcpStream, patience: Duration) -> Self {
        Stalling {
            stream,
            patience,
            stalled: None,
            fate: Fate::default(),
        }
    }

    pub(super) fn fate(&self) -> Fate {
        self.fate.clone()
    }

    /// The socket, for whoever has patience of its own.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    fn write_within_patience(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.fate.is_sealed(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = write(Pin::new(&mut self.stream), context);
        if written.is_ready() {
            self.stalled = None;
            return self.heeded(written);
        }
        let patience = self.patience;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(context));
        self.fate.seal(Close::TooSlow);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// The same result; one by which the kernel says that the other side has long acknowledged nothing is
    /// remembered.
    fn heeded<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &result
            && error.kind() == io::ErrorKind::TimedOut
        {
            self.fate.seal(Close::Unresponsive);
        }
        result
    }
}

impl AsyncRead for Stalling {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        self.heeded(read)
    }
}

impl AsyncWrite for Stalling {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write_within_patience(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write_within_patience(context, |stream, context| {
            stream.poll_write_vectored(context, parts)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

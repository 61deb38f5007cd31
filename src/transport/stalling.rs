//! A socket that does not wait for ever to be written to.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

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

/// Why a socket has ended, where it was not its client that ended it: for whoever has said something on it,
/// and is told no more than that it is gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate(Arc<OnceLock<Close>>);

impl Fate {
    /// Why it has ended, when it has.
    pub(super) fn close(&self) -> Close {
        self.0.get().cloned().unwrap_or(Close::Gone)
    }

    /// The first reason is the reason.
    fn seal(&self, close: Close) {
        let _ = self.0.set(close);
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

    fn within_patience<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
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
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within_patience(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.within_patience(context, written)
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

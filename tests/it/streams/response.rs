//! A response that goes on, byte by byte as it comes over the socket.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::tidings::PATIENCE;

/// A request, and what has come of its response.
pub(crate) struct Response {
    socket: TcpStream,
    pub(crate) status: u16,
    /// The lines behind the status, in lower case.
    pub(crate) head: String,
    /// What came, and was not looked at.
    raw: Vec<u8>,
    /// The same without the framing of chunks.
    body: String,
    has_ended: bool,
}

impl Response {
    /// Sends a request of this method, path, and lines of headers; gives the response as soon as its head has
    /// come.
    pub(crate) async fn of(
        address: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        // What is not read here is soon not taken by the kernel either.
        socket.set_recv_buffer_size(4096).expect("a size");
        let mut socket = socket.connect(address).await.expect("tidings listens");
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if method == "POST" {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str(&format!("\r\n{body}"));
        socket
            .write_all(request.as_bytes())
            .await
            .expect("it is taken");
        let mut response = Response {
            socket,
            status: 0,
            head: String::new(),
            raw: Vec::new(),
            body: String::new(),
            has_ended: false,
        };
        response.read_head().await;
        response
    }

    async fn read_head(&mut self) {
        loop {
            let end = self.raw.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8(self.raw[..end].to_vec()).expect("heads are text");
                let (status, lines) = head.split_once("\r\n").expect("there are headers");
                let code = status.split(' ').nth(1).expect("a status");
                self.status = code.parse().expect("a number");
                self.head = lines.to_ascii_lowercase();
                self.raw.drain(..end + 4);
                self.unchunk();
                return;
            }
            assert!(self.read().await, "no head came");
        }
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// The body up to and with this, which is taken out of it.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.body.find(end) {
                let rest = self.body.split_off(found + end.len());
                return std::mem::replace(&mut self.body, rest);
            }
            let is_late = Instant::now() >= deadline;
            assert!(
                !is_late && self.read().await,
                "no {end:?} in {:?}",
                self.body
            );
        }
    }

    /// The rest of the body, which ends.
    pub(crate) async fn rest(&mut self) -> String {
        self.until_end().await;
        assert!(self.has_ended, "it was cut off behind {:?}", self.body);
        std::mem::take(&mut self.body)
    }

    /// What comes of the body before the socket ends without an end of the response.
    pub(crate) async fn until_cut_off(&mut self) -> String {
        self.until_end().await;
        assert!(!self.has_ended, "it ends as if it were complete");
        std::mem::take(&mut self.body)
    }

    async fn until_end(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.read().await {
            assert!(Instant::now() < deadline, "it goes on: {:?}", self.body);
        }
    }

    /// Reads on; `false` at the end.
    async fn read(&mut self) -> bool {
        if self.has_ended {
            return false;
        }
        let read = timeout(PATIENCE, self.socket.read_buf(&mut self.raw)).await;
        let read = read.unwrap_or_else(|_| panic!("nothing more came behind {:?}", self.body));
        let is_more = read.is_ok_and(|bytes| bytes > 0);
        if self.status != 0 {
            self.unchunk();
        }
        is_more
    }

    fn unchunk(&mut self) {
        if let Some(length) = self.header("content-length") {
            let length: usize = length.parse().expect("a number");
            if self.raw.len() >= length {
                self.body = String::from_utf8(self.raw.split_off(0)).expect("bodies are text");
                self.has_ended = true;
            }
            return;
        }
        while let Some(line) = self.raw.windows(2).position(|two| two == b"\r\n") {
            let length = std::str::from_utf8(&self.raw[..line]).expect("a length");
            let length = usize::from_str_radix(length, 16).expect("hexadecimal");
            let chunk = line + 2..line + 2 + length;
            if self.raw.len() < chunk.end + 2 {
                return;
            }
            assert_eq!(&self.raw[chunk.end..chunk.end + 2], b"\r\n");
            let text = std::str::from_utf8(&self.raw[chunk.clone()]).expect("chunks are text");
            self.body.push_str(text);
            self.raw.drain(..chunk.end + 2);
            self.has_ended |= length == 0;
        }
    }
}

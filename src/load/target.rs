//! The server under load: where it is, and how one connection to it is opened.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use url::Url;

use super::envelope::SUBPROTOCOL;
use crate::tls::{self, BadTls, Trust};
use crate::websocket::accept_key;

/// A server, and how to get there. Its name is looked up once.
pub struct Target {
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// The request of the upgrade, up to the key.
    request: String,
    /// How many addresses of this machine connections come from; 1 leaves that to the system.
    sources: usize,
}

/// An open connection, before the first frame. TLS is boxed: its state is large, and rare.
pub(super) type Wire = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// What is no server that can be put under load.
#[derive(Debug, thiserror::Error)]
pub enum BadTarget {
    #[error("{0}: expected ws://host[:port]/path or wss://host[:port]/path")]
    Url(String),
    #[error("cannot find {0}: {1}")]
    Unknown(String, #[source] io::Error),
    #[error("only a server on 127.0.0.0/8 can be reached from several addresses of this machine")]
    Sources,
    #[error("--header {0}: expected NAME: VALUE, and none of the upgrade's own")]
    Header(String),
    #[error("TLS: {0}")]
    Tls(#[source] BadTls),
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    #[error("{}", kind(.0))]
    Io(#[from] io::Error),
    #[error("HTTP {0}")]
    Status(String),
    #[error("what answered speaks no HTTP/1.1")]
    NoHttp,
    #[error("the upgrade was accepted without {SUBPROTOCOL}")]
    Subprotocol,
    #[error("the upgrade was accepted with the answer to another key")]
    Accept,
}

/// The longest head of an answer to the upgrade.
const HEAD: usize = 16 * 1024;
/// The ports that the system gives to outgoing connections, of one address, with some to spare.
const PORTS: usize = 20_000;
/// Source addresses: 127.0.0.2 and those after it.
const SOURCES: usize = 60_000;

impl Target {
    /// Looks up the server of a URL. `sources`: from how many addresses of 127.0.0.0/8 connections
    /// come; without it as many as so many connections need. `ca_file`: who may have signed the
    /// certificate of a `wss` server, if no public authority.
    pub async fn find(
        url: &Url,
        headers: &[String],
        connections: usize,
        sources: Option<usize>,
        ca_file: Option<&Path>,
    ) -> Result<Self, BadTarget> {
        let bad = || BadTarget::Url(url.to_string());
        let secure = match url.scheme() {
            "ws" => false,
            "wss" => true,
            _ => return Err(bad()),
        };
        let host = url.host_str().ok_or_else(bad)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = url.port().unwrap_or(if secure { 443 } else { 80 });
        let unknown = |error| BadTarget::Unknown(bare.to_owned(), error);
        let mut found = tokio::net::lookup_host((bare, port))
            .await
            .map_err(unknown)?;
        let address = found.next().ok_or_else(bad)?;
        let is_near = matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback());
        let sources = match sources {
            Some(sources) if sources > 1 && !is_near => return Err(BadTarget::Sources),
            Some(sources) => sources.clamp(1, SOURCES),
            None if is_near => connections.div_ceil(PORTS).max(1),
            None => 1,
        };
        Ok(Target {
            address,
            tls: secure.then(|| secured(bare, ca_file)).transpose()?,
            request: request(url, host, headers)?,
            sources,
        })
    }

    /// Connects from the address of this connection. `receive_buffer`: the bytes that the system may
    /// keep for us, if not its own choice.
    pub async fn dial(&self, i: usize, receive_buffer: Option<u32>) -> io::Result<Wire> {
        let socket = match self.address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if self.sources > 1 {
            socket.bind((source(i % self.sources), 0).into())?;
        }
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Either::Left(stream)),
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await?;
                Ok(Either::Right(Box::new(stream)))
            }
        }
    }

    /// Asks for the upgrade. Gives back what came behind the answer.
    pub async fn upgrade(&self, wire: &mut Wire, nonce: [u8; 16]) -> Result<Vec<u8>, NotOpened> {
        let key = STANDARD.encode(nonce);
        let request = format!("{}{key}\r\n\r\n", self.request);
        wire.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        loop {
            if let Some(end) = answer.windows(4).position(|end| end == b"\r\n\r\n") {
                let behind = answer.split_off(end + 4);
                check(&answer, &accept_key(&key))?;
                return Ok(behind);
            }
            if answer.len() > HEAD {
                return Err(NotOpened::NoHttp);
            }
            let mut some = [0; 1024];
            match wire.read(&mut some).await? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                count => answer.extend_from_slice(&some[..count]),
            }
        }
    }
}

/// An address of this machine, from 127.0.0.2 on. Its last byte is never 0 or 255.
fn source(number: usize) -> IpAddr {
    let number = number as u32 + 1;
    let (high, low) = (number / 254, number % 254 + 1);
    IpAddr::V4(Ipv4Addr::from_bits(0x7f00_0000 | high << 8 | low))
}

fn request(url: &Url, host: &str, headers: &[String]) -> Result<String, BadTarget> {
    let mut target = url.path().to_owned();
    if let Some(query) = url.query() {
        target = format!("{target}?{query}");
    }
    let host = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut more = String::new();
    for header in headers {
        let bad = || BadTarget::Header(header.clone());
        let (name, value) = header.split_once(':').ok_or_else(bad)?;
        let own = ["host", "upgrade", "connection"];
        let name_is_good = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !own.contains(&name.to_ascii_lowercase().as_str())
            && !name.to_ascii_lowercase().starts_with("sec-websocket-");
        if !name_is_good || value.contains(char::is_control) {
            return Err(bad());
        }
        more.push_str(&format!("{name}: {}\r\n", value.trim()));
    }
    Ok(format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{more}\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\nSec-WebSocket-Key: "
    ))
}

/// Whether this head of an answer accepts the upgrade.
fn check(head: &[u8], accept: &str) -> Result<(), NotOpened> {
    let head = std::str::from_utf8(head).map_err(|_| NotOpened::NoHttp)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = status.ok_or(NotOpened::NoHttp)?;
    if status.split(' ').next() != Some("101") {
        return Err(NotOpened::Status(status.chars().take(100).collect()));
    }
    let header = |wanted: &str| {
        let mut headers = head.split("\r\n").filter_map(|line| line.split_once(':'));
        let found = headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.trim())
    };
    if header("sec-websocket-accept") != Some(accept) {
        return Err(NotOpened::Accept);
    }
    match header("sec-websocket-protocol") {
        Some(SUBPROTOCOL) => Ok(()),
        _ => Err(NotOpened::Subprotocol),
    }
}

fn secured(
    host: &str,
    ca_file: Option<&Path>,
) -> Result<(TlsConnector, ServerName<'static>), BadTarget> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| BadTarget::Url(format!("wss://{host}")))?;
    let config = tls::client(Trust::in_file(ca_file)).map_err(BadTarget::Tls)?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// What went wrong, without the numbers that would make one error many in a count of errors.
fn kind(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::UnexpectedEof => "the server hung up before it answered".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        sec-websocket-ACCEPT: yes\r\nSec-WebSocket-Protocol:graphql-transport-ws\r\n\r\n";

    fn checked(head: &str) -> String {
        check(head.as_bytes(), "yes").map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn only_an_upgrade_to_our_subprotocol_is_accepted() {
        assert_eq!(checked(ACCEPTED), "fine");
        assert_eq!(
            checked("HTTP/1.1 429 Too Many Requests\r\n\r\n"),
            "HTTP 429 Too Many Requests"
        );
        assert_eq!(
            checked("SSH-2.0-OpenSSH\r\n\r\n"),
            "what answered speaks no HTTP/1.1"
        );
        let without = ACCEPTED.replace("Sec-WebSocket-Protocol", "X");
        assert_eq!(
            checked(&without),
            "the upgrade was accepted without graphql-transport-ws"
        );
        let wrong = ACCEPTED.replace("yes", "no");
        assert_eq!(
            checked(&wrong),
            "the upgrade was accepted with the answer to another key"
        );
    }

    #[test]
    fn the_request_is_for_the_path_of_the_url() {
        let url = Url::parse("ws://[::1]:4000/graphql?a=b").unwrap();
        let headers = ["Origin: https://app.example".to_owned()];
        let request = request(&url, "[::1]", &headers).unwrap();
        assert!(request.starts_with("GET /graphql?a=b HTTP/1.1\r\nHost: [::1]:4000\r\n"));
        assert!(request.contains("\r\nOrigin: https://app.example\r\n"));
    }

    #[test]
    fn headers_of_the_upgrade_itself_are_not_taken() {
        let url = Url::parse("ws://localhost/").unwrap();
        for header in [
            "Host: a",
            "no colon",
            "sec-websocket-key: x",
            "A: b\r\nC: d",
            ": x",
        ] {
            assert!(
                request(&url, "localhost", &[header.to_owned()]).is_err(),
                "{header}"
            );
        }
    }

    #[test]
    fn each_source_is_an_address_of_its_own_on_this_machine() {
        let all: std::collections::BTreeSet<_> = (0..SOURCES).map(source).collect();
        assert_eq!(all.len(), SOURCES);
        assert!(all.iter().all(IpAddr::is_loopback));
        assert_eq!(source(0).to_string(), "127.0.0.2");
    }
}

//! Where Redis is, and how to get there.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use redis::{ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use url::Url;

use crate::tls::{self, BadTls, Trust};

/// The address of a Redis, and what it must be told there. Prints without its password.
#[derive(Clone)]
pub struct RedisAddress {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    settings: RedisConnectionInfo,
}

/// An open way to Redis, before a word is said.
pub type Wire = Either<TcpStream, TlsStream<TcpStream>>;

/// A URL that leads to no Redis. Says why, and never what the URL was: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum BadAddress {
    #[error("the URL of redis begins with redis:// or rediss://")]
    Scheme,
    #[error("the URL of redis names no host that a certificate could be for")]
    Host,
    #[error("the URL of redis has a fragment; certificates are always checked")]
    Fragment,
    #[error("the URL of redis: {0}")]
    Redis(#[source] redis::RedisError),
    #[error("TLS to redis: {0}")]
    Tls(#[source] BadTls),
}

impl RedisAddress {
    /// Reads `redis[s]://[[user]:password@]host[:port][/db]`. A `rediss` is trusted if its
    /// certificate is signed by the authority in `ca_file`, or without one by any public authority.
    pub fn of_url(url: &Url, ca_file: Option<&Path>) -> Result<Self, BadAddress> {
        if url.fragment().is_some() {
            return Err(BadAddress::Fragment);
        }
        let mut plain = url.clone();
        let tls = match url.scheme() {
            "redis" => false,
            "rediss" => {
                // The crate reads `rediss` only if it brings a TLS stack of its own.
                plain.set_scheme("redis").map_err(|()| BadAddress::Scheme)?;
                true
            }
            _ => return Err(BadAddress::Scheme),
        };
        let info = plain.into_connection_info().map_err(BadAddress::Redis)?;
        let ConnectionAddr::Tcp(host, port) = info.addr().clone() else {
            return Err(BadAddress::Scheme);
        };
        Ok(RedisAddress {
            tls: tls.then(|| secured(&host, ca_file)).transpose()?,
            host,
            port,
            settings: info.redis_settings().clone(),
        })
    }

    /// Opens a connection. The caller sets the time limit.
    pub async fn dial(&self) -> io::Result<Wire> {
        let socket = TcpStream::connect((self.host.as_str(), self.port)).await?;
        socket.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Either::Left(socket)),
            Some((connector, name)) => {
                let socket = connector.connect(name.clone(), socket).await?;
                Ok(Either::Right(socket))
            }
        }
    }

    /// Who we say that we are, and which database we mean.
    pub fn settings(&self) -> &RedisConnectionInfo {
        &self.settings
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() {
            "rediss"
        } else {
            "redis"
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn secured(
    host: &str,
    ca_file: Option<&Path>,
) -> Result<(TlsConnector, ServerName<'static>), BadAddress> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| BadAddress::Host)?;
    let config = tls::client(Trust::in_file(ca_file)).map_err(BadAddress::Tls)?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<RedisAddress, BadAddress> {
        RedisAddress::of_url(&Url::parse(url).unwrap(), None)
    }

    #[test]
    fn a_password_is_read_and_never_printed() {
        let address = address("rediss://tidings:s%2Fcret@redis.example:6380/2").unwrap();
        assert_eq!(address.settings().password(), Some("s/cret"));
        assert_eq!(address.settings().db(), 2);
        for printed in [format!("{address}"), format!("{address:?}")] {
            assert_eq!(printed, "rediss://redis.example:6380");
        }
    }

    #[test]
    fn an_address_in_brackets_is_dialed_without_them() {
        assert_eq!(address("redis://[::1]").unwrap().host, "::1");
    }

    #[test]
    fn what_is_no_redis_is_refused_without_printing_the_password() {
        for url in [
            "http://:s3cret@redis.example",
            "rediss://:s3cret@redis.example/#insecure",
            "redis://:s3cret@redis.example/one",
            "rediss://:s3cret@a%20b/",
        ] {
            let error = address(url).expect_err(url);
            assert!(
                !format!("{error} {error:?}").contains("s3cret"),
                "{error:?}"
            );
        }
    }
}

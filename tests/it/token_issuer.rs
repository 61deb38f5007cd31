//! An issuer of tokens: it signs them, and publishes its keys at a URL.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// An issuer of a test's own, gone when this is dropped.
pub(crate) struct TokenIssuer {
    address: SocketAddr,
    scheme: &'static str,
    answer: Arc<Mutex<Answer>>,
    /// How often it was asked.
    asked: watch::Receiver<usize>,
    /// Whether it answers, or lets everybody wait.
    answers: watch::Sender<bool>,
    server: JoinHandle<()>,
}

/// TLS as `localhost`, with a certificate that is signed by `ca.crt.pem`.
pub(crate) fn tls_of_localhost() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(key_path("localhost.crt.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(key_path("localhost.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config).into()
}

/// What it says to whoever asks for its keys.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: &'static str,
    /// More headers, each with its line end.
    pub(crate) headers: String,
    pub(crate) body: String,
}

/// A secret for HMAC that is long enough for all of its algorithms.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

impl TokenIssuer {
    /// Starts one that has no keys yet.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts one with TLS, whose certificate is signed by `ca.crt.pem`.
    pub(crate) async fn start_tls() -> Self {
        Self::start_with(Some(tls_of_localhost())).await
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let answer = Arc::new(Mutex::new(keys(&[])));
        let (count, asked) = watch::channel(0);
        let count = Arc::new(count);
        let answers = watch::Sender::new(true);
        let (said, held) = (answer.clone(), answers.subscribe());
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (said, count, held) = (said.clone(), count.clone(), held.clone());
                let tls = tls.clone();
                tokio::spawn(async move {
                    let _ = match tls {
                        Some(tls) => match tls.accept(socket).await {
                            Ok(socket) => serve(socket, &said, &count, held).await,
                            Err(error) => Err(error),
                        },
                        None => serve::<TcpStream>(socket, &said, &count, held).await,
                    };
                });
            }
        });
        TokenIssuer {
            address,
            scheme,
            answer,
            asked,
            answers,
            server,
        }
    }

    /// Where its keys are.
    pub(crate) fn url(&self) -> String {
        format!(
            "{}://localhost:{}/jwks.json",
            self.scheme,
            self.address.port()
        )
    }

    /// Publishes these keys from now on: what each is called, and the file that it is in.
    pub(crate) fn publish(&self, named: &[(&str, &str)]) {
        self.say(keys(named));
    }

    /// Answers this from now on.
    pub(crate) fn say(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Answers nothing but that it cannot, until it publishes something.
    pub(crate) fn go_away(&self) {
        self.say(Answer {
            status: "503 Service Unavailable",
            ..keys(&[])
        });
    }

    /// Lets everybody wait for an answer.
    pub(crate) fn hold(&self) {
        self.answers.send_replace(false);
    }

    /// Answers those who wait, and all others.
    pub(crate) fn let_go(&self) {
        self.answers.send_replace(true);
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        *self.asked.borrow()
    }

    /// Waits until it was asked so often.
    pub(crate) async fn until_asked(&self, times: usize) {
        let mut asked = self.asked.clone();
        let told = tokio::time::timeout(
            crate::tidings::PATIENCE,
            asked.wait_for(|asked| *asked >= times),
        );
        told.await.expect("it is asked in time").unwrap();
    }
}

impl Drop for TokenIssuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Answers one request.
async fn serve<S: AsyncReadExt + AsyncWriteExt + Unpin>(
    mut socket: S,
    said: &Mutex<Answer>,
    count: &watch::Sender<usize>,
    mut held: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    count.send_modify(|count| *count += 1);
    let _ = held.wait_for(|answers| *answers).await;
    let Answer {
        status,
        headers,
        body,
    } = said.lock().unwrap().clone();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    );
    socket.write_all(answer.as_bytes()).await?;
    socket.shutdown().await
}

/// The answer with these keys: what each is called, and the file that it is in.
pub(crate) fn keys(named: &[(&str, &str)]) -> Answer {
    let keys: Vec<Value> = named
        .iter()
        .map(|(kid, file)| {
            let (key, algorithm) = signing_key(file);
            let mut jwk =
                serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
            jwk["kid"] = (*kid).into();
            jwk
        })
        .collect();
    Answer {
        status: "200 OK",
        headers: String::new(),
        body: json!({ "keys": keys }).to_string(),
    }
}

/// A token with these claims, and an `exp` in an hour if they have none. Signed with the private key
/// in this file, or with [`SECRET`] if it has no name.
pub(crate) fn token(file: &str, kid: Option<&str>, claims: Value) -> String {
    let (key, algorithm) = signing_key(file);
    let mut header = Header::new(algorithm);
    header.kid = kid.map(str::to_owned);
    let mut all = json!({ "exp": now() + 3600 });
    all.as_object_mut()
        .unwrap()
        .extend(claims.as_object().unwrap().clone());
    jsonwebtoken::encode(&header, &all, &key).unwrap()
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or(Duration::ZERO).as_secs()
}

/// Where a key of the tests is.
pub(crate) fn key_path(file: &str) -> PathBuf {
    let keys = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/keys");
    keys.join(file)
}

fn signing_key(file: &str) -> (EncodingKey, Algorithm) {
    let pem = || std::fs::read(key_path(file)).unwrap();
    match file {
        "" => (
            EncodingKey::from_secret(SECRET.as_bytes()),
            Algorithm::HS256,
        ),
        "p256.pem" => (EncodingKey::from_ec_pem(&pem()).unwrap(), Algorithm::ES256),
        "ed25519.pem" => (EncodingKey::from_ed_pem(&pem()).unwrap(), Algorithm::EdDSA),
        _ => (EncodingKey::from_rsa_pem(&pem()).unwrap(), Algorithm::RS256),
    }
}

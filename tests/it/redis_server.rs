//! A Redis of a test's own.

use std::future::Future;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::{Cmd, FromRedisValue, RedisResult};
use tidings::redis_link::{RedisConfig, RedisLink};
use url::Url;

/// `[redis]` as it is shipped.
pub(crate) const SHIPPED: &str = r#"
    ping_interval = "1s"
    reply_timeout = "1s"
    canary_interval = "500ms"
    canary_timeout = "1s"
    reconnect_min = "100ms"
    reconnect_max = "5s"
    resubscribe_batch = 500
"#;

/// The same for tests that are not about time: a busy machine must not look like a dead Redis.
pub(crate) const PATIENT: &str = r#"
    ping_interval = "1s"
    reply_timeout = "30s"
    canary_interval = "500ms"
    canary_timeout = "30s"
    reconnect_min = "20ms"
    reconnect_max = "100ms"
    resubscribe_batch = 500
"#;

/// A `redis-server` that keeps nothing, and that is gone when this is dropped.
pub(crate) struct RedisServer {
    port: u16,
    arguments: Vec<&'static str>,
    directory: tempfile::TempDir,
    process: Option<Child>,
}

impl RedisServer {
    /// Starts one on a free port, and waits until it answers.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, with arguments for `redis-server`.
    pub(crate) async fn start_with(arguments: &[&'static str]) -> Self {
        let mut server = Self::absent(arguments);
        server.restart().await;
        server
    }

    /// One that is not there yet: [`RedisServer::restart`] starts it.
    pub(crate) fn absent(arguments: &[&'static str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        RedisServer {
            port: free.local_addr().expect("it is bound").port(),
            arguments: arguments.to_vec(),
            directory: tempfile::tempdir().expect("a directory for redis"),
            process: None,
        }
    }

    /// Starts it (again) on its port, and waits until it answers.
    pub(crate) async fn restart(&mut self) {
        assert!(self.process.is_none(), "it is running");
        let deadline = Instant::now() + Duration::from_secs(20);
        self.process = Some(self.spawn());
        while self.try_run::<String>(&redis::cmd("PING")).await.is_err() {
            let process = self.process.as_mut().expect("it was spawned");
            if process.try_wait().expect("it is our child").is_some() {
                // Somebody took the port for a moment.
                self.process = Some(self.spawn());
            }
            assert!(
                Instant::now() < deadline,
                "redis-server does not answer: {}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it is our child");
            process.wait().expect("it is our child");
        }
    }

    /// Stops it, sockets open: nothing answers, and nothing says goodbye.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, without a password.
    pub(crate) fn url(&self) -> Url {
        format!("redis://127.0.0.1:{}", self.port)
            .parse()
            .expect("a URL")
    }

    /// A command connection of the program's own kind.
    pub(crate) fn link(&self) -> RedisLink {
        RedisLink::new(&self.url(), &config(PATIENT)).expect("a good URL")
    }

    /// Has a command carried out by a client that is not ours.
    pub(crate) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> T {
        self.try_run(command).await.expect("redis answers")
    }

    /// How many connections listen on this channel.
    pub(crate) async fn listeners(&self, channel: &str) -> usize {
        let mut command = redis::cmd("PUBSUB");
        let (_, count): (String, usize) = self.run(command.arg("NUMSUB").arg(channel)).await;
        count
    }

    async fn try_run<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let client = redis::Client::open(self.url())?;
        let config = redis::AsyncConnectionConfig::new()
            .set_response_timeout(Some(Duration::from_secs(20)))
            .set_connection_timeout(Some(Duration::from_secs(20)));
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        command.query_async(&mut connection).await
    }

    fn spawn(&self) -> Child {
        Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(self.directory.path())
            .arg("--logfile")
            .arg(self.log_file())
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    panic!("redis-server is missing: apt-get install -y redis-server")
                }
                _ => panic!("redis-server does not start: {error}"),
            })
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("it is running");
        let status = Command::new("kill")
            .args([signal, &process.id().to_string()])
            .status()
            .expect("kill is there");
        assert!(status.success(), "kill {signal}");
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A `[redis]` section.
pub(crate) fn config(text: &str) -> RedisConfig {
    toml::from_str(text).expect("a section [redis]")
}

/// Waits for a fact.
pub(crate) async fn until<F: Future<Output = bool>>(fact: &str, mut is_so: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < deadline, "never came true: {fact}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_server_answers_dies_and_comes_back_on_its_port() {
    let mut server = RedisServer::start().await;
    let port = server.port();
    server.kill();
    assert!(server.try_run::<String>(&redis::cmd("PING")).await.is_err());
    server.restart().await;
    assert_eq!(server.run::<String>(&redis::cmd("PING")).await, "PONG");
    assert_eq!(server.port(), port);
}

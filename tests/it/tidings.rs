//! The built `tidings`, started for one test on a free port.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use ::tidings::store::{Store, StoreConfig};
use serde_json::Value;

use crate::client::Client;
use crate::redis_server::RedisServer;

/// How long a fact may take to come true before a test gives up on it. Nothing waits this long when
/// all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A setting: whose tokens a server believes, and what `tidings token` beside it signs with.
pub(crate) const ISSUER: (&str, &str) = (
    "TIDINGS_JWT__ISSUERS",
    r#"[{ hmac_secrets = ["a secret of this test alone, and long enough"] }]"#,
);

/// What is in it.
pub(crate) const ISSUER_SECRET: &str = "a secret of this test alone, and long enough";

/// A server of a test's own, gone when this is dropped.
pub(crate) struct Tidings {
    address: SocketAddr,
    process: Child,
    arguments: Vec<String>,
    /// Its data, and where commands for it are run.
    directory: tempfile::TempDir,
    environment: Vec<(String, String)>,
    log: Lines<Value>,
    /// What it printed.
    printed: Lines<String>,
    publisher: OnceLock<String>,
    http: reqwest::Client,
}

impl Tidings {
    /// Starts one as it comes, with the in-process bus.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with settings, such as `("TIDINGS_LIMITS__INIT_TIMEOUT", "300ms")`.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_as(&["serve"], settings).await
    }

    /// Starts one on this Redis, for tests that are not about time: a busy machine must not look
    /// like a dead Redis.
    pub(crate) async fn start_on(redis: &RedisServer, settings: &[(&str, &str)]) -> Self {
        let url = redis.url();
        let patient = [
            ("TIDINGS_BUS__URL", url.as_str()),
            ("TIDINGS_REDIS__REPLY_TIMEOUT", "30s"),
            ("TIDINGS_REDIS__CANARY_TIMEOUT", "30s"),
            ("TIDINGS_REDIS__RECONNECT_MIN", "20ms"),
            ("TIDINGS_REDIS__RECONNECT_MAX", "100ms"),
        ];
        Self::start_with(&[&patient, settings].concat()).await
    }

    /// Starts one with these arguments and settings, and waits until it listens.
    pub(crate) async fn start_as(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory for tidings");
        let environment: Vec<(String, String)> = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .chain([
                (
                    "TIDINGS_SERVER__LISTEN".to_owned(),
                    "127.0.0.1:0".to_owned(),
                ),
                ("TIDINGS_LOG__FORMAT".to_owned(), "json".to_owned()),
            ])
            .collect();
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let (process, log, printed) = launch(&arguments, &environment, directory.path());
        let mut server = Tidings {
            address: ([127, 0, 0, 1], 0).into(),
            process,
            arguments,
            directory,
            environment,
            log,
            printed,
            publisher: OnceLock::new(),
            http: http(),
        };
        server.listening().await;
        server
    }

    /// Stops it as an operator does, and starts it again at the same address. What it logged and
    /// printed before is forgotten.
    pub(crate) async fn restart(&mut self) {
        self.signal("TERM");
        assert_eq!(self.exit_code().await, Some(0));
        self.start_again().await;
    }

    /// Starts one that has ended again, at the same address.
    pub(crate) async fn start_again(&mut self) {
        let mut settings = self.environment.iter_mut();
        let listen = settings.find(|(name, _)| name == "TIDINGS_SERVER__LISTEN");
        listen.expect("it is always set").1 = self.address.to_string();
        (self.process, self.log, self.printed) =
            launch(&self.arguments, &self.environment, self.directory.path());
        self.listening().await;
    }

    async fn listening(&mut self) {
        let listening = self.logged(|line| line["message"] == "listening").await;
        self.address = listening["address"].as_str().unwrap().parse().unwrap();
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `ws://…/graphql`
    pub(crate) fn ws_url(&self) -> String {
        format!("ws://{}/graphql", self.address)
    }

    /// `http://…` and the path.
    pub(crate) fn http_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Whether there is something of this name in the directory that it was started in.
    pub(crate) fn has_file(&self, name: &str) -> bool {
        self.directory.path().join(name).exists()
    }

    /// Where its keys and accounts are, when the bus is not Redis.
    pub(crate) fn store(&self) -> Store {
        let directory = self.directory.path().join("data");
        Store::open(&StoreConfig { directory }).expect("its store")
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Connects with the subprotocol, and says nothing yet.
    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address, Some("graphql-transport-ws")).await
    }

    /// Connects and is acknowledged, without credentials.
    pub(crate) async fn anonymous(&self) -> Client {
        let mut client = self.connect().await;
        client.init("{}").await;
        client
    }

    /// Connects and is acknowledged, with an API key.
    pub(crate) async fn with_key(&self, key: &str) -> Client {
        let mut client = self.connect().await;
        client.init(&format!(r#"{{"X-API-KEY":"{key}"}}"#)).await;
        client
    }

    /// Runs a command of `tidings` beside the server, with its settings; gives back what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments, &[], "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "tidings {arguments:?} failed: {said}"
        );
        String::from_utf8(output.stdout)
            .expect("it prints text")
            .trim()
            .to_owned()
    }

    /// The same for a command that may fail, with something more in its environment and on stdin.
    pub(crate) fn command(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
        stdin: &str,
    ) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidings"))
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .envs(self.environment.iter().cloned())
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tidings runs");
        // It may have ended before it has read all of it.
        let _ = child
            .stdin
            .take()
            .expect("it is piped")
            .write_all(stdin.as_bytes());
        child.wait_with_output().expect("it is our child")
    }

    /// A new key of an account, that the server knows of.
    pub(crate) async fn key(&self, account: &str, scopes: &[&str]) -> String {
        let key = self.new_key(account, scopes, &[]);
        self.until_known(&key).await;
        key
    }

    /// A new key of an account, with more arguments for `tidings keys create`.
    pub(crate) fn new_key(&self, account: &str, scopes: &[&str], more: &[&str]) -> String {
        let mut arguments = vec!["keys", "create", "--account", account];
        for scope in scopes {
            arguments.extend(["--scope", scope]);
        }
        arguments.extend(more);
        self.run(&arguments)
    }

    /// Waits until the server knows a key: it looks at the store several times a second.
    pub(crate) async fn until_known(&self, key: &str) {
        self.until("the key is known", async || {
            let (_, said) = self
                .post("/graphql", key, r#"{"query":"{ me { id } }"}"#)
                .await;
            // Where a bad key is as good as none, `me` is null for it, and that is no error.
            said.contains(r#""me":{"#) || said.contains("NOT_AUTHORIZED")
        })
        .await;
    }

    /// A new token that this server believes, if it was started with [`ISSUER`]; with arguments for
    /// `tidings token`.
    pub(crate) fn token(&self, arguments: &[&str]) -> String {
        self.run(&[&["token"], arguments].concat())
    }

    /// Imports accounts, in JSON.
    pub(crate) fn import_accounts(&self, json: &str) {
        let output = self.command(&["accounts", "import", "-"], &[], json);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "not imported: {said}");
    }

    /// The id of the one key that has this name.
    pub(crate) fn key_id(&self, name: &str) -> String {
        let keys: Value = serde_json::from_str(&self.run(&["keys", "list", "--json"])).unwrap();
        let named = |key: &&Value| key["name"] == name;
        let key = keys.as_array().unwrap().iter().find(named);
        key.expect("there is such a key")["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Publishes a body through `POST /v1/events/<channel>`, and insists that it is taken.
    pub(crate) async fn publish(&self, channel: &str, body: &str) {
        if self.publisher.get().is_none() {
            let key = self
                .key("99999999-9999-4999-8999-999999999999", &["publish"])
                .await;
            let _ = self.publisher.set(key);
        }
        let key = self.publisher.get().expect("it was just set");
        let (status, said) = self.post(&format!("/v1/events/{channel}"), key, body).await;
        assert_eq!(status, 202, "{channel} {body}: {said}");
    }

    /// Posts JSON with an API key (none if empty): the status and the body of the answer.
    pub(crate) async fn post(&self, path: &str, key: &str, body: &str) -> (u16, String) {
        let mut request = self
            .http
            .post(self.http_url(path))
            .header("content-type", "application/json")
            .body(body.to_owned());
        if !key.is_empty() {
            request = request.header("x-api-key", key);
        }
        let response = request.send().await.expect("tidings answers");
        (
            response.status().as_u16(),
            response.text().await.expect("a body"),
        )
    }

    /// Gets a path: the status and the body of the answer.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = self
            .http
            .get(self.http_url(path))
            .send()
            .await
            .expect("tidings answers");
        (
            response.status().as_u16(),
            response.text().await.expect("a body"),
        )
    }

    /// A metric's value, by its name with its labels: `tidings_subscriptions`,
    /// `tidings_closes_total{reason="gone"}`. Without its labels, the sum: `tidings_connections`. 0 if
    /// it is not there yet.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value = match rest.strip_prefix('{') {
                Some(labels) => labels.split_once("} ")?.1,
                None => rest.strip_prefix(' ')?,
            };
            Some(value.parse::<f64>().expect("a number"))
        });
        values.sum()
    }

    /// Waits until a metric has a value.
    pub(crate) async fn until_metric(&self, name: &str, value: f64) {
        self.until(&format!("{name} is {value}"), async || {
            self.metric(name).await == value
        })
        .await;
    }

    /// Waits until it prints a line that starts with this name, such as `API key`, and gives back
    /// the word that follows.
    pub(crate) async fn named(&self, name: &str) -> String {
        let mut word = None;
        self.until(&format!("{name} is printed"), async || {
            let value = |line: &String| {
                let mut words = line.trim().strip_prefix(name)?.split_whitespace();
                words.next().map(str::to_owned)
            };
            word = self.printed().iter().find_map(value);
            word.is_some()
        })
        .await;
        word.expect("it was printed")
    }

    /// What it has printed up to now, line by line.
    pub(crate) fn printed(&self) -> Vec<String> {
        self.printed.lock().unwrap().clone()
    }

    /// Waits until a log line is written, and gives it back.
    pub(crate) async fn logged(&self, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.log.lock().unwrap().iter().find(|line| is_it(line)) {
                return line.clone();
            }
            assert!(
                Instant::now() < deadline,
                "not logged: {:#?}",
                self.log.lock().unwrap()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whether such a log line was written up to now.
    pub(crate) fn has_logged(&self, is_it: impl Fn(&Value) -> bool) -> bool {
        self.log.lock().unwrap().iter().any(is_it)
    }

    /// Waits until something is true.
    pub(crate) async fn until(&self, what: &str, mut is_true: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_true().await {
            assert!(
                Instant::now() < deadline,
                "not in time: {what}; {:#?}",
                self.log.lock().unwrap()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits until it has ended by itself, and gives its exit code.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

type Lines<T> = Arc<Mutex<Vec<T>>>;

/// Starts a process, and collects what it logs and what it prints.
fn launch(
    arguments: &[String],
    environment: &[(String, String)],
    directory: &Path,
) -> (Child, Lines<Value>, Lines<String>) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tidings starts");
    let log = collect(process.stderr.take().expect("it is piped"), |line| {
        serde_json::from_str(&line).unwrap_or(Value::String(line))
    });
    let printed = collect(process.stdout.take().expect("it is piped"), |line| line);
    (process, log, printed)
}

/// Collects the lines of a pipe until it ends.
fn collect<T: Send + 'static>(
    pipe: impl Read + Send + 'static,
    read: impl Fn(String) -> T + Send + 'static,
) -> Lines<T> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let collected = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            collected.lock().unwrap().push(read(line));
        }
    });
    lines
}

impl Drop for Tidings {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An HTTP client. It is built with TLS, and TLS with no provider of its own.
pub(crate) fn http() -> reqwest::Client {
    // Another test has installed it before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::new()
}

//! The built `tidings`, started for one test on a free port.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Client;

/// How long a fact may take to come true before a test gives up on it. Nothing waits this long when
/// all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server of a test's own, gone when this is dropped.
pub(crate) struct Tidings {
    address: SocketAddr,
    process: Child,
    arguments: Vec<String>,
    /// Its data, and where commands for it are run.
    directory: tempfile::TempDir,
    environment: Vec<(String, String)>,
    log: Arc<Mutex<Vec<Value>>>,
    printed: Arc<Mutex<Vec<String>>>,
    publisher: std::sync::OnceLock<String>,
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
        let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
        let (log, printed) = (Arc::default(), Arc::default());
        let mut server = Tidings {
            address: ([127, 0, 0, 1], 0).into(),
            process: spawn(&arguments, &environment, directory.path(), &log, &printed),
            arguments,
            directory,
            environment,
            log,
            printed,
            publisher: std::sync::OnceLock::new(),
        };
        server.listening().await;
        server
    }

    async fn listening(&mut self) {
        let listening = self.logged(|line| line["message"] == "listening").await;
        self.address = listening["address"].as_str().unwrap().parse().unwrap();
    }

    /// Stops it as an operator does, and starts it again at the same address. What it has logged and
    /// printed before is forgotten.
    pub(crate) async fn restart(&mut self) {
        self.signal("TERM");
        assert_eq!(self.exit_code().await, Some(0));
        let listen = self
            .environment
            .iter_mut()
            .find(|(name, _)| name == "TIDINGS_SERVER__LISTEN");
        listen.expect("it is always set").1 = self.address.to_string();
        (self.log, self.printed) = (Arc::default(), Arc::default());
        self.process = spawn(
            &self.arguments,
            &self.environment,
            self.directory.path(),
            &self.log,
            &self.printed,
        );
        self.listening().await;
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

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Connects with the subprotocol, and says nothing yet.
    pub(crate) async fn connect(&self) -> Client {
        Client::connect(&self.ws_url(), Some("graphql-transport-ws")).await
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
        let output = Command::new(env!("CARGO_BIN_EXE_tidings"))
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .envs(self.environment.iter().cloned())
            .output()
            .expect("tidings runs");
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

    /// A new key of an account, that the server knows of.
    pub(crate) async fn key(&self, account: &str, scopes: &[&str]) -> String {
        let mut arguments = vec!["keys", "create", "--account", account];
        for scope in scopes {
            arguments.extend(["--scope", scope]);
        }
        let key = self.run(&arguments);
        // The server looks at the store several times a second.
        self.until("the key is known", async || {
            let response = self
                .post("/graphql", &key, r#"{"query":"{ __typename }"}"#)
                .await;
            response.0 == 200
        })
        .await;
        key
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
        let mut request = http()
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
        let response = http()
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
    /// `tidings_closes_total{reason="gone"}`. 0 if it is not there yet.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Waits until a metric has a value.
    pub(crate) async fn until_metric(&self, name: &str, value: f64) {
        self.until(&format!("{name} is {value}"), async || {
            self.metric(name).await == value
        })
        .await;
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

    /// Waits until it prints a line that starts with `name`, such as `API key`, and gives back the
    /// word that follows.
    pub(crate) async fn printed(&self, name: &str) -> String {
        let mut word = None;
        self.until(&format!("{name} is printed"), async || {
            let printed = self.printed.lock().unwrap();
            let rest = |line: &String| line.trim().strip_prefix(name).map(str::to_owned);
            word = printed.iter().find_map(rest);
            word.is_some()
        })
        .await;
        let rest = word.expect("it was printed");
        rest.split_whitespace().next().expect("a word").to_owned()
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

/// Starts a process, and collects what it logs and prints.
fn spawn(
    arguments: &[String],
    environment: &[(String, String)],
    directory: &Path,
    log: &Arc<Mutex<Vec<Value>>>,
    printed: &Arc<Mutex<Vec<String>>>,
) -> Child {
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
    let stderr = BufReader::new(process.stderr.take().expect("it is piped"));
    let log = log.clone();
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
            log.lock().unwrap().push(line);
        }
    });
    let stdout = BufReader::new(process.stdout.take().expect("it is piped"));
    let printed = printed.clone();
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            printed.lock().unwrap().push(line);
        }
    });
    process
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
